"""A table of inspections and an exposure in, annealing times ranked by corroded area out, with the probability of being best.

Best is the smallest median area over coupons. Where each annealing time has coupons at that very exposure, they alone are
compared; else the fitted growth curves are, as far as they reach.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from edge.report.coupons import CouponMeans, Reals, coupon_means, measured
from edge.report.growth import Growth, at, fit_growth

DRAWS = 20_000
FEWEST_FREE = 3


@dataclass(frozen=True, slots=True)
class Ranked:
    """One annealing time: median area with its 95 % interval; coupons: at this exposure."""

    annealing_min: float
    median: float
    lo: float
    hi: float
    probability_best: float
    coupons: int


@dataclass(frozen=True, slots=True)
class Ranking:
    """rows: the smallest area first."""

    exposure_h: float
    rows: tuple[Ranked, ...]
    notes: tuple[str, ...]
    missing: tuple[str, ...]


def rank(table: pd.DataFrame, exposure_h: float, growth: Growth | None = None) -> Ranking:
    """Rank the annealing times of one series at one exposure. growth: that of its areas, if it is known already."""
    means = coupon_means(measured(table, "area_fraction"), "log")
    if not len(means.mean):
        return Ranking(exposure_h, (), (), ("The column coupon is missing, or no image has a condition and an area.",))
    if len(set(means.annealing_min.tolist())) < 2:
        return Ranking(exposure_h, (), (), ("2 annealing times at least; there is one.",))
    if not means.by > 0:
        return Ranking(exposure_h, (), (), ("All areas are zero: there is nothing to rank.",))
    zeros = (f"{means.zeros} fields were zero and count as {means.by:.3g}.",) if means.zeros else ()
    here = {key[0]: rows for key, rows in means.cells.items() if key[1] == exposure_h}
    free = sum(len(rows) - 1 for rows in here.values())
    if set(here) == set(means.annealing_min.tolist()) and free >= FEWEST_FREE:
        return Ranking(exposure_h, _from_coupons(means, here, free), ("From the coupons at this exposure.", *zeros), ())
    return _from_curves(growth or fit_growth(table), means, exposure_h, zeros)


def _from_coupons(means: CouponMeans, here: dict[float, list[int]], free: int) -> tuple[Ranked, ...]:
    """One scatter for all annealing times, Student's t."""
    keys = sorted(here)
    centre = np.array([means.mean[here[key]].mean() for key in keys])
    squares = sum(float(((means.mean[here[key]] - means.mean[here[key]].mean()) ** 2).sum()) for key in keys)
    error = np.sqrt(squares / free / np.array([len(here[key]) for key in keys]))
    rng = np.random.default_rng(0)
    shared = np.sqrt(free / rng.chisquare(free, DRAWS))[:, None]
    draws = centre + error * rng.standard_normal((DRAWS, len(keys))) * shared
    reach = float(stats.t.ppf(0.975, free)) * error
    return _rows(keys, centre, centre - reach, centre + reach, draws, [len(here[key]) for key in keys])


def _from_curves(growth: Growth, means: CouponMeans, exposure_h: float, zeros: tuple[str, ...]) -> Ranking:
    """From the law's covariance, so that what the curves share is shared."""
    fit = growth.fit
    if fit is None:
        lacks = f"Not all annealing times have 2 coupons at {exposure_h:g} h, and no curves were fitted."
        return Ranking(exposure_h, (), growth.notes, (lacks, *growth.missing))
    keys = [key for key in fit.annealing_min if at(growth, key, exposure_h) is not None]
    short = sorted(set(means.annealing_min.tolist()) - set(keys))
    notes = ("From the fitted curves: not all annealing times have enough coupons at this exposure.", *zeros)
    if short:
        notes = (*notes, f"No curve reaches {exposure_h:g} h for {', '.join(f'{key:g}' for key in short)} min.")
    if len(keys) < 2:
        return Ranking(exposure_h, (), notes, ("2 curves at least that reach this exposure.",))
    centre, covariance, free = fit.joint(keys, exposure_h)
    rng = np.random.default_rng(0)
    shared = np.sqrt(free.min() / rng.chisquare(free.min(), DRAWS))[:, None]
    draws = centre + rng.multivariate_normal(np.zeros(len(keys)), covariance, DRAWS) * shared
    reach = stats.t.ppf(0.975, free) * np.sqrt(np.diag(covariance))
    own = [
        sum(means.annealing_min[row] == key and means.exposure_h[row] == exposure_h for row in range(len(means.mean)))
        for key in keys
    ]
    return Ranking(exposure_h, _rows(keys, centre, centre - reach, centre + reach, draws, own), notes, ())


def _rows(keys: list[float], centre: Reals, lo: Reals, hi: Reals, draws: Reals, coupons: list[int]) -> tuple[Ranked, ...]:
    best = np.bincount(np.argmin(draws, axis=1), minlength=len(keys)) / len(draws)
    lo, hi = np.exp(lo), np.minimum(1.0, np.exp(np.minimum(hi, 0.0)))
    return tuple(
        Ranked(keys[at], float(np.exp(centre[at])), float(lo[at]), float(hi[at]), float(best[at]), int(coupons[at]))
        for at in np.argsort(centre)
    )
