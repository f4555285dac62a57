"""Numbers of inspected fields and what is true of them in, the fits of a card out: severity, foreignness, intervals.

Each fit learns from some fields and gets its limit or its margin from others, so that what it promises holds for new ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edge.inspection.intervals import root_interval
from edge.inspection.judge import foreignness
from edge.models.card import ForeignFit, ForeignNumber, SpreadFit, SpreadNumber
from training.learn.calibration import cautious_quantile

Floats = NDArray[np.float64]
Numbers = Mapping[str, Floats]

WEIGHED: Final = ("network", "log_area", "area", "largest", "regions")
"""What speaks for the severity."""
OF_CLASS: Final = "area of "
"""Numbers so called are there for each class of the segmenter; they speak for being foreign, too."""
FOREIGN: Final = (
    "area",
    "largest",
    "regions",
    "median_size",
    "score",
    "unsure",
    "doubtful",
    "boundary",
    "roundness",
    "darkness",
    "sharpness",
    "contrast",
    "texture",
)
SPREAD: Final = ("area", "largest", "regions", "score", "unsure", "doubtful", "boundary", "roundness", "sharpness", "contrast")
GROUPS: Final = 5
FOLDS: Final = 5
_PENALTY = 1e-4


def rows_of(numbers: Numbers) -> list[dict[str, float]]:
    """One mapping a field, as the edge makes them."""
    names = list(numbers)
    return [dict(zip(names, row, strict=True)) for row in np.stack([numbers[name] for name in names], axis=1).tolist()]


def fit_severity(numbers: Numbers, severities: NDArray[np.int64]) -> tuple[dict[str, float], tuple[float, ...]]:
    """Weights of `WEIGHED`, none negative, and the limits between the classes: the largest likelihood.

    numbers: float64 [N] by name, `network` among them.  severities: int64 [N], 0, 1, 2.
    """
    from scipy.optimize import minimize

    values = np.stack([numbers[name] for name in WEIGHED], axis=1)
    mean, deviation = values.mean(axis=0), values.std(axis=0) + 1e-9
    values = (values - mean) / deviation
    rows = np.arange(len(severities))
    count = values.shape[1]

    def loss(parameters: Floats) -> float:
        total = values @ parameters[:count]
        first, second = _over(total - parameters[count]), _over(total - parameters[count] - np.exp(parameters[count + 1]))
        of_classes = np.stack([1 - first, first - second, second], axis=1)
        likely = np.log(np.maximum(of_classes[rows, severities], 1e-9)).mean()
        return float(-likely + _PENALTY * np.square(parameters[:count]).sum())

    start = np.concatenate((np.full(count, 0.5), (-1.0, 0.5)))
    found = minimize(loss, start, bounds=[(0, None)] * count + [(None, None), (-5, 5)], method="L-BFGS-B").x
    weights = found[:count] / deviation
    shift = float(weights @ mean)
    limits = found[count] + shift, found[count] + float(np.exp(found[count + 1])) + shift
    return {name: float(weight) for name, weight in zip(WEIGHED, weights, strict=True)}, tuple(float(one) for one in limits)


def _over(x: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-np.clip(x, -500, 500))))


def fit_foreign(own: Numbers, foreign: Numbers, groups: NDArray[np.int64], usual: NDArray[np.bool_], part: float) -> ForeignFit:
    """A logistic regression on `FOREIGN` and their squares; its limit leaves `part` of the usual own fields foreign.

    own, foreign: fields learnt from, both sides weighed alike.  groups: int64 [N], own fields that belong together.
    usual: bool [N], the own fields that count for the limit; their odds are those of fits that did not learn from their group.
    """
    names = (*FOREIGN, *(name for name in own if name.startswith(OF_CLASS)))
    fold = groups % FOLDS
    odds = np.zeros(len(fold))
    for number in np.unique(fold).tolist():
        out = fold == number
        fit = _logistic({name: own[name][~out] for name in names}, foreign)
        odds[out] = [foreignness(fit, row)[0] for row in rows_of({name: own[name][out] for name in names})]
    fit = _logistic({name: own[name] for name in names}, foreign)
    return fit.model_copy(update={"limit": _short(cautious_quantile(odds[usual], 1 - part))})


def _logistic(own: Numbers, foreign: Numbers) -> ForeignFit:
    from sklearn.linear_model import LogisticRegression

    mine, theirs = (np.stack([one[name] for name in own], axis=1) for one in (own, foreign))
    mean, deviation = mine.mean(axis=0), mine.std(axis=0) + 1e-9
    reach = ForeignNumber(mean=0, deviation=1, weight=0, weight_of_square=0).reach

    def both(values: Floats) -> Floats:
        offsets = np.clip((values - mean) / deviation, -reach, reach)
        return np.concatenate((offsets, np.square(offsets)), axis=1)

    balance = np.concatenate((np.ones(len(mine)), np.full(len(theirs), len(mine) / len(theirs))))
    wanted = np.concatenate((np.zeros(len(mine)), np.ones(len(theirs))))
    model = LogisticRegression(C=1.0, max_iter=5000).fit(both(np.concatenate((mine, theirs))), wanted, balance)
    linear, square = np.split(model.coef_[0], 2)
    numbers = {
        name: ForeignNumber(
            mean=_short(mean[index]),
            deviation=_short(deviation[index]),
            weight=_short(linear[index]),
            weight_of_square=_short(square[index]),
        )
        for index, name in enumerate(own)
    }
    return ForeignFit(numbers=numbers, offset=_short(model.intercept_[0]), limit=0.0)


def fit_spread(
    learnt: Numbers, calibrated: Numbers, measured: Sequence[Floats], true: Sequence[Floats], level: float
) -> SpreadFit:
    """Interval of a square root. measured, true: of the fields learnt from and of those calibrated on, float64 [N] each."""
    from sklearn.linear_model import QuantileRegressor

    values = np.stack([learnt[name] for name in SPREAD], axis=1)
    mean, deviation = values.mean(axis=0), values.std(axis=0) + 1e-9
    reach = SpreadNumber(mean=0, deviation=1, low=0, high=0).reach
    offsets = np.clip((values - mean) / deviation, -reach, reach)
    error = true[0] - measured[0]
    ends = [
        QuantileRegressor(quantile=quantile, alpha=2e-4, solver="highs").fit(offsets, error)
        for quantile in ((1 - level) / 2, (1 + level) / 2)
    ]
    numbers = {
        name: SpreadNumber(
            mean=_short(mean[index]),
            deviation=_short(deviation[index]),
            low=_short(ends[0].coef_[index]),
            high=_short(ends[1].coef_[index]),
        )
        for index, name in enumerate(SPREAD)
    }
    limits = np.unique(np.quantile(measured[1], np.arange(1, GROUPS) / GROUPS))
    fit = SpreadFit(
        numbers=numbers,
        low_offset=_short(ends[0].intercept_),
        high_offset=_short(ends[1].intercept_),
        groups=tuple(_short(one) for one in limits),
        margins=(0.0,) * (len(limits) + 1),
    )
    beyond = np.array([_beyond(fit, *each) for each in zip(rows_of(calibrated), measured[1], true[1], strict=True)])
    group = np.searchsorted(fit.groups, measured[1])
    margins = []
    for number in range(len(limits) + 1):
        margin = cautious_quantile(beyond[group == number], level)
        margins.append(_short(margin if np.isfinite(margin) else beyond.max()))
    return fit.model_copy(update={"margins": tuple(margins)})


def _beyond(fit: SpreadFit, row: Mapping[str, float], measured: float, true: float) -> float:
    """The least margin with which the interval holds the true root; the measured one it holds in any case."""
    low, high = fit.low_offset, fit.high_offset
    for name, of in fit.numbers.items():
        offset = float(np.clip((row[name] - of.mean) / of.deviation, -of.reach, of.reach))
        low += of.low * offset
        high += of.high * offset
    error = true - measured
    return max(min(low, 0.0) - error, error - max(high, 0.0)) if error else -1.0


def holds(fit: SpreadFit, numbers: Numbers, measured: Floats, true: Floats) -> tuple[NDArray[np.bool_], Floats]:
    """Which intervals hold the true value, bool [N], and both ends of each root, float64 [N, 2]."""
    ends = np.array([root_interval(fit, *each) for each in zip(measured.tolist(), rows_of(numbers), strict=True)])
    return (ends[:, 0] - 1e-9 <= true) & (true <= ends[:, 1] + 1e-9), ends


def _short(value: float) -> float:
    return float(f"{float(value):.6g}")
