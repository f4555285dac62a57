"""Grey pixels of a micrograph in, where letters, rulers, frames or arrows are drawn over the specimen out.

What is drawn has one grey level, an edge that is steep all around, and is as thick everywhere as a pen; and letters stand in
rows, ticks in equal steps, rulers and frames along the rows and columns. A specimen has each of these alone, seldom together.
"""

from __future__ import annotations

from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.records import Grey, Mask
from edge.sem.strokes import BLACK, WHITE, Flags, Ink, Ints, Marks, inks, marks, slopes

LEVELS_APART: Final = 14  # grey levels between letters of one line, after JPEG
LINE_NOISE: Final = 8  # grey levels within a ruler, after JPEG
BOX_NOISE: Final = 14  # grey levels within a box, after JPEG
STEP: Final = 32  # grey levels between a ruler and what lies beside it
SHORTEST_LETTER, TALLEST_LETTER = 5, 150
FEW, SOME = 20, 60  # marks of one ink
MOST_PENS: Final = 40
MOST_BARS: Final = 400
MOST_PIXELS: Final = 3_500_000
COLOUR_SPREAD, MOST_COLOURED = 0.25, 0.2  # of the range; of the image
MARGIN_PX: Final = 3
"""Around what is drawn: smoothing, JPEG, and what a network makes of an edge."""


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
    slope = slopes(grey)
    for ink in inks(grey, slope):
        _lines(found, grey, ink)
        pieces = marks(grey, ink, slope)
        if pieces is not None:
            _text(found, grey, pieces, ink)
            _ticks(found, pieces)
            _pens(found, grey, pieces, ink)
    return found


def _text(found: Grey, grey: Grey, pieces: Marks, ink: Ink) -> None:
    height, width = pieces.height, pieces.width
    index = np.flatnonzero(
        (height >= SHORTEST_LETTER) & (height <= TALLEST_LETTER) & (width <= 2.5 * height)
        & (pieces.thick <= np.maximum(3.5, 0.4 * height)) & (pieces.spread <= (14 if ink.exact else 30))
    )  # fmt: skip
    if len(index) < 2:
        return
    index = index[np.argsort(pieces.left[index], kind="stable")]
    beside = _beside(pieces, index)
    words: set[tuple[int, int, int, int]] = set()
    for one in np.flatnonzero(np.count_nonzero(beside, axis=1) >= 2).tolist():
        line = index[beside[one]]
        high = int(height[index[one]])
        cuts = np.flatnonzero(pieces.left[line][1:] - np.maximum.accumulate(pieces.right[line])[:-1] > 1.5 * high)
        for run in np.split(line, cuts + 1):
            if index[one] not in run or not _is_word(pieces, run, int(index[one]), ink, len(index)):
                continue
            near = int(0.35 * high)
            x0, y0 = max(0, int(pieces.left[run].min()) - near), max(0, int(pieces.top[run].min()) - near)
            x1 = min(grey.shape[1], int(pieces.right[run].max()) + near)
            y1 = min(grey.shape[0], int(pieces.bottom[run].max()) + near)
            if (x0, y0, x1, y1) not in words:
                words.add((x0, y0, x1, y1))
                found[y0:y1, x0:x1] = 1
                _box_around(found, grey, x0, y0, x1, y1)


def _beside(pieces: Marks, index: Ints) -> Flags:
    """Which marks could be letters of one line: bool [N, N]."""
    top, bottom, height, thick, level = (getattr(pieces, name)[index] for name in ("top", "bottom", "height", "thick", "level"))
    low = np.minimum(height[:, None], height)
    together = np.minimum(bottom[:, None], bottom) - np.maximum(top[:, None], top) >= 0.6 * low
    together &= (height >= 0.45 * height[:, None]) & (height <= 2.2 * height[:, None])
    together &= np.abs(thick[:, None] - thick) <= np.maximum(1.2, 0.6 * thick[:, None])
    solid = pieces.thickest[index] >= 3
    together &= np.abs(level[:, None] - level) <= np.where(solid[:, None] & solid, 1, 4) * LEVELS_APART
    return np.asarray(together, np.bool_)


