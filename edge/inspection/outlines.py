"""Detections with outlines as coarse as the network's prototypes in, outlines that follow the image's own edges out.

A guided filter (He, Sun and Tang 2013, doi:10.1109/TPAMI.2012.213) explains the masks by the grey values around each pixel.
Where it does, the outline moves to the edge that the image shows, by one prototype cell at most; elsewhere the mask stays.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.inspection.merge import Detection
from edge.records import Grey, Mask

LEAST_CORRELATION = 0.5
"""Between grey values and masks around a pixel, from which the image is believed there."""
CORE = 0.6
"""Part of a region's depth from which inwards nothing changes, so that no small region disappears."""
MOST_CELL_PX = 12
"""No outline moves further; a cell is larger only where a huge image is seen as a whole alone."""

_Floats = NDArray[np.float32]


def follow_edges(grey: Grey, detections: Sequence[Detection]) -> list[Detection]:
    """The detections with outlines at the edges of a uint8 [H, W] image; each keeps at least its core, none takes another's."""
    if not detections:
        return []
    owner = np.zeros(grey.shape, np.int32)
    for number, detection in enumerate(detections, 1):
        rows, columns = _window(detection, 0, grey.shape)
        owner[rows, columns][detection.mask] = number
    union = (owner > 0).astype(np.uint8)
    if union.all():
        return list(detections)
    depth = cv2.distanceTransform(union, cv2.DIST_L2, 3)
    away, nearest = cv2.distanceTransformWithLabels(1 - union, cv2.DIST_L2, 3, labelType=cv2.DIST_LABEL_PIXEL)
    owners = np.zeros(int(nearest.max()) + 1, np.int32)
    owners[nearest[union > 0]] = owner[union > 0]
    smooth = cv2.GaussianBlur(grey, (0, 0), 0.7).astype(np.float32)
    outer = np.where(union > 0, 0, owners[nearest])
    masks = union.astype(np.float32)
    maps: dict[int, tuple[Mask, NDArray[np.int32]]] = {}
    followed = []
    for number, detection in enumerate(detections, 1):
        cell = min(detection.cell_px, MOST_CELL_PX)
        radius = max(1, round(cell))
        if radius not in maps:
            like = _explained(smooth, masks, radius) > 0.5
            maps[radius] = ~like & (depth <= cell), np.where(like & (away <= cell), outer, 0)
        lost, gained = maps[radius]
        window = _window(detection, radius + 1, grey.shape)
        mask = gained[window] == number
        top, left = detection.y_px - window[0].start, detection.x_px - window[1].start
        rows, columns = _window(detection, 0, grey.shape)
        deep = depth[rows, columns]
        goes = lost[rows, columns] & (deep <= CORE * float(deep[detection.mask].max()))
        mask[top : top + detection.mask.shape[0], left : left + detection.mask.shape[1]] |= detection.mask & ~goes
        followed.append(_placed(detection, mask, window))
    return followed


def largest_piece(mask: NDArray[np.uint8]) -> tuple[int, int, Mask] | None:
    """x, y and the tight mask of the largest 8-connected piece of a 0/1 mask; None when there is none."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    if count < 2:
        return None
    label = 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())
    x, y, width, height = (int(value) for value in stats[label, :4])
    return x, y, np.ascontiguousarray(labels[y : y + height, x : x + width] == label)


def _explained(grey: _Floats, masks: _Floats, radius: int) -> _Floats:
    """float32 [H, W]: how far each pixel belongs to the masks by its grey value; the mask itself where grey tells nothing."""

    def mean(values: _Floats) -> _Floats:
        side = 2 * radius + 1
        return np.asarray(cv2.blur(values, (side, side), borderType=cv2.BORDER_REFLECT), np.float32)

    grey_mean, mask_mean = mean(grey), mean(masks)
    together = mean(grey * masks) - grey_mean * mask_mean
    spread = mean(grey * grey) - grey_mean * grey_mean
    slope = together / (spread + 1)
    explained = slope * (grey - grey_mean) + mask_mean
    told = together * together >= LEAST_CORRELATION**2 * (spread + 1) * (mask_mean - mask_mean * mask_mean)
    return np.asarray(np.where(told, explained, masks), np.float32)


def _window(detection: Detection, margin_px: int, shape: tuple[int, ...]) -> tuple[slice, slice]:
    """Rows and columns of the image around a detection."""
    left, top, right, bottom = detection.box
    return (
        slice(max(top - margin_px, 0), min(bottom + margin_px, shape[0])),
        slice(max(left - margin_px, 0), min(right + margin_px, shape[1])),
    )


def _placed(detection: Detection, mask: Mask, window: tuple[slice, slice]) -> Detection:
    piece = largest_piece(mask.view(np.uint8))
    if piece is None:
        return detection
    x, y, tight = piece
    area_px = int(np.count_nonzero(tight))
    return replace(detection, x_px=window[1].start + x, y_px=window[0].start + y, mask=tight, area_px=area_px)
