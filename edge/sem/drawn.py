"""Grey pixels of a micrograph in, where letters, rulers, frames or arrows are drawn over the specimen out.

What is drawn has one grey level, is sharp within two pixels, and is as thick everywhere as a pen; and letters stand in rows,
ticks in equal steps, rulers and frames along the rows and columns. A specimen has each of these alone, seldom together.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.records import Grey, Mask

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

MOST_LEVELS: Final = 3
LEVELS_APART: Final = 12  # grey levels between letters of one line, after JPEG
LINE_NOISE: Final = 8  # grey levels within a ruler, after JPEG
BOX_NOISE: Final = 14  # grey levels within a box, after JPEG
FEW, MANY = 40, 60  # marks of one ink
SPIKE: Final = 4.0
STEP: Final = 32  # grey levels between ink and what lies two pixels beside it
HAT: Final = 44  # grey levels above or below what surrounds a stroke
STEEP: Final = 40  # grey levels within three pixels, on the edge of a stroke
MOST_MARKS: Final = 700
MOST_PIXELS: Final = 4_000_000
COLOUR_SPREAD, MOST_COLOURED = 0.25, 0.2  # of the range; of the image
MARGIN_PX: Final = 3
"""Around what is drawn: smoothing, JPEG, and what a network makes of an edge."""


@dataclass(frozen=True)
class _Ink:
    """Pixels that may be drawn: uint8 [H, W], 1 where. exact: of one level to the digit."""

    mask: Grey
    exact: bool
    pen: bool


@dataclass(frozen=True)
class _Mark:
    """One connected piece of ink: its box, area and mean thickness in pixels; level: of its grey; sharp: share of its edge."""

    left: int
    top: int
    right: int
    bottom: int
    area: int
    thick: float
    thickest: float
    level: float
    spread: float
    noise: float
    sharp: float
    pixels: Grey

    @property
    def height(self) -> int:
        return self.bottom - self.top

    @property
    def width(self) -> int:
        return self.right - self.left


def find(grey: Grey, values: NDArray[Any] | None = None) -> Mask | None:
    """Where something is drawn on `grey` [H, W], with a margin, as bool [H, W]; None when nothing is.

    values: what is stored, [H, W] or [H, W, C] with C colours: a few coloured pixels on a grey image are drawn as well.
    Of images above MOST_PIXELS every second pixel is looked at, or fewer.
    """
    step = int(np.ceil(np.sqrt(grey.size / MOST_PIXELS)))
    small = np.ascontiguousarray(grey[::step, ::step])
    found: NDArray[np.uint8] = _find(small)
    if values is not None and values.ndim == 3 and values.shape[2] >= 3:
        found |= _coloured(values[: grey.shape[0] : step, ::step, :3])
    if not found.any():
        return None
    found = np.asarray(cv2.dilate(found, np.ones((2 * MARGIN_PX + 1,) * 2, np.uint8)), np.uint8)
    if step > 1:
        found = np.repeat(np.repeat(found, step, axis=0), step, axis=1)[: grey.shape[0], : grey.shape[1]]
    return np.ascontiguousarray(found).astype(np.bool_)


def _coloured(values: NDArray[Any]) -> Grey:
    """1 where a pixel is far from grey, if few are: a picture in false colours is no drawing."""
    full = float(np.iinfo(values.dtype).max) if values.dtype.kind in "iu" else float(np.nanmax(np.abs(values)) or 1.0)
    spread = values.max(axis=2).astype(np.float64) - values.min(axis=2)
    coloured = np.asarray(np.nan_to_num(spread) > COLOUR_SPREAD * full, np.uint8)
    return coloured if coloured.mean() <= MOST_COLOURED else np.zeros_like(coloured)


def _find(grey: Grey) -> Grey:
    found = np.zeros(grey.shape, np.uint8)
    box = np.ones((3, 3), np.uint8)
    steep = ((cv2.morphologyEx(grey, cv2.MORPH_GRADIENT, box) >= STEEP).astype(np.uint8),)
    for ink in _inks(grey):
        marks = _marks(grey, ink, steep)
        _text(found, grey, marks, ink)
        _ticks(found, marks)
        if ink.pen:
            _pens(found, grey, marks, ink)
            _lines(found, grey, ink)
    return found


def _inks(grey: Grey) -> Iterator[_Ink]:
    def within(low: int, high: int) -> Grey:
        return cv2.inRange(grey, low, high) // 255  # type: ignore[call-overload,no-any-return]

    equal = grey[:, :-1] == grey[:, 1:]
    counts = np.bincount(grey[:, :-1][equal], minlength=256).astype(np.float64)
    for level, far in ((255, 230), (0, 25)):
        if counts[level]:
            yield _Ink(within(level, level), exact=True, pen=True)
        yield _Ink(within(min(level, far), max(level, far)), exact=False, pen=True)
    around = np.convolve(np.pad(counts, 4, "reflect"), np.ones(9), "valid") - counts
    spikes = np.flatnonzero((counts > SPIKE * around / 8 + 60) & (np.arange(256) > 4) & (np.arange(256) < 251))
    for spike in spikes[np.argsort(-counts[spikes])][:MOST_LEVELS].tolist():
        yield _Ink(within(spike, spike), exact=True, pen=True)
    for side in (11, 29):
        box = np.ones((side, side), np.uint8)
        for kind in (cv2.MORPH_TOPHAT, cv2.MORPH_BLACKHAT):
            yield _Ink((cv2.morphologyEx(grey, kind, box) > HAT).astype(np.uint8), exact=False, pen=False)


def _marks(grey: Grey, ink: _Ink, steep: tuple[Grey]) -> list[_Mark]:
    count, drawn, table, _ = cv2.connectedComponentsWithStats(ink.mask, connectivity=8)
    labels, stats = np.asarray(drawn, np.int32), np.asarray(table, np.int32)
    width, height, area = stats[:, 2], stats[:, 3], stats[:, 4]
    possible = (np.maximum(width, height) >= 5) & (area >= 6) & (area <= 0.6 * width * height + 400) & (area < 0.1 * grey.size)
    possible[0] = False
    if not possible.any():
        return []
    rim = labels[(ink.mask != 0) & (steep[0] != 0)]
    on_edge = np.bincount(rim, minlength=count)
    # A letter has an edge along its whole outline, which is longer than its box's sides.
    chosen = np.flatnonzero(possible & (on_edge >= np.maximum(width, height)))
    if not ink.pen:
        chosen = chosen[_in_rows(stats[chosen])]
    if len(chosen) > MOST_MARKS:
        return []
    return [
        mark for label in chosen.tolist() if (mark := _mark(grey, ink.mask, labels, label, stats[label].tolist())) is not None
    ]


def _in_rows(stats: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Which boxes have two others beside them, as letters of a word have; a look at the boxes alone, which costs little."""
    left, top, width, height = (stats[:, column].astype(np.int64) for column in range(4))
    good = (height >= 5) & (height <= 150) & (width <= 2.5 * height)
    if np.count_nonzero(good) > 3 * MOST_MARKS:
        return np.zeros(len(stats), np.bool_)
    index = np.flatnonzero(good)
    bottom, right, low = (top + height)[index], (left + width)[index], height[index]
    x, y = left[index], top[index]
    taller = np.maximum(low[:, None], low)
    close = np.maximum(x[:, None], x) - np.minimum(right[:, None], right) <= 3 * taller
    close &= np.minimum(bottom[:, None], bottom) - np.maximum(y[:, None], y) >= 0.6 * np.minimum(low[:, None], low)
    close &= taller <= 2.2 * np.minimum(low[:, None], low)
    beside = np.count_nonzero(close, axis=1) - 1
    on_line = np.count_nonzero(close & (np.abs(bottom[:, None] - bottom) <= np.maximum(1, 0.06 * taller)), axis=1) - 1
    good[index] = (beside >= 2) & (on_line >= 1)
    return good


