"""Pixels that stand out in, whole regions out: closed, fill_holes, trim, and divided at their necks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.records import Mask
from training.labels.ground import Relief, odd

OUTLINE_AT: Final = 0.35
"""Part of a region's contrast (85th percentile) at which its outline lies: blur would say one half, sloping walls less."""
NECK: Final = 0.7
"""Two cores are two regions where the neck between them is narrower than this part of the smaller one."""
SMALL_DISC: Final = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (3, 3))
_DISC: Final = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5))


def outline(own: Mask, relief: Relief, least: Relief) -> Mask:
    """Where the candidate's grey is beyond a part of its contrast, dark and bright sides each by their own."""
    inside = relief[own]
    mask = np.zeros(own.shape, np.bool_)
    for sign in (-1, 1):
        values = sign * inside
        values = values[values > 0]
        if len(values) >= 4:
            mask |= own & (sign * relief > np.maximum(least, OUTLINE_AT * float(np.percentile(values, 85))))
    # A dark inside and its bright rim meet at a line of the ground's grey: closing it makes them one region.
    return _morphed(mask, cv2.MORPH_CLOSE, _DISC)


def fill_holes(mask: Mask, most_px: float) -> Mask:
    """The mask with holes of at most `most_px` pixels filled."""
    outside = cv2.copyMakeBorder((~mask).astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=1)
    _, numbers, stats, _ = cv2.connectedComponentsWithStats(outside, connectivity=4)
    hole = stats[:, cv2.CC_STAT_AREA] <= most_px
    hole[[0, numbers[0, 0]]] = False
    return cast(Mask, mask | hole[numbers][1:-1, 1:-1])


def fill_to_border(mask: Mask, touches: tuple[bool, bool, bool, bool]) -> Mask:
    """The mask with what it encloses together with one or two neighbouring image borders (left, top, right, bottom)."""
    full = mask
    for sides in ((0,), (1,), (2,), (3,), (0, 1), (1, 2), (2, 3), (3, 0)):
        if all(touches[side] for side in sides):
            left, top, right, bottom = (int(side in sides) for side in range(4))
            walled = fill_holes(np.pad(mask, ((top, bottom), (left, right)), constant_values=True), mask.size)
            new = walled[top : walled.shape[0] - bottom, left : walled.shape[1] - right] & ~mask
            if new.sum() < 4 * mask.sum() + 50:
                full = full | new
    return full


def close_rings(mask: Mask) -> Mask:
    """The mask with open rings closed: crescents, the lit half of a pit's rim, stand for the whole mouth."""
    count, numbers, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    full = mask.astype(np.uint8)
    for number in range(1, count):
        x, y, width, height, area = (int(value) for value in stats[number])
        if area < 12 or max(width, height) < 6:
            continue
        part = numbers[y : y + height, x : x + width] == number
        hull = hull_of(part)
        if area > 0.7 * hull_area_px(hull):
            continue
        rows, columns = (axis[:: 1 + area // 500] for axis in np.nonzero(part))
        cx, cy, radius = _circle(columns, rows)
        away = np.hypot(columns - cx, rows - cy)
        bearing = np.arctan2(rows - cy, columns - cx)
        seen = len(np.unique(np.floor((bearing + np.pi) / (2 * np.pi) * 24).astype(int))) / 24
        if away.std() < 0.22 * radius and seen > 0.42 and radius < 0.75 * max(width, height):
            cv2.fillConvexPoly(full, cast(Any, hull + np.array([x, y], np.int32)), 1)
            if seen < 0.75:
                cv2.circle(full, (round(cx + x), round(cy + y)), round(radius), 1, -1)
    return full.astype(np.bool_)


def _circle(columns: NDArray[np.intp], rows: NDArray[np.intp]) -> tuple[float, float, float]:
    """Centre and radius of the least-squares circle through points (Kåsa's linear form)."""
    system = np.column_stack([columns, rows, np.ones(len(rows))])
    a, b, c = np.linalg.lstsq(system, -(columns.astype(float) ** 2 + rows.astype(float) ** 2), rcond=None)[0]
    return -a / 2, -b / 2, float(np.sqrt(max((a * a + b * b) / 4 - c, 1e-3)))


def hull_of(mask: Mask) -> NDArray[np.int32]:
    """int32 [N, 1, 2], x and y of the corners of the convex hull of the mask's pixels."""
    outlines, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    return cast(NDArray[np.int32], cv2.convexHull(np.concatenate(outlines)))


def hull_area_px(hull: NDArray[np.int32]) -> float:
    """In whole pixels: the polygon through their centres leaves out half of those on it."""
    return cv2.contourArea(hull) + len(hull) / 2


def trim(mask: Mask) -> Mask:
    """The mask without threads: scratches that it lies on, streaks of charge behind it."""
    deepest = float(cv2.distanceTransform(np.pad(mask, 1).astype(np.uint8), cv2.DIST_L2, 3).max())
    size = min(max(5, odd(0.6 * deepest)), 41)
    return _morphed(mask, cv2.MORPH_OPEN, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size)))


