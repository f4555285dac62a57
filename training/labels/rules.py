"""What stands out in, and which of it counts as a region out: by size, shape, contrast and polarity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, get_args

import cv2
import numpy as np

from edge.errors import ConfigError
from edge.records import Mask
from training.labels.ground import Relief
from training.labels.shapes import hull_area_px, hull_of

Polarity = Literal["auto", "dark", "bright", "both"]
POLARITIES: Final[tuple[str, ...]] = get_args(Polarity)
THRESHOLD: Final = 2.4
"""How far from the ground a region's grey must be, in standard deviations of the ground."""
STRONG: Final = 1.6
STRONG_PART: Final = 0.45
"""Of the least area: so many pixels of a region must be strong, which means `STRONG` thresholds from the ground."""
MOST_OF_IMAGE: Final = 0.2
"""A region that covers more of the image is the ground, or beside the sample."""
MOST_BORDER: Final = 0.35
"""A region that runs along more of one image border is what lies beside the sample."""
LONGEST_ASPECT: Final = 4.5
LEAST_SOLIDITY: Final = 0.45
ARM_CONTRAST: Final = 0.2
"""A line goes on beyond its piece with at least this part of the piece's contrast."""
WIDEST_LINE_PX: Final = 14.0
RARE: Final = 0.02


@dataclass(frozen=True, slots=True)
class Rules:
    """What counts as a region.

    min_diameter_px: of a disc of the same area.  polarity: `dark` keeps regions whose inside is no brighter than the
    ground (dark pits, and shallow ones that are only a bright ring), `bright` those whose inside is brighter, `both` all;
    `auto` is `both`, less the regions of one kind where their area times contrast is below `RARE` of the other kind's.
    threshold: in standard deviations of the ground.
    """

    min_diameter_px: float = 6.0
    polarity: Polarity = "auto"
    threshold: float = THRESHOLD

    def __post_init__(self) -> None:
        if not self.min_diameter_px >= 3:
            raise ConfigError(f"min_diameter_px is {self.min_diameter_px:g}: it must be at least 3, smaller ones are noise")
        if self.polarity not in POLARITIES:
            raise ConfigError(f"polarity is {self.polarity!r}: allowed are {', '.join(POLARITIES)}")
        if not self.threshold > 0:
            raise ConfigError(f"threshold is {self.threshold:g}: it must be positive")


@dataclass(frozen=True, slots=True, eq=False)
class FoundRegion:
    """mask: bool [h, w], at x, y of the image.  bright: its inside is brighter than the ground.  weight: area × contrast."""

    x: int
    y: int
    mask: Mask
    bright: bool
    weight: float


def find_refusing_rule(mask: Mask, x: int, y: int, relief: Relief, rules: Rules) -> str | None:
    """Name of the rule that refuses a region, None when none does."""
    area = int(mask.sum())
    if area < least_area_px(rules):
        return "small"
    if area > MOST_OF_IMAGE * relief.size:
        return "large"
    (rows, columns), (height, width) = mask.shape, relief.shape
    along = (
        mask[:, 0].sum() / height * (x == 0),
        mask[:, -1].sum() / height * (x + columns == width),
        mask[0].sum() / width * (y == 0),
        mask[-1].sum() / width * (y + rows == height),
    )
    if max(along) > MOST_BORDER:
        return "sample edge"
    hull = hull_of(mask)
    sides = [side + 1 for side in cv2.minAreaRect(hull)[1]]
    if max(sides) > LONGEST_ASPECT * min(sides) or max(sides) ** 2 > 6 * area:
        return "line"
    if area < LEAST_SOLIDITY * hull_area_px(hull):
        return "ragged"
    return "line" if _goes_on(mask, x, y, relief) else None


def is_faint(mask: Mask, x: int, y: int, relief: Relief, noise: Relief, rules: Rules) -> bool:
    """Whether a region has so few strong pixels (a thin rim's are enough) that chance explains them."""
    place = (slice(y, y + mask.shape[0]), slice(x, x + mask.shape[1]))
    strong = mask & (np.abs(relief[place]) > STRONG * rules.threshold * noise[place])
    return int(strong.sum()) < STRONG_PART * least_area_px(rules)


def _goes_on(mask: Mask, x: int, y: int, relief: Relief) -> bool:
    """Whether a narrow region is a piece of a line: its grey goes on beyond it, to two sides."""
    deepest = float(cv2.distanceTransform(np.pad(mask, 1).astype(np.uint8), cv2.DIST_L2, 3).max())
    if 2 * deepest > WIDEST_LINE_PX:
        return False
    values = relief[y : y + mask.shape[0], x : x + mask.shape[1]][mask]
    sign = 1.0 if values.sum() > 0 else -1.0
    contrast = float(np.median(np.maximum(sign * values, 0)))
    rows, columns = np.nonzero(mask)
    cx, cy = columns.mean(), rows.mean()
    directions = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    sector = np.round(np.arctan2(rows - cy, columns - cx) % (2 * np.pi) / (2 * np.pi) * 24).astype(int) % 24
    reach = np.full(24, deepest)
    np.maximum.at(reach, sector, np.hypot(columns - cx, rows - cy))
    away = reach[:, None] + np.arange(2, 2 + max(10, int(3 * deepest)))
    px, py = x + cx + away * np.cos(directions)[:, None], y + cy + away * np.sin(directions)[:, None]
    seen = (px >= 0) & (px <= relief.shape[1] - 1) & (py >= 0) & (py <= relief.shape[0] - 1)
    px, py = np.clip(px.round(), 0, relief.shape[1] - 1).astype(int), np.clip(py.round(), 0, relief.shape[0] - 1).astype(int)
    # the lower quartile along an arm: a neighbour behind a gap is no continuation
    arms = (np.percentile(sign * relief[py, px], 25, axis=1) > ARM_CONTRAST * contrast) & (seen.mean(axis=1) > 0.6)
    angles = directions[arms]
    apart = np.abs((angles[:, None] - angles[None, :] + np.pi) % (2 * np.pi) - np.pi)
    return bool(apart.max(initial=0.0) > np.pi / 2)


def polarity_of(mask: Mask, relief: Relief) -> tuple[bool, float]:
    """Whether a region's inside is brighter than the ground, and its weight: area times contrast."""
    depth = cv2.distanceTransform(np.pad(mask, 1).astype(np.uint8), cv2.DIST_L2, 3)[1:-1, 1:-1]
    inner = float(np.median(relief[depth >= 0.5 * depth.max()]))
    contrast = float(np.percentile(np.abs(relief[mask]), 85))
    return inner > 0.25 * contrast, contrast * float(mask.sum())


def keep_polarity(found: Sequence[FoundRegion], polarity: Polarity) -> list[FoundRegion]:
    """The regions of the polarity asked for."""
    if polarity in ("dark", "bright"):
        return [region for region in found if region.bright == (polarity == "bright")]
    bright = sum(region.weight for region in found if region.bright)
    dark = sum(region.weight for region in found if not region.bright)
    is_rare = {True: bright < RARE * dark, False: dark < RARE * bright}
    return [region for region in found if polarity == "both" or not is_rare[region.bright]]


def least_area_px(rules: Rules) -> float:
    """Of the smallest disc that counts."""
    return np.pi / 4 * rules.min_diameter_px**2
