"""Pixels of a whole stored image in, the number of rows of the burnt-in data bar at its bottom out.

A bar is drawn, an image is measured: one grey level owns most of each row of a bar, while noise spreads the rows of a
specimen over many levels. But dark bottoms, vacuum below an edge and dead rows are flat as well. So a bar must also
have a sharp upper border over the whole width and a line of text; what lacks one of them is not cut.
"""

from __future__ import annotations

from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

Plane = NDArray[Any]
Bytes = NDArray[np.uint8]
Shares = NDArray[np.float64]

LARGEST_PART: Final = 0.3  # of the image's height
FEWEST_ROWS: Final = 12
TOLERANCES: Final = (2, 20)  # grey levels: as drawn, and after JPEG or resizing
PARTS: Final = (0.72, 0.58, 0.45)  # of the width, without a logo
LOGO_STEP, LOGO_BORDER = 24, 0.7  # grey levels; part of the logo's columns
COLUMNS: Final = 512  # so many are enough to judge a row
DRAWN_SHARE: Final = 0.5  # of a row at the background's level; text covers up to a third
DENSE_SHARE: Final = 0.25  # of a row of dense letters, which with the letters' own level is DRAWN_SHARE
FLAT_SHARE: Final = 0.97  # a margin, or a line across the whole width
BEGIN_SHARE, RISE = 0.85, 0.3  # of a bar's first row, where a ruler or a logo hangs from the border
IMAGE_SHARE: Final = 0.8  # at most, in the rows above the border
DRAWN_ROWS: Final = 0.9  # of the bar's rows; the rest are the blurred rims of separating lines
BLURRED_ROWS: Final = 2  # above the border after JPEG or resizing: rather two rows of image lost than a frame left
LINE_ROWS, FRAME_ROWS = 6, 3
EXACT, NEAR, EXACT_SHARE = 3, 20, 0.75  # of the pixels within NEAR levels of the background, this share is within EXACT
CONTRAST: Final = 48  # grey levels between background and letters, at least
FEWEST_LETTERS, FEWEST_LETTERS_BY_A_BAR = 5, 3
SCALE_BAR_PART: Final = 0.04  # of the width
MOST_MARKS: Final = 1000  # more are noise


