"""Grey pixels of a micrograph in, the strokes on it out that may be drawn: connected pieces with a steep edge all around.

Everything here is arithmetic over all pieces at once, since a textured specimen has thousands of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.records import Grey

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

HAT_PX: Final = 17  # thicker strokes are found by their level alone
HAT: Final = 44  # grey levels above or below what surrounds a stroke
OUTSTANDING, HIGHEST_HAT = 0.97, 100  # part of the image below the hat of what is drawn; grey levels
STEEP, STEEPEST = 40, 100  # grey levels within three pixels, on the edge of a stroke
FEW_PIECES: Final = 60
LONE_STEEP, NOISE = 26, 1.6  # where the level alone tells the ink from the specimen
BLOCK_PX: Final = 16
TYPICAL: Final = 75  # percentile of the blocks: what the specimen's own edges are like
MOST_LEVELS: Final = 2
TAIL: Final = 4.0  # clipped specimen and JPEG have as many pixels in the five levels beside it
SPIKE: Final = 4.0  # a level has so many times its neighbours' pixels
FEWEST_PIXELS: Final = 40
WHITE, BLACK = 246, 10  # as far as JPEG blurs them
MOST_INKED: Final = 0.35  # of the image; more is specimen
MOST_MARKS: Final = 600
LONE_SHARE, STEEP_SHARE = 0.5, 0.75  # of a piece's outline
SHORTEST, SMALLEST, LARGEST_SHARE = 5, 6, 0.1  # of a piece: pixels long, pixels in all; of the image
MOST_LAYERS: Final = 8
"""Thicker pieces are measured by a distance transform of all of them."""


@dataclass(frozen=True)
class Ink:
    """Pixels that may be drawn: uint8 [H, W], 1 where. exact: of one level to the digit; bright: above what surrounds them."""

    mask: Grey
    exact: bool
    bright: bool

    @cached_property
    def at(self) -> Ints:
        """Flat indices of the pixels, ascending. Ink is seldom more than a few hundredths of an image."""
        return np.flatnonzero(self.mask != 0)

    def may_have_run(self, reach: int, *, upright: bool) -> bool:
        """False where no pixel has ink all over the `reach` pixels before and behind it, as far as the image reaches."""
        mask, step = (self.mask.T, self.mask.shape[1]) if upright else (self.mask, 1)
        if any(bool(end.min(axis=1, initial=255).any()) for end in (mask[:, : reach + 1], mask[:, -reach - 1 :])):
            return True
        at, flat = self.at, self.mask.ravel()
        # Of scattered pixels hardly any is left after the first two looks, so the others cost little.
        for ahead in (2 * reach, reach, reach // 2, 3 * reach // 2, *range(1, 2 * reach, 2)):
            at = at[at < flat.size - ahead * step]
            at = at[flat[at + ahead * step] != 0]
            if not len(at):
                return False
        return True


@dataclass(frozen=True)
class Marks:
    """Connected pieces of one ink, arrays of one length.

    left, top, right, bottom, area: pixels.  thick: mean thickness in pixels.  thickest: the largest one.
    level: grey of the ink.  spread: deviation of it inside.  steep: share of the outline that is steep.
    alone: hardly anything else has this ink.  labels: integers [H, W], where mark `index` has the value numbers[index].
    """

    left: Ints
    top: Ints
    right: Ints
    bottom: Ints
    area: Ints
    thick: Floats
    thickest: Floats
    level: Floats
    spread: Floats
    steep: Floats
    alone: bool
    numbers: Ints
    labels: NDArray[np.integer[Any]]

    def __len__(self) -> int:
        return len(self.left)

    @property
    def width(self) -> Ints:
        """Pixels."""
        return self.right - self.left

    @property
    def height(self) -> Ints:
        """Pixels."""
        return self.bottom - self.top

    def pixels(self, index: int, margin: int = 0) -> tuple[int, int, Grey]:
        """x, y and the piece alone as uint8, 1 where, with a margin as far as the image reaches."""
        x, y = max(0, int(self.left[index]) - margin), max(0, int(self.top[index]) - margin)
        part = self.labels[y : int(self.bottom[index]) + margin, x : int(self.right[index]) + margin]
        return x, y, np.asarray(part == self.numbers[index], np.uint8)


@dataclass(frozen=True)
class Slopes:
    """How steep each pixel is, uint8 [H, W], and what counts as steep on this specimen, in grey levels."""

    steepness: Grey
    steep: int

    @cached_property
    def noisy(self) -> int:
        """Grey levels that are noise."""
        return round(NOISE * int(np.searchsorted(_histogram(self.steepness).cumsum(), 0.5 * self.steepness.size)))


def slopes(grey: Grey) -> Slopes:
    """Steep is what exceeds the edges that the specimen has everywhere."""
    steepness = np.asarray(cv2.morphologyEx(grey, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)), np.uint8)
    block = np.ones((BLOCK_PX, BLOCK_PX), np.uint8)
    highest = cv2.dilate(steepness, block)[BLOCK_PX // 2 :: BLOCK_PX, BLOCK_PX // 2 :: BLOCK_PX]
    typical = float(np.percentile(highest, TYPICAL)) if highest.size else 0.0
    return Slopes(steepness, int(np.clip(typical, STEEP, STEEPEST)))


def inks(grey: Grey, slope: Slopes) -> Iterator[Ink]:
    """What may be drawn: what is brighter or darker than its surroundings, and levels that own too many pixels."""
    box = np.ones((HAT_PX, HAT_PX), np.uint8)
    least = max(HAT, round(0.8 * slope.steep))
    for ink in _candidates(grey, box, least):
        inked = cv2.countNonZero(ink.mask)
        if FEWEST_PIXELS <= inked <= MOST_INKED * grey.size:
            yield ink


def _candidates(grey: Grey, box: Grey, least: int) -> Iterator[Ink]:
    for kind in (cv2.MORPH_TOPHAT, cv2.MORPH_BLACKHAT):
        hat = np.asarray(cv2.morphologyEx(grey, kind, box), np.uint8)
        usual = int(np.searchsorted(_histogram(hat).cumsum(), OUTSTANDING * hat.size))
        yield Ink(_between(hat, int(np.clip(usual, least, HIGHEST_HAT)), 255), exact=False, bright=kind == cv2.MORPH_TOPHAT)
    counts = _histogram(grey)
    for level, side in ((255, slice(250, 255)), (0, slice(1, 6))):
        if counts[level] >= FEWEST_PIXELS:
            exact = counts[level] > TAIL * counts[side].sum()
            near = level if exact else WHITE if level else BLACK
            yield Ink(_between(grey, min(level, near), max(level, near)), exact=bool(exact), bright=level > 0)
    around = np.convolve(np.pad(counts, 4, "reflect"), np.ones(9), "valid") - counts
    spikes = np.flatnonzero((counts > SPIKE * around / 8 + 60) & (np.arange(256) > 4) & (np.arange(256) < 251))
    for spike in spikes[np.argsort(-counts[spikes])][:MOST_LEVELS].tolist():
        yield Ink(_between(grey, spike, spike), exact=True, bright=spike > 127)


def _histogram(grey: Grey) -> Floats:
    return np.asarray(cv2.calcHist([grey], [0], None, [256], [0, 256]), np.float64).ravel()


def _between(grey: Grey, low: int, high: int) -> Grey:
    return np.asarray(cv2.inRange(grey, np.array([low], np.float64), np.array([high], np.float64)), np.uint8)


def marks(grey: Grey, ink: Ink, slope: Slopes) -> Marks | None:
    """The pieces of an ink with a steep outline; None where there is none, or so many that they are a texture."""
    # Labels of 16 bits are made and read faster; there are no more of them than pixels.
    kind = cv2.CV_16U if len(ink.at) < 1 << 16 else cv2.CV_32S
    count, drawn = cv2.connectedComponentsWithAlgorithm(ink.mask, 8, kind, cv2.CCL_BBDT)
    labels: NDArray[np.integer[Any]] = np.asarray(drawn, np.int32 if kind == cv2.CV_32S else np.uint16)
    pieces = _pieces(labels, count, ink, grey.size)
    alone = count <= FEW_PIECES or (ink.exact and len(pieces) <= FEW_PIECES)
    if not len(pieces):
        return None
    rim = _rim(ink.mask, pieces.at)
    outline = np.maximum(pieces.sums(rim), 1)
    least = max(LONE_STEEP, slope.noisy) if alone or ink.exact else slope.steep
    steep = pieces.sums(rim & (slope.steepness.ravel()[pieces.at] >= least)) / outline
    chosen = np.flatnonzero(steep >= (LONE_SHARE if alone else STEEP_SHARE))
    if not 0 < len(chosen) <= MOST_MARKS:
        return None
    pieces, outline, steep = pieces.take(chosen), outline[chosen], steep[chosen]
    thickest, level, spread = _inside(grey, ink, pieces)
    return Marks(
        pieces.left, pieces.top, pieces.right, pieces.bottom, pieces.area, 2.0 * pieces.area / outline,
        thickest, level, spread, steep, bool(alone), pieces.numbers, labels,
    )  # fmt: skip


@dataclass(frozen=True)
class _Pieces:
    """Connected pieces by their pixels.

    at: flat indices of all pixels, piece by piece, ascending in each.  first: where in `at` each piece begins.
    numbers: the label of each piece, ascending.  left, top, right, bottom, area: pixels.
    """

    at: Ints
    first: Ints
    numbers: Ints
    left: Ints
    top: Ints
    right: Ints
    bottom: Ints
    area: Ints

    def __len__(self) -> int:
        return len(self.first)

    @property
    def owner(self) -> Ints:
        """To which piece each pixel belongs."""
        return np.repeat(np.arange(len(self)), self.area)

    def sums(self, flags: Flags) -> Ints:
        """How many pixels of each piece are flagged."""
        return np.add.reduceat(flags, self.first, dtype=np.int64)

    def take(self, chosen: Ints | Flags) -> _Pieces:
        """These pieces alone."""
        kept = np.zeros(len(self), np.bool_)
        kept[chosen] = True
        area = self.area[kept]
        return _Pieces(
            self.at[np.repeat(kept, self.area)], np.cumsum(area) - area, self.numbers[kept],
            self.left[kept], self.top[kept], self.right[kept], self.bottom[kept], area,
        )  # fmt: skip


def _pieces(labels: NDArray[Any], count: int, ink: Ink, most: int) -> _Pieces:
    """The pieces that are as long, as thin and as small as something drawn on an image of `most` pixels."""
    at, width = ink.at, labels.shape[1]
    owner = labels.ravel()[at]
    area = np.bincount(owner, minlength=count)
    possible = (area >= SMALLEST) & (area < LARGEST_SHARE * most)
    kept = possible[owner]
    at, owner = at[kept], owner[kept]
    at = at[np.argsort(owner, kind="stable")]
    numbers = np.flatnonzero(possible)
    area = area[numbers]
    first = np.cumsum(area) - area
    if not len(at):
        return _Pieces(at, first, numbers, numbers, numbers, numbers, numbers, area)
    y, x = at // width, at % width
    left, right = np.minimum.reduceat(x, first), np.maximum.reduceat(x, first) + 1
    top, bottom = y[first], y[first + area - 1] + 1
    wide, high = right - left, bottom - top
    thin = (np.maximum(wide, high) >= SHORTEST) & (area <= 0.7 * wide * high + 400)
    return _Pieces(at, first, numbers, left, top, right, bottom, area).take(thin)


def _rim(mask: Grey, at: Ints) -> Flags:
    """Which of these pixels of the mask have one outside beside, above or below; the image's border is no outside."""
    flat, width = mask.ravel(), mask.shape[1]
    x = at % width
    around = (at - (x > 0), at + (x < width - 1), np.where(at >= width, at - width, at),
              np.where(at < mask.size - width, at + width, at))  # fmt: skip
    return np.asarray(np.min([flat[beside] for beside in around], axis=0) == 0)


