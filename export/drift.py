"""Two sets of one network's outputs in, how far they are apart out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from export.graphs import CANDIDATES

LEAST_SEEN = 0.01


def largest_drift(expected: Mapping[str, NDArray[Any]], found: Mapping[str, NDArray[Any]]) -> float:
    """The largest difference between two sets of outputs, each relative to its largest magnitude (at least 1).

    Nearly equal scores may change places in a TopK, or one may fall out of it: so each expected candidate is compared
    with the found one that is most like it, and those at the very end of the ranking are left out. Nor does the class
    count of one whose score is below `LEAST_SEEN`: rounding decides between classes that are as good as ruled out.
    """
    if any(values.shape != found[name].shape for name, values in expected.items()):
        return float("inf")
    if "boxes" in expected:
        images = range(len(expected["boxes"]))
        return max(_drift(*_matched(expected, found, image)) for image in images)
    return _drift(expected, found)


def match_candidates(
    expected: Mapping[str, NDArray[Any]], found: Mapping[str, NDArray[Any]], least_score: float = 0.0
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Which candidates of one image's `expected` count, and the one of `found` that is most like each of them.

    Those below `least_score` do not count, nor those at the very end of a full ranking. Likeness is that of boxes and
    coefficients, because nearly equal scores may change places.
    """
    scores = expected["scores"]
    last = float(scores.min()) + 1e-4 if len(scores) == CANDIDATES else 0.0
    counted = np.flatnonzero((scores >= least_score) & (scores >= last))
    left, right = (np.hstack((side["boxes"], side["coefficients"])).astype(np.float64) for side in (expected, found))
    left = left[counted]
    distance = np.square(left).sum(axis=1)[:, None] + np.square(right).sum(axis=1) - 2 * left @ right.T
    return counted, distance.argmin(axis=1)


def _matched(
    expected: Mapping[str, NDArray[Any]], found: Mapping[str, NDArray[Any]], image: int
) -> tuple[dict[str, NDArray[Any]], dict[str, NDArray[Any]]]:
    one = {name: values[image] for name, values in expected.items()}
    other = {name: values[image] for name, values in found.items()}
    here, there = match_candidates(one, other)
    ours = {name: values if name == "prototypes" else values[here] for name, values in one.items()}
    theirs = {name: values if name == "prototypes" else values[there] for name, values in other.items()}
    if "classes" in ours:
        theirs["classes"] = np.where(ours["scores"] < LEAST_SEEN, ours["classes"], theirs["classes"])
    return ours, theirs


def _drift(expected: Mapping[str, NDArray[Any]], found: Mapping[str, NDArray[Any]]) -> float:
    worst = 0.0
    for name, values in expected.items():
        scale = max(1.0, float(np.abs(values).max(initial=0.0)))
        worst = max(worst, float(np.abs(values.astype(np.float64) - found[name]).max(initial=0.0)) / scale)
    return worst
