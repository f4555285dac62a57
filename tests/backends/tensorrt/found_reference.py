"""Suppression and masks of one view with NumPy and OpenCV, step by step as the kernels have them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class View:
    """As in found.h."""

    scale_x: float
    scale_y: float
    width: int
    height: int


def kept(scores: Floats, boxes: Floats, confidence: float, iou: float) -> list[int]:
    """Candidates in OpenCV's order."""
    sizes = np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1).astype(np.float64)
    found: Any = cv2.dnn.NMSBoxes(sizes, scores, confidence, iou)  # type: ignore[arg-type]
    return [int(index) for index in np.asarray(found, np.intp).reshape(-1)]


def placed(box: Floats, view: View, rows: int, columns: int) -> tuple[list[int], list[int]]:
    """x0, y0, x1, y1 in pixels of the view, and left, top, right, bottom of the prototypes under them."""
    limits = np.array([view.width, view.height] * 2, np.float64)
    sides = np.ceil(box.astype(np.float64) / np.array([view.scale_x, view.scale_y] * 2) - 0.5)
    x0, y0, x1, y1 = (int(side) for side in np.minimum(np.maximum(sides, 0), limits))
    across, down = view.scale_x / 4, view.scale_y / 4
    under = [max(int(x0 * across) - 1, 0), max(int(y0 * down) - 1, 0)]
    return [x0, y0, x1, y1], [*under, min(int(x1 * across) + 2, columns), min(int(y1 * down) + 2, rows)]


def logits(coefficients: Floats, prototypes: Floats, under: list[int]) -> Floats:
    """32 terms, one after the other."""
    left, top, right, bottom = under
    part = prototypes[:, top:bottom, left:right]
    total = np.zeros(part.shape[1:], np.float32)
    for factor, channel in zip(coefficients, part, strict=True):
        total = total + factor * channel
    return total


def enlarged(cells: Floats, place: list[int], under: list[int], view: View) -> Floats:
    """The logits at the pixels of a box: positions in 1/32, four terms, one after the other."""
    (x0, y0, x1, y1), (left, top, *_) = place, under
    across, down = view.scale_x / 4, view.scale_y / 4
    begin_x, begin_y = (x0 + 0.5) * across - 0.5 - left, (y0 + 0.5) * down - 0.5 - top
    fine_x = (int(np.rint(begin_x * 1024)) + 16 + np.rint(across * np.arange(x1 - x0) * 1024).astype(int)) >> 5
    fine_y = (np.rint((down * np.arange(y1 - y0) + begin_y) * 1024).astype(int) + 16) >> 5
    part_x, part_y = ((fine & 31).astype(np.float32) / np.float32(32) for fine in (fine_x, fine_y))
    columns = [np.clip((fine_x >> 5) + step, 0, cells.shape[1] - 1) for step in (0, 1)]
    rows = [np.clip((fine_y >> 5) + step, 0, cells.shape[0] - 1) for step in (0, 1)]
    weights_x, weights_y = (1 - part_x, part_x), (1 - part_y, part_y)
    total = np.zeros((y1 - y0, x1 - x0), np.float32)
    for row, weight_y in zip(rows, weights_y, strict=True):
        for column, weight_x in zip(columns, weights_x, strict=True):
            total = total + cells[np.ix_(row, column)] * (weight_y[:, None] * weight_x[None])
    return total
