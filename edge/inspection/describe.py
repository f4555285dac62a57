"""Regions, their measures and the picture's quality in, a few named numbers out that speak for the whole field of view.

These numbers judge the field: how severe it is, whether it is like the fields learnt from, how exactly it was measured.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.records import Grey, Measures, Quality, Regions

Described = Mapping[str, float]

LEAST_AREA: Final = 0.003
"""Added before the logarithm of an area fraction: less is not told apart."""
DOUBTED_BELOW: Final = 0.5
"""Regions of a lower score are doubtful ones."""

_ROOTS: Final = ("area", "largest", "regions", "unsure")
WORDS: Final = MappingProxyType(
    {
        "area": "the corroded area fraction",
        "largest": "the largest region's share of the field",
        "regions": "the number of regions",
        "median_size": "the logarithm of the usual size",
        "score": "the segmenter's mean confidence",
        "unsure": "the area fraction of which the segmenter is unsure",
        "doubtful": "the share of doubtful regions",
        "boundary": "the length of outlines, in px a pixel",
        "roundness": "the roundness of regions",
        "darkness": "how dark regions are",
        "sharpness": "the logarithm of the sharpness",
        "contrast": "the contrast of the picture",
        "texture": "the texture as the classifier sees it",
        "typical_size": "the logarithm of the typical size",
        "network_odds": "the network's own verdict",
    }
)
"""What each number is about, for reasons that a person reads."""


def in_words(name: str, value: float, usual: float) -> str:
    """One of the numbers beside what is usual; square roots as what they are the root of."""
    if name in _ROOTS or name not in WORDS:
        value, usual = value * value, usual * usual
    return f"{WORDS.get(name, f'the {name}')} ({value:.3g}, usually about {usual:.2g})"


def describe(regions: Regions, measures: Measures, grey: Grey, quality: Quality) -> dict[str, float]:
    """The numbers by name, all finite; lengths and areas are relative to the field, so that the size of the image drops out.

    area, largest, regions, unsure: square roots of the area fraction, of the largest area, of the number of regions in the
    counting frame, and of the area weighted with 1 - score. log_area, median_size: natural logarithms.
    boundary: pixels of outline over pixels of the field.  darkness: grey levels below the ground, in deviations of the image.
    grey: uint8 [H, W].
    """
    field = max(measures.field_px, 1)
    areas = measures.area_px.astype(np.float64)
    scores = regions.scores.astype(np.float64)
    whole = float(areas.sum())
    some = len(areas) > 0
    of_classes = {f"area of {name}": float(np.sqrt(one.area_fraction)) for name, one in measures.by_class.items()}
    perimeters = np.sqrt(4 * np.pi * areas / np.maximum(measures.circularity, 0.01))
    return {
        "area": float(np.sqrt(measures.area_fraction)),
        "log_area": float(np.log(measures.area_fraction + LEAST_AREA)),
        "largest": float(np.sqrt(areas.max() / field)) if some else 0.0,
        "regions": float(np.sqrt(np.count_nonzero(measures.in_frame))),
        "median_size": float(np.log(np.median(areas) / field + 1e-6)) if some else -10.0,
        "score": float((scores * areas).sum() / whole) if some else 0.5,
        "unsure": float(np.sqrt(((1 - scores) * areas).sum() / field)),
        "doubtful": float((scores < DOUBTED_BELOW).mean()) if some else 0.0,
        "boundary": float(perimeters.sum() / field),
        "roundness": float((measures.circularity * areas).sum() / whole) if some else 0.8,
        "darkness": _darkness(regions, areas, grey),
        "sharpness": float(np.log(quality.sharpness + 1e-4)),
        "contrast": quality.contrast,
        **of_classes,
    }


def _darkness(regions: Regions, areas: NDArray[np.float64], grey: Grey) -> float:
    """How far regions of these areas lie below the rest, in deviations of the image; 0 where one of both is missing."""
    count = float(areas.sum())
    if not 0 < count < grey.size:  # masks of one image hardly overlap
        return 0.0
    inside = 0.0
    for (x, y, width, height), mask, area in zip(regions.boxes_px.tolist(), regions.masks, areas.tolist(), strict=True):
        inside += cv2.mean(grey[y : y + height, x : x + width], mask.view(np.uint8))[0] * area
    mean, deviation = (float(value[0, 0]) for value in cv2.meanStdDev(grey))
    outside = (mean * grey.size - inside) / (grey.size - count)
    return (outside - inside / count) / max(1.0, deviation)
