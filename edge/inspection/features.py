"""What the segmenter gives out for one view of the whole image in, its values at places of the image out.

They are the prototypes, of which the masks are made: at a quarter of the network's resolution, computed in any case, the
same on every backend. The neck's own features at an eighth taught less well.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.backends.network import Arrays, require_numbers

FEATURE_STRIDE = 4


@dataclass(frozen=True, slots=True, eq=False)
class FeatureMap:
    """What the network sees around each place of a view of the whole image.

    values: float32 [C, h, w].  scale_x, scale_y: cells of the map per pixel of the image.
    """

    values: NDArray[np.float32]
    scale_x: float
    scale_y: float

    @property
    def channels(self) -> int:
        """How many numbers each place has."""
        return len(self.values)

    def at(self, x_px: NDArray[np.float64], y_px: NDArray[np.float64]) -> NDArray[np.float32]:
        """float32 [N, C] at pixels of the image, given by their indices, linearly between cells."""
        if not self.channels or not len(x_px):
            return np.zeros((len(x_px), self.channels), np.float32)
        _, rows, columns = self.values.shape
        u = np.clip((x_px + 0.5) * self.scale_x - 0.5, 0, columns - 1)
        v = np.clip((y_px + 0.5) * self.scale_y - 0.5, 0, rows - 1)
        left, top = np.floor(u).astype(np.intp), np.floor(v).astype(np.intp)
        right, below = np.minimum(left + 1, columns - 1), np.minimum(top + 1, rows - 1)
        across, down = (u - left).astype(np.float32), (v - top).astype(np.float32)
        upper = self.values[:, top, left] * (1 - across) + self.values[:, top, right] * across
        lower = self.values[:, below, left] * (1 - across) + self.values[:, below, right] * across
        return np.asarray((upper * (1 - down) + lower * down).T, np.float32)

    def spread(self, weights: NDArray[np.float64], image_shape: tuple[int, ...], shape: tuple[int, int]) -> NDArray[np.float32]:
        """float32 `shape`: the weighted sum of the channels over the whole image of `image_shape`, at another resolution."""
        rows, columns = shape
        if not self.channels:
            return np.zeros(shape, np.float32)
        plane = np.tensordot(weights.astype(np.float32), self.values, axes=1)
        across = self.scale_x * image_shape[1] / columns
        down = self.scale_y * image_shape[0] / rows
        to_map = np.array([[across, 0, 0.5 * across - 0.5], [0, down, 0.5 * down - 0.5]], np.float64)
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        warped = cv2.warpAffine(plane, to_map, (columns, rows), flags=flags, borderMode=cv2.BORDER_REPLICATE)
        return np.asarray(warped, np.float32)


def feature_map(outputs: Arrays, row: int, scale_x: float, scale_y: float) -> FeatureMap:
    """Of view `row` of a batch. scale_x, scale_y: network pixels per image pixel. Raises BackendError for NaN."""
    values = outputs["prototypes"][row].astype(np.float32, copy=True)
    require_numbers(values, "prototypes")
    return FeatureMap(values, scale_x / FEATURE_STRIDE, scale_y / FEATURE_STRIDE)
