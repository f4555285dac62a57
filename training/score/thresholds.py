"""A grey image in, what simple thresholds call corroded out: what any network must beat to be worth its time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import cv2
import numpy as np

from edge.records import Grey, Mask, Regions
from training.draw.canvas import SMALLEST_REGION_PX2
from training.score.baselines import otsu_regions

LOCAL_WINDOW: Final = 0.1
"""Side of the window of the local mean, in parts of the image's longer side, but at least 15 px."""
LOCAL_STEP: Final = 12
"""Grey levels by which a pixel must differ from its local mean."""


def otsu(grey: Grey, *, dark: bool) -> Regions:
    """Everything on the dark (or bright) side of Otsu's threshold of the lightly blurred image. grey: uint8 [H, W]."""
    kind = cv2.THRESH_BINARY_INV if dark else cv2.THRESH_BINARY
    _, side = cv2.threshold(cv2.GaussianBlur(grey, (0, 0), 1), 0, 255, kind | cv2.THRESH_OTSU)
    return components(side > 0)


def local(grey: Grey) -> Regions:
    """What is darker or brighter than its surroundings by `LOCAL_STEP` grey levels. grey: uint8 [H, W]."""
    smooth = cv2.GaussianBlur(grey, (0, 0), 1).astype(np.float32)
    ground = cv2.blur(smooth, _window(grey.shape), borderType=cv2.BORDER_REFLECT_101)
    return components(np.abs(smooth - ground) > LOCAL_STEP)


def components(mask: Mask) -> Regions:
    """The connected parts of a mask that are no specks, largest first, with scores 1 and one class."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(np.ascontiguousarray(mask).view(np.uint8), connectivity=4)
    areas = stats[:, cv2.CC_STAT_AREA]
    kept = [int(n) for n in 1 + np.argsort(-areas[1:], kind="stable") if areas[n] >= SMALLEST_REGION_PX2]
    boxes = stats[kept, :4].astype(np.int32).reshape(-1, 4)
    masks = tuple(
        np.asarray(labels[y : y + height, x : x + width] == n, np.bool_)
        for n, (x, y, width, height) in zip(kept, boxes.tolist(), strict=True)
    )
    return Regions(boxes, np.ones(len(kept), np.float32), np.zeros(len(kept), np.int32), masks, ("corrosion",))


def _window(shape: tuple[int, ...]) -> tuple[int, int]:
    side = max(15, int(LOCAL_WINDOW * max(shape)) // 2 * 2 + 1)
    return side, side


THRESHOLDS: Final[Mapping[str, Callable[[Grey], Regions]]] = {
    "otsu_dark": lambda grey: otsu(grey, dark=True),
    "otsu_bright": lambda grey: otsu(grey, dark=False),
    "local_threshold": local,
    "otsu_of_distance": otsu_regions,
}
"""By name. otsu_of_distance: Otsu on the distance to a local median, so both polarities, as for drawn scenes."""


def known_side(grey: Grey, truth: Mask) -> str | None:
    """The name of Otsu's threshold whose side the labelled pixels are on; None where the labels say nothing.

    It is told by the labels themselves, so it stands for a person who looks at each image first.
    """
    if not truth.any() or truth.all():
        return None
    return "otsu_dark" if grey[truth].mean() < grey[~truth].mean() else "otsu_bright"
