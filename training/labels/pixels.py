"""Outlines and arrays of labelled pixels in, the pixels of each region inside its image out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.records import Mask
from training.labels.image_labels import Finding, LabelledRegion

OUTSIDE_PX: Final = 1.0  # clicks on the border land this far beyond it


Points = NDArray[np.float64]


def fill(label: str | int, points: Points, width_px: int, height_px: int) -> LabelledRegion | None:
    """Pixels whose centre lies inside the polygon (even-odd rule); None when there are none in the image."""
    x0, y0 = (max(0, int(value)) for value in np.floor(points.min(axis=0)))
    x1, y1 = (min(side, int(value)) for side, value in zip((width_px, height_px), np.ceil(points.max(axis=0)), strict=True))
    if x1 <= x0 or y1 <= y0:
        return None
    crossings = np.zeros((y1 - y0, x1 - x0 + 1), np.int32)
    local = points - (x0, y0)
    for (ax, ay), (bx, by) in zip(local, np.roll(local, -1, axis=0), strict=True):
        low, high = sorted((ay, by))
        rows = np.arange(max(0, int(np.ceil(low - 0.5))), min(y1 - y0, int(np.ceil(high - 0.5))))
        if len(rows):
            xs = ax + (rows + 0.5 - ay) * (bx - ax) / (by - ay)
            np.add.at(crossings, (rows, np.clip(np.ceil(xs - 0.5), 0, x1 - x0).astype(np.intp)), 1)
    mask = np.cumsum(crossings, axis=1)[:, :-1] % 2 == 1
    return cut(label, x0, y0, mask, width_px, height_px)


def fill_with_line(label: str | int, points: Points, width_px: int, height_px: int) -> list[LabelledRegion]:
    """Pixels under the polygon and its line, corners brought to the pixels they lie in; empty outside the image."""
    corners = np.floor(points).astype(np.int64)
    first = corners.min(axis=0)
    width, height = (int(side) for side in corners.max(axis=0) - first + 1)
    canvas = np.zeros((height, width), np.uint8)
    cv2.fillPoly(canvas, [(corners - first).astype(np.int32)], (1,))
    piece = cut(label, int(first[0]), int(first[1]), canvas > 0, width_px, height_px)
    return [] if piece is None else [piece]


def cut(label: str | int, x: int, y: int, mask: Mask, width_px: int, height_px: int) -> LabelledRegion | None:
    """What of the mask lies in the image, in its tight bounds; None for nothing."""
    inside = mask[max(0, -y) : max(0, height_px - y), max(0, -x) : max(0, width_px - x)]
    if not inside.any():
        return None
    rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    tight = inside[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return LabelledRegion(label, max(x, 0) + int(columns[0]), max(y, 0) + int(rows[0]), np.ascontiguousarray(tight))


def united(pieces: Sequence[LabelledRegion]) -> LabelledRegion:
    """One region of all the pixels of `pieces`, with the first one's label."""
    if len(pieces) == 1:
        return pieces[0]
    x0, y0 = min(piece.x_px for piece in pieces), min(piece.y_px for piece in pieces)
    x1 = max(piece.x_px + piece.mask.shape[1] for piece in pieces)
    y1 = max(piece.y_px + piece.mask.shape[0] for piece in pieces)
    mask = np.zeros((y1 - y0, x1 - x0), np.bool_)
    for piece in pieces:
        rows, columns = piece.mask.shape
        top, left = piece.y_px - y0, piece.x_px - x0
        mask[top : top + rows, left : left + columns] |= piece.mask
    return LabelledRegion(pieces[0].label, x0, y0, mask)


def parts_of(mask: Mask, x: int = 0, y: int = 0) -> list[tuple[int, int, Mask]]:
    """x, y and the tight mask of each 8-connected part."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    parts = []
    for label in range(1, count):
        left, top, width, height = (int(value) for value in stats[label, :4])
        part = labels[top : top + height, left : left + width] == label
        parts.append((x + left, y + top, np.ascontiguousarray(part)))
    return parts


def by_value(values: NDArray[Any]) -> Iterator[tuple[int, int, int, Mask]]:
    """value, x, y and the tight mask of each value besides 0."""
    ys, xs = np.nonzero(values)
    found = values[ys, xs].astype(np.int64)
    order = np.argsort(found, kind="stable")
    ys, xs, found = ys[order], xs[order], found[order]
    starts = np.flatnonzero(np.diff(found, prepend=-1))
    for start, stop in zip(starts, [*starts[1:], len(found)][: len(starts)], strict=True):
        rows, columns = ys[start:stop], xs[start:stop]
        x, y = int(columns.min()), int(rows.min())
        mask = np.zeros((int(rows.max()) - y + 1, int(columns.max()) - x + 1), np.bool_)
        mask[rows - y, columns - x] = True
        yield int(found[start]), x, y, mask


def outside_findings(points: Points, where: str, width_px: int, height_px: int) -> list[Finding]:
    """What to report of an outline that leaves its image: fatal where nothing of it lies inside, else cut off."""
    beyond = np.maximum(-points, points - (width_px, height_px)).max(axis=1)
    if (beyond <= OUTSIDE_PX).all():
        return []
    low, high = points.min(axis=0), points.max(axis=0)
    if high[0] <= 0 or high[1] <= 0 or low[0] >= width_px or low[1] >= height_px:
        return [Finding("an outline that lies outside its image", where)]
    return [Finding("outline reaches out of the image: cut off", where, fatal=False)]


def size_findings(width: Any, height: Any, name: str, width_px: int, height_px: int) -> list[Finding]:
    """What to report of labels whose file names another size than the image's; nothing where it names none."""
    if width is None or height is None or (int(width), int(height)) == (width_px, height_px):
        return []
    size = f"labels {width}x{height}, image {width_px}x{height_px}"
    return [Finding("labels made for an image of another size", f"{name} ({size})")]
