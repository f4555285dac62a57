"""Heat maps and labelled pixels in, the numbers of the paper's Table 8 and the pictures of Figure 7 out."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from training.score import explain
from training.score.evaluation import Example, HeatScores, finite
from training.score.intervals import Design, mean_of_known

Picture = tuple[str, NDArray[np.uint8], NDArray[np.float32], NDArray[np.bool_]]


def score_heat(pictures: Sequence[Picture], design: Design, how: str) -> HeatScores:
    """Table 8 and Figure 7. pictures: name, grey, heat map and labelled pixels of each image."""
    overlaps = {
        threshold: np.array([explain.heat_iou(heat, truth, threshold) for _, _, heat, truth in pictures])
        for threshold in explain.THRESHOLDS
    }
    values = overlaps[explain.THRESHOLD]
    text = f"{how}; heat at {explain.THRESHOLD:.0%} of its maximum against labelled pixels, images with regions"
    number = design.over_folds(lambda images: {"iou": mean_of_known(values[images].tolist())}, {"iou": text})["iou"]
    order = [int(index) for index in np.argsort(-values) if math.isfinite(values[index])]
    chosen = {"best": order[:1], "median": order[len(order) // 2 :][:1], "worst": order[-1:]}
    return HeatScores(
        mean=dataclasses.replace(number, n=len(order)),
        best=finite(values[order[0]]) if order else None,
        worst=finite(values[order[-1]]) if order else None,
        by_threshold={f"{threshold:g}": finite(mean_of_known(found.tolist())) for threshold, found in overlaps.items()},
        everywhere=finite(mean_of_known([float(truth.mean()) for _, _, _, truth in pictures if truth.any()])),
        images=tuple((pictures[index][0], round(float(values[index]), 4)) for index in order),
        examples=tuple(
            Example(which, pictures[index][0], float(values[index]), *pictures[index][1:])
            for which, places in chosen.items()
            for index in places
        ),
    )