def _box_around(found: Grey, grey: Grey, left: int, top: int, right: int, bottom: int) -> None:
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


def _is_word(pieces: Marks, run: Ints, one: int, ink: Ink, among: int) -> bool:
    """Whether marks side by side stand on one line as letters do: the more marks there are, the more of them."""
    high = int(pieces.height[one])
    apart = max(1.0, 0.04 * high)
    feet = np.abs(pieces.bottom[run] - pieces.bottom[one]) <= apart
    tall = np.abs(pieces.height[run] - high) <= apart
    count, on_line, as_high = len(run), int(feet.sum()), int(tall.sum())
    steep, solid = float(pieces.steep[run].mean()), bool((pieces.thickest[run] >= 3).all())
    flat = float(pieces.level[run].std()) <= LEVELS_APART / (2 if solid else 0.5)
    if count <= 4 and among <= FEW and high >= 9 and flat and min(on_line, as_high) >= 2:
        # Brackets reach below the line.
        extreme = ink.exact or pieces.level[run].min() >= WHITE or pieces.level[run].max() <= BLACK
        if extreme and steep >= (0.6 if pieces.alone else 0.9):
            return True
        if count >= 3 and steep >= 0.95:
            return True
    if (ink.exact or pieces.alone) and among <= SOME:
        return count >= 3 and on_line >= max(2, 0.5 * count)
    if among <= SOME and steep >= 0.9 and flat:
        return on_line >= max(3, 0.6 * count) and as_high >= 2
    return count >= 5 and on_line >= max(5, 0.7 * count) and as_high >= 3


def _ticks(found: Grey, pieces: Marks) -> None:
    """Marks of one form in a row in equal steps."""
    bars = np.flatnonzero(
        (pieces.height >= 5) & (pieces.width <= 6) & (pieces.area >= 0.85 * pieces.width * pieces.height)
    )  # fmt: skip
    bars = bars[np.argsort(pieces.left[bars], kind="stable")]
    for first in bars.tolist():
        row = bars[
            (np.abs(pieces.top[bars] - pieces.top[first]) <= 1) & (np.abs(pieces.height[bars] - pieces.height[first]) <= 1)
            & (np.abs(pieces.level[bars] - pieces.level[first]) <= 12)
        ]  # fmt: skip
        steps = np.diff(pieces.left[row])
        if len(row) < 4:
            continue
        step = max(float(np.median(steps)), 1.0)
        regular = np.abs(steps / step - np.rint(steps / step)) * step <= 1.5
        if step >= 4 and np.rint(steps / step).max() <= 3 and regular.all():
            top, bottom = int(pieces.top[row].min()), int(pieces.bottom[row].max())
            found[top:bottom, int(pieces.left[row[0]]) : int(pieces.right[row[-1]])] = 1


def _pens(found: Grey, grey: Grey, pieces: Marks, ink: Ink) -> None:
    """Arrows and ellipses: long for their thickness, which is the same everywhere."""
    thick = pieces.thick
    long = np.flatnonzero(
        (pieces.spread <= (0.5 if ink.exact else 10)) & (thick <= 12) & (pieces.thickest <= 2.2 * thick + 3)
        & (pieces.area >= thick * np.maximum(9 * thick, 36 if ink.exact else 50))
    )  # fmt: skip
    for index in long[:MOST_PENS].tolist():
        x0, y0, pixels = pieces.pixels(index, margin=8)
        y, x = np.nonzero(pixels)
        points = np.column_stack([x, y]).astype(np.float32)
        part = grey[y0 : y0 + pixels.shape[0], x0 : x0 + pixels.shape[1]]
        wide = max(int(pieces.width[index]), int(pieces.height[index]))
        if _is_arrow(points, float(thick[index])) or _is_ellipse(points, float(thick[index]), wide, part):
            found[y0 : y0 + pixels.shape[0], x0 : x0 + pixels.shape[1]] |= pixels


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


