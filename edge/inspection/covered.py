"""Regions and what is drawn over the specimen in, the regions of the specimen alone out."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import cv2
import numpy as np

from edge.inspection.measure import chosen
from edge.records import Mask, Regions

MOST_COVERED: Final = 0.5
"""A region that is covered by more is taken to be what is drawn."""


def without_drawn(regions: Regions, drawn_px: Mask) -> Regions:
    """The regions without the pixels of `drawn_px` [H, W], largest first; what is mostly drawn is none.

    Where a drawing cuts a region in pieces, the largest is kept, since a region is one piece.
    """
    kept: list[tuple[int, tuple[int, int, int, int], Mask]] = []
    for index, ((x, y, width, height), mask) in enumerate(zip(regions.boxes_px.tolist(), regions.masks, strict=True)):
        covered = drawn_px[y : y + height, x : x + width] & mask
        hidden = int(np.count_nonzero(covered))
        if not hidden:
            kept.append((index, (x, y, width, height), mask))
        elif hidden <= MOST_COVERED * np.count_nonzero(mask):
            left, top, piece = _largest(mask & ~covered)
            kept.append((index, (x + left, y + top, piece.shape[1], piece.shape[0]), piece))
    kept.sort(key=lambda region: -int(np.count_nonzero(region[2])))
    order = np.array([index for index, _, _ in kept], np.intp)
    return replace(
        chosen(regions, order),
        boxes_px=np.array([box for _, box, _ in kept], np.int32).reshape(-1, 4),
        masks=tuple(mask for _, _, mask in kept),
    )


def _largest(mask: Mask) -> tuple[int, int, Mask]:
    """x, y and the tight mask of the largest connected piece."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask.view(np.uint8), connectivity=8)
    label = 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())
    x, y, width, height = (int(value) for value in stats[label, :4])
    return x, y, np.ascontiguousarray(labels[y : y + height, x : x + width] == label)
