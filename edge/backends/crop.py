"""A grey image and rectangles of it in, what a network says about them out: cut, resized and padded in one place.

A stage names a crop, not how the pixels get there. On a CPU the canvases are drawn here, with OpenCV; a network
on a GPU that is a `CroppingNetwork` takes the image across the bus once and draws them itself (`kernels.cu`), alike to 1
grey level.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final, Protocol, cast, runtime_checkable

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.backends.network import Arrays, Beside, Later, Network, Pending, cores
from edge.records import Grey

PADDING_GREY = 114
_NETWORKS: Final = ThreadPoolExecutor(1, thread_name_prefix="networks")


@dataclass(frozen=True, slots=True)
class Crop:
    """A rectangle of the image, and the size at which the network sees it.

    x_px, y_px, width_px, height_px: pixels of the image. Beyond its borders the nearest pixel is repeated.
    columns, rows: size on the canvas, at its top left; the rest of the canvas is `PADDING_GREY`.
    A rectangle that shrinks along either side is averaged (OpenCV's INTER_AREA), another one interpolated (INTER_LINEAR).
    """

    x_px: int
    y_px: int
    width_px: int
    height_px: int
    columns: int
    rows: int


@runtime_checkable
class CroppingNetwork(Protocol):
    """A network that draws its own canvases."""

    def run_on_crops(self, grey: Grey, crops: Sequence[Crop], rows: int, columns: int) -> Arrays:
        """What `run(canvases(grey, crops, rows, columns))` gives. Raises BackendError.

        The image is sent to the device once, as long as the same array is shown and nobody can write to it
        (`grey.flags.writeable` is False); an array that can change is sent at each call.
        """
        ...


@runtime_checkable
class SubmittingNetwork(Protocol):
    """A network that runs beside the host: what is launched is collected later, and the host works in between."""

    def submit_on_crops(self, grey: Grey, crops: Sequence[Crop], rows: int, columns: int) -> Pending:
        """Launch what `run_on_crops` waits for; the image may change as soon as this returns. Raises BackendError."""
        ...


def submit_on_crops(network: Network, grey: Grey, crops: Sequence[Crop], rows: int, columns: int) -> Pending:
    """Launch what `run_on_crops` waits for, where the network can; else it runs when it is collected. Raises BackendError."""
    if isinstance(network, SubmittingNetwork):
        return network.submit_on_crops(grey, crops, rows, columns)
    if isinstance(network, CroppingNetwork):
        return Later(lambda: network.run_on_crops(grey, crops, rows, columns))
    return submit(network, canvases(grey, crops, rows, columns))


def submit(network: Network, images: NDArray[np.uint8]) -> Pending:
    """Launch what `run` waits for, on uint8 [N, 1, H, W]. Raises BackendError.

    A network of the processor that any thread may run does so in a thread that all of them share, one run after the other:
    the host's own work on one image seldom fills two cores.
    """
    if getattr(network, "any_thread", False) and cores() > 1:
        return Beside(_NETWORKS.submit(network.run, images))
    return Later(lambda: network.run(images))


def run_on_crops(network: Network, grey: Grey, crops: Sequence[Crop], rows: int, columns: int) -> Arrays:
    """Outputs by name for N crops of a uint8 [H, W] image on canvases of [rows, columns]. Raises BackendError."""
    if isinstance(network, CroppingNetwork):
        return network.run_on_crops(grey, crops, rows, columns)
    return network.run(canvases(grey, crops, rows, columns))


def canvases(grey: Grey, crops: Sequence[Crop], rows: int, columns: int) -> NDArray[np.uint8]:
    """What the network sees: uint8 [N, 1, rows, columns]."""
    drawn = np.full((len(crops), 1, rows, columns), PADDING_GREY, np.uint8)
    for place, crop in zip(drawn[:, 0], crops, strict=True):
        place[: crop.rows, : crop.columns] = _resized(_cut(grey, crop), crop)
    return drawn


def canvas(grey: Grey, crop: Crop, rows: int, columns: int) -> Grey:
    """What the network sees of one crop: uint8 [rows, columns]."""
    drawn: Grey = canvases(grey, [crop], rows, columns)[0, 0]
    return drawn


def _cut(grey: Grey, crop: Crop) -> Grey:
    height, width = grey.shape
    right, bottom = crop.x_px + crop.width_px, crop.y_px + crop.height_px
    inside = grey[max(crop.y_px, 0) : bottom, max(crop.x_px, 0) : right]
    missing = (max(-crop.y_px, 0), max(bottom - height, 0), max(-crop.x_px, 0), max(right - width, 0))
    return cast(Grey, cv2.copyMakeBorder(inside, *missing, cv2.BORDER_REPLICATE)) if any(missing) else inside


def _resized(part: Grey, crop: Crop) -> Grey:
    height, width = part.shape
    if (height, width) == (crop.rows, crop.columns):
        return part
    shrinks = height > crop.rows or width > crop.columns
    way = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return cast(Grey, cv2.resize(part, (crop.columns, crop.rows), interpolation=way))
