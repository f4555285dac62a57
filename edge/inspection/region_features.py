"""Regions in, numbers that describe each of them out: what a taught verifier looks at."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.inspection.features import FeatureMap
from edge.records import Grey, Regions

MEASURED: Final = (
    "score",
    "area",
    "elongation",
    "extent",
    "solidity",
    "circularity",
    "inside",
    "around",
    "contrast",
    "spread_inside",
    "spread_around",
    "edge",
    "ground",
    "darkest",
    "brightest",
    "at_edge",
    "neighbours",
)
"""Names of the columns that need no network, in order; one column a class and one a channel of the features follow."""
RING: Final = 0.6
"""Width of what lies around a region, as a part of its diameter; at least 3 px."""
WIDEST_RING_PX: Final = 40
NEXT_PX: Final = 1.5
"""What is so near to a region is its rim."""
POOLED_PX: Final = 64
"""Pixels of a region, evenly chosen, at which the network's features are looked at."""


def region_features(grey: Grey, regions: Regions, features: FeatureMap) -> NDArray[np.float32]:
    """float32 [N, F] of the regions of a uint8 [H, W] image. `regions.scores` are the network's."""
    low, middle, high = np.percentile(grey[::2, ::2], [5, 50, 95])
    spread = max(float(high - low), 2.0)
    boxes = regions.boxes_px.astype(np.float64)
    centres = boxes[:, :2] + boxes[:, 2:] / 2
    kinds = len(regions.class_names)
    rows = np.zeros((len(regions), len(MEASURED) + kinds + features.channels), np.float32)
    for index, mask in enumerate(regions.masks):
        x, y, width, height = regions.boxes_px[index].tolist()
        area = int(np.count_nonzero(mask))
        diameter = float(np.sqrt(4 * area / np.pi))
        score = min(max(float(regions.scores[index]), 1e-4), 1 - 1e-4)
        outline = max(
            cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0], key=lambda one: len(one)
        )
        (_, sides, _) = cv2.minAreaRect(outline)
        hull = cv2.contourArea(cv2.convexHull(outline)) + len(outline) / 2 + 1
        perimeter = max(cv2.arcLength(outline, True) + np.pi, 1.0)
        at_edge = x <= 0 or y <= 0 or x + width >= grey.shape[1] or y + height >= grey.shape[0]
        near = np.abs(centres - centres[index]).max(axis=1) < 3 * diameter + 10
        rows[index, : len(MEASURED)] = (
            np.log(score / (1 - score)),
            np.log(area),
            np.log((max(sides) + 1) / (min(sides) + 1)),
            area / (width * height),
            min(area / hull, 1.0),
            min(4 * np.pi * area / perimeter**2, 1.0),
            *_greys(grey, (x, y, width, height), mask, diameter, float(middle), spread),
            at_edge,
            np.log(np.count_nonzero(near)),
        )
        rows[index, len(MEASURED) + int(regions.class_ids[index])] = 1.0
        if features.channels:
            v, u = np.nonzero(mask)
            chosen = np.linspace(0, len(u) - 1, min(len(u), POOLED_PX)).astype(np.intp)
            rows[index, len(MEASURED) + kinds :] = features.at(
                (u[chosen] + x).astype(np.float64), (v[chosen] + y).astype(np.float64)
            ).mean(axis=0)
    return rows


def _greys(
    grey: Grey, box: tuple[int, int, int, int], mask: NDArray[np.bool_], diameter: float, middle: float, spread: float
) -> tuple[float, ...]:
    """Inside, around, contrast, both spreads, step at the edge, ground, darkest, brightest; in the image's own greys."""
    x, y, width, height = box
    ring = min(max(3, round(RING * diameter)), WIDEST_RING_PX)
    left, top = max(x - ring, 0), max(y - ring, 0)
    right, bottom = min(x + width + ring, grey.shape[1]), min(y + height + ring, grey.shape[0])
    values = (grey[top:bottom, left:right].astype(np.float32) - middle) / spread
    inside = np.zeros(values.shape, np.uint8)
    inside[y - top : y - top + height, x - left : x - left + width] = mask
    away = cv2.distanceTransform(1 - inside, cv2.DIST_L2, 3)
    own, outer = values[inside > 0], values[(away > NEXT_PX) & (away <= ring)]
    outer = outer if len(outer) else own
    rim = values[(away > 0) & (away <= NEXT_PX)]
    step = float(rim.mean()) - float(own.mean()) if len(rim) else 0.0
    lowest, highest = np.percentile(own, [5, 95])
    means = float(own.mean()), float(outer.mean())
    ground = float(np.median(outer))
    return (*means, means[0] - means[1], float(own.std()), float(outer.std()), step, ground, float(lowest), float(highest))
