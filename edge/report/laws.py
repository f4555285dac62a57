"""Coupon means of log values in, the fitted growth law or its early power law with everything a band needs out.

    growth   A0 + A_limit · (1 − exp(−(t / τ)^n))      A0, A_limit, τ for each annealing time, n for all
    power    A0 + k · t^n                              what the growth law is long before its limit

Both are fitted on the logarithm by weighted least squares (scipy). The scatter is that between coupons of one condition
("pure error"), so a law that does not fit cannot make the scatter look larger or smaller than it is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

from edge.report.coupons import CouponMeans, Reals, weights

Law = Literal["growth", "power"]
FEWEST_FREE = 3  # coupons beyond the first ones at an exposure, for a scatter of its own
LEAST_EXPONENT, MOST_EXPONENT = 0.2, 5.0


@dataclass(frozen=True, slots=True)
class Fit:
    """parameters: log n, then for each annealing time log A0, log A_limit, log τ (power: log A0, log k).

    parts: covariances of the parameters, one for each scatter that was estimated, with its degrees of freedom.
    aicc: None where coupons are too few for it.  k is what has grown at the longest exposure.
    """

    law: Law
    annealing_min: tuple[float, ...]
    longest_h: float
    parameters: Reals
    parts: tuple[tuple[Reals, int], ...]
    aicc: float | None

    def spread(self, direction: Reals) -> tuple[float, float]:
        """The standard error along a direction and its degrees of freedom, by Satterthwaite."""
        shares = np.array([max(0.0, float(direction @ part @ direction)) for part, _ in self.parts])
        total = float(shares.sum())
        below = float((shares**2 / np.array([free for _, free in self.parts])).sum())
        return total**0.5, max(1.0, total**2 / below) if below > 0 else 1.0

    def log_value(self, annealing_min: float, exposure_h: float) -> tuple[float, float, float]:
        """The log of the median, its standard error, degrees of freedom.

        Raises ValueError for an annealing time that was not fitted.
        """
        value, slope = self._slope([annealing_min], exposure_h)
        return float(value[0]), *self.spread(slope[0])

    def log_change(self, annealing_min: float, from_h: float, to_h: float) -> tuple[float, float, float]:
        """The log of how many times the median grows between two exposures, its standard error, degrees of freedom."""
        early, first = self._slope([annealing_min], from_h)
        late, last = self._slope([annealing_min], to_h)
        return float(late[0] - early[0]), *self.spread(last[0] - first[0])

    def joint(self, annealing_min: list[float], exposure_h: float) -> tuple[Reals, Reals, Reals]:
        """The logs of several annealing times at one exposure, their covariance, and degrees of freedom."""
        value, slope = self._slope(annealing_min, exposure_h)
        covariance = np.asarray(sum(slope @ part @ slope.T for part, _ in self.parts))
        return value, covariance, np.array([self.spread(row)[1] for row in slope])

    def _slope(self, annealing_min: list[float], exposure_h: float) -> tuple[Reals, Reals]:
        where = np.array([self.annealing_min.index(value) for value in annealing_min])
        predict = _predictor(self.law, where, np.full(len(where), exposure_h), self.longest_h)
        return predict(self.parameters), _slopes(predict, self.parameters)


def fit_law(means: CouponMeans, law: Law, most: float) -> Fit:
    """Fit one law; `most`: no limit lies above it (1 for a fraction). Needs at least as many conditions as parameters."""
    annealing = tuple(sorted(set(means.annealing_min.tolist())))
    where = np.array([annealing.index(value) for value in means.annealing_min.tolist()])
    longest = float(means.exposure_h.max())
    predict = _predictor(law, where, means.exposure_h, longest)
    root = np.sqrt(weights(means))
    low, high = _bounds(law, means, len(annealing), most)
    best = min(
        (
            least_squares(
                lambda p: root * (predict(p) - means.mean), np.clip(start, low + 1e-6, high - 1e-6), bounds=(low, high)
            )
            for start in _starts(law, means, annealing)
        ),
        key=lambda found: float(found.cost),
    )
    parameters = np.asarray(best.x, dtype=float)
    parts = _parts(means, root, _slopes(predict, parameters), parameters, predict)
    count, used = len(means.mean), len(parameters) + 1
    squares = max(2 * float(best.cost), 1e-12)
    aicc = count * np.log(squares / count) + 2 * used + 2 * used * (used + 1) / (count - used - 1) if count > used + 1 else None
    return Fit(law, annealing, longest, parameters, parts, None if aicc is None else float(aicc))


def count_parameters(law: Law, annealing_times: int) -> int:
    """How many conditions a law needs at least."""
    return 1 + annealing_times * (3 if law == "growth" else 2)


def _predictor(law: Law, where: NDArray[np.int64], time: Reals, longest: float) -> Callable[[Reals], Reals]:
    def predict(p: Reals) -> Reals:
        each = np.exp(p[1:].reshape(-1, 3 if law == "growth" else 2))[where]
        exponent = np.exp(p[0])
        if law == "growth":
            grown = each[:, 1] * -np.expm1(-((time / each[:, 2]) ** exponent))
        else:
            grown = each[:, 1] * (time / longest) ** exponent
        return np.asarray(np.log(each[:, 0] + grown))

    return predict


def _slopes(predict: Callable[[Reals], Reals], parameters: Reals) -> Reals:
    """Central differences; rows × parameters."""
    step = 1e-5
    return np.stack(
        [
            (predict(parameters + step * unit) - predict(parameters - step * unit)) / (2 * step)
            for unit in np.eye(len(parameters))
        ],
        axis=1,
    )


def _parts(
    means: CouponMeans, root: Reals, slopes: Reals, parameters: Reals, predict: Callable[[Reals], Reals]
) -> tuple[tuple[Reals, int], ...]:
    """From the scatter of coupons within conditions; from whole coupons where one was followed through several."""
    slopes = slopes * root[:, None]
    # A direction that nothing in the data speaks of gets a wide error, not none.
    _, size, right = np.linalg.svd(slopes, full_matrices=False)
    size = np.maximum(size, 1e-4 * size.max())
    bread = (right.T / size**2) @ right
    if means.followed:
        residual = root * (predict(parameters) - means.mean)
        scores = slopes * residual[:, None]
        return tuple(
            (np.asarray(bread @ (sums.T @ sums) @ bread) * len(sums) / max(1, len(sums) - 1), max(1, len(sums) - 1))
            for sums in _sums_of_coupons(means, scores)
        )
    scatters = _scatters(means, root)
    return tuple(
        (np.asarray(bread @ (slopes[rows].T @ slopes[rows]) @ bread * variance), free) for rows, variance, free in scatters
    )


def _sums_of_coupons(means: CouponMeans, scores: Reals) -> list[Reals]:
    """For each annealing time the scores summed over each of its coupons; together where one has a single coupon."""
    keys = list(zip(means.annealing_min.tolist(), means.coupon, strict=True))
    groups: dict[float, list[Reals]] = {}
    for key in sorted(set(keys)):
        own = [row for row, other in enumerate(keys) if other == key]
        groups.setdefault(key[0], []).append(scores[own].sum(axis=0))
    if min(len(sums) for sums in groups.values()) < 2:
        return [np.stack([one for sums in groups.values() for one in sums])]
    return [np.stack(sums) for sums in groups.values()]


def _scatters(means: CouponMeans, root: Reals) -> list[tuple[list[int], float, int]]:
    """(rows, variance, degrees of freedom) of each exposure, for few pits scatter more; of all where coupons are too few."""
    by_exposure: dict[float, tuple[list[int], float, int]] = {}
    for (_, exposure), at in means.cells.items():
        weight = root[at] ** 2
        squares = float((weight * (means.mean[at] - np.average(means.mean[at], weights=weight)) ** 2).sum())
        rows, sofar, free = by_exposure.get(exposure, ([], 0.0, 0))
        by_exposure[exposure] = [*rows, *at], sofar + squares, free + len(at) - 1
    groups = list(by_exposure.values())
    if min(free for _, _, free in groups) < FEWEST_FREE:
        joined = [row for rows, _, _ in groups for row in rows]
        groups = [(joined, sum(squares for _, squares, _ in groups), sum(free for _, _, free in groups))]
    return [(rows, squares / max(1, free), max(1, free)) for rows, squares, free in groups]


def _bounds(law: Law, means: CouponMeans, times: int, most: float) -> tuple[Reals, Reals]:
    least, top = float(means.mean.min()), float(means.mean.max())
    longest = np.log(means.exposure_h.max())
    limit = (least - 5, min(np.log(most), top + 5) if np.isfinite(most) else top + 5)
    each = [(least - 5, top + 1), limit] + ([(longest - 8, longest + 5)] if law == "growth" else [])
    low = np.array([np.log(LEAST_EXPONENT)] + [bound[0] for bound in each] * times)
    high = np.array([np.log(MOST_EXPONENT)] + [bound[1] for bound in each] * times)
    return low, np.maximum(high, low + 1e-3)


def _starts(law: Law, means: CouponMeans, annealing: tuple[float, ...]) -> list[Reals]:
    """From what is seen at the shortest and longest exposure, several time constants and exponents."""
    longest = float(means.exposure_h.max())
    seen = []
    for value in annealing:
        own = means.annealing_min == value
        times, logs = means.exposure_h[own], means.mean[own]
        seen.append((float(logs[times == times.min()].mean()), float(logs[times == times.max()].mean())))
    found = []
    for exponent in (0.6, 1.2, 2.0):
        for tau in (0.3, 0.8, 2.0) if law == "growth" else (1.0,):
            reached = -np.expm1(-((1 / tau) ** exponent)) if law == "growth" else 1.0
            each = []
            for first, last in seen:
                rise = max(np.exp(last) - np.exp(first), 0.05 * np.exp(last)) / reached
                each += [first, np.log(rise)] + ([np.log(tau * longest)] if law == "growth" else [])
            found.append(np.array([np.log(exponent), *each]))
    return found
