"""Milliseconds in, what they allow to conclude out: percentiles that the samples allow, drift, ratios with intervals."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]

PERCENTILES = {"p50": 50.0, "p90": 90.0, "p95": 95.0, "p99": 99.0, "p99_9": 99.9}
RESAMPLES = 2000
CONFIDENCE = 0.95
DRAWN_AT_ONCE = 1_000_000
"""Values in memory while resampling."""


@lru_cache
def least_samples(percentile: float) -> int:
    """How many samples a percentile needs: 64 for the 90th, 662 for the 99th.

    The smallest n for which it is less than 1 % likely that at most one of n samples lies beyond the true percentile: the
    rule from which MLPerf Inference takes its least numbers of queries (early stopping).
    """
    below = percentile / 100
    n = 2
    while below**n + n * (1 - below) * below ** (n - 1) > 0.01:
        n += 1
    return n


@dataclass(frozen=True, slots=True)
class Statistics:
    """What n durations in milliseconds amount to.

    percentiles: by the names of `PERCENTILES`; None where n is too small, except for the median.
    too_few: the percentiles for which n is too small, with the number that each needs.
    cv: standard deviation over mean; None for fewer than two samples.
    """

    n: int
    mean: float
    percentiles: dict[str, float | None]
    too_few: dict[str, int]
    cv: float | None

    def document(self) -> dict[str, Any]:
        """In the form of the JSON document."""
        figures = {name: None if value is None else round(value, 4) for name, value in self.percentiles.items()}
        cv = None if self.cv is None else round(self.cv, 4)
        return {"n": self.n, "mean": round(self.mean, 4), **figures, "cv": cv, "too_few": self.too_few}


def summarise(values: Sequence[float] | Values) -> Statistics:
    """The statistics of at least one duration. Raises ValueError without any."""
    array = np.asarray(values, np.float64)
    if not len(array):
        raise ValueError("no samples to summarise")
    too_few = {name: need for name, at in PERCENTILES.items() if len(array) < (need := least_samples(at))}
    percentiles = {
        name: None if name in too_few and name != "p50" else float(np.percentile(array, at)) for name, at in PERCENTILES.items()
    }
    mean = float(array.mean())
    cv = float(array.std(ddof=1) / mean) if len(array) > 1 and mean > 0 else None
    return Statistics(len(array), mean, percentiles, too_few, cv)


def relative_to_own(values: Sequence[float] | Values, period: int) -> Values:
    """Each value over the median of those that were taken on the same images.

    period: after so many values the same images come again. Images differ in cost, which is no unrest of the machine.
    """
    array = np.asarray(values, np.float64)
    relative = np.ones_like(array)
    for start in range(min(period, len(array))):
        same = array[start::period]
        relative[start::period] = same / (np.median(same) or 1.0)
    return relative


def drift(relative: Values) -> float | None:
    """Median of the second half over that of the first; None for fewer than four values."""
    half = len(relative) // 2
    return float(np.median(relative[-half:]) / np.median(relative[:half])) if half >= 2 else None


@dataclass(frozen=True, slots=True)
class Ratio:
    """A ratio with the ends of its 95 % interval; the ends are None where there is too little to resample."""

    value: float
    low: float | None
    high: float | None

    def document(self) -> dict[str, Any]:
        """In the form of the JSON document."""
        rounded = [None if end is None else round(end, 4) for end in (self.low, self.high)]
        return {"value": round(self.value, 4), "low_95": rounded[0], "high_95": rounded[1]}

    def __str__(self) -> str:
        return f"{self.value:.3f}" + (f" ({self.low:.3f} … {self.high:.3f})" if self.low is not None else "")


Statistic = Callable[[Values], Values]
"""Of the last axis."""


def mean_of(values: Values) -> Values:
    """The mean, by which throughputs are compared."""
    return np.asarray(values.mean(axis=-1))


def median_of(values: Values) -> Values:
    """The median."""
    return np.asarray(np.median(values, axis=-1))


def ratio_of_runs(
    above: Sequence[float] | Values,
    below: Sequence[float] | Values,
    period: int,
    statistic: Statistic = mean_of,
    seed: int = 0,
) -> Ratio:
    """statistic(above) / statistic(below) of two runs over the same images.

    Whole rounds (`period` values) are resampled, because neighbouring samples are alike and every round has the same images.
    """
    one, other = np.asarray(above, np.float64), np.asarray(below, np.float64)
    value = float(statistic(one) / statistic(other))
    if min(len(one), len(other)) < 2 * period:
        return Ratio(value, None, None)
    rng = np.random.default_rng(seed)
    return Ratio(value, *_ends(_resampled(one, period, statistic, rng) / _resampled(other, period, statistic, rng)))


def ratio_of_pairs(above: Sequence[float] | Values, below: Sequence[float] | Values, seed: int = 0) -> Ratio:
    """sum(above) / sum(below) of blocks that were taken in turns: pairs are resampled, so that what troubled both cancels."""
    one, other = np.asarray(above, np.float64), np.asarray(below, np.float64)
    value = float(one.sum() / other.sum())
    if len(one) < 3:
        return Ratio(value, None, None)
    chosen = np.random.default_rng(seed).integers(0, len(one), (RESAMPLES, len(one)))
    return Ratio(value, *_ends(one[chosen].sum(axis=1) / other[chosen].sum(axis=1)))


def ratio_of_ratios(above: tuple[Values, Values], below: tuple[Values, Values], seed: int = 0) -> Ratio:
    """sum(above[0]) / sum(above[1]) over sum(below[0]) / sum(below[1]): two contests, each of blocks taken in turns.

    Pairs are resampled, those of each contest for themselves.
    """

    def of(contest: tuple[Values, Values], chosen: NDArray[np.int64]) -> Values:
        return np.asarray(contest[0][chosen].sum(axis=-1) / contest[1][chosen].sum(axis=-1))

    value = float(of(above, np.arange(len(above[0]))) / of(below, np.arange(len(below[0]))))
    if min(len(above[0]), len(below[0])) < 3:
        return Ratio(value, None, None)
    rng = np.random.default_rng(seed)
    drawn = [of(contest, rng.integers(0, len(contest[0]), (RESAMPLES, len(contest[0])))) for contest in (above, below)]
    return Ratio(value, *_ends(drawn[0] / drawn[1]))


def _resampled(values: Values, period: int, statistic: Statistic, rng: np.random.Generator) -> Values:
    """The statistic of `RESAMPLES` draws of as many rounds as there are; values after the last whole round do not take part."""
    rounds = values[: len(values) // period * period].reshape(-1, period)
    step = max(1, DRAWN_AT_ONCE // rounds.size)
    parts = []
    for start in range(0, RESAMPLES, step):
        chosen = rng.integers(0, len(rounds), (min(step, RESAMPLES - start), len(rounds)))
        parts.append(statistic(rounds[chosen].reshape(len(chosen), -1)))
    return np.concatenate(parts)


def _ends(drawn: Sequence[float] | Values) -> tuple[float, float]:
    tail = (1 - CONFIDENCE) / 2 * 100
    low, high = np.percentile(np.asarray(drawn), [tail, 100 - tail])
    return float(low), float(high)
