"""YOLO-seg text in, the pixels of its regions out, and back.

The pixels are those under the polygon and under its line, as ultralytics itself fills it. A polygon that reaches its holes by
a cut of zero width keeps them.
"""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.records import Mask, Regions
from training.labels.image_labels import Finding, ImageLabels, LabelledRegion
from training.labels.pixels import fill_with_line, outside_findings

MOST_CLASS_NUMBER: Final = 999


def read_yolo(text: str, name: str, width_px: int, height_px: int) -> ImageLabels:
    """YOLO-seg: a line `class x y x y …` per region, coordinates as parts of the stored image's size, data bar included."""
    drawn: list[LabelledRegion] = []
    findings: list[Finding] = []
    for number, line in enumerate(text.splitlines(), start=1):
        where = f"{name} line {number}"
        if not line.strip():
            continue
        try:
            values = np.array(line.split(), np.float64)
        except ValueError:
            findings.append(Finding("no YOLO-seg line (numbers only: class x y x y …)", where))
            continue
        if len(values) == 5:
            findings.append(Finding("a box where an outline is needed (YOLO-seg has at least three points)", where))
        elif len(values) < 7 or len(values) % 2 == 0:
            findings.append(Finding("no YOLO-seg line (a class and at least three points)", where))
        elif not np.isfinite(values).all() or not 0 <= values[0] <= MOST_CLASS_NUMBER or values[0] != int(values[0]):
            findings.append(Finding("no YOLO-seg line (a class number from 0, then numbers)", where))
        elif np.abs(values[1:]).max() > 2:
            findings.append(Finding("coordinates in pixels where YOLO-seg has parts of the image's size (0 to 1)", where))
        else:
            points = values[1:].reshape(-1, 2) * (width_px, height_px)
            findings += outside_findings(points, where, width_px, height_px)
            drawn += fill_with_line(int(values[0]), points, width_px, height_px)
    return ImageLabels(tuple(drawn), tuple(findings))


def yolo_text(regions: Regions, width_px: int, height_px: int) -> str:
    """YOLO-seg text of regions; filled as ultralytics fills it, each line gives the very pixels back, holes included."""
    lines = []
    for (x, y, _, _), class_id, mask in zip(regions.boxes_px, regions.class_ids, regions.masks, strict=True):
        # The centres of the outermost pixels, so that the polygon neither grows nor shifts.
        points = (outline(mask) + np.array([x, y]) + 0.5) / (width_px, height_px)
        lines.append(f"{int(class_id)} " + " ".join(f"{value:.6f}" for value in points.ravel()))
    return "".join(f"{line}\n" for line in lines)


def outline(mask: Mask) -> NDArray[np.int64]:
    """int64 [M, 2], x and y of one closed polygon whose filling is the connected `mask`, holes and all.

    A level cut of zero width leads from each hole's leftmost point, inside the region, to what lies left of it.
    """
    contours, hierarchy = cv2.findContours(mask.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    rings = [contour.reshape(-1, 2).astype(np.int64) for contour in contours]
    is_hole = np.asarray(hierarchy).reshape(-1, 4)[:, 3] >= 0
    line = next(ring for ring, hole in zip(rings, is_hole, strict=True) if not hole)
    reached = np.zeros(mask.shape, np.bool_)
    reached[line[:, 1], line[:, 0]] = True
    # From left to right: where a cut leaves the region lies a hole that begins further left, or the outside.
    for ring in sorted(
        (ring for ring, hole in zip(rings, is_hole, strict=True) if hole), key=lambda ring: int(ring[:, 0].min())
    ):
        begin = int(ring[:, 0].argmin())
        ring = np.roll(ring, -begin, axis=0)
        x, y = ring[0]
        while not reached[y, x]:
            x -= 1
        at = int(np.flatnonzero((line[:, 0] == x) & (line[:, 1] == y))[0])
        line = np.concatenate([line[: at + 1], ring, ring[:1], line[at:]])
        reached[ring[:, 1], ring[:, 0]] = True
    return _without_straight(line)


def _without_straight(line: NDArray[np.int64]) -> NDArray[np.int64]:
    """The polygon without repeated points and points in the middle of a straight run; at least three points."""
    line = line[(line != np.roll(line, 1, axis=0)).any(axis=1)] if len(line) > 3 else line
    before, after = line - np.roll(line, 1, axis=0), np.roll(line, -1, axis=0) - line
    straight = (before[:, 0] * after[:, 1] == before[:, 1] * after[:, 0]) & ((before * after).sum(axis=1) > 0)
    kept: NDArray[np.int64] = line[~straight]
    while len(kept) < 3:
        kept = np.concatenate([kept, kept[-1:] if len(kept) else line[:1]])
    return kept
