"""Regions in, their areas, diameters and outlines out, in pixels; `edge.wire.inspection` adds µm where a scale is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
from cv2.typing import MatLike
from numpy.typing import NDArray

from edge.records import ClassMeasures, Grey, Mask, Measures, Quality, Regions

OUTLINE_TOLERANCE_PX = 0.5
BLURRED_BELOW = 0.001
FLAT_BELOW = 0.02
SATURATED_ABOVE = 0.05

NO_PICTURE = (4, 0.995)
"""So few grey values in this part of the pixels are a mask or a drawing, whatever they show."""
FEW_GREYS = (12, 0.95)
"""So few grey values in this part of the pixels are noise alone, where nothing stands out of it. In 73 real micrographs so few
have 0.70 at most."""
STANDS_OUT_BY = 10
STANDS_OUT_SHARE = 0.002
"""Something stands out when this part of the image differs by more than so many greys; single pixels are noise."""
STILL_BELOW = 0.75
STILL_SHARE = 0.9
STILL_PX = 16
STILL_LONGEST_PX = 512
"""An image is empty as well when in this part of all squares of so many pixels the fine detail stays below so many grey levels
(standard deviation), every n-th pixel being looked at. Of the same micrographs the smoothest has 0.07; noise-free gradients
have over 0.9, also as a JPEG of quality 50."""


def chosen(regions: Regions, indices: NDArray[np.intp]) -> Regions:
    """These regions, in this order."""
    heard = regions.network_scores
    return replace(
        regions,
        boxes_px=regions.boxes_px[indices],
        scores=regions.scores[indices],
        class_ids=regions.class_ids[indices],
        masks=tuple(regions.masks[index] for index in indices.tolist()),
        network_scores=None if heard is None else heard[indices],
    )


def counted_regions(regions: Regions, least_px: float) -> Regions:
    """The regions whose equivalent diameter is at least `least_px`; the others are counted in `below`."""
    if not least_px:
        return regions
    diameters = np.sqrt(4 / np.pi * np.array([np.count_nonzero(mask) for mask in regions.masks], np.float64))
    kept = np.flatnonzero(diameters >= least_px)
    if len(kept) == len(regions):
        return regions
    return replace(chosen(regions, kept), below=regions.below + len(regions) - len(kept))


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
    traced: list[MatLike] = []
    outlines: list[NDArray[np.int32]] = []
    holes: list[tuple[NDArray[np.int32], ...]] = []
    for (x, y, w, h), mask in zip(regions.boxes_px.tolist(), regions.masks, strict=True):
        union[y : y + h, x : x + w] |= mask
        outer, inner = _traced(mask, x, y)
        traced.append(outer)
        outlines.append(_simplified(outer))
        holes.append(tuple(_simplified(hole) for hole in inner))
    boxes = regions.boxes_px
    touches = (
        (boxes[:, 0] <= 0) | (boxes[:, 1] <= 0) | (boxes[:, 0] + boxes[:, 2] >= width) | (boxes[:, 1] + boxes[:, 3] >= height)
    )
    field_px = height * width
    if drawn_px is not None:
        union &= ~drawn_px
        field_px -= int(np.count_nonzero(drawn_px))
    union_px = int(np.count_nonzero(union))
    in_frame = (boxes[:, 0] > 0) & (boxes[:, 1] > 0)
    return Measures(
        area_px=area,
        equivalent_diameter_px=np.sqrt(4 * area / np.pi),
        circularity=_circularities(traced),
        touches_edge=touches,
        outlines_px=tuple(outlines),
        holes_px=tuple(holes),
        union_px=union_px,
        area_fraction=union_px / field_px if field_px else 0.0,
        field_px=field_px,
        in_frame=in_frame,
        by_class=_by_class(regions, area, in_frame, union, field_px),
    )


def _by_class(
    regions: Regions, area: NDArray[np.int64], in_frame: NDArray[np.bool_], union: Mask, field_px: int
) -> dict[str, ClassMeasures]:
    """Measures of every class. union: of all masks [H, W], as far as they count; that of a class that is the only one."""
    found = {}
    for class_id, name in enumerate(regions.class_names):
        own = np.flatnonzero(regions.class_ids == class_id)
        covered = union if len(own) == len(regions) else _union(regions, own.tolist(), union.shape) & union
        found[name] = ClassMeasures(
            area_fraction=np.count_nonzero(covered) / field_px if field_px else 0.0,
            count=len(own),
            counted=int(np.count_nonzero(in_frame[own])),
            largest_px=int(area[own].max()) if len(own) else None,
        )
    return found


def _union(regions: Regions, chosen: list[int], shape: tuple[int, ...]) -> Mask:
    canvas = np.zeros(shape, np.bool_)
    for index in chosen:
        x, y, width, height = regions.boxes_px[index].tolist()
        canvas[y : y + height, x : x + width] |= regions.masks[index]
    return canvas


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
    if emptiness := _emptiness(small):
        found.append(f"no_contrast: {emptiness}: there is nothing to judge")
    if contrast < FLAT_BELOW:
        found.append("flat: the image has almost no contrast")
    elif sharpness < BLURRED_BELOW:
        found.append("blurred: the image has almost no fine detail")
    if saturated_fraction > SATURATED_ABOVE:
        found.append(f"saturated: {saturated_fraction:.0%} of the pixels are at an end of the grey range")
    return Quality(sharpness, contrast, saturated_fraction, in_domain, tuple(found))


def _emptiness(grey: Grey) -> str | None:
    """Why there is nothing to see in a uint8 [H, W] image, in words; None where there is something.

    Constants, masks, saturated and nearly empty images have few grey values. Gradients without noise have many, and no fine
    detail; what is left of a blurred copy's difference is rounding.
    """
    counts = cv2.calcHist([grey], [0], None, [256], [0, 256]).ravel()
    common = np.sort(counts)[::-1].astype(np.float64).cumsum() / grey.size
    if common[NO_PICTURE[0] - 1] >= NO_PICTURE[1]:
        different = int(np.searchsorted(common, NO_PICTURE[1])) + 1
        return f"{common[different - 1]:.1%} of the pixels have {different} grey value{'s' * (different != 1)}"
    few = common[FEW_GREYS[0] - 1]
    if few >= FEW_GREYS[1] and not _stands_out(grey):
        return f"{few:.1%} of the pixels have {FEW_GREYS[0]} grey values, and nothing stands out of them"
    step = max(1, max(grey.shape) // STILL_LONGEST_PX)
    values = np.ascontiguousarray(grey[::step, ::step]).astype(np.float32)
    detail = values - cv2.GaussianBlur(values, (0, 0), 2.0)
    if min(detail.shape) > 3 * STILL_PX:  # at the border the blurred copy of a gradient is not the gradient
        detail = detail[STILL_PX // 2 : -STILL_PX // 2, STILL_PX // 2 : -STILL_PX // 2]
    mean = cv2.blur(detail, (STILL_PX, STILL_PX))
    variance = cv2.blur(detail * detail, (STILL_PX, STILL_PX)) - mean * mean
    still = float(np.count_nonzero(variance < STILL_BELOW**2)) / variance.size
    return f"{still:.1%} of the image has no fine detail, not even noise" if still >= STILL_SHARE else None


def _stands_out(grey: Grey) -> bool:
    """Whether there are places, not only pixels, that differ from the most of a uint8 [H, W] image."""
    smooth = cv2.medianBlur(grey, 5).astype(np.int16)
    outside = np.count_nonzero(np.abs(smooth - int(np.median(grey))) > STANDS_OUT_BY)
    return bool(outside > STANDS_OUT_SHARE * grey.size)


def _variance(values: MatLike) -> float:
    """As numpy's, without its copies of all values; 0 where only rounding is left."""
    deviation = float(cv2.meanStdDev(values)[1][0, 0])
    return deviation**2 if deviation > 1e-6 else 0.0


