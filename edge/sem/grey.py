"""A page's stored values in, one plane of 8 bits out: the single rule that `edge.models.card.GREY_WINDOW_RULE` names.

"declared-8bit-or-percentile-0.1-99.9/1":

1. Colour becomes grey: one channel where all are equal, else the luma of ITU-R BT.601. Alpha is dropped.
2. uint8 stays as it is: window (0, 255), identity.
3. Anything deeper: the window reaches from the 0.1 % to the 99.9 % percentile of the finite values above the data bar
   (linear interpolation between neighbours in rank); where the two coincide, from the least to the greatest value.
4. grey = rint((value - low) * 255 / (high - low)), half to even, clipped to 0…255, calculated in float64.
   NaN, infinity and what stands for "no value" count as low. A constant image deeper than 8 bits becomes zero everywhere.

Training uses these functions too, so that a grey level means the same in both. All of it is done in strips: beside the
values that come in and the plane that goes out, a few megabytes are needed, whatever the size.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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
STRIP_VALUES: Final = 1 << 18
"""So many values are looked at at once."""
NO_VALUE_FROM: Final = 1e19
"""No detector counts so far: a value beyond it, far from all others, stands for "no value" (-3.4e38, 1e20, 9.97e36)."""


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
    plane: Values = np.empty(red.shape, values.dtype if values.dtype in (np.uint8, np.uint16) else np.float64)
    for rows in _strips(values):
        if values.dtype in (np.uint8, np.uint16):
            plane[rows] = cv2.cvtColor(np.ascontiguousarray(values[rows, :, :3]), cv2.COLOR_RGB2GRAY)
        else:
            plane[rows] = 0.299 * red[rows] + 0.587 * green[rows] + 0.114 * blue[rows]
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
    top = (1 << bits) - 1
    ends = sum(np.count_nonzero(plane[rows] == 0) + np.count_nonzero(plane[rows] >= top) for rows in _strips(plane))
    return float(ends / plane.size)


def _strips(values: Values) -> Iterator[slice]:
    """Slices of rows that hold about STRIP_VALUES values each."""
    step = max(1, STRIP_VALUES * len(values) // max(1, values.size))
    return (slice(first, first + step) for first in range(0, len(values), step))


def _window_table(plane: Values) -> Windowed:
    """uint16 by a table of all values: the percentiles by counting, the mapping by looking up."""
    counts = sum((np.bincount(plane[rows].ravel(), minlength=65536) for rows in _strips(plane)), np.zeros(65536, np.int64))
    ranks = counts.cumsum()
    low, high = (_percentile_of_counts(ranks, part) for part in PERCENTILES)
    if low == high:
        present = np.flatnonzero(counts)
        low, high = float(present[0]), float(present[-1])
    if low == high:
        return _constant(plane, low)
    table = _map(np.arange(65536, dtype=np.float64), low, high)
    grey = np.empty(plane.shape, np.uint8)
    for rows in _strips(plane):
        grey[rows] = table[plane[rows]]
    return Windowed(grey, (low, high))


def _percentile_of_counts(ranks: NDArray[Any], part: float) -> float:
    """numpy.percentile's linear interpolation, from cumulated counts."""
    position = part / 100 * (int(ranks[-1]) - 1)
    below = int(np.floor(position))
    lower, upper = np.searchsorted(ranks, [below, min(below + 1, int(ranks[-1]) - 1)], side="right")
    return float(lower + (upper - lower) * (position - below))


def _window_values(plane: Values) -> Windowed:
    found = _no_value(plane)
    good = sum(int(np.count_nonzero(found.good(plane[rows]))) for rows in _strips(plane))
    warnings = found.warnings(int(plane.size) - good)
    if not good:
        return _constant(plane, 0.0, warnings)
    low, high = _percentiles(plane, found, good)
    if low == high:
        low, high = found.least, found.greatest
    if low == high:
        return _constant(plane, low, warnings)
    grey = np.empty(plane.shape, np.uint8)
    for rows in _strips(plane):
        values = plane[rows]
        grey[rows] = _map(np.where(found.good(values), values, low).astype(np.float64), low, high)
    return Windowed(grey, (low, high), warnings)


@dataclass(frozen=True)
class _Real:
    """Which values of a plane are measured: the finite ones from `least` to `greatest`. absent: what stands for "no value"."""

    least: float = 0.0
    greatest: float = 0.0
    absent: tuple[float, ...] = ()

    def good(self, values: Values) -> NDArray[np.bool_]:
        """Which of the values are measured."""
        good = np.isfinite(values) if values.dtype.kind == "f" else np.ones(values.shape, np.bool_)
        for value in self.absent:
            good &= values != value
        return good

    def warnings(self, count: int) -> tuple[str, ...]:
        """The remark about `count` pixels without a value."""
        if not count:
            return ()
        also = "".join(f" or {value:.9g}, which stands for no value," for value in self.absent)
        return (f"not_finite: {count} pixels are NaN or infinite{also} and count as black",)


def _no_value(plane: Values) -> _Real:
    """The range of the measured values, without one value at each end that is too far from all others to be one."""
    real = _ends(plane, _Real())
    for absent in ((real.least, real.greatest), (real.least,), (real.greatest,)):
        if not all(end <= -1 or end >= NO_VALUE_FROM for end in absent):
            continue
        rest = _ends(plane, _Real(absent=absent))
        farthest = max(abs(rest.least), abs(rest.greatest))
        # Below zero where nothing else is: -9999, -32768.
        alone = absent[0] < 0 <= rest.least and -absent[0] > rest.greatest - rest.least and len(absent) == 1
        beyond = all(abs(end) >= NO_VALUE_FROM and farthest < abs(end) / 1e6 for end in absent)
        # A second pixel must have it: one may be a defect.
        if rest.least < rest.greatest and (alone or beyond) and all(_count(plane, end) > 1 for end in absent):
            return rest
    return real


