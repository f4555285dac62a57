"""A labelled micrograph in, a varied one with labels that still fit to the pixel out (the paper's section 3.2).

Mirror images and quarter turns, then a small turn, shear, enlargement and shift, then other light. The picture is
enlarged just enough that nothing beyond its edges is seen: mirrored or invented margins would show corrosion that no
label names.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.records import Grey, Regions
from training.labels.image_labels import LabelledRegion
from training.labels.regions import make_regions

MOST_TURN_DEG = 10.0
MOST_SHEAR = 0.06
MOST_ENLARGEMENT = 1.15  # beyond what keeps the edges out
GAMMA = (0.8, 1.25)
GAIN = (0.8, 1.2)
SHIFT = 0.08  # of the grey range
SLOPE = 0.12  # grey from one side to the other, as part of the range


@dataclass(frozen=True, slots=True, eq=False)
class Variation:
    """How one picture is varied. matrix: float64 [2, 3], from pixels of the mirrored and turned picture to the result's."""

    mirrored: bool
    quarter_turns: int
    matrix: NDArray[np.float64]
    gamma: float
    gain: float
    shift: float
    slope: tuple[float, float]


def draw_variation(rng: np.random.Generator, width_px: int, height_px: int) -> Variation:
    """A random variation for pictures of this size."""
    quarter_turns = int(rng.integers(4))
    sides = np.array((width_px, height_px) if quarter_turns % 2 == 0 else (height_px, width_px), np.float64)
    angle = np.radians(rng.uniform(-MOST_TURN_DEG, MOST_TURN_DEG))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    linear = turn @ np.array([[1.0, rng.uniform(-MOST_SHEAR, MOST_SHEAR)], [0.0, 1.0]])
    half = np.maximum((sides - 1) / 2, 0.5)
    reach = np.abs(np.linalg.inv(linear)) @ half  # how far the result's corners look from the centre
    scale = float((reach / half).max()) * rng.uniform(1.0, MOST_ENLARGEMENT)
    slack = half - reach / scale
    linear = scale * linear
    centre = half + rng.uniform(-1, 1, 2) * slack
    mirrored = bool(rng.random() < 0.5)
    return Variation(
        mirrored=mirrored,
        quarter_turns=quarter_turns,
        matrix=np.column_stack([linear, half - linear @ centre]),
        gamma=float(np.exp(rng.uniform(*np.log(GAMMA)))),
        gain=float(rng.uniform(*GAIN)),
        shift=float(rng.uniform(-SHIFT, SHIFT)),
        slope=(float(rng.uniform(-SLOPE, SLOPE)), float(rng.uniform(-SLOPE, SLOPE))),
    )


def vary(grey: Grey, regions: Regions, variation: Variation) -> tuple[Grey, Regions]:
    """The picture and its regions after `variation`; regions that leave the picture are cut off or gone."""
    height, width = grey.shape
    turned = np.ascontiguousarray(np.rot90(grey[:, ::-1] if variation.mirrored else grey, variation.quarter_turns))
    rows, columns = turned.shape
    moved = cv2.warpAffine(turned, variation.matrix, (columns, rows), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    drawn = []
    for (x, y, _, _), class_id, mask in zip(regions.boxes_px, regions.class_ids, regions.masks, strict=True):
        one = _turn(LabelledRegion(int(class_id), int(x), int(y), mask), variation, width, height)
        drawn.append(_move(one, variation.matrix))
    kept, _ = make_regions(drawn, regions.class_names, columns, rows, "")
    return _light(np.asarray(moved, np.uint8), variation), kept


def _turn(one: LabelledRegion, variation: Variation, width: int, height: int) -> LabelledRegion:
    """The region in the mirrored and turned picture; width, height: of the picture before."""
    x, y, mask = one.x_px, one.y_px, one.mask
    if variation.mirrored:
        x, mask = width - x - mask.shape[1], mask[:, ::-1]
    for _ in range(variation.quarter_turns):
        x, y, mask = y, width - x - mask.shape[1], np.rot90(mask)
        width, height = height, width
    return LabelledRegion(one.label, x, y, np.ascontiguousarray(mask))


def _move(one: LabelledRegion, matrix: NDArray[np.float64]) -> LabelledRegion:
    """Each pixel of the result belongs to the region when the pixel it comes from does."""
    rows, columns = one.mask.shape
    corners = np.array([(one.x_px + x, one.y_px + y, 1.0) for x in (-1, columns) for y in (-1, rows)])
    reached = corners @ matrix.T
    first = np.floor(reached.min(axis=0)).astype(int)
    size = np.ceil(reached.max(axis=0)).astype(int) - first + 1
    local = matrix.copy()
    local[:, 2] += matrix[:, :2] @ (one.x_px, one.y_px) - first
    moved = cv2.warpAffine(
        one.mask.astype(np.uint8), local, (int(size[0]), int(size[1])), flags=cv2.INTER_NEAREST, borderValue=(0,)
    )
    return LabelledRegion(one.label, int(first[0]), int(first[1]), np.asarray(moved > 0))


def _light(grey: Grey, variation: Variation) -> Grey:
    """Another gamma, contrast about the picture's own mean, brightness, and a slope across the field."""
    rows, columns = grey.shape
    curve = np.power(np.arange(256) / 255, variation.gamma)
    mean = float(curve[grey].mean())
    table = ((curve - mean) * variation.gain + mean + variation.shift).astype(np.float32)
    across, down = (np.linspace(-0.5, 0.5, side, dtype=np.float32) for side in (columns, rows))
    light = table[grey] + variation.slope[0] * across[None, :] + variation.slope[1] * down[:, None]
    return np.asarray(np.clip(np.rint(light * 255), 0, 255), np.uint8)
