"""A page's stored values in, one plane of 8 bits out: the single rule that `edge.models.card.GREY_WINDOW_RULE` names.

"declared-8bit-or-percentile-0.1-99.9/1":

1. Colour becomes grey: one channel where all are equal, else the luma of ITU-R BT.601. Alpha is dropped.
2. uint8 stays as it is: window (0, 255), identity.
3. Anything deeper: the window reaches from the 0.1 % to the 99.9 % percentile of the finite values above the data bar
   (linear interpolation between neighbours in rank); where the two coincide, from the least to the greatest value.
4. grey = rint((value - low) * 255 / (high - low)), half to even, clipped to 0…255, calculated in float64.
   NaN and infinity count as low. A constant image deeper than 8 bits becomes zero everywhere.

Training uses these functions too, so that a grey level means the same in both.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.records import Grey

Values = NDArray[Any]
PERCENTILES: Final = (0.1, 99.9)
COLOUR_STEP: Final = 8 / 255  # of the range: smaller differences between channels are compression, not colour
COLOURED_SHARE: Final = 0.001
CONSTANT: Final = "constant: every pixel has the value {:g}"


@dataclass(frozen=True, eq=False)
class Windowed:
    """grey: uint8 [H, W], contiguous.  window: the values that became 0 and 255.  warnings: as in `Micrograph`."""

    grey: Grey
    window: tuple[float, float]
    warnings: tuple[str, ...] = ()


def to_plane(values: Values) -> tuple[Values, tuple[str, ...]]:
    """One channel [H, W] of [H, W] or [H, W, C] (grey, grey + alpha, RGB, RGB + alpha), dtype kept, and warnings."""
    if values.ndim == 2:
        return values, ()
    channels = values.shape[2]
    if channels < 3:
        return np.ascontiguousarray(values[..., 0]), ()
    red, green, blue = (values[..., index] for index in range(3))
    if _equal(red, green) and _equal(green, blue):
        return np.ascontiguousarray(red), ()
    if values.dtype in (np.uint8, np.uint16):
        plane: Values = cv2.cvtColor(np.ascontiguousarray(values[..., :3]), cv2.COLOR_RGB2GRAY)
    else:
        plane = (0.299 * red + 0.587 * green + 0.114 * blue).astype(np.float64)
    return plane, _colour_warning(values)


def window(plane: Values) -> Windowed:
    """Rule 2 to 4 for one plane [H, W] without its data bar: uint8, uint16, int or float of any size."""
    if plane.dtype == np.uint8:
        low, high, _, _ = cv2.minMaxLoc(plane)
        warnings = (CONSTANT.format(low),) if low == high else ()
        return Windowed(np.ascontiguousarray(plane), (0.0, 255.0), warnings)
    if plane.dtype == np.uint16:
        return _window_table(plane)
    return _window_values(plane)


def saturated_fraction(plane: Values, bits: int) -> float:
    """Part of the pixels at either end of what `bits` bits can store; 0 for signed and float values: they have no ends."""
    if plane.dtype.kind != "u":
        return 0.0
    ends = np.count_nonzero(plane == 0) + np.count_nonzero(plane >= (1 << bits) - 1)
    return float(ends / plane.size)


def _window_table(plane: Values) -> Windowed:
    """uint16 by a table of all values: the percentiles by counting, the mapping by looking up."""
    counts = np.bincount(plane.ravel(), minlength=65536)
    ranks = counts.cumsum()
    low, high = (_percentile_of_counts(ranks, part) for part in PERCENTILES)
    if low == high:
        present = np.flatnonzero(counts)
        low, high = float(present[0]), float(present[-1])
    if low == high:
        return _constant(plane, low)
    table = _map(np.arange(65536, dtype=np.float64), low, high)
    return Windowed(table[plane], (low, high))


def _percentile_of_counts(ranks: NDArray[Any], part: float) -> float:
    """numpy.percentile's linear interpolation, from cumulated counts."""
    position = part / 100 * (int(ranks[-1]) - 1)
    below = int(np.floor(position))
    lower, upper = np.searchsorted(ranks, [below, min(below + 1, int(ranks[-1]) - 1)], side="right")
    return float(lower + (upper - lower) * (position - below))


def _window_values(plane: Values) -> Windowed:
    finite = np.isfinite(plane) if plane.dtype.kind == "f" else np.ones(plane.shape, np.bool_)
    good = plane[finite].astype(np.float64)
    bad = int(plane.size - good.size)
    warnings = (f"not_finite: {bad} pixels are NaN or infinite and count as black",) if bad else ()
    if good.size == 0:
        return _constant(plane, 0.0, warnings)
    least, greatest = float(good.min()), float(good.max())
    # A quarter, where a float64 range is too wide for its own difference.
    part = 1.0 if np.isfinite(greatest - least) else 0.25
    low, high = (float(value) / part for value in np.percentile(good * part, PERCENTILES))
    if low == high:
        low, high = least, greatest
    if low == high:
        return _constant(plane, low, warnings)
    values = np.where(finite, plane, low).astype(np.float64) if bad else plane.astype(np.float64)
    return Windowed(_map(values, low, high), (low, high), warnings)


def _map(values: NDArray[np.float64], low: float, high: float) -> Grey:
    if not np.isfinite((high - low) * 255):
        values, low, high = values / 1024, low / 1024, high / 1024
    with np.errstate(over="ignore"):
        return np.clip(np.rint((values - low) * 255 / (high - low)), 0, 255).astype(np.uint8)


def _constant(plane: Values, value: float, warnings: tuple[str, ...] = ()) -> Windowed:
    return Windowed(np.zeros(plane.shape, np.uint8), (value, value), (*warnings, CONSTANT.format(value)))


def _equal(one: Values, other: Values) -> bool:
    # Few rows first: coloured images are known as such at once.
    step = max(1, one.shape[0] // 16)
    return bool(np.array_equal(one[::step], other[::step]) and np.array_equal(one, other))


def _colour_warning(values: Values) -> tuple[str, ...]:
    sample = values[:: max(1, values.shape[0] // 512), :: max(1, values.shape[1] // 512), :3].astype(np.float64)
    spread = np.nan_to_num(sample.max(axis=2) - sample.min(axis=2))
    full = float(np.iinfo(values.dtype).max) if values.dtype.kind in "iu" else float(np.nanmax(np.abs(sample)) or 1.0)
    if np.count_nonzero(spread > COLOUR_STEP * full) <= COLOURED_SHARE * spread.size:
        return ()
    return ("coloured: the image has colours, only its luma is inspected",)
