"""A table of inspections in, the largest region to expect on a surface out: Gumbel's law as ASTM G16 describes it.

    F(x) = exp(−exp(−(x − location) / scale)),    x(T) = location − scale · ln(−ln(1 − 1/T))

T, the return period, is the surface that the user names over the surface behind one maximum. One maximum stands for one
coupon. A region cut by the edge of its field is larger than seen, so its likelihood is that of "at least this".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats
from scipy.optimize import brentq, minimize_scalar

Numbers = np.ndarray[Any, np.dtype[np.float64]]
Flags = np.ndarray[Any, np.dtype[np.bool_]]

HEADING = "size, says nothing of penetration"
FEWEST = 10
EQUAL_FIELDS = 1.1


@dataclass(frozen=True, slots=True)
class Extremes:
    """maxima: how many independent ones, censored: how many of them are cut.  block_um2: the surface behind each.

    qq: (reduced variate, maximum in µm, whether it is cut), in rising order. Numbers are None where `missing` says why.
    """

    heading: str
    location_um: float | None
    scale_um: float | None
    maxima: int
    censored: int
    block_um2: float | None
    return_period: float | None
    largest_um: float | None
    lo_um: float | None
    hi_um: float | None
    qq: tuple[tuple[float, float, bool], ...]
    notes: tuple[str, ...]
    missing: tuple[str, ...]


def largest(table: pd.DataFrame, surface_mm2: float | None) -> Extremes:
    """Fit one condition's maxima. surface_mm2: the surface asked about; None: fitted, nothing expected."""
    values, cut, block, notes, missing = _maxima(table)
    if not missing and values.size - int(cut.sum()) < 3:
        missing = (f"3 maxima that no edge cuts at least; there are {values.size - int(cut.sum())}.",)
    if not missing and float(np.ptp(values)) <= 0:
        missing = ("All maxima are equal: there is no distribution to fit.",)
    if missing:
        return Extremes(HEADING, None, None, values.size, int(cut.sum()), block, None, None, None, None, (), notes, missing)
    location, scale = _fit(values, cut)
    order = np.argsort(values)
    ranks = (np.arange(values.size) + 1) / (values.size + 1)
    qq = tuple((float(-np.log(-np.log(rank))), float(values[at]), bool(cut[at])) for rank, at in zip(ranks, order, strict=True))
    period = None if surface_mm2 is None or block is None else surface_mm2 * 1e6 / block
    expected: tuple[float | None, float | None, float | None] = (None, None, None)
    if period is None:
        notes = (*notes, "No surface is named: no largest size is expected for one.")
    elif not period > 1:
        notes = (*notes, "The surface named is not larger than that behind one maximum: nothing is extrapolated.")
    else:
        expected = _expected(values, cut, float(-np.log(-np.log1p(-1 / period))))
        if period > 100 * values.size:
            notes = (
                *notes,
                f"The return period of {period:.3g} lies far beyond {values.size} maxima: the interval assumes the law.",
            )
    return Extremes(HEADING, location, scale, values.size, int(cut.sum()), block, period, *expected, qq, notes, ())


