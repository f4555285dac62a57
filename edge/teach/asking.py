"""Inspections in, the regions whose review would teach most out: doubtful ones, and unlike those already asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edge.records import Inspection

NEAR: Final = 1.0
"""Distance, in standard deviations of all regions, at which a region counts as like another."""


@dataclass(frozen=True, slots=True)
class Question:
    """One region to say right or not of. box_px: x, y, width, height.  score: what is thought of it now."""

    path: str
    sha256: str | None
    page: int
    index: int
    box_px: tuple[int, int, int, int]
    score: float


def questions(inspections: Sequence[Inspection], count: int) -> list[Question]:
    """At most `count`, the best first: near a score of one half, and diverse in size, shape, grey and place."""
    every = [(number, index) for number, one in enumerate(inspections) for index in range(len(one.regions))]
    if not every:
        return []
    looks = np.concatenate([_look(one) for one in inspections if len(one.regions)])
    scores = np.concatenate([one.regions.scores for one in inspections]).astype(np.float64)
    found: list[Question] = []
    for best in diverse(looks, scores, count):
        number, index = every[best]
        one = inspections[number]
        x, y, w, h = one.regions.boxes_px[index].tolist()
        found.append(
            Question(one.source.path, one.source.sha256, one.micrograph.page, index, (x, y, w, h), float(scores[best]))
        )
    return found


def diverse(looks: NDArray[np.float64], scores: NDArray[np.float64], count: int) -> list[int]:
    """At most `count` places, the best first: near a score of one half, and unlike those before in their looks.

    looks: [N, F], in any units.  scores: [N], 0…1.
    """
    standard = (looks - looks.mean(axis=0)) / np.maximum(looks.std(axis=0), 1e-6)
    doubt = 1 - 2 * np.abs(scores - 0.5)
    fresh = np.ones(len(scores))
    found: list[int] = []
    for _ in range(min(count, len(scores))):
        best = int(np.argmax((0.05 + doubt) * fresh))
        found.append(best)
        distance = np.sqrt(np.square(standard - standard[best]).mean(axis=1))
        fresh *= 1 - np.exp(-np.square(distance / NEAR))
        fresh[best] = -1.0
    return found


def _look(inspection: Inspection) -> NDArray[np.float64]:
    """float64 [N, 6]: size, circularity, score, grey, place."""
    regions, measures, grey = inspection.regions, inspection.measures, inspection.micrograph.grey
    greys = [
        float(grey[y : y + h, x : x + w][mask].mean())
        for (x, y, w, h), mask in zip(regions.boxes_px.tolist(), regions.masks, strict=True)
    ]
    middles = regions.boxes_px[:, :2] / np.array(grey.shape[::-1])
    return np.column_stack([np.log(measures.area_px), measures.circularity, regions.scores, greys, middles])
