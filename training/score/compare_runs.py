"""Two runs on the same images in, their difference with an interval out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from training.score.evaluation import ClassifierResult, Comparison, Judge, Number, SegmenterResult
from training.score.intervals import Design


def compare_segmenters(one: SegmenterResult, other: SegmenterResult) -> Comparison | None:
    """Mean IoU of the first less that of the second; None where they share no image."""
    values = {score.image: score.iou for score in other.images}
    shared = [score for score in one.images if score.image in values]
    if not shared:
        return None
    differences = np.array([score.iou - values[score.image] for score in shared])
    number = paired_difference(
        differences, [(score.fold, score.group) for score in shared], "mean_iou of the same images, difference"
    )
    return Comparison("mean_iou", one.name, other.name, number, _origins(one.judges, other.judges))


def compare_classifiers(one: ClassifierResult, other: ClassifierResult) -> Comparison | None:
    """Accuracy of the first less that of the second, with McNemar's exact test; None where they share no image."""
    from scipy.stats import binomtest

    rights = {verdict.image: verdict.predicted == verdict.severity for verdict in other.images}
    shared = [verdict for verdict in one.images if verdict.image in rights]
    if not shared:
        return None
    pairs = [(verdict.predicted == verdict.severity, rights[verdict.image]) for verdict in shared]
    only_one, only_other = pairs.count((True, False)), pairs.count((False, True))
    differences = np.array([float(a) - float(b) for a, b in pairs])
    places = [(verdict.fold, verdict.group) for verdict in shared]
    return Comparison(
        "accuracy",
        one.name,
        other.name,
        paired_difference(differences, places, "accuracy on the same images, difference"),
        _origins(one.judges, other.judges),
        only_one,
        only_other,
        float(binomtest(only_one, only_one + only_other).pvalue) if only_one + only_other else 1.0,
    )


def paired_difference(differences: NDArray[np.float64], places: Sequence[tuple[int | None, str]], how: str) -> Number:
    """places: fold and group of each image."""
    folds = dict.fromkeys(fold for fold, _ in places)
    indices = tuple(np.array([i for i, (fold, _) in enumerate(places) if fold == one], np.intp) for one in folds)
    design = Design(indices, tuple(group for _, group in places))
    return design.pooled(lambda images: {"value": float(differences[images].mean())}, {"value": how})["value"]


def _origins(one: Sequence[Judge], other: Sequence[Judge]) -> tuple[str, str]:
    texts = [" / ".join(dict.fromkeys(judge.initialised_from for judge in judges)) for judges in (one, other)]
    return texts[0], texts[1]
