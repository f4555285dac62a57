"""A micrograph in, how far each pixel's grey is from the bare ground, and the ground's noise, out."""

from __future__ import annotations

from typing import Final, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.records import Grey

Relief = NDArray[np.float32]
QUIET: Final = 28
"""Percentile of blocks whose roughness is surely the ground's."""


def estimate_ground(grey: Grey) -> tuple[Relief, Relief]:
    """Grey above the ground (below it: negative), and the ground's standard deviation; both float32 [H, W], in grey values."""
    smooth = cast(Relief, cv2.GaussianBlur(grey.astype(np.float32), (0, 0), 1.0))
    relief = _without_grooves(smooth - _shading(smooth))
    return relief, _noise(relief)


def _shading(smooth: Relief) -> Relief:
    """Brightness of the bare ground: a wide median, then ever narrower means of what does not stand out from the last one.

    Narrow enough at the end to follow grains of different grey; inside large regions, where no ground is seen, the
    wider estimate stays.
    """
    height, width = smooth.shape
    scale = min(1.0, 192 / max(height, width))
    size = (max(8, round(width * scale)), max(8, round(height * scale)))
    small = cast(Relief, cv2.resize(smooth, size, interpolation=cv2.INTER_AREA))
    plane = _plane(small)
    window = min(odd(0.4 * min(size)), 255)
    level = np.clip(np.round(small - plane + 128), 0, 255).astype(np.uint8)
    wide = cv2.medianBlur(level, window).astype(np.float32) - 128
    ground = cast(Relief, plane + cv2.GaussianBlur(wide, (0, 0), 0.06 * max(size)))
    for part in (0.09, 0.05, 0.03):
        above = small - ground
        weight = (np.abs(above) < 2.5 * _spread(above)).astype(np.float32)
        # of what is left above the last estimate, so that a slope is not bent where the image ends
        near = cv2.GaussianBlur(weight * above, (0, 0), part * max(size))
        ground = cast(Relief, ground + near / (cv2.GaussianBlur(weight, (0, 0), part * max(size)) + 0.1))
    return cast(Relief, cv2.resize(ground, (width, height), interpolation=cv2.INTER_CUBIC))


def _plane(image: Relief) -> Relief:
    """The plane through the ground: least squares, then again without what lies far from it."""
    height, width = image.shape
    rows, columns = np.mgrid[:height, :width]
    system = np.column_stack([columns.ravel() / width, rows.ravel() / height, np.ones(image.size)])
    kept = np.ones(image.size, np.bool_)
    plane = np.zeros(image.size)
    for _ in range(3):
        slopes = np.linalg.lstsq(system[kept], image.ravel()[kept], rcond=None)[0]
        plane = system @ slopes
        away = np.abs(image.ravel() - plane)
        kept = away <= 3.0 * float(np.median(away)) + 0.5
    fitted: Relief = plane.reshape(image.shape).astype(np.float32)
    return fitted


def _without_grooves(relief: Relief) -> Relief:
    """The relief without grinding and brushing marks, where one direction prevails: each pixel less the mean along it."""
    across = cv2.Sobel(relief, cv2.CV_32F, 1, 0)
    down = cv2.Sobel(relief, cv2.CV_32F, 0, 1)
    steep = np.hypot(across, down)
    # Steep edges belong to regions and single scratches: they count no more than the ordinary ones.
    tame = np.minimum(1.0, (2.5 * _median(steep) + 1e-3) / np.maximum(steep, 1e-3))
    across, down = across * tame, down * tame
    real, imaginary = float((across * across - down * down).mean()), float((2 * across * down).mean())
    if np.hypot(real, imaginary) < 0.12 * float((across * across + down * down).mean()) + 1e-6:
        return relief
    kernel = _line(0.16 * max(relief.shape), 0.5 * np.arctan2(imaginary, real) + np.pi / 2)
    weight = (np.abs(relief) < 2.0 * _spread(relief)).astype(np.float32)
    share = cv2.filter2D(weight, -1, kernel, borderType=cv2.BORDER_REFLECT)
    mean = cv2.filter2D(weight * relief, -1, kernel, borderType=cv2.BORDER_REFLECT)
    grooves = np.where(share > 0.15, mean / np.maximum(share, 0.02), 0)
    left: Relief = relief - grooves.astype(np.float32)
    return left


def _line(length_px: float, angle: float) -> Relief:
    """A kernel that averages along `angle` (radians, x to the right, y down)."""
    half = max(2, round(length_px / 2))
    ends = half + np.outer((-half, half), (np.cos(angle), np.sin(angle)))
    drawn = np.zeros((2 * half + 1, 2 * half + 1), np.uint8)
    cv2.polylines(drawn, [np.round(ends * 16).astype(np.int32)], False, 255, 1, cv2.LINE_AA, 4)
    kernel: Relief = (drawn / drawn.sum()).astype(np.float32)
    return kernel


def _noise(relief: Relief) -> Relief:
    """Local standard deviation of the ground, regions left out; at least 0.6 grey values."""
    height, width = relief.shape
    size = (max(4, width // 8), max(4, height // 8))
    blocks = cv2.resize(np.minimum(np.abs(relief), 60.0), size, interpolation=cv2.INTER_AREA)
    # Where corrosion is dense most blocks lie in regions: the quiet quarter says what the ground can be.
    blocks = np.minimum(blocks, 1.5 * np.percentile(blocks, QUIET))
    window = min(odd(0.45 * min(size)), 61)
    local = cv2.medianBlur(np.clip(blocks * 4, 0, 255).astype(np.uint8), window).astype(np.float32) / 4
    local = cv2.resize(cv2.GaussianBlur(local, (0, 0), 4), (width, height))
    # 1.3: from mean absolute to standard deviation, of a normal distribution
    return cast(Relief, np.maximum(1.3 * local, 0.6).astype(np.float32))


def _spread(values: Relief) -> float:
    return 1.4826 * _median(np.abs(values)) + 0.4


def _median(values: Relief) -> float:
    """Of every third pixel of every third row: a thousandth off, and ten times faster."""
    return float(np.median(values[::3, ::3]))


def odd(size: float) -> int:
    """An odd number near `size`, as the sides of kernels must be."""
    return int(size) // 2 * 2 + 1