def _is_ellipse(points: NDArray[np.float32], thick: float, wide: int, part: Grey) -> bool:
    """A closed outline with the same specimen on both sides; the rim of a pit or a particle divides two."""
    (cx, cy), (first, second), turn = cv2.fitEllipse(points)
    if min(first, second) < 20 or max(first, second) > 2 * wide:
        return False
    angle = np.radians(turn)

    def outwards(x: Any, y: Any) -> tuple[Any, Any]:
        along = ((x - cx) * np.cos(angle) + (y - cy) * np.sin(angle)) / (first / 2)
        across = (-(x - cx) * np.sin(angle) + (y - cy) * np.cos(angle)) / (second / 2)
        return (np.hypot(along, across) - 1) * min(first, second) / 2, np.arctan2(across, along)

    apart, around = outwards(points[:, 0], points[:, 1])
    sectors = np.unique(np.floor((around + np.pi) / (2 * np.pi) * 36))
    if np.mean(np.abs(apart) <= thick / 2 + 1) < 0.92 or len(sectors) < 35:
        return False
    y, x = np.indices(part.shape)
    away = outwards(x, y)[0]
    near, far = thick / 2 + 2, thick / 2 + 7
    inside, outside = part[(away < -near) & (away > -far)], part[(away > near) & (away < far)]
    return len(inside) > 0 and len(outside) > 0 and abs(float(np.median(inside)) - float(np.median(outside))) <= 24


def _lines(found: Grey, grey: Grey, ink: Ink) -> None:
    """Bars along the rows or columns with straight sides: rulers, and the sides of frames.

    A line of one pixel may be a disturbed row of the scan, but for one that meets another at a corner.
    """
    level, upright = _bars(grey, ink, upright=False), _bars(grey, ink, upright=True)
    for own, others in ((level, upright), (upright, level)):
        for x, y, wide, high in own:
            meets = any(
                x - 3 <= ox + owide and ox <= x + wide + 3 and y - 3 <= oy + ohigh and oy <= y + high + 3
                for ox, oy, owide, ohigh in others
            )  # fmt: skip
            whole = wide >= 0.98 * grey.shape[1] or high >= 0.98 * grey.shape[0]
            if meets or (min(wide, high) >= 2 and not whole and _ends_sharply(grey, x, y, wide, high)):
                found[y : y + high, x : x + wide] = 1


def _bars(grey: Grey, ink: Ink, *, upright: bool) -> list[tuple[int, int, int, int]]:
    """x, y, width and height of the bars along the rows, or along the columns."""
    mask = ink.mask
    length = max(24, mask.shape[0 if upright else 1] // 40)
    if not ink.may_have_run((length - 1) // 2, upright=upright):
        return []
    runs = cv2.morphologyEx(mask, cv2.MORPH_OPEN, np.ones((length, 1) if upright else (1, length), np.uint8))
    if not cv2.countNonZero(runs):
        return []
    turned, drawn = (grey.T, np.asarray(runs).T) if upright else (grey, np.asarray(runs))
    bars = []
    for outline in cv2.findContours(runs, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)[0][:MOST_BARS]:
        box = cv2.boundingRect(outline)
        x, y, width, height = (box[1], box[0], box[3], box[2]) if upright else box
        if height > 20 or width < 5 * height:
            continue
        if np.count_nonzero(drawn[y : y + height, x : x + width]) < 0.97 * width * height:
            continue
        inside = np.sort(turned[y : y + height, x : x + width], axis=None).astype(np.int64)
        level = int(inside[(len(inside) - 1) // 2] + inside[len(inside) // 2]) // 2
        beside = [turned[row, x : x + width].astype(np.int64) for row in (y - 2, y + height + 1) if 0 <= row < len(turned)]
        sharp = bool(beside) and all(np.count_nonzero(np.abs(line - level) >= STEP) / width >= 0.85 for line in beside)
        if sharp and float(np.percentile(np.abs(inside - level), 90)) <= LINE_NOISE:
            bars.append((int(box[0]), int(box[1]), int(box[2]), int(box[3])))
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