def _traced(mask: Mask, x: int, y: int) -> tuple[MatLike, list[MatLike]]:
    """The chain of boundary pixels of one connected mask whose box starts at x, y, and those of its holes."""
    contours, hierarchy = cv2.findContours(mask.view(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE, offset=(x, y))
    if len(contours) == 1:
        return contours[0], []
    parents = hierarchy[0][:, 3].tolist()
    return contours[parents.index(-1)], [one for one, parent in zip(contours, parents, strict=True) if parent >= 0]


def _circularities(outer: Sequence[MatLike]) -> NDArray[np.float64]:
    """float64 [N]: 4 pi A / P^2 of what each chain of boundary pixels encloses, at most 1; of all chains at once."""
    if not outer:
        return np.empty(0, np.float64)
    points = np.concatenate([chain.reshape(-1, 2) for chain in outer])
    lengths = np.array([len(chain) for chain in outer])
    first = np.cumsum(lengths) - lengths

    def following(values: NDArray[Any]) -> NDArray[Any]:
        after = np.roll(values, -1, axis=0)
        after[first + lengths - 1] = values[first]
        return after

    steps = np.abs(following(points) - points).sum(axis=1)
    diagonal = steps == 2
    straight_moves, diagonal_moves, turns = (
        np.add.reduceat(found, first, dtype=np.int64) for found in (steps == 1, diagonal, diagonal != following(diagonal))
    )
    # A chain code's plain length is 5 % too long; these weights are unbiased (Vossepoel and Smeulders 1982). The outer
    # edge lies half a pixel outwards, which adds pi.
    perimeter = 0.980 * straight_moves + 1.406 * diagonal_moves - 0.091 * turns + np.pi
    # Pick's theorem: the pixels in and on a polygon through pixel centres.
    area = np.array([cv2.contourArea(chain) for chain in outer]) + (straight_moves + diagonal_moves) / 2 + 1
    return np.asarray(np.minimum(1.0, 4 * np.pi * area / perimeter**2))


def _simplified(contour: MatLike) -> NDArray[np.int32]:
    return np.asarray(cv2.approxPolyDP(contour, OUTLINE_TOLERANCE_PX, closed=True), np.int32).reshape(-1, 2)
