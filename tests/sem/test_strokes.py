"""Strokes of one ink: which pieces are steep all around, and what is measured of them."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from edge.sem import strokes
from tests.sem.making import specimen


def plain(height: int = 200, width: int = 300, level: int = 120) -> np.ndarray:
    rng = np.random.default_rng(5)
    return np.clip(rng.normal(level, 4, (height, width)), 1, 254).astype(np.uint8)


def all_marks(image: np.ndarray) -> list[tuple[strokes.Ink, strokes.Marks]]:
    slope = strokes.slopes(image)
    found = ((ink, strokes.marks(image, ink, slope)) for ink in strokes.inks(image, slope))
    return [(ink, pieces) for ink, pieces in found if pieces is not None]


@pytest.mark.parametrize("level", [0, 30, 226, 255])
def test_a_stroke_of_any_grey_is_measured(level: int) -> None:
    image = plain()
    image[60:100, 50:58] = level
    (ink, pieces), *_ = all_marks(image)
    assert ink.bright == (level > 120)
    box = (pieces.left, pieces.top, pieces.width, pieces.height, pieces.area)
    assert [side.tolist() for side in box] == [[50], [60], [8], [40], [320]]
    assert pieces.level[0] == level
    assert pieces.thickest[0] == 7
    assert pieces.steep[0] == 1.0


def test_the_pixels_of_a_stroke_are_its_own() -> None:
    image = plain()
    image[60:100, 50:58] = 255
    image[60:100, 60:68] = 255
    (_, pieces), *_ = all_marks(image)
    x, y, own = pieces.pixels(0, margin=5)
    assert (x, y, own.shape) == (45, 55, (50, 18))
    assert own.sum() == 320


def test_ink_of_one_level_to_the_digit_is_known_as_such() -> None:
    image = plain(level=225)
    cv2.putText(image, "EDS 2", (20, 100), cv2.FONT_HERSHEY_SIMPLEX, 1.2, 255, 3, cv2.LINE_8)
    assert any(ink.exact and pieces.alone and len(pieces) == 4 for ink, pieces in all_marks(image))


def test_a_blurred_edge_is_no_stroke() -> None:
    image = plain()
    cv2.circle(image, (150, 100), 12, 250, -1)
    assert not all_marks(cv2.GaussianBlur(image, (0, 0), 4))


def test_what_is_steep_follows_the_specimen() -> None:
    smooth, rough = (
        strokes.slopes(plain()),
        strokes.slopes(specimen() // 16 * 16 * (np.indices((384, 512)).sum(0) // 5 % 2 == 0)),
    )
    assert smooth.steep == strokes.STEEP
    assert rough.steep > smooth.steep


@pytest.mark.parametrize("shape", [(1, 1), (3, 200), (200, 3)])
def test_the_smallest_images_have_no_strokes(shape: tuple[int, int]) -> None:
    assert not all_marks(np.full(shape, 7, np.uint8))
