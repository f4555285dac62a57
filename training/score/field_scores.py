"""The labelled and the found regions of one image in, how far they agree out: areas, regions, outlines."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.records import Mask, Regions
from training.score.baselines import covered
from training.score.region_scores import pairs

Diameters = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class FieldScore:
    """One image. truth_px, found_px, both_px: pixels that are labelled, found, and both.  field_px: all that count.

    true_px, found_diameters_px: float64 [T], [F], equivalent diameters of labelled and of found regions.
    true_hit: bool [T], found_hit: bool [F], whether a region has its partner (IoU of masks at least 0.5, one to one).
    outline_px: float64 [M], mean distance between the two outlines of each pair, in pixels.
    offset_px: float64 [M], how far the found outline lies outside the labelled one on average, negative for inside.
    """

    field_px: int
    truth_px: int
    found_px: int
    both_px: int
    true_diameters_px: Diameters
    found_diameters_px: Diameters
    true_hit: NDArray[np.bool_]
    found_hit: NDArray[np.bool_]
    outline_px: NDArray[np.float64]
    offset_px: NDArray[np.float64]

    @property
    def iou(self) -> float | None:
        """Of labelled and found area; None where nothing is labelled, so that a clean image neither helps nor harms."""
        return self.both_px / (self.truth_px + self.found_px - self.both_px) if self.truth_px else None

    @property
    def truth_fraction(self) -> float:
        """Labelled part of the area."""
        return self.truth_px / self.field_px if self.field_px else 0.0

    @property
    def found_fraction(self) -> float:
        """Found part of the area."""
        return self.found_px / self.field_px if self.field_px else 0.0

    @property
    def false_regions(self) -> int:
        """Found regions without a partner."""
        return int((~self.found_hit).sum())


def compare(truth: Regions, found: Regions, shape: tuple[int, int], not_counted: Mask | None = None) -> FieldScore:
    """Compare two sets of regions of an image of `shape` (height, width); classes are not compared.

    not_counted: bool [H, W], pixels that show no specimen, such as letters.
    """
    one, two = covered(truth, shape), covered(found, shape)
    if not_counted is not None:
        one &= ~not_counted
        two &= ~not_counted
    hidden = 0 if not_counted is None else int(np.count_nonzero(not_counted))
    same = pairs(truth, found)
    true_hit, found_hit = np.zeros(len(truth), np.bool_), np.zeros(len(found), np.bool_)
    true_hit[[t for t, _ in same]] = True
    found_hit[[f for _, f in same]] = True
    outlines = [outline_distance(truth, t, found, f, shape) for t, f in same]
    distances = np.array([one for one in outlines if one is not None], np.float64).reshape(-1, 2)
    return FieldScore(
        field_px=shape[0] * shape[1] - hidden,
        truth_px=int(np.count_nonzero(one)),
        found_px=int(np.count_nonzero(two)),
        both_px=int(np.count_nonzero(one & two)),
        true_diameters_px=diameters_px(truth),
        found_diameters_px=diameters_px(found),
        true_hit=true_hit,
        found_hit=found_hit,
        outline_px=distances[:, 0],
        offset_px=distances[:, 1],
    )


def diameters_px(regions: Regions) -> Diameters:
    """float64 [N]: diameters of discs of the regions' areas."""
    return np.sqrt(4 / np.pi * np.array([np.count_nonzero(mask) for mask in regions.masks], np.float64))


def outline_distance(truth: Regions, t: int, found: Regions, f: int, shape: tuple[int, int]) -> tuple[float, float] | None:
    """Mean distance of two outlines in pixels, from each to the other, and the found one's mean offset to the outside.

    The image's border is no outline, since both regions end there. None where no outline lies inside the image.
    """
    boxes = np.stack([truth.boxes_px[t], found.boxes_px[f]])
    left, top = np.maximum(boxes[:, :2].min(axis=0) - 2, 0)
    right, bottom = np.minimum((boxes[:, :2] + boxes[:, 2:]).max(axis=0) + 2, shape[::-1])
    window = (int(left), int(top), int(right - left), int(bottom - top))
    one, two = _placed(truth, t, window), _placed(found, f, window)
    rims = [_rim(mask) for mask in (one, two)]
    if not all(rim.any() for rim in rims):
        return None
    to_truth, to_found = (cv2.distanceTransform((~rim).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE) for rim in rims)
    from_found = to_truth[rims[1]]
    outside = np.where(one[rims[1]], -1.0, 1.0)
    mean = (float(from_found.mean()) + float(to_found[rims[0]].mean())) / 2
    return mean, float((outside * from_found).mean())


def _placed(regions: Regions, index: int, window: tuple[int, int, int, int]) -> Mask:
    """A region's mask inside a window x, y, width, height that holds its whole box."""
    left, top, across, down = window
    x, y, width, height = (int(value) for value in regions.boxes_px[index])
    placed = np.zeros((down, across), np.bool_)
    placed[y - top : y - top + height, x - left : x - left + width] = regions.masks[index]
    return placed


def _rim(mask: Mask) -> Mask:
    """The pixels of a mask that have a neighbour outside it, where the window itself does not end."""
    inner = cv2.erode(
        np.ascontiguousarray(mask).view(np.uint8),
        cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3)),
        borderType=cv2.BORDER_REPLICATE,
    )
    return np.asarray(mask & (inner == 0))
