"""A drawn scene and a real picture in, the drawn corrosion on the real ground out: real texture with a known truth.

What is kept of the drawing is how much darker or brighter each region is than the drawn ground around it.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.records import Grey, Mask
from training.draw.synthetic import Scene

HALO_PX = 7
"""So far around a region its rim and shadow go with it."""


def blended(scene: Scene, ground: Grey) -> Grey:
    """uint8 [H, W] of the scene's shape. ground: uint8, of any size, stretched over the scene."""
    height, width = scene.grey.shape
    marked = np.zeros((height, width), np.uint8)
    for (x, y, w, h), mask in zip(scene.regions.boxes_px.tolist(), scene.regions.masks, strict=True):
        marked[y : y + h, x : x + w] |= mask.astype(np.uint8)
    near = cv2.dilate(marked, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * HALO_PX + 1, 2 * HALO_PX + 1)))
    drawn = scene.grey.astype(np.float32)
    around = _mean_of(drawn, near == 0, 0.08 * max(height, width))
    share = cv2.GaussianBlur(near.astype(np.float32), (0, 0), 2.0)
    factor = 1 + share * (np.clip(drawn / np.maximum(around, 8.0), 0.05, 4.0) - 1)
    real = cv2.resize(ground, (width, height), interpolation=cv2.INTER_AREA).astype(np.float32)
    return np.clip(np.rint(real * factor), 0, 255).astype(np.uint8)


def without_marked(grey: Grey, mask: Mask) -> Grey:
    """The picture with what is marked filled in from its surroundings: a ground. uint8 [H, W], bool [H, W].

    What is filled in is smooth, so it gets noise as strong as the rest has; the same noise each time.
    """
    wide = cv2.dilate(mask.astype(np.uint8), np.ones((7, 7), np.uint8))
    filled = np.asarray(cv2.inpaint(grey, wide, 5, cv2.INPAINT_TELEA), np.float32)
    fine = grey.astype(np.float32) - cv2.medianBlur(grey, 3)
    rest = fine[wide == 0]
    deviation = float(rest.std()) if rest.size else 0.0
    noise = np.random.default_rng(0).standard_normal(grey.shape, dtype=np.float32) * deviation
    return np.clip(np.rint(filled + np.where(wide > 0, noise, np.float32(0))), 0, 255).astype(np.uint8)


def _mean_of(values: NDArray[np.float32], where: Mask, sigma_px: float) -> NDArray[np.float32]:
    """Smooth mean of the values at `where` alone."""
    weight = where.astype(np.float32)
    summed = cv2.GaussianBlur(values * weight, (0, 0), sigma_px)
    return np.asarray(summed / np.maximum(cv2.GaussianBlur(weight, (0, 0), sigma_px), 1e-3), np.float32)
