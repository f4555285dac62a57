"""Regions in, their areas, diameters and outlines out, in pixels; `edge.wire.inspection` adds µm where a scale is known."""

from __future__ import annotations

import cv2
import numpy as np
from cv2.typing import MatLike
from numpy.typing import NDArray

from edge.records import Grey, Mask, Measures, Quality, Regions

OUTLINE_TOLERANCE_PX = 0.5
BLURRED_BELOW = 0.001
FLAT_BELOW = 0.02
SATURATED_ABOVE = 0.05


def measure(regions: Regions, image_shape: tuple[int, int], drawn_px: Mask | None = None) -> Measures:
    """Measures of every region and of their union over an image of `image_shape` (rows, columns; data bar not included).

    drawn_px: bool [H, W], what is drawn over the specimen; it counts neither as field nor as region.

    Equivalent diameter: of the circle of equal area. Circularity: 4 pi A / P^2 of the region with its holes filled
    (ISO 9276-6, squared), with the outer edge of its boundary pixels as perimeter; at most 1, and little use below 20 px.
    Outlines run through the centres of boundary pixels, simplified by at most `OUTLINE_TOLERANCE_PX`; where a region is
    one pixel wide they go there and back. A hole's outline runs through the region's pixels around it.
    """
    height, width = image_shape
    area = np.array([np.count_nonzero(mask) for mask in regions.masks], np.int64)
    union = np.zeros(image_shape, np.bool_)
    circularity = np.empty(len(regions), np.float64)
    outlines: list[NDArray[np.int32]] = []
    holes: list[tuple[NDArray[np.int32], ...]] = []
    for index, ((x, y, w, h), mask) in enumerate(zip(regions.boxes_px.tolist(), regions.masks, strict=True)):
        union[y : y + h, x : x + w] |= mask
        outer, inner, circularity[index] = _outline(mask, x, y)
        outlines.append(outer)
        holes.append(inner)
    boxes = regions.boxes_px
    touches = (
        (boxes[:, 0] <= 0) | (boxes[:, 1] <= 0) | (boxes[:, 0] + boxes[:, 2] >= width) | (boxes[:, 1] + boxes[:, 3] >= height)
    )
    field_px = height * width
    if drawn_px is not None:
        union &= ~drawn_px
        field_px -= int(np.count_nonzero(drawn_px))
    union_px = int(np.count_nonzero(union))
    return Measures(
        area_px=area,
        equivalent_diameter_px=np.sqrt(4 * area / np.pi),
        circularity=circularity,
        touches_edge=touches,
        outlines_px=tuple(outlines),
        holes_px=tuple(holes),
        union_px=union_px,
        area_fraction=union_px / field_px if field_px else 0.0,
        field_px=field_px,
    )


def quality(grey: Grey, saturated_fraction: float, in_domain: bool | None, warnings: tuple[str, ...]) -> Quality:
    """Sharpness and contrast of a uint8 [H, W] image, with a warning for each that is too poor to trust.

    Measured on at most 1024 px of the longer side, so that the numbers mean the same for every camera size.
    """
    height, width = grey.shape
    step = max(1, max(height, width) // 1024)
    small = np.ascontiguousarray(grey[::step, ::step])
    variance = _variance(small)
    laplacian = _variance(cv2.Laplacian(cv2.GaussianBlur(small, (0, 0), 1.0), cv2.CV_32F)) if variance else 0.0
    sharpness = laplacian / variance if variance else 0.0
    contrast = float(np.sqrt(variance) / 255)
    found = list(warnings)
    if contrast < FLAT_BELOW:
        found.append("flat: the image has almost no contrast")
    elif sharpness < BLURRED_BELOW:
        found.append("blurred: the image has almost no fine detail")
    if saturated_fraction > SATURATED_ABOVE:
        found.append(f"saturated: {saturated_fraction:.0%} of the pixels are at an end of the grey range")
    return Quality(sharpness, contrast, saturated_fraction, in_domain, tuple(found))


def _variance(values: MatLike) -> float:
    """As numpy's, without its copies of all values; 0 where only rounding is left."""
    deviation = float(cv2.meanStdDev(values)[1][0, 0])
    return deviation**2 if deviation > 1e-6 else 0.0


def _outline(mask: Mask, x: int, y: int) -> tuple[NDArray[np.int32], tuple[NDArray[np.int32], ...], float]:
    """Outer outline, holes and circularity of one connected mask whose box starts at x, y."""
    contours, hierarchy = cv2.findContours(mask.view(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE, offset=(x, y))
    parents = hierarchy[0][:, 3]
    outer = contours[int(np.flatnonzero(parents < 0)[0])]
    holes = tuple(_simplified(contours[index]) for index in np.flatnonzero(parents >= 0).tolist())
    return _simplified(outer), holes, _circularity(outer)


def _circularity(outer: MatLike) -> float:
    """4 pi A / P^2 of what the chain of boundary pixels `outer` encloses, at most 1."""
    points = outer.reshape(-1, 2)
    steps = np.abs(np.diff(points, axis=0, append=points[:1])).sum(axis=1)
    diagonal = steps == 2
    straight_moves, diagonal_moves = int(np.count_nonzero(steps == 1)), int(np.count_nonzero(diagonal))
    turns = int(np.count_nonzero(np.diff(diagonal, append=diagonal[:1])))
    # A chain code's plain length is 5 % too long; these weights are unbiased (Vossepoel and Smeulders 1982). The outer
    # edge lies half a pixel outwards, which adds pi.
    perimeter = 0.980 * straight_moves + 1.406 * diagonal_moves - 0.091 * turns + np.pi
    # Pick's theorem: the pixels in and on a polygon through pixel centres.
    area = cv2.contourArea(outer) + (straight_moves + diagonal_moves) / 2 + 1
    return float(min(1.0, 4 * np.pi * area / perimeter**2))


def _simplified(contour: MatLike) -> NDArray[np.int32]:
    return np.asarray(cv2.approxPolyDP(contour, OUTLINE_TOLERANCE_PX, closed=True), np.int32).reshape(-1, 2)