def _maxima(
    table: pd.DataFrame,
) -> tuple[Numbers, Flags, float | None, tuple[str, ...], tuple[str, ...]]:
    """(maxima in µm, cut, surface behind one, notes, missing): one a coupon, each over the same number of equal fields."""
    nothing = np.zeros(0), np.zeros(0, dtype=bool)
    if not len(table):
        return *nothing, None, (), ("There are no images.",)
    conditions = table[["annealing_min", "exposure_h"]].drop_duplicates()
    if len(conditions) > 1:
        return *nothing, None, (), (f"One condition at a time; there are {len(conditions)}.",)
    largest_um = pd.to_numeric(table["largest_um"], errors="coerce").to_numpy(dtype=float)
    area = pd.to_numeric(table["field_um2"], errors="coerce").to_numpy(dtype=float)
    named = np.array([not pd.isna(name) for name in table["coupon"]])
    if not named.any():
        return *nothing, None, (), ("The column coupon is missing: maxima of one coupon are not independent.",)
    empty = pd.to_numeric(table["count"], errors="coerce").to_numpy(dtype=float) == 0
    empty &= ~np.isfinite(largest_um)
    largest_um = np.where(empty, 0.0, largest_um)  # a field without a region is surface that was looked at
    usable = named & np.isfinite(largest_um) & (largest_um >= 0) & (area > 0)
    notes = [f"{int((~usable).sum())} images without a scale, a size or a coupon are left out."] if not usable.all() else []
    if not usable.any():
        return *nothing, None, tuple(notes), ("No image has a scale and a region.",)
    if area[usable].max() > EQUAL_FIELDS * area[usable].min():
        return (
            *nothing,
            None,
            tuple(notes),
            ("The fields are not equally large: maxima of unequal surfaces do not follow one law.",),
        )
    coupons: dict[str, list[int]] = {}
    for place in np.flatnonzero(usable).tolist():
        coupons.setdefault(str(table["coupon"].iloc[place]), []).append(place)
    each = min(len(places) for places in coupons.values())
    if any(len(places) > each for places in coupons.values()):
        notes.append(f"Each coupon counts with its first {each} fields, as many as the one with the fewest has.")
    values, cut, bare = [], [], 0
    is_cut = table["largest_cut"].fillna(False).to_numpy(dtype=bool)
    for places in coupons.values():
        top = max(places[:each], key=lambda place: float(largest_um[place]))
        if not largest_um[top] > 0:
            bare += 1
            continue
        values.append(float(largest_um[top]))
        cut.append(bool(is_cut[top]))
    block = each * float(np.median(area[usable]))
    if bare:
        notes.append(f"{bare} coupons have no region and no maximum: they are left out, so sizes are expected too large.")
    few = len(values) < FEWEST
    missing = (f"{FEWEST} independent maxima at least, one a coupon; there are {len(values)}.",) if few else ()
    return np.array(values), np.array(cut, dtype=bool), block, tuple(notes), missing


def _fit(values: Numbers, cut: Flags) -> tuple[float, float]:
    data = stats.CensoredData(uncensored=values[~cut], right=values[cut])
    location, scale = stats.gumbel_r.fit(data)
    return float(location), float(scale)


def _expected(values: Numbers, cut: Flags, reduced: float) -> tuple[float, float | None, float | None]:
    """The size at a reduced variate and its 95 % interval by profile likelihood; an end is None where it has none."""
    location, scale = _fit(values, cut)
    best = location + scale * reduced
    top = _likelihood(values, cut, location, scale)

    def short(size: float) -> float:
        """How far the best likelihood for this size is below the limit; negative inside the interval."""
        found = minimize_scalar(
            lambda log: -_likelihood(values, cut, size - np.exp(log) * reduced, np.exp(log)),
            bounds=(np.log(scale) - 3, np.log(scale) + 3),
            method="bounded",
        )
        return float(2 * (top + found.fun) - stats.chi2.ppf(0.95, 1))

    return best, _end(short, best, -scale), _end(short, best, scale)


def _end(short: Callable[[float], float], best: float, step: float) -> float | None:
    for _ in range(40):
        far = best + step
        if short(far) > 0:
            return float(brentq(short, best, far, xtol=1e-6 * abs(step)))
        step *= 1.6
    return None


def _likelihood(values: Numbers, cut: Flags, location: float, scale: float) -> float:
    """Written out: scipy's own is asked some thousand times here, and takes seconds."""
    whole = (values[~cut] - location) / scale
    cut_off = (values[cut] - location) / scale
    with np.errstate(over="ignore", divide="ignore"):
        seen = -whole - np.exp(-whole) - np.log(scale)
        beyond = np.log(-np.expm1(-np.exp(-cut_off)))
    return float(seen.sum() + beyond.sum())
