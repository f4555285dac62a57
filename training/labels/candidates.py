"""Grey above the ground in, the connected parts that may become regions out; nets of lines are taken apart."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.records import Mask
from training.labels.ground import Relief
from training.labels.rules import Rules, least_area_px
from training.labels.shapes import SMALL_DISC, fill_holes, hull_area_px, hull_of

PEAK: Final = 2.0
"""A region must somewhere be so many thresholds from the ground."""
NET_PX: Final = 90
NET_COVER: Final = 0.22
"""A candidate that is longer than `NET_PX` and covers less of its bounds is a net of lines, with regions as its knots."""
NET_STEP: Final = 1.4
NET_STEEPEST: Final = 8.0


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """A connected part that stands out by more than `threshold`. own: bool [h, w], at x, y of the image."""

    x: int
    y: int
    own: Mask
    area_px: int
    threshold: float


class Refused(dict[str, tuple[int, int]]):
    """Count and area in pixels of refused candidates, by rule."""

    def add(self, rule: str, area_px: int) -> None:
        """Count one more that `rule` refused."""
        count, area = self.get(rule, (0, 0))
        self[rule] = (count + 1, area + area_px)


def find_candidates(relief: Relief, noise: Relief, rules: Rules, refused: Refused) -> Iterator[Candidate]:
    """Connected parts above the threshold; a wide net (grain boundaries, crossed scratches) gives way to its stronger knots."""
    height: Relief = (np.abs(relief) / noise).astype(np.float32, copy=False)
    loose = cv2.morphologyEx((height > rules.threshold).astype(np.uint8), cv2.MORPH_CLOSE, SMALL_DISC)
    waiting = _parts(loose, height, 0, 0, rules.threshold, rules, refused)
    while waiting:
        candidate = waiting.pop()
        rows, columns = candidate.own.shape
        is_net = max(rows, columns) > NET_PX and candidate.area_px < NET_COVER * rows * columns and not _is_ring(candidate.own)
        if not is_net or candidate.threshold > NET_STEEPEST * rules.threshold:
            yield candidate
            continue
        inside = height[candidate.y : candidate.y + rows, candidate.x : candidate.x + columns] * candidate.own
        higher = NET_STEP * candidate.threshold
        waiting += _parts((inside > higher).astype(np.uint8), inside, candidate.x, candidate.y, higher, rules, refused)


def _parts(
    binary: NDArray[Any], height: Relief, x0: int, y0: int, threshold: float, rules: Rules, refused: Refused
) -> list[Candidate]:
    """Connected parts that are large and high enough to become a region."""
    count, numbers, stats, _ = cv2.connectedComponentsWithStats(binary, connectivity=8)
    peaks = np.zeros(count, np.float32)
    inside = numbers > 0
    np.maximum.at(peaks, cast(NDArray[np.int32], numbers[inside]), height[inside])
    least = 0.4 * least_area_px(rules)
    found = []
    for number in np.flatnonzero(stats[:, cv2.CC_STAT_AREA] >= least).tolist():
        x, y, columns, rows, area = (int(value) for value in stats[number])
        if number == 0:
            continue
        if peaks[number] < PEAK * rules.threshold:
            refused.add("faint", 0)  # mostly noise, by design many: its area says nothing about the picture
            continue
        found.append(Candidate(x0 + x, y0 + y, numbers[y : y + rows, x : x + columns] == number, area, threshold))
    return found


def _is_ring(own: Mask) -> bool:
    """Whether a thin part encloses something compact, with little besides (closing outlines leaves small holes)."""
    inside = fill_holes(own, own.size)
    holes, _ = cv2.connectedComponents((inside & ~own).astype(np.uint8), connectivity=4)
    return holes <= 3 and int(inside.sum()) > 0.75 * hull_area_px(hull_of(inside))
