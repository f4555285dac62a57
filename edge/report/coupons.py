"""A table of inspections in, one value a coupon and condition out: the replicates that statistics may count.

Images of one coupon are not replicates. So each analysis works with means over the fields of a coupon, on the scale
where the scatter is even: the logarithm for growth, the logit for the analysis of variance.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Reals = NDArray[np.float64]

MEASURES = ("area_fraction", "density_per_mm2", "diameter_um")


@dataclass(frozen=True, slots=True)
class CouponMeans:
    """Arrays of one length, a row a coupon and condition: annealing_min, exposure_h, coupon (its name), mean, fields.

    within_variance: between fields of one coupon and condition, pooled; 0 where no coupon has two.
    zeros: how many fields were zero (or one, on the logit) and were moved; by: the value that they were moved to.
    """

    annealing_min: Reals
    exposure_h: Reals
    coupon: tuple[str, ...]
    mean: Reals
    fields: Reals
    within_variance: float
    zeros: int
    by: float

    @property
    def cells(self) -> dict[tuple[float, float], list[int]]:
        """The rows of each condition (annealing, exposure)."""
        found: dict[tuple[float, float], list[int]] = {}
        for row, key in enumerate(zip(self.annealing_min.tolist(), self.exposure_h.tolist(), strict=True)):
            found.setdefault(key, []).append(row)
        return dict(sorted(found.items()))

    @property
    def specimens(self) -> tuple[str, ...]:
        """A name for each row's coupon.

        Metal is annealed once: a name that returns at another annealing time is another coupon."""
        return tuple(f"{minutes:g}/{name}" for minutes, name in zip(self.annealing_min.tolist(), self.coupon, strict=True))

    @property
    def followed(self) -> bool:
        """Whether one coupon stands at several exposures."""
        return len(set(self.specimens)) < len(self.coupon)


def measured(table: pd.DataFrame, measure: str) -> pd.DataFrame:
    """The rows with a condition and a finite, non-negative value, with the columns `value` and `coupon` (text or None)."""
    if measure not in MEASURES:
        raise ValueError(f"no measure {measure!r}: {', '.join(MEASURES)}")
    rows = pd.DataFrame(
        {
            "annealing_min": pd.to_numeric(table["annealing_min"], errors="coerce").astype(float),
            "exposure_h": pd.to_numeric(table["exposure_h"], errors="coerce").astype(float),
            "value": _values(table, measure),
            "coupon": pd.Series([_named(name) for name in table["coupon"]], dtype=object, index=table.index),
        }
    )
    numbers = rows[["annealing_min", "exposure_h", "value"]].to_numpy(dtype=float)
    fit = np.isfinite(numbers).all(axis=1) & (numbers[:, 2] >= 0) & (numbers[:, 1] >= 0)
    if measure == "area_fraction":
        fit &= numbers[:, 2] <= 1
    return rows[fit].reset_index(drop=True)


def coupon_means(rows: pd.DataFrame, scale: str) -> CouponMeans:
    """Means of log or logit values over the fields of each coupon and condition; `rows` as `measured` gives them.

    A zero has no logarithm: it becomes half of the smallest value above zero (on the logit a one likewise).
    """
    rows = rows[[name is not None and not pd.isna(name) for name in rows["coupon"]]] if len(rows) else rows
    value = rows["value"].to_numpy(dtype=float)
    above = value[value > 0]
    floor = float(above.min()) / 2 if len(above) else 0.0
    zeros = int((value <= 0).sum())
    value = np.maximum(value, floor)
    if scale == "logit":
        below = 1 - value[value < 1]
        ceiling = 1 - (float(below.min()) / 2 if len(below) else 0.0)
        zeros += int((value >= 1).sum())
        value = np.minimum(value, ceiling)
    with np.errstate(divide="ignore"):
        scaled = np.log(value) - (np.log1p(-value) if scale == "logit" else 0.0)
    frame = rows.assign(scaled=scaled)
    groups = frame.groupby(["annealing_min", "exposure_h", "coupon"], sort=True)["scaled"]
    means, counts = groups.mean(), groups.size()
    squares = float(((frame["scaled"] - groups.transform("mean")) ** 2).sum()) if len(above) else 0.0
    free = int(len(frame) - len(means))
    keys = list(means.index)
    return CouponMeans(
        np.array([key[0] for key in keys], dtype=float),
        np.array([key[1] for key in keys], dtype=float),
        tuple(str(key[2]) for key in keys),
        means.to_numpy(dtype=float),
        counts.to_numpy(dtype=float),
        squares / free if free > 0 else 0.0,
        zeros,
        floor,
    )


def weights(means: CouponMeans) -> Reals:
    """How much each coupon's mean counts, mean 1: less where it rests on fewer fields. From variance components."""
    squares, free, fields = 0.0, 0, []
    for at in means.cells.values():
        squares += float(((means.mean[at] - means.mean[at].mean()) ** 2).sum())
        free += len(at) - 1
        fields += [1 / means.fields[row] for row in at]
    total = squares / free if free else 0.0
    between = max(0.0, total - means.within_variance * float(np.mean(fields))) if fields else 0.0
    variance = between + means.within_variance / means.fields
    if not len(variance) or variance.min() <= 0:
        return np.ones(len(means.mean))
    weight = 1 / variance
    return np.asarray(weight / weight.mean())


def _named(name: object) -> str | None:
    return None if pd.isna(name) or not str(name).strip() else str(name)


def _values(table: pd.DataFrame, measure: str) -> list[float]:
    if measure != "diameter_um":
        return list(pd.to_numeric(table[measure], errors="coerce").astype(float))
    return [_median(of) for of in table["region_diameters_um"]]


def _median(diameters: object) -> float:
    """The median diameter of one field; NaN where there is none."""
    if diameters is None or isinstance(diameters, float):
        return float("nan")
    found = np.asarray(diameters, dtype=float)
    found = found[np.isfinite(found)]
    return float(np.median(found)) if len(found) else float("nan")
