"""Tables as the report reads them, made from what a test wants to be true."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

EMPTY: dict[str, Any] = {
    "id": "",
    "annealing_min": np.nan,
    "exposure_h": np.nan,
    "coupon": None,
    "field": None,
    "batch": None,
    "field_selection": None,
    "area_fraction": np.nan,
    "density_per_mm2": np.nan,
    "count": 0,
    "region_diameters_um": None,
    "largest_um": np.nan,
    "largest_cut": False,
    "shapes": None,
    "pixel_size_nm": 100.0,
    "field_um2": 10_000.0,
    "counted_from_px": 0.0,
    "counted_from_um": np.nan,
    "segmenter": "a",
    "taught": None,
    "settings_sha256": "s",
    "ts_ms": 0,
}


def table(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """One row a dict; what it does not say is unknown."""
    return pd.DataFrame(
        [{**EMPTY, "id": str(place), **row} for place, row in enumerate(rows)],
        columns=list(dict.fromkeys([*EMPTY, *(key for row in rows for key in row)])),
    )


def factorial(
    law: Any,
    *,
    coupons: int = 3,
    fields: int = 2,
    annealing: tuple[float, ...] = (60.0, 90.0),
    sigma: float = 0.1,
    seed: int = 1,
    exposures: tuple[float, ...] = (1.0, 168.0, 336.0, 504.0),
    measure: str = "area_fraction",
) -> pd.DataFrame:
    """Coupons × fields at each condition around `law(exposure, annealing)`, log-normal."""
    rng = np.random.default_rng(seed)
    rows = []
    for time in annealing:
        for exposure in exposures:
            for coupon in range(coupons):
                factor = rng.lognormal(0, sigma)
                rows += [
                    {
                        "annealing_min": time,
                        "exposure_h": exposure,
                        "coupon": f"{time}-{exposure}-{coupon}",
                        measure: law(exposure, time) * factor * rng.lognormal(0, sigma),
                    }
                    for _ in range(fields)
                ]
    return table(rows)
