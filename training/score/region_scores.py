"""Drawn scenes and the segmenter as it runs beside the microscope in, how many regions it finds and how small they may be out.

Torch-free: it measures the exported file with the edge's own letterbox, thresholds and masks, so nothing is scored that
does not run there. Ultralytics' mAP, which is threshold-free, is measured in `training.learn.segmenter`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.inspection.segment import Segmenter
from edge.records import Mask, Regions
from training.draw.synthetic import Scene

LEAST_IOU = 0.5
DIAMETERS_PX = (5.0, 6.0, 8.0, 10.0, 13.0, 17.0, 22.0, 30.0)
RESOLVED_RECALL = 0.5
FEWEST_REGIONS = 10  # of one size, to say anything about it


@dataclass(frozen=True, slots=True, eq=False)
class RegionScores:
    """Counts over all scenes.

    diameters_px: float64 [T], equivalent diameter of each true region.  found: bool [T].  predicted: number of regions
    found.  right: how many of those match a true one.  area_errors: float64 [S], found minus true corroded fraction.
    """

    diameters_px: NDArray[np.float64]
    found: NDArray[np.bool_]
    predicted: int
    right: int
    area_errors: NDArray[np.float64]

    def smallest_resolved_px(self) -> float:
        """The least diameter from which on at least half of the regions of each size are found."""
        edges = (*DIAMETERS_PX, np.inf)
        smallest = DIAMETERS_PX[-1]
        for low, high in zip(edges[-2::-1], edges[:0:-1], strict=True):
            of_size = (self.diameters_px >= low) & (self.diameters_px < high)
            if of_size.sum() < FEWEST_REGIONS:
                continue
            if self.found[of_size].mean() < RESOLVED_RECALL:
                break
            smallest = low
        return float(smallest)

    def card(self, measured_on: str) -> dict[str, Any]:
        """In the form of a card's scores."""
        scenes, regions = len(self.area_errors), len(self.found)
        how = f"exported model with the edge's own code, IoU {LEAST_IOU} of masks, {measured_on}"
        values = (
            ("region_recall", self.found.mean() if regions else 0.0, regions),
            ("region_precision", self.right / self.predicted if self.predicted else 0.0, self.predicted),
            ("area_fraction_bias", self.area_errors.mean(), scenes),
            ("area_fraction_mean_absolute_error", np.abs(self.area_errors).mean(), scenes),
        )
        return {name: {"value": round(float(value), 4), "n": n, "how": how} for name, value, n in values}


def score_regions(segmenter: Segmenter, scenes: Iterable[Scene]) -> RegionScores:
    """Find the regions of every scene and compare them with the truth; classes are not compared."""
    diameters: list[float] = []
    found: list[bool] = []
    errors: list[float] = []
    predicted = 0
    for scene in scenes:
        regions, _ = segmenter.find(scene.grey)
        matched = match(scene.regions, regions)
        predicted += len(regions)
        diameters += [float(np.sqrt(4 * mask.sum() / np.pi)) for mask in scene.regions.masks]
        found += matched.tolist()
        errors.append(_union(regions, scene.grey.shape) / scene.grey.size - scene.area_fraction)
    hits = np.array(found, np.bool_)
    return RegionScores(np.array(diameters), hits, predicted, int(hits.sum()), np.array(errors))


def match(truth: Regions, found: Regions) -> NDArray[np.bool_]:
    """bool [T]: whether each true region has a found one of its own with enough overlap, the best pairs first."""
    matched = np.zeros(len(truth), np.bool_)
    for t, _ in pairs(truth, found):
        matched[t] = True
    return matched


def pairs(truth: Regions, found: Regions) -> list[tuple[int, int]]:
    """Indices of true and found regions that are the same one: IoU of at least `LEAST_IOU`, one to one, best first."""
    close = sorted(
        (
            (iou, t, f)
            for t in range(len(truth))
            for f in _touching(truth.boxes_px[t], found.boxes_px)
            if (iou := _iou(truth.boxes_px[t], truth.masks[t], found.boxes_px[f], found.masks[f])) >= LEAST_IOU
        ),
        reverse=True,
    )
    chosen: list[tuple[int, int]] = []
    taken: set[int] = set()
    used: set[int] = set()
    for _, t, f in close:
        if t not in taken and f not in used:
            taken.add(t)
            used.add(f)
            chosen.append((t, f))
    return chosen


def _touching(box: NDArray[np.int32], boxes: NDArray[np.int32]) -> list[int]:
    x, y, width, height = box
    across = (boxes[:, 0] < x + width) & (boxes[:, 0] + boxes[:, 2] > x)
    down = (boxes[:, 1] < y + height) & (boxes[:, 1] + boxes[:, 3] > y)
    return [int(index) for index in np.flatnonzero(across & down)]


def _iou(box: NDArray[np.int32], mask: Mask, other_box: NDArray[np.int32], other_mask: Mask) -> float:
    left, top = np.maximum(box[:2], other_box[:2])
    right, bottom = np.minimum(box[:2] + box[2:], other_box[:2] + other_box[2:])
    one = mask[top - box[1] : bottom - box[1], left - box[0] : right - box[0]]
    two = other_mask[top - other_box[1] : bottom - other_box[1], left - other_box[0] : right - other_box[0]]
    both = int((one & two).sum())
    return both / (int(mask.sum()) + int(other_mask.sum()) - both)


def _union(regions: Regions, shape: tuple[int, ...]) -> int:
    covered = np.zeros(shape, np.bool_)
    for (x, y, width, height), mask in zip(regions.boxes_px, regions.masks, strict=True):
        covered[y : y + height, x : x + width] |= mask
    return int(covered.sum())
