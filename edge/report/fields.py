"""A table of inspections in, the area fraction over fields of each specimen out, in the manner of ASTM E1245.

Mean, standard deviation, 95 % confidence interval by Student's t, and relative accuracy: half the interval in percent of
the mean. It speaks for the surface only where fields were chosen systematically or at random.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from edge.report.table import finite

SAMPLED = "area fraction over fields, in the manner of ASTM E1245"
CHOSEN = "fields chosen by the operator: describes these images, not the surface"


@dataclass(frozen=True, slots=True)
class FieldStatistics:
    """One specimen: a coupon, or a condition where coupons are unknown.

    mean, sd, lo, hi: area fractions.  sd, lo, hi, relative_accuracy_percent: None where they are not known or not allowed.
    """

    heading: str
    annealing_min: float | None
    exposure_h: float | None
    coupon: str | None
    fields: int
    mean: float
    sd: float | None
    lo: float | None
    hi: float | None
    relative_accuracy_percent: float | None
    notes: tuple[str, ...]


def over_fields(table: pd.DataFrame) -> tuple[FieldStatistics, ...]:
    """One row a specimen, in the order of annealing, exposure and coupon."""
    groups: dict[tuple[float | None, float | None, str | None], list[tuple[float, str]]] = {}
    for row in table.itertuples(index=False):
        area = float("nan") if row.area_fraction is None else float(row.area_fraction)
        if np.isfinite(area):
            key = (finite(row.annealing_min), finite(row.exposure_h), None if pd.isna(row.coupon) else str(row.coupon))
            groups.setdefault(key, []).append((area, "" if pd.isna(row.field_selection) else str(row.field_selection)))
    order = sorted(groups, key=lambda key: (key[0] is None, key[0] or 0, key[1] is None, key[1] or 0, key[2] or ""))
    return tuple(_statistics(*key, groups[key]) for key in order)


def _statistics(
    annealing: float | None, exposure: float | None, coupon: str | None, fields: list[tuple[float, str]]
) -> FieldStatistics:
    areas = np.array([area for area, _ in fields])
    ways = {way for _, way in fields}
    sampled = ways <= {"systematic", "random"}
    count, mean = len(areas), float(areas.mean())
    sd = float(areas.std(ddof=1)) if count > 1 else None
    notes = []
    if not sampled:
        notes.append(
            "The column field_selection is missing: how the fields were chosen is not known."
            if ways == {""}
            else "Not all fields were chosen systematically or at random."
        )
    if count < 2:
        notes.append("One field has no standard deviation: 2 at least.")
    if coupon is None and count > 1:
        notes.append("Without the column coupon, fields of several coupons may stand together here.")
    lo = hi = relative = None
    if sampled and sd is not None:
        half = float(stats.t.ppf(0.975, count - 1)) * sd / count**0.5
        lo, hi = max(0.0, mean - half), min(1.0, mean + half)
        relative = 100 * half / mean if mean > 0 else None
        if relative is None:
            notes.append("The mean is zero: there is no relative accuracy.")
    return FieldStatistics(
        SAMPLED if sampled else CHOSEN, annealing, exposure, coupon, count, mean, sd, lo, hi, relative, tuple(notes)
    )
