"""A PNG, TIFF or NPY mask in, the pixels of its regions out: the values themselves, by what they mean."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.errors import ConfigError
from training.labels.image_labels import Finding, ImageLabels, LabelledRegion
from training.labels.pixels import by_value, parts_of

MaskRule = Literal["binary", "class", "instance"]
MOST_CLASSES: Final = 8  # more values than this are hardly classes
CONNECTED: Final = 0.9


def load_mask(path: Path) -> NDArray[np.int64]:
    """Values [H, W] of a PNG or TIFF mask, or [H, W] or [N, H, W] of an NPY mask. Raises ConfigError."""
    if path.suffix.lower() == ".npy":
        try:
            values: NDArray[Any] = np.load(path, allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise ConfigError(f"no NPY mask of numbers ({error})") from error
        if values.ndim not in (2, 3) or values.dtype.kind not in "bui":
            raise ConfigError(f"an NPY mask must be bool or integer [H, W] or [N, H, W], not {values.dtype} {values.shape}")
        if values.size and (values.min() < 0 or values.max() > np.iinfo(np.int32).max):
            raise ConfigError("a mask with negative or very large values")
        return values.astype(np.int64)
    read = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if read is None:
        raise ConfigError("no image that can be decoded")
    if read.ndim == 3:
        if (read[..., :3] != read[..., :1]).any():
            raise ConfigError("a coloured mask: save it with one channel whose values are class numbers or region numbers")
        read = read[..., 0]
    if read.dtype.kind != "u":
        raise ConfigError(f"a mask of {read.dtype}, where whole numbers are needed")
    return read.astype(np.int64)


def mask_rule(masks: Iterable[NDArray[np.int64]], class_count: int) -> MaskRule:
    """What the values of all masks of a data set mean, when nobody says so.

    class_count: of the classes that have names. Where there are several: class numbers from 1. Else, where there is one
    value besides 0 in all masks together: binary. Else, where there are many values and nearly every one is connected:
    instances. Raises ConfigError where this does not decide: few values may be either.
    """
    if class_count > 1:
        return "class"
    values: set[int] = set()
    regions = connected = planes = flat = 0
    for mask in masks:
        planes += mask.ndim == 3
        flat += mask.ndim == 2
        for value, _, _, part in by_value(mask) if mask.ndim == 2 else ():
            values.add(value)
            regions += 1
            connected += len(parts_of(part)) == 1
    if planes and not flat:
        return "instance"
    if len(values) <= 1:
        return "binary"
    if len(values) > MOST_CLASSES and connected >= CONNECTED * regions:
        return "instance"
    shown = ", ".join(map(str, sorted(values)[:8])) + (", …" if len(values) > 8 else "")
    raise ConfigError(
        f"the masks hold the values {shown}: say what they mean, class numbers by --classes NAME NAME … in the order of the "
        "values from 1, numbers of regions by --mask-rule instance, or nothing but corroded by --mask-rule binary"
    )


def read_mask(
    values: NDArray[np.int64], rule: MaskRule, name: str, width_px: int, height_px: int, shown_px: int
) -> ImageLabels:
    """Regions of a mask. Its rows are those of the stored image, or the `shown_px` that are left without the data bar.

    binary: each connected part of what is not 0.  class: each connected part of value v is a region of class v - 1.
    instance: each value is one region of class 0.  [N, H, W]: a region a plane.
    """
    rows, columns = values.shape[-2:]
    if columns != width_px or rows not in (height_px, shown_px):
        size = f"mask {columns}x{rows}, image {width_px}x{height_px}"
        return ImageLabels(findings=(Finding("a mask of another size than its image", f"{name} ({size})"),))
    drawn: list[LabelledRegion] = []
    if values.ndim == 3:
        drawn += [LabelledRegion(0, x, y, mask) for plane in values for _, x, y, mask in by_value(plane != 0)]
    elif rule == "instance":
        drawn += [LabelledRegion(0, x, y, mask) for _, x, y, mask in by_value(values)]
    else:
        for value, x, y, mask in by_value(values != 0 if rule == "binary" else values):
            drawn += [LabelledRegion(value - 1, *part) for part in parts_of(mask, x, y)]
    return ImageLabels(tuple(drawn))