def _mark(grey: Grey, ink: Grey, labels: NDArray[np.int32], label: int, stats: list[int]) -> _Mark | None:
    """One piece, if most of what lies two pixels beside it differs."""
    x, y, width, height, area = stats
    x0, y0 = max(0, x - 3), max(0, y - 3)
    x1, y1 = min(grey.shape[1], x + width + 3), min(grey.shape[0], y + height + 3)
    values = grey[y0:y1, x0:x1]
    pixels = (labels[y0:y1, x0:x1] == label).astype(np.uint8)
    padded = cv2.copyMakeBorder(pixels, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    inside = cv2.distanceTransform(padded, cv2.DIST_L1, 3)[1:-1, 1:-1]
    own = inside[pixels > 0]
    core = values[inside >= min(2.0, float(own.max()))].astype(np.float64)
    ring = cv2.dilate(pixels, np.ones((5, 5), np.uint8)) - cv2.dilate(pixels, np.ones((3, 3), np.uint8))
    # The next letter may be so close.
    beside = values[(ring > 0) & (ink[y0:y1, x0:x1] == 0)].astype(np.float64)
    # A thin stroke is nowhere as bright as its ink, but for some pixels.
    bright = len(beside) > 0 and np.median(core) > np.median(beside)
    thin = own.max() < 2
    most = 95 if thin else 80
    level = float(np.percentile(core, most if bright else 100 - most))
    noise = 0.0 if thin else float(core.std())
    spread = 0.0 if thin else abs(level - float(np.median(core)))
    sharp = float(np.mean(np.abs(beside - level) >= STEP)) if len(beside) else 0.0
    if sharp < 0.6:
        return None
    return _Mark(
        x,
        y,
        x + width,
        y + height,
        area,
        float(4 * own.mean() - 2),
        float(2 * own.max() - 1),
        level,
        spread,
        noise,
        sharp,
        pixels,
    )


def _text(found: NDArray[np.uint8], grey: Grey, marks: list[_Mark], ink: _Ink) -> None:
    letters = [
        mark
        for mark in marks
        if 5 <= mark.height <= 150
        and mark.width <= 2.5 * mark.height
        and mark.sharp >= 0.85
        and mark.spread <= 12
        and mark.thick <= max(3.0, 0.35 * mark.height)
    ]
    if not 2 <= len(letters) <= 1500:
        return
    letters.sort(key=lambda mark: mark.left)
    left, right, top, bottom = (
        np.array([getattr(mark, name) for mark in letters]) for name in ("left", "right", "top", "bottom")
    )
    level, thick = (np.array([getattr(mark, name) for mark in letters]) for name in ("level", "thick"))
    height, solid = bottom - top, np.array([mark.thickest >= 3 for mark in letters])
    words: set[tuple[int, int, int, int]] = set()
    for index in range(len(letters)):
        high = height[index]
        overlap = np.minimum(bottom, bottom[index]) - np.maximum(top, top[index])
        line = np.flatnonzero(
            (overlap >= 0.6 * np.minimum(height, high))
            & (height >= 0.45 * high) & (height <= 2.2 * high)
            & (np.abs(thick - thick[index]) <= max(1.2, 0.6 * thick[index]))
            & (np.abs(level - level[index]) <= np.where(solid & solid[index], 1, 2) * LEVELS_APART)
        )  # fmt: skip
        if len(line) < 2:
            continue
        cuts = np.flatnonzero(left[line][1:] - np.maximum.accumulate(right[line])[:-1] > 1.5 * high)
        for run in np.split(line, cuts + 1):
            feet = bottom[run] - bottom[index]
            if index not in run or not _is_word(feet, height[run], solid[run], int(high), ink, len(letters)):
                continue
            near = int(0.35 * high)
            x0, y0 = max(0, int(left[run].min()) - near), max(0, int(top[run].min()) - near)
            x1, y1 = min(grey.shape[1], int(right[run].max()) + near), min(grey.shape[0], int(bottom[run].max()) + near)
            if (x0, y0, x1, y1) not in words:
                words.add((x0, y0, x1, y1))
                found[y0:y1, x0:x1] = 1
                _box_around(found, grey, x0, y0, x1, y1)


def _box_around(found: NDArray[np.uint8], grey: Grey, left: int, top: int, right: int, bottom: int) -> None:
    """The plain box that a word stands in, if it does: a rectangle of one grey level around it."""
    rim = np.concatenate([grey[top, left:right], grey[bottom - 1, left:right], grey[top:bottom, left]]).astype(np.float64)
    level = float(np.median(rim))
    if np.mean(np.abs(rim - level) <= BOX_NOISE) < 0.7:
        return
    plain = cv2.inRange(grey, max(0.0, level - BOX_NOISE), min(255.0, level + BOX_NOISE))  # type: ignore[call-overload]
    plain[top:bottom, left:right] = 255
    # Pixels of the specimen that happen to have this level hang on by less than this.
    plain = cv2.morphologyEx(plain, cv2.MORPH_OPEN, np.ones((5, 5), np.uint8))
    _, labels, stats, _ = cv2.connectedComponentsWithStats(plain, connectivity=4)
    x, y, width, height, area = stats[labels[(top + bottom) // 2, (left + right) // 2]].tolist()
    if 0.85 * width * height <= area <= 0.3 * grey.size:
        found[y : y + height, x : x + width] = 1


def _is_word(feet: Ints, heights: Ints, solid: NDArray[np.bool_], high: int, ink: _Ink, among: int) -> bool:
    """Whether marks side by side stand on one line as letters do: the more marks there are, the more of them.

    Two are enough where there are few, of one level to the digit. Pieces of a bright specimen are many.
    """
    apart = max(1.0, 0.04 * high)
    on_line = int((np.abs(feet) <= apart).sum())
    as_high = int((np.abs(heights - high) <= apart).sum())
    if ink.exact and among <= FEW and high >= 9 and len(feet) >= 2 and on_line == as_high == len(feet):
        return True
    if ink.exact and among <= MANY:
        return len(feet) >= 3 and on_line >= max(2, 0.5 * len(feet))
    if not ink.pen and among <= MANY:
        enough = 3 if np.count_nonzero(solid) >= 2 else 5
        return on_line >= max(enough, 0.6 * len(feet)) and as_high >= 2 and heights.max() <= 2 * heights.min()
    return on_line >= max(5, 0.7 * len(feet)) and as_high >= 3


def _ticks(found: NDArray[np.uint8], marks: list[_Mark]) -> None:
    """Marks of one form in a row in equal steps."""
    bars = [mark for mark in marks if mark.height >= 5 and mark.width <= 6 and mark.area >= 0.85 * mark.width * mark.height]
    for first in bars:
        row = sorted(
            (mark for mark in bars if abs(mark.top - first.top) <= 1 and abs(mark.height - first.height) <= 1
             and abs(mark.level - first.level) <= 12),
            key=lambda mark: mark.left,
        )  # fmt: skip
        lefts = np.array([mark.left for mark in row])
        steps = np.diff(lefts)
        if len(row) < 4 or not len(steps):
            continue
        step = float(np.median(steps))
        regular = np.abs(steps / step - np.rint(steps / step)) * step <= 1.5
        if step >= 4 and np.rint(steps / step).max() <= 3 and regular.all():
            found[first.top : first.bottom, lefts[0] : row[-1].right] = 1


def _pens(found: NDArray[np.uint8], grey: Grey, marks: list[_Mark], ink: _Ink) -> None:
    """Arrows and ellipses: long for their thickness, which is the same everywhere."""
    for mark in marks:
        if (
            mark.sharp >= 0.6 and mark.noise <= (0.5 if ink.exact else 8)
            and 1.5 <= mark.thick <= 12 and mark.thickest <= 2.2 * mark.thick + 2
            and mark.area >= mark.thick * max(9 * mark.thick, 36 if ink.exact else 60)
        ):  # fmt: skip
            y, x = np.nonzero(mark.pixels)
            points = np.column_stack([x, y]).astype(np.float32)
            x0, y0 = max(0, mark.left - 3), max(0, mark.top - 3)
            part = grey[y0 : y0 + mark.pixels.shape[0], x0 : x0 + mark.pixels.shape[1]]
            if _is_arrow(points, mark.thick) or _is_ellipse(points, mark, part):
                found[y0 : y0 + mark.pixels.shape[0], x0 : x0 + mark.pixels.shape[1]] |= mark.pixels


def _is_arrow(points: NDArray[np.float32], thick: float) -> bool:
    """A straight shaft, and beside it at one end about as much to either side. A scratch has no head."""
    vx, vy, x0, y0 = (float(value) for value in cv2.fitLine(points, cv2.DIST_HUBER, 0, 0.01, 0.01).ravel())
    beside = (points[:, 0] - x0) * vy - (points[:, 1] - y0) * vx
    along = (points[:, 0] - x0) * vx + (points[:, 1] - y0) * vy
    along = (along - along.min()) / max(float(np.ptp(along)), 1.0)
    head = np.abs(beside) > thick / 2 + 1
    if not 0.08 <= head.mean() <= 0.45:
        return False
    at, side = along[head], beside[head] > 0
    return bool(min(np.mean(at < 0.6), np.mean(at > 0.4)) <= 0.03 and 0.3 <= side.mean() <= 0.7)


def _is_ellipse(points: NDArray[np.float32], mark: _Mark, part: Grey) -> bool:
    """A closed outline with the same specimen on both sides; the rim of a pit or a particle divides two."""
    (cx, cy), (first, second), turn = cv2.fitEllipse(points)
    if min(first, second) < 20 or max(first, second) > 2 * max(mark.width, mark.height):
        return False
    angle = np.radians(turn)

    def outwards(x: Any, y: Any) -> tuple[Any, Any]:
        along = ((x - cx) * np.cos(angle) + (y - cy) * np.sin(angle)) / (first / 2)
        across = (-(x - cx) * np.sin(angle) + (y - cy) * np.cos(angle)) / (second / 2)
        return (np.hypot(along, across) - 1) * min(first, second) / 2, np.arctan2(across, along)

    apart, around = outwards(points[:, 0], points[:, 1])
    sectors = np.unique(np.floor((around + np.pi) / (2 * np.pi) * 36))
    if np.mean(np.abs(apart) <= mark.thick / 2 + 1) < 0.92 or len(sectors) < 35:
        return False
    y, x = np.indices(part.shape)
    away = outwards(x, y)[0]
    near, far = mark.thick / 2 + 2, mark.thick / 2 + 7
    inside, outside = part[(away < -near) & (away > -far)], part[(away > near) & (away < far)]
    return len(inside) > 0 and len(outside) > 0 and abs(float(np.median(inside)) - float(np.median(outside))) <= 24


def _lines(found: NDArray[np.uint8], grey: Grey, ink: _Ink) -> None:
    """Bars along the rows or columns with straight sides: rulers, and the sides of frames.

    A line of one pixel may be a disturbed row of the scan, but for one that meets another at a corner.
    """
    level = [_bars(grey, ink.mask)]
    level.append([(y, x, high, wide) for x, y, wide, high in _bars(grey.T, np.ascontiguousarray(ink.mask.T))])
    for own, others in (level, level[::-1]):
        for x, y, wide, high in own:
            meets = any(
                x - 3 <= ox + owide and ox <= x + wide + 3 and y - 3 <= oy + ohigh and oy <= y + high + 3
                for ox, oy, owide, ohigh in others
            )  # fmt: skip
            whole = wide >= 0.98 * grey.shape[1] or high >= 0.98 * grey.shape[0]
            if meets or (min(wide, high) >= 2 and not whole and _ends_sharply(grey, x, y, wide, high)):
                found[y : y + high, x : x + wide] = 1


def _bars(grey: Grey, mask: Grey) -> list[tuple[int, int, int, int]]:
    """x, y, width and height of the bars along the rows."""
    length = max(24, mask.shape[1] // 40)
    runs = cv2.morphologyEx(mask, cv2.MORPH_OPEN, np.ones((1, length), np.uint8))
    if not runs.any():
        return []
    count, _, stats, _ = cv2.connectedComponentsWithStats(runs, connectivity=4)
    bars = []
    for x, y, width, height, area in stats[1 : min(count, 500)].tolist():
        if height > 20 or width < 5 * height or area < 0.97 * width * height:
            continue
        inside = grey[y : y + height, x : x + width]
        level = float(np.median(inside))
        beside = [grey[row, x : x + width].astype(np.int64) for row in (y - 2, y + height + 1) if 0 <= row < mask.shape[0]]
        sharp = bool(beside) and min(float(np.mean(np.abs(line - level) >= STEP)) for line in beside) >= 0.85
        if sharp and float(np.percentile(np.abs(inside - level), 90)) <= LINE_NOISE:
            bars.append((x, y, width, height))
    return bars


def _ends_sharply(grey: Grey, x: int, y: int, wide: int, high: int) -> bool:
    """True unless the bar fades away at an end, as a scratch or a charged row of the scan does; ticks may stand there."""
    level = float(np.median(grey[y : y + high, x : x + wide]))
    across = wide >= high
    ends = []
    for at in (x - 3, x + wide + 2) if across else (y - 3, y + high + 2):
        if 0 <= at < grey.shape[1 if across else 0]:
            line = grey[y : y + high, at] if across else grey[at, x : x + wide]
            ends.append(float(np.median(np.abs(line.astype(np.float64) - level))) >= STEP)
    return all(ends)