def find(plane: Plane) -> int:
    """Rows of the data bar at the bottom of `plane` [H, W] (any integer or float type), 0 when there is none."""
    height, width = plane.shape
    search = int(height * LARGEST_PART)
    if search < FEWEST_ROWS or width < 64:
        return 0
    region = _as_bytes(plane[height - search :])
    columns = np.ascontiguousarray(region[:, :: -(-width // COLUMNS)])
    background = _background(columns)
    for tolerance in TOLERANCES if _may_be_a_bar(columns, background) else ():
        top = _border(columns, background, tolerance)
        if top is not None and _has_text(region[top:], background):
            return min(search, search - top + (0 if tolerance == TOLERANCES[0] else BLURRED_ROWS))
    return _beside_a_logo(region, columns)


def _beside_a_logo(region: Bytes, columns: Bytes) -> int:
    """Rows of a bar that a logo at its left or right end fills for more than a quarter of the width, else 0.

    The rest must be a bar of its own, and the border must go on, straight, where the logo is.
    """
    for part in PARTS:
        near, wide = round(part * columns.shape[1]), round(part * region.shape[1])
        for own, logo, rest in (
            (columns[:, :near], columns[:, near:], region[:, :wide]),
            (columns[:, -near:], columns[:, :-near], region[:, -wide:]),
        ):
            background = _background(own)
            for tolerance in TOLERANCES if _may_be_a_bar(own, background) else ():
                top = _border(np.ascontiguousarray(own), background, tolerance)
                if top is not None and _goes_on(logo, top) and _has_text(np.ascontiguousarray(rest[top:]), background):
                    return len(region) - top + (0 if tolerance == TOLERANCES[0] else BLURRED_ROWS)
    return 0


def _background(columns: Bytes) -> int:
    """The level that most of the lowest rows share: the background all the same where they are a frame."""
    return int(np.bincount(columns[-FEWEST_ROWS:].ravel(), minlength=256).argmax())


def _goes_on(columns: Bytes, top: int) -> bool:
    """True where most columns change at once from the rows above `top` to those below, whatever is drawn there."""
    above = np.median(columns[max(0, top - 5) : max(1, top - 1)], axis=0)
    below = np.median(columns[top + 2 : top + 8], axis=0)
    return bool(np.mean(np.abs(below - above) >= LOGO_STEP) >= LOGO_BORDER)


def looks_drawn(plane: Plane, rows: int) -> bool:
    """False when the last `rows` rows are clearly specimen: one grey level dominates less than half of them."""
    region = _as_bytes(plane[-rows:])
    modes = [int(np.bincount(row, minlength=256).max()) for row in region]
    return bool(2 * sum(mode > region.shape[1] / 3 for mode in modes) > rows)


def _as_bytes(region: Plane) -> Bytes:
    if region.dtype == np.uint8:
        return np.ascontiguousarray(region)
    # Row by row, or nearly: a large image has a third of its rows looked at.
    step = max(1, (1 << 20) // region.shape[1])
    strips = [slice(first, first + step) for first in range(0, len(region), step)]
    ends = [(float(part.min()), float(part.max())) for part in (_finite(region[rows]) for rows in strips)]
    low, high = min(low for low, _ in ends), max(high for _, high in ends)
    drawn = np.zeros(region.shape, np.uint8)
    if 0 < high - low < np.inf:
        for rows in strips:
            drawn[rows] = (_finite(region[rows]) - low) * (255.0 / (high - low))
    return drawn


def _finite(values: Plane) -> Shares:
    return np.nan_to_num(values.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)


def _border(columns: Bytes, background: int, tolerance: int) -> int | None:
    """First row of the bar if there is a bar-like band with a sharp border above it.

    Transitions from a line of text to the margin below it look like borders as well: the true one has no margin above.
    """
    share = _share_at(columns, background, tolerance)
    line = _lines(columns, share < DRAWN_SHARE, tolerance)
    drawn, margin = (share >= DRAWN_SHARE) | line | _dense(columns, share, background, tolerance), share >= FLAT_SHARE
    drawn_below = drawn[::-1].cumsum()[::-1] / np.arange(len(share), 0, -1)
    tops = np.arange(4, len(share) - FEWEST_ROWS + 1)
    if not (drawn_below[tops] >= DRAWN_ROWS).any():
        return None
    image = share <= IMAGE_SHARE
    # The row just above may be a blend of both; a frame may come before the margin.
    ends_image = np.all([image[tops - back] for back in (4, 3, 2)], axis=0)
    ends_image &= ~np.any([line[tops - back] for back in (4, 3, 2, 1)], axis=0)
    margins = np.concatenate([[0], margin.cumsum()])
    begins_flat = drawn[tops] & (margins[np.minimum(tops + LINE_ROWS, len(share))] > margins[tops])
    jumps = _jumps(share, line)
    begins = begins_flat | (jumps >= BEGIN_SHARE)[tops]
    found = tops[ends_image & begins & (drawn_below[tops] >= DRAWN_ROWS)].tolist()
    for top in found[:1]:
        exact, near = _share_at(columns, background, EXACT), _share_at(columns, background, NEAR)
        above = _continued(top, drawn, jumps >= DRAWN_SHARE)
        # Even after JPEG most of a bar's background has no noise; a specimen may fill rows with one grey, not exactly.
        without_noise = all(
            exact[rows].sum() >= EXACT_SHARE * near[rows].sum() for rows in (slice(top, None), slice(above, top))
        )
        return _with_frame(columns, above) if without_noise and not margin[:above].any() else None
    return None


def _may_be_a_bar(columns: Bytes, background: int) -> bool:
    """False where noise spreads the rows above the bottom so far that `_border` finds no bar without it, however high.

    Most specimens are told from a bar by this alone.
    """
    exact, near = (_share_at(columns, background, levels)[::-1].cumsum() for levels in (EXACT, NEAR))
    # Sums in another order than `_border` has them: a little less is asked for.
    return bool((exact >= EXACT_SHARE * near - 1e-6)[FEWEST_ROWS - 1 :].any())


def _dense(columns: Bytes, share: Shares, background: int, tolerance: int) -> NDArray[np.bool_]:
    """Rows of dense letters, of which a part has the background's level and another that of the letters."""
    letters = _share_at(columns, _ink(columns, background), tolerance)
    return np.asarray((share >= DENSE_SHARE) & (share + letters >= DRAWN_SHARE), np.bool_)


def _ink(columns: Bytes, background: int) -> int:
    """The level that most pixels of the lowest rows have, of those far from the background."""
    counts = np.bincount(columns[-3 * FEWEST_ROWS :].ravel(), minlength=256)
    counts[max(0, background - CONTRAST + 1) : background + CONTRAST] = 0
    return int(counts.argmax())


def _jumps(share: Shares, line: NDArray[np.bool_]) -> Shares:
    """Part of each row at the background's level where it rises sharply over the rows above, 0 elsewhere.

    The row just above may be a blend. A line counts as background, and is as good as the first row below it.
    """
    level = share.copy()
    for row in np.flatnonzero(line)[::-1].tolist():
        level[row] = level[min(row + 1, len(level) - 1)]
    jumps = np.zeros_like(share)
    before = np.where(line, 1.0, share)
    highest = np.max([before[4 - back : len(share) - back] for back in (4, 3, 2)], axis=0)
    jumps[4:] = np.where(level[4:] - highest >= RISE, level[4:], 0.0)
    return jumps


def _continued(top: int, drawn: NDArray[np.bool_], sharp: NDArray[np.bool_]) -> int:
    """Where the drawn rows begin that reach down to `top`, if they begin sharply; else `top`.

    Below a wide logo or letters at the border, the first rows that look like a border lie inside the bar.
    """
    first = top
    while first > 0 and drawn[first - 1]:
        first -= 1
    begins = np.flatnonzero(sharp[first:top])
    return first + int(begins[0]) if len(begins) else top


def _with_frame(columns: Bytes, top: int) -> int:
    """First row of the frame's line just above `top`, also where a logo breaks it; `top` where there is none."""
    levels = [int(np.median(row)) for row in columns[max(0, top - FRAME_ROWS - 2) : top]]
    for rows in range(min(FRAME_ROWS, len(levels) - 2), 0, -1):
        line = columns[top - rows : top]
        flat = _share_at(line, levels[-rows], NEAR).min() >= BEGIN_SHARE
        if flat and all(abs(levels[-rows] - level) >= CONTRAST for level in levels[-rows - 2 : -rows]):
            return top - rows
    return top


def _lines(columns: Bytes, among: NDArray[np.bool_], tolerance: int) -> NDArray[np.bool_]:
    """Rows of a frame or separating line, whose grey is its own; more rows than a line is thick are a flat image."""
    flat = _flat(columns, tolerance) & among
    thick = np.convolve(flat, np.ones(LINE_ROWS + 1), "same") > LINE_ROWS
    lone = np.convolve(thick, np.ones(LINE_ROWS + 1), "same") == 0
    return np.asarray(flat & lone, np.bool_)


def _flat(columns: Bytes, tolerance: int) -> NDArray[np.bool_]:
    """Rows that have the level of their middle nearly everywhere."""
    centre = np.ascontiguousarray(columns[:, columns.shape[1] // 2 :][:, :1])
    apart = cv2.absdiff(columns, np.repeat(centre, columns.shape[1], axis=1))
    return np.asarray(_share_at(apart, 0, tolerance) >= FLAT_SHARE, np.bool_)


def _share_at(columns: Plane, level: int, tolerance: int) -> Shares:
    """Part of each row that is within `tolerance` of `level`."""
    low, high = np.array([level - tolerance], np.float64), np.array([level + tolerance], np.float64)
    within = cv2.inRange(columns, low, high)
    # numpy adds up short rows many times as fast as cv2.reduce.
    return np.asarray(np.add.reduce(within, axis=1, dtype=np.uint32) * (1.0 / columns.shape[1]) / 255.0, np.float64)


def _has_text(bar: Bytes, background: int) -> bool:
    """A word of FEWEST_LETTERS, or a shorter one beside a scale bar: marks of like height on one baseline, close together."""
    distance = cv2.absdiff(bar, np.full_like(bar, background))
    ink = int(np.bincount(distance.ravel(), minlength=256)[CONTRAST:].argmax()) + CONTRAST
    marks = np.asarray(distance > ink // 2, np.uint8)
    count, _labels, stats, _centres = cv2.connectedComponentsWithStats(marks, connectivity=8)
    if not 1 < count < MOST_MARKS:
        return False
    left, top, width, height = (stats[1:, column] for column in range(4))
    scale_bar = bool(((width >= SCALE_BAR_PART * bar.shape[1]) & (width >= 4 * height)).any())
    letters = (height >= 5) & (height <= 0.8 * len(bar)) & (width >= 2) & (width <= 4 * height)
    left, width, height, bottom = left[letters], width[letters], height[letters], (top + height)[letters]
    longest = 0
    for index in range(len(left)):
        line = (np.abs(bottom - bottom[index]) <= 1) & (np.abs(height - height[index]) <= 0.35 * height[index])
        order = np.argsort(left[line])
        begin, end = left[line][order], (left + width)[line][order]
        apart = np.flatnonzero(begin[1:] - end[:-1] > 1.5 * height[index])
        longest = max(longest, int(np.diff(np.concatenate([[-1], apart, [len(begin) - 1]])).max()))
    return longest >= (FEWEST_LETTERS_BY_A_BAR if scale_bar else FEWEST_LETTERS)
