"""A table of inspections in, a measure against exposure for each annealing time out: the law and its 95 % bands.

The law and how it is fitted: `edge.report.laws`. What counts as a replicate: `edge.report.coupons`. The bands hold the
median over coupons, not the single image.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from edge.records import Interval
from edge.report.coupons import CouponMeans, coupon_means, measured
from edge.report.laws import Fit, Law, count_parameters, fit_law

FEWEST_EXPOSURES = 3
FEWEST_FREE = 4  # coupons beyond one in each condition: below it the scatter is a guess
FURTHEST = 1.5  # times the longest exposure
WIDEST = 10.0  # between the ends of an interval that still says something of a limit
CURVE_POINTS = 60
RENAME = "If they are different coupons of the same name, give each a name of its own."

Estimate = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Curve:
    """One annealing time; exposures to 1.5 times its longest one, and the median with its 95 % band."""

    annealing_min: float
    exposure_h: tuple[float, ...]
    median: tuple[float, ...]
    lo: tuple[float, ...]
    hi: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class CouponPoint:
    """What was measured: the geometric mean over the fields of a coupon, or one image where coupons are unknown."""

    annealing_min: float
    exposure_h: float
    coupon: str | None
    value: float
    fields: int


@dataclass(frozen=True, slots=True)
class Growth:
    """law None: nothing was fitted, and `missing` says what it lacks.

    plateau, time_constant_h, offset: for each annealing time (lo, value, hi), None where the data do not tell.
    aicc_growth, aicc_power: lower is better; None where too few coupons stand behind them.  power: the early law, beside it.
    """

    measure: str
    law: Law | None
    curves: tuple[Curve, ...]
    points: tuple[CouponPoint, ...]
    exponent: float | None
    exponent_interval: Interval | None
    plateau: dict[float, Estimate | None]
    time_constant_h: dict[float, Estimate | None]
    offset: dict[float, Estimate | None]
    aicc_growth: float | None
    aicc_power: float | None
    plateau_identified: bool
    coupons: int
    zeros: int
    notes: tuple[str, ...]
    missing: tuple[str, ...]
    fit: Fit | None
    power: Fit | None = None


def fit_growth(table: pd.DataFrame, measure: str = "area_fraction") -> Growth:
    """Fit one series. Raises ValueError for an unknown measure; too little data is no error, it is said."""
    rows = measured(table, measure)
    means, missing, notes = _prepared(rows)
    if missing:
        return Growth(measure, None, (), _points(rows), None, None, {}, {}, {}, None, None, False, 0, 0, notes, missing, None)
    most = 1.0 if measure == "area_fraction" else float("inf")
    times = len(set(means.annealing_min.tolist()))
    power = fit_law(means, "power", most)
    grown = fit_law(means, "growth", most) if len(means.cells) >= count_parameters("growth", times) else None
    fit = grown or power
    estimates = [
        [_estimate(fit, 1 + place * (3 if grown else 2) + part) for place in range(times)] for part in range(3 if grown else 2)
    ]
    identified, said = _plateau(grown, power, estimates[1])
    exponent = _estimate(fit, 0)
    keys = fit.annealing_min
    nothing: dict[float, Estimate | None] = dict.fromkeys(keys)
    return Growth(
        measure,
        fit.law,
        tuple(_curve(fit, means, value, most) for value in keys),
        _points(rows),
        float(np.exp(fit.parameters[0])),
        None if exponent is None else (exponent[0], exponent[2]),
        dict(zip(keys, estimates[1], strict=True)) if identified else nothing,
        dict(zip(keys, estimates[2], strict=True)) if grown and identified else nothing,
        dict(zip(keys, estimates[0], strict=True)),
        None if grown is None else grown.aicc,
        power.aicc,
        identified,
        len(set(means.specimens)),
        means.zeros,
        (*notes, *said, *_scatter(fit, means)),
        (),
        fit,
        power,
    )


def at(growth: Growth, annealing_min: float, exposure_h: float) -> Estimate | None:
    """(median, lo, hi) at one condition; None where nothing was fitted or beyond 1.5 times the longest exposure."""
    fit = growth.fit
    if fit is None or annealing_min not in fit.annealing_min or not 0 <= exposure_h <= _furthest(growth, annealing_min):
        return None
    return _band(fit, annealing_min, exposure_h, 1.0 if growth.measure == "area_fraction" else float("inf"))


def _furthest(growth: Growth, annealing_min: float) -> float:
    return next(curve.exposure_h[-1] for curve in growth.curves if curve.annealing_min == annealing_min)


def _band(fit: Fit, annealing_min: float, exposure_h: float, most: float) -> Estimate:
    log, error, free = fit.log_value(annealing_min, exposure_h)
    reach = float(stats.t.ppf(0.975, free)) * error
    return (
        min(most, float(np.exp(log))),
        float(np.exp(max(log - reach, -700.0))),
        min(most, float(np.exp(min(log + reach, 700.0)))),
    )


def _curve(fit: Fit, means: CouponMeans, annealing_min: float, most: float) -> Curve:
    own = means.exposure_h[means.annealing_min == annealing_min]
    end = FURTHEST * float(own.max())
    grid = np.unique(np.concatenate([own, np.linspace(float(own.min()), end, CURVE_POINTS)]))
    bands = [_band(fit, annealing_min, float(time), most) for time in grid]
    median, lo, hi = zip(*bands, strict=True)
    return Curve(annealing_min, tuple(grid.tolist()), median, lo, hi)


def _prepared(rows: pd.DataFrame) -> tuple[CouponMeans, tuple[str, ...], tuple[str, ...]]:
    """What can be fitted, what is missing, and what is to be said."""
    notes: list[str] = []
    without = int(sum(name is None or pd.isna(name) for name in rows["coupon"]))
    means = coupon_means(rows, "log")
    if len(rows) == 0:
        return means, ("No image has an exposure, an annealing time and this measure.",), ()
    if without == len(rows):
        return means, ("The column coupon is missing: images of one coupon are not replicates, so nothing is fitted.",), ()
    if without:
        notes.append(f"{without} images without a coupon are left out of the fit.")
    if not (rows["value"] > 0).any():
        return means, ("All values are zero: there is no growth to fit.",), tuple(notes)
    enough = [key for key in sorted(set(means.annealing_min.tolist())) if _exposures(means, key) >= FEWEST_EXPOSURES]
    few = sorted(set(means.annealing_min.tolist()) - set(enough))
    notes += [
        f"Annealing {key:g} min has {_exposures(means, key)} exposures and is left out: {FEWEST_EXPOSURES} at least."
        for key in few
    ]
    rows = rows[rows["annealing_min"].isin(enough)]
    means = coupon_means(rows, "log")
    if means.zeros:
        notes.append(f"{means.zeros} fields were zero and count as {means.by:.3g}, half of the smallest value above zero.")
    free = len(means.mean) - len(means.cells)
    missing = []
    if not enough:
        missing.append(f"{FEWEST_EXPOSURES} exposures at least, at one annealing time; there are fewer.")
    elif means.followed and len(set(means.specimens)) - len(enough) < FEWEST_FREE:
        missing.append(f"{FEWEST_FREE + len(enough)} coupons at least; there are {len(set(means.specimens))}.")
    elif not means.followed and free < FEWEST_FREE:
        missing.append(f"2 coupons a condition, {FEWEST_FREE} beyond the first ones at least; there are {free}.")
    elif float(np.ptp(means.mean)) < 1e-9:
        missing.append("All values are equal: there is no growth to fit.")
    elif not means.exposure_h.max() > 0 or len(means.cells) < count_parameters("power", len(enough)):
        missing.append("More conditions: the law has more unknowns than there are conditions.")
    return means, tuple(missing), tuple(notes)


def _exposures(means: CouponMeans, annealing_min: float) -> int:
    return len(set(means.exposure_h[means.annealing_min == annealing_min].tolist()))


def _points(rows: pd.DataFrame) -> tuple[CouponPoint, ...]:
    """Coupons, or images where no coupon is named."""
    found = []
    named = [name is not None and not pd.isna(name) for name in rows["coupon"]]
    means = coupon_means(rows, "log")
    for annealing, exposure, coupon, mean, fields in zip(
        means.annealing_min.tolist(), means.exposure_h.tolist(), means.coupon, means.mean, means.fields, strict=True
    ):
        found.append(CouponPoint(annealing, exposure, coupon, float(np.exp(mean)), int(fields)))
    for row, has in zip(rows.itertuples(index=False), named, strict=True):
        if not has:
            found.append(CouponPoint(float(row.annealing_min), float(row.exposure_h), None, float(row.value), 1))
    return tuple(found)


def _estimate(fit: Fit, place: int) -> Estimate | None:
    """(lo, value, hi) of one parameter; None where its interval is so wide that the data say nothing."""
    value = float(fit.parameters[place])
    error, free = fit.spread(np.eye(len(fit.parameters))[place])
    reach = float(stats.t.ppf(0.975, free)) * error
    if not np.isfinite(reach) or 2 * reach > np.log(WIDEST):
        return None
    return float(np.exp(value - reach)), float(np.exp(value)), float(np.exp(value + reach))


def _plateau(grown: Fit | None, power: Fit, limits: list[Estimate | None]) -> tuple[bool, tuple[str, ...]]:
    """Whether the data tell a limit, and the sentences."""
    if grown is None:
        return False, ("Fewer conditions than the growth law has unknowns: the early power law is shown, without a limit.",)
    if grown.aicc is None or power.aicc is None:
        return False, ("Too few coupons to compare the growth law with the early power law: no limit is named.",)
    better = power.aicc - grown.aicc
    if better > 2 and any(limit is not None for limit in limits):
        return True, (f"The growth law is the better one by {better:.1f} AICc: the growth slows down within these exposures.",)
    if better < -2:
        said = f"The early power law is the better one by {-better:.1f} AICc"
    elif better <= 2:
        said = f"The two laws are alike ({abs(better):.1f} AICc apart)"
    else:
        said = "The growth slows down, but the limit could be almost anything"
    return False, (
        f"{said}: the plateau was not reached, its height and time constant are not identified. "
        "The curve holds within the exposures.",
    )


def _scatter(fit: Fit, means: CouponMeans) -> tuple[str, ...]:
    """What the bands rest on."""
    said = "The bands hold the median over coupons, not the next image"
    if means.followed:
        return (f"{said}; coupons were followed through several exposures, so whole coupons are what scatters. {RENAME}",)
    if len(fit.parts) > 1:
        return (f"{said}; each exposure has the scatter of its own coupons.",)
    few = len(set(means.exposure_h.tolist())) > 1
    return (f"{said}; the scatter is taken as equal at all exposures{', for coupons are few' if few else ''}.",)
