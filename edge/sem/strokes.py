"""Grey pixels of a micrograph in, the strokes on it out that may be drawn: connected pieces with a steep edge all around.

Everything here is arithmetic over all pieces at once, since a textured specimen has thousands of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Ink:
    """Pixels that may be drawn: uint8 [H, W], 1 where. exact: of one level to the digit; bright: above what surrounds them."""

    mask: Grey
    exact: bool
    bright: bool


@dataclass(frozen=True)
class Marks:
    """Connected pieces of one ink, arrays of one length.

    left, top, right, bottom, area: pixels.  thick: mean thickness in pixels.  thickest: the largest one.
    level: grey of the ink.  spread: deviation of it inside.  steep: share of the outline that is steep.
    alone: hardly anything else has this ink.  labels: int32 [H, W], where mark `index` has the value numbers[index].
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
    labels: NDArray[np.int32]

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
    """How steep each pixel is, uint8 [H, W], and in grey levels: what counts as steep on this specimen, and what is noise."""

    steepness: Grey
    steep: int
    noisy: int


def slopes(grey: Grey) -> Slopes:
    """Steep is what exceeds the edges that the specimen has everywhere."""
    steepness = np.asarray(cv2.morphologyEx(grey, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)), np.uint8)
    block = np.ones((BLOCK_PX, BLOCK_PX), np.uint8)
    highest = cv2.dilate(steepness, block)[BLOCK_PX // 2 :: BLOCK_PX, BLOCK_PX // 2 :: BLOCK_PX]
    typical = float(np.percentile(highest, TYPICAL)) if highest.size else 0.0
    half = int(np.searchsorted(_histogram(steepness).cumsum(), 0.5 * steepness.size))
    return Slopes(steepness, int(np.clip(typical, STEEP, STEEPEST)), round(NOISE * half))


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


def _where(mask: Any) -> Ints:
    """Flat indices of what is not 0; numpy finds them faster in bool."""
    return np.flatnonzero(mask != 0)


def _between(grey: Grey, low: int, high: int) -> Grey:
    return np.asarray(cv2.inRange(grey, np.array([low], np.float64), np.array([high], np.float64)), np.uint8)


def marks(grey: Grey, ink: Ink, slope: Slopes) -> Marks | None:
    """The pieces of an ink with a steep outline; None where there is none, or so many that they are a texture."""
    count, drawn, table, _ = cv2.connectedComponentsWithStatsWithAlgorithm(ink.mask, 8, cv2.CV_32S, cv2.CCL_BBDT)
    labels, stats = np.asarray(drawn, np.int32), np.asarray(table, np.int32)
    left, top, width, height, area = (stats[:, column].astype(np.int64) for column in range(5))
    longest = np.maximum(width, height)
    possible = (longest >= 5) & (area >= 6) & (area <= 0.7 * width * height + 400) & (area < 0.1 * grey.size)
    possible[0] = False
    if not possible.any():
        return None
    alone = count <= FEW_PIECES or (ink.exact and np.count_nonzero(possible) <= FEW_PIECES)
    inside = cv2.erode(ink.mask, cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3)))
    rim = _where(cv2.subtract(ink.mask, inside))
    owner = labels.ravel()[rim]
    outline = np.maximum(np.bincount(owner, minlength=count), 1)
    steep = (
        np.bincount(
            owner,
            slope.steepness.ravel()[rim] >= (max(LONE_STEEP, slope.noisy) if alone or ink.exact else slope.steep),
            minlength=count,
        )
        / outline
    )
    chosen = np.flatnonzero(possible & (steep >= (LONE_SHARE if alone else STEEP_SHARE)))
    if not 0 < len(chosen) <= MOST_MARKS:
        return None
    thickest, level, spread = _inside(grey, ink, labels, chosen, stats)
    return Marks(
        left[chosen], top[chosen], (left + width)[chosen], (top + height)[chosen], area[chosen],
        2.0 * area[chosen] / outline[chosen], thickest, level, spread, steep[chosen], bool(alone), chosen, labels,
    )  # fmt: skip


def _inside(
    grey: Grey, ink: Ink, labels: NDArray[np.int32], chosen: Ints, stats: NDArray[np.int32]
) -> tuple[Floats, Floats, Floats]:
    """Largest thickness, level and its spread of each chosen piece: of its innermost pixels, for the outer ones are blends."""
    x0, y0 = np.maximum(stats[chosen, :2].min(axis=0) - 1, 0)
    x1, y1 = (stats[chosen, :2] + stats[chosen, 2:4]).max(axis=0) + 1
    part = (slice(y0, y1), slice(x0, x1))
    depth = cv2.distanceTransform(ink.mask[part], cv2.DIST_L1, 3)
    number = np.full(int(labels.max()) + 1, -1, np.int32)
    number[chosen] = np.arange(len(chosen))
    at = _where(ink.mask[part])
    owner = number[labels[part].ravel()[at]]
    at, owner = at[owner >= 0], owner[owner >= 0]
    deep, values = depth.ravel()[at], grey[part].ravel()[at].astype(np.float64)
    order = np.lexsort((values, owner))
    deep, values, owner = deep[order], values[order], owner[order]
    first = np.searchsorted(owner, np.arange(len(chosen)))
    deepest = np.maximum.reduceat(deep, first).astype(np.float64)
    core = deep >= np.minimum(2.0, deepest)[owner]
    values, owner = values[core], owner[core]
    pixels = np.bincount(owner, minlength=len(chosen))
    first = np.concatenate([[0], np.cumsum(pixels)[:-1]])
    mean = np.bincount(owner, values) / pixels
    spread = np.sqrt(np.maximum(np.bincount(owner, values**2) / pixels - mean**2, 0.0))
    # A thin stroke is nowhere as bright as its ink, but for some pixels.
    thin = deepest < 2
    rank = np.where(thin, 0.95 if ink.bright else 0.05, 0.5)
    level = values[first + np.floor(rank * (pixels - 1)).astype(np.int64)]
    return 2 * deepest - 1, level, np.where(thin, 0.0, spread)
