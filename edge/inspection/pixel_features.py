"""A grey image, what the network found and its feature map in; numbers that describe each pixel out.

They are what a taught pixel classifier looks at. Greys are taken against the image's own, so that another brightness or
contrast changes little; widths are in pixels of a working copy whose longer side has at most `LONGEST_PX`.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.records import Grey, Regions

LONGEST_PX = 1024
SIGMAS = (1.0, 2.0, 4.0, 8.0, 16.0)
WIDE = 40.0
_LEAST_SPREAD = 2.0
"""Grey levels: the noise of an empty image is not blown up to be a picture."""
FILTERS = 5 * len(SIGMAS) + 1
"""Numbers of a pixel: of `filter_features`, then `network_answer`; those of the feature map follow."""
_FARTHEST_LOGIT = 6.0
_LARGEST_SHIFT = 2.0


def working_shape(image_shape: tuple[int, ...]) -> tuple[int, int]:
    """Rows and columns of the working copy."""
    height, width = image_shape
    scale = min(1.0, LONGEST_PX / max(height, width))
    return max(1, round(height * scale)), max(1, round(width * scale))


def filter_features(grey: Grey) -> NDArray[np.float32]:
    """float32 [F, h, w] of a uint8 [H, W] image: blurs, what stands out of them, gradients, Laplacians, spread."""
    rows, columns = working_shape(grey.shape)
    small = grey if grey.shape == (rows, columns) else cv2.resize(grey, (columns, rows), interpolation=cv2.INTER_AREA)
    low, middle, high = np.percentile(small[::2, ::2], [5, 50, 95])
    values = (small.astype(np.float32) - np.float32(middle)) / np.float32(max(high - low, _LEAST_SPREAD))
    wide = _blurred(values, WIDE)
    found = []
    for sigma in SIGMAS:
        smooth = _blurred(values, sigma)
        across, down = cv2.Sobel(smooth, cv2.CV_32F, 1, 0), cv2.Sobel(smooth, cv2.CV_32F, 0, 1)
        laplacian = cv2.Laplacian(smooth, cv2.CV_32F)
        spread = np.sqrt(np.maximum(_blurred(values * values, sigma) - smooth * smooth, 0))
        found += [smooth, smooth - wide, cv2.magnitude(across, down) * sigma, laplacian * sigma**2, spread]
    return np.stack(found)


def _blurred(values: NDArray[np.float32], sigma: float) -> NDArray[np.float32]:
    """A Gaussian blur; a wide one on a smaller copy, which nobody can tell from it."""
    step = int(max(1, sigma // 2))
    if step == 1:
        return np.asarray(cv2.GaussianBlur(values, (0, 0), sigma, borderType=cv2.BORDER_REFLECT_101), np.float32)
    rows, columns = values.shape
    small = cv2.resize(values, (max(1, columns // step), max(1, rows // step)), interpolation=cv2.INTER_AREA)
    smooth = cv2.GaussianBlur(small, (0, 0), sigma / step, borderType=cv2.BORDER_REFLECT_101)
    return np.asarray(cv2.resize(smooth, (columns, rows), interpolation=cv2.INTER_LINEAR), np.float32)


def network_answer(regions: Regions, image_shape: tuple[int, ...], shape: tuple[int, int]) -> NDArray[np.float32]:
    """float32 `shape`: the best score of the network's regions over each pixel, 0 where it found none."""
    found = np.zeros(image_shape, np.float32)
    for (x, y, width, height), mask, score in zip(
        regions.boxes_px.tolist(), regions.masks, regions.scores.tolist(), strict=True
    ):
        part = found[y : y + height, x : x + width]
        part[mask] = np.maximum(part[mask], np.float32(score))
    if found.shape == shape:
        return found
    return np.asarray(cv2.resize(found, (shape[1], shape[0]), interpolation=cv2.INTER_AREA), np.float32)


def own_threshold(logits: NDArray[np.float32]) -> float:
    """The logit between the two groups of pixels that an image falls into, by Otsu; at most `_LARGEST_SHIFT` from 0.

    Another microscope's brightness moves all pixels alike, so where they part says more than 0 does.
    """
    scale = 255 / (2 * _FARTHEST_LOGIT)
    levels = np.rint((np.clip(logits, -_FARTHEST_LOGIT, _FARTHEST_LOGIT) + _FARTHEST_LOGIT) * scale).astype(np.uint8)
    between, _ = cv2.threshold(levels, 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    return float(np.clip((between + 0.5) / scale - _FARTHEST_LOGIT, -_LARGEST_SHIFT, _LARGEST_SHIFT))
