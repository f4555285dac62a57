"""A measure of images in, its value out with the spread over folds and an interval from drawing whole groups."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from training.score.evaluation import Number, finite

REPLICATES: Final = 300
SEED: Final = 0
Index = NDArray[np.intp]
Measure = Callable[[Index], Mapping[str, float]]


def places_of_folds(counts: Sequence[int]) -> list[Index]:
    """The places of each fold's images in the row of all."""
    ends = np.cumsum([0, *counts])
    return [np.arange(start, end) for start, end in pairwise(ends)]


@dataclass(frozen=True, slots=True, eq=False)
class Design:
    """The images of each fold, by place, and each image's group: how replicates are drawn."""

    folds: tuple[Index, ...]
    groups: tuple[str, ...]

    def replicates(self) -> list[list[Index]]:
        """`REPLICATES` times the images of each fold, its groups drawn with replacement; none for a fold of one group."""
        rng = np.random.default_rng(SEED)
        members = [self._members(fold) for fold in self.folds]
        if not members or min(len(groups) for groups in members) < 2:
            return []
        return [
            [np.concatenate([groups[at] for at in rng.integers(len(groups), size=len(groups))]) for groups in members]
            for _ in range(REPLICATES)
        ]

    def _members(self, fold: Index) -> list[Index]:
        by_group: dict[str, list[int]] = {}
        for index in fold.tolist():
            by_group.setdefault(self.groups[index], []).append(index)
        return [np.array(places, np.intp) for places in by_group.values()]

    def over_folds(self, measure: Measure, how: Mapping[str, str], *, interval: bool = True) -> dict[str, Number]:
        """Means over the folds."""
        values = [measure(fold) for fold in self.folds]
        drawn = [[measure(fold) for fold in folds] for folds in self.replicates()] if interval else []
        n = sum(len(fold) for fold in self.folds)
        numbers = {}
        for name, text in how.items():
            folds = [float(value[name]) for value in values]
            means = [mean_of_known([float(value[name]) for value in replicate]) for replicate in drawn]
            numbers[name] = make_number(mean_of_known(folds), n, f"{text}, mean over folds", means, folds)
        return numbers

    def pooled(self, measure: Measure, how: Mapping[str, str]) -> dict[str, Number]:
        """Over the images of all folds together."""
        whole = np.concatenate(self.folds)
        value = measure(whole)
        drawn = [measure(np.concatenate(folds)) for folds in self.replicates()]
        folds = [measure(fold) for fold in self.folds]
        return {
            name: make_number(
                value[name],
                len(whole),
                f"{text}, all folds together",
                [float(replicate[name]) for replicate in drawn],
                [float(fold[name]) for fold in folds],
            )
            for name, text in how.items()
        }


def make_number(value: float, n: int, how: str, drawn: Sequence[float], folds: Sequence[float]) -> Number:
    """A value with the 2.5 and 97.5 percentiles of the replicates `drawn`, and the spread of `folds`; NaN is left out."""
    known = [one for one in drawn if math.isfinite(one)]
    low, high = np.percentile(known, (2.5, 97.5)) if known else (None, None)
    defined = [one for one in folds if math.isfinite(one)]
    return Number(
        value=finite(value),
        n=n,
        how=how,
        low_95=finite(low),
        high_95=finite(high),
        spread=finite(float(np.std(defined, ddof=1))) if len(defined) > 1 else None,
        folds=tuple(finite(one) for one in folds),
    )


def mean_of_known(values: Sequence[float]) -> float:
    """Without NaN; NaN where nothing is left."""
    known = [value for value in values if math.isfinite(value)]
    return float(np.mean(known)) if known else float("nan")