def _morphed(mask: Mask, operation: int, element: NDArray[Any]) -> Mask:
    """Opening or closing that continues the mask beyond the borders of its array, and so of the image."""
    edge = element.shape[0]
    padded = cv2.copyMakeBorder(mask.astype(np.uint8), edge, edge, edge, edge, cv2.BORDER_REPLICATE)
    return cv2.morphologyEx(padded, operation, element)[edge:-edge, edge:-edge].astype(np.bool_)


def split(mask: Mask) -> Iterator[tuple[int, int, Mask]]:
    """x, y and tight mask of each region: connected parts, cut at narrow necks by a watershed of the distance to the edge."""
    count, numbers, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=4)
    for number in range(1, count):
        x, y, width, height, area = (int(value) for value in stats[number])
        part = numbers[y : y + height, x : x + width] == number
        inside = np.pad(part, 1).astype(np.uint8)
        depth = cast(Relief, cv2.distanceTransform(inside, cv2.DIST_L2, 5))
        deepest = float(depth.max())
        cores = [] if deepest < 3 or area < 0.85 * np.pi * deepest**2 or min(width, height) < 10 else _cores(depth)
        if len(cores) < 2:
            yield x, y, part
            continue
        markers = (inside == 0).astype(np.int32)
        for marker, points in enumerate(cores, start=2):
            for column, row in points:
                cv2.circle(cast(Any, markers), (column, row), max(1, int(0.9 * depth[row, column])), marker, -1)
        markers[inside == 0] = 1
        # OpenCV floods by differences of grey; over a flat image all markers grow at one speed and meet at the necks.
        cv2.watershed(np.zeros((*inside.shape, 3), np.uint8), markers)
        for marker in range(2, 2 + len(cores)):
            one = (markers == marker).astype(np.uint8)
            # the watershed's own lines go to a region that they border
            one = ((one > 0) | ((markers == -1) & (cv2.dilate(one, SMALL_DISC) > 0) & (inside > 0)))[1:-1, 1:-1]
            rows, columns = np.flatnonzero(one.any(axis=1)), np.flatnonzero(one.any(axis=0))
            if len(rows):
                tight = one[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
                yield x + int(columns[0]), y + int(rows[0]), tight


def _cores(depth: Relief) -> list[list[tuple[int, int]]]:
    """Deepest points (x, y) of each region; points with no narrow neck between them are of one region."""
    deepest = float(depth.max())
    smooth = cv2.GaussianBlur(depth, (0, 0), 1.0)
    side = odd(max(5.0, 0.8 * deepest))
    tops = (smooth >= cv2.dilate(smooth, np.ones((side, side), np.uint8)) - 1e-4) & (depth >= max(2.5, 0.3 * deepest))
    count, numbers, _, centres = cv2.connectedComponentsWithStats(tops.astype(np.uint8), connectivity=8)
    if not 3 <= count <= 60:
        return []
    points = []
    for number in range(1, count):
        rows, columns = np.nonzero(numbers == number)
        nearest = int(np.argmin((columns - centres[number, 0]) ** 2 + (rows - centres[number, 1]) ** 2))
        points.append((int(columns[nearest]), int(rows[nearest])))
    groups = list(range(len(points)))
    for one in range(len(points)):
        for other in range(one):
            between = _along(depth, points[one], points[other])
            if between.min() > NECK * min(between[0], between[-1]):
                old, new = groups[one], groups[other]
                groups = [new if group == old else group for group in groups]
    return [[point for point, group in zip(points, groups, strict=True) if group == kept] for kept in sorted(set(groups))]


def _along(values: Relief, start: tuple[int, int], end: tuple[int, int]) -> Relief:
    """Values on the straight line between two points (x, y)."""
    steps = max(abs(end[0] - start[0]), abs(end[1] - start[1])) + 1
    columns = np.linspace(start[0], end[0], steps).round().astype(int)
    rows = np.linspace(start[1], end[1], steps).round().astype(int)
    line: Relief = values[rows, columns]
    return line