def _ends(plane: Values, real: _Real) -> _Real:
    """`real` with the least and the greatest of its values."""
    ends = [(part.min(), part.max()) for rows in _strips(plane) if (part := plane[rows][real.good(plane[rows])]).size]
    if not ends:
        return real
    return _Real(float(min(low for low, _ in ends)), float(max(high for _, high in ends)), real.absent)


def _count(plane: Values, value: float) -> int:
    return sum(int(np.count_nonzero(plane[rows] == value)) for rows in _strips(plane))


def _percentiles(plane: Values, real: _Real, count: int) -> tuple[float, float]:
    """numpy.percentile's linear interpolation between the `count` good values, without a sorted copy of them."""
    positions = [part / 100 * (count - 1) for part in PERCENTILES]
    ranks = [rank for position in positions for rank in (int(position), min(int(position) + 1, count - 1))]
    values = _ranked(plane, real, ranks)
    # A quarter, where a float64 range is too wide for its own difference.
    part = 1.0 if np.isfinite(real.greatest - real.least) else 0.25
    low, high = (
        float(np.interp(position - int(position), (0.0, 1.0), (lower * part, upper * part))) / part
        for position, lower, upper in zip(positions, values[::2], values[1::2], strict=True)
    )
    return low, high


def _ranked(plane: Values, real: _Real, ranks: Sequence[int]) -> list[float]:
    """The good values at these ranks in ascending order: by histograms of 16 bits at a time until few are left to sort."""
    bits = 8 * _key_type(plane.dtype).itemsize
    known = [(0, rank) for rank in ranks]  # the upper bits so far, and the rank among the values that have them
    for shift in range(bits - 16, -1, -16):
        counts = {prefix: np.zeros(65536, np.int64) for prefix, _ in known}
        for keys in _keys(plane, real):
            for prefix, count in counts.items():
                digits = keys if shift + 16 == bits else keys[(keys >> (shift + 16)) == prefix]
                count += np.bincount((digits >> shift & 0xFFFF).astype(np.int64), minlength=65536)
        sums = {prefix: count.cumsum() for prefix, count in counts.items()}
        digits_of = [int(np.searchsorted(sums[prefix], rank, side="right")) for prefix, rank in known]
        left = sum(int(counts[prefix][digit]) for prefix, digit in {(p, d) for (p, _), d in zip(known, digits_of, strict=True)})
        known = [
            (prefix << 16 | digit, rank - (int(sums[prefix][digit - 1]) if digit else 0))
            for (prefix, rank), digit in zip(known, digits_of, strict=True)
        ]
        if left <= STRIP_VALUES:
            few = {prefix: [keys[(keys >> shift) == prefix] for keys in _keys(plane, real)] for prefix, _ in known}
            ordered = {prefix: np.sort(np.concatenate(parts)) for prefix, parts in few.items()}
            return [_value(int(ordered[prefix][rank]), plane.dtype) for prefix, rank in known]
    return [_value(key, plane.dtype) for key, _ in known]


def _keys(plane: Values, real: _Real) -> Iterator[NDArray[Any]]:
    """Of each strip, the good values as unsigned integers in the same order."""
    for rows in _strips(plane):
        values = plane[rows]
        yield _ordered(values[real.good(values)])


def _key_type(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The type in this machine's byte order, of 16 bits at least."""
    return np.dtype(np.int16) if dtype.itemsize == 1 else dtype.newbyteorder("=")


def _ordered(values: Values) -> NDArray[Any]:
    """Unsigned integers in the order of `values`, whatever their type."""
    kind = _key_type(values.dtype)
    values = np.ascontiguousarray(values, kind)
    keys = values.view(f"u{kind.itemsize}")
    top = np.array(1 << (8 * kind.itemsize - 1), keys.dtype)
    if kind.kind == "u":
        return keys
    if kind.kind == "i":
        return np.asarray(keys ^ top)
    return np.asarray(np.where(keys & top, ~keys, keys | top))


def _value(key: int, dtype: np.dtype[Any]) -> float:
    """The value that `_ordered` made `key` of."""
    kind = _key_type(dtype)
    top = 1 << (8 * kind.itemsize - 1)
    if kind.kind == "i":
        key ^= top
    elif kind.kind == "f":
        key = key ^ top if key & top else ~key & (2 * top - 1)
    return float(np.array([key], f"u{kind.itemsize}").view(kind)[0])


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
    return bool(np.array_equal(one[::step], other[::step])) and all(
        np.array_equal(one[rows], other[rows]) for rows in _strips(one)
    )


def _colour_warning(values: Values) -> tuple[str, ...]:
    sample = values[:: max(1, values.shape[0] // 512), :: max(1, values.shape[1] // 512), :3].astype(np.float64)
    spread = np.nan_to_num(sample.max(axis=2) - sample.min(axis=2))
    full = float(np.iinfo(values.dtype).max) if values.dtype.kind in "iu" else float(np.nanmax(np.abs(sample)) or 1.0)
    if np.count_nonzero(spread > COLOUR_STEP * full) <= COLOURED_SHARE * spread.size:
        return ()
    return ("coloured: the image has colours, only its luma is inspected",)
