"""A varied picture and its labels move together."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edge.records import Regions
from tests.training.labelled_images import HEIGHT, WIDTH, painted
from training.data.augment import Variation, draw_variation, vary
from training.labels.image_labels import ImageLabels, LabelledRegion
from training.labels.regions import make_regions


def discs(seed: int) -> tuple[NDArray[np.uint8], Regions]:
    """Bright discs on black, and their masks."""
    rng = np.random.default_rng(seed)
    drawn, grey = [], np.zeros((HEIGHT, WIDTH), np.uint8)
    for x, y in ((25, 20), (90, 25), (30, 65), (85, 65)):
        canvas = np.zeros((HEIGHT, WIDTH), np.uint8)
        cv2.ellipse(canvas, (x, y), (int(rng.integers(8, 16)), 9), float(rng.uniform(0, 180)), 0, 360, (1,), -1)
        grey[canvas > 0] = 200
        drawn.append(LabelledRegion(0, 0, 0, canvas > 0))
    return grey, make_regions(drawn, ("pit",), WIDTH, HEIGHT, "a")[0]


@pytest.mark.parametrize("seed", range(12))
def test_labels_of_a_varied_picture_lie_on_what_they_name(seed: int) -> None:
    grey, regions = discs(seed)
    variation = draw_variation(np.random.default_rng(seed), WIDTH, HEIGHT)
    plain = Variation(variation.mirrored, variation.quarter_turns, variation.matrix, 1.0, 1.0, 0.0, (0.0, 0.0))
    varied, moved = vary(grey, regions, plain)
    mask = painted(
        ImageLabels(
            tuple(LabelledRegion(0, box[0], box[1], m) for box, m in zip(moved.boxes_px.tolist(), moved.masks, strict=True))
        ),
        *varied.shape[::-1],
    )
    bright = varied >= 100
    assert (mask & bright).sum() / (mask | bright).sum() > 0.96


@pytest.mark.parametrize("seed", range(12))
def test_a_varied_picture_shows_nothing_from_beyond_the_edges(seed: int) -> None:
    grey = np.full((HEIGHT, WIDTH), 128, np.uint8)
    variation = draw_variation(np.random.default_rng(seed), WIDTH, HEIGHT)
    sides = (HEIGHT, WIDTH) if variation.quarter_turns % 2 else (WIDTH, HEIGHT)
    back = np.linalg.inv(np.vstack([variation.matrix, [0, 0, 1]]))
    corners = back @ np.array([(x, y, 1.0) for x in (0, sides[0] - 1) for y in (0, sides[1] - 1)]).T
    assert vary(grey, discs(0)[1], variation)[0].shape == sides[::-1]
    assert corners[:2].min() > -1e-6
    assert (corners[:2].max(axis=1) < np.array(sides) - 1 + 1e-6).all()


def test_quarter_turns_and_mirrors_are_exact() -> None:
    grey, regions = discs(3)
    for mirrored in (False, True):
        for turns in range(4):
            still = np.array([[1.0, 0, 0], [0, 1.0, 0]])
            varied, moved = vary(grey, regions, Variation(mirrored, turns, still, 1.0, 1.0, 0.0, (0.0, 0.0)))
            expected = np.rot90(grey[:, ::-1] if mirrored else grey, turns)
            np.testing.assert_array_equal(varied, expected)
            drawn = tuple(
                LabelledRegion(0, box[0], box[1], mask) for box, mask in zip(moved.boxes_px.tolist(), moved.masks, strict=True)
            )
            np.testing.assert_array_equal(painted(ImageLabels(drawn), *varied.shape[::-1]), expected > 0)
