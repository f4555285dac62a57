"""Images with planted discs on even metal, and the truth."""

from __future__ import annotations

import cv2
import numpy as np

from edge.records import Grey
from training.labels.image_labels import LabelImage

SIZE = (320, 240)
GROUND = 120.0


def ground(seed: int = 1, noise: float = 4.0, size: tuple[int, int] = SIZE) -> np.ndarray:
    """Even metal with the detector's noise, as float."""
    return GROUND + noise * np.random.default_rng(seed).standard_normal((size[1], size[0]))


def disc(x: float, y: float, radius: float, size: tuple[int, int] = SIZE) -> np.ndarray:
    rows, columns = np.mgrid[: size[1], : size[0]]
    return np.hypot(columns - x, rows - y) <= radius


def photograph(image: np.ndarray) -> Grey:
    return np.clip(np.round(cv2.GaussianBlur(image, (0, 0), 0.7)), 0, 255).astype(np.uint8)


def pits(contrast: float = -70.0, radius: float = 10.0, noise: float = 4.0) -> tuple[Grey, LabelImage]:
    """Six discs on even ground, and the truth."""
    image, truth = ground(noise=noise), np.zeros((SIZE[1], SIZE[0]), np.int32)
    for number, (x, y) in enumerate(((50, 50), (150, 60), (260, 50), (60, 180), (160, 170), (250, 190)), start=1):
        where = disc(x, y, radius)
        image[where] += contrast
        truth[where] = number
    return photograph(image), truth


def overlap(one: np.ndarray, other: np.ndarray) -> float:
    return float((one & other).sum() / max((one | other).sum(), 1))