def _inside(grey: Grey, ink: Ink, pieces: _Pieces) -> tuple[Floats, Floats, Floats]:
    """Largest thickness, level and its spread of each piece: of its innermost pixels, for the outer ones are blends."""
    owner, deep = pieces.owner, _depth(ink.mask, pieces)
    values = grey.ravel()[pieces.at].astype(np.float64)
    order = np.lexsort((values, owner))
    deep, values, owner = deep[order], values[order], owner[order]
    deepest = np.maximum.reduceat(deep, pieces.first).astype(np.float64)
    core = deep >= np.minimum(2.0, deepest)[owner]
    values, owner = values[core], owner[core]
    pixels = np.bincount(owner, minlength=len(pieces))
    first = np.concatenate([[0], np.cumsum(pixels)[:-1]])
    mean = np.bincount(owner, values) / pixels
    spread = np.sqrt(np.maximum(np.bincount(owner, values**2) / pixels - mean**2, 0.0))
    # A thin stroke is nowhere as bright as its ink, but for some pixels.
    thin = deepest < 2
    rank = np.where(thin, 0.95 if ink.bright else 0.05, 0.5)
    level = values[first + np.floor(rank * (pixels - 1)).astype(np.int64)]
    return 2 * deepest - 1, level, np.where(thin, 0.0, spread)


def _depth(mask: Grey, pieces: _Pieces) -> NDArray[Any]:
    """How many steps along rows and columns each pixel of the pieces is from the nearest one outside.

    Pen strokes are a few pixels thick, so what is left of them is soon gone when it is peeled layer by layer.
    """
    depth, left, peeled = np.zeros(len(pieces.at), np.float32), np.arange(len(pieces.at)), mask.copy()
    for _ in range(MOST_LAYERS):
        at = pieces.at[left]
        depth[left] += 1
        rim = _rim(peeled, at)
        peeled.ravel()[at[rim]] = 0
        left = left[~rim]
        if not len(left):
            return depth
    x0, y0 = max(0, int(pieces.left.min()) - 1), max(0, int(pieces.top.min()) - 1)
    part = (slice(y0, int(pieces.bottom.max()) + 1), slice(x0, int(pieces.right.max()) + 1))
    whole = np.zeros(mask.shape, np.float32)
    whole[part] = cv2.distanceTransform(mask[part], cv2.DIST_L1, 3)
    return np.asarray(whole.ravel()[pieces.at])
