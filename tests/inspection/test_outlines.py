"""Outlines move to the edges that an image shows, by one cell at most, and stay where it shows none."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edge.inspection.merge import Detection
from edge.inspection.outlines import follow_edges, largest_piece

SIZE = (120, 160)


def disc(x: float, y: float, radius: float) -> NDArray[np.bool_]:
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
    return np.asarray((columns - x) ** 2 + (rows - y) ** 2 < radius**2)


def image(region: NDArray[np.bool_], inside: float, outside: float, noise: float = 4) -> NDArray[np.uint8]:
    drawn = np.where(region, inside, outside) + np.random.default_rng(1).normal(0, noise, SIZE)
    return np.clip(cv2.GaussianBlur(drawn, (0, 0), 0.7), 0, 255).astype(np.uint8)


def detection(mask: NDArray[np.bool_], cell_px: float = 4.0) -> Detection:
    y, x = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    cut = mask[y[0] : y[-1] + 1, x[0] : x[-1] + 1]
    seen = (0, 0, SIZE[1], SIZE[0])
    return Detection(int(x[0]), int(y[0]), cut, 0.9, 0, 0, seen, True, (False,) * 4, int(cut.sum()), cell_px=cell_px)


def full(of: Detection) -> NDArray[np.bool_]:
    placed = np.zeros(SIZE, bool)
    left, top, right, bottom = of.box
    placed[top:bottom, left:right] = of.mask
    return placed


def iou(one: NDArray[np.bool_], two: NDArray[np.bool_]) -> float:
    return float((one & two).sum() / (one | two).sum())


@pytest.mark.parametrize(("inside", "outside"), [(60, 140), (180, 110)], ids=["dark", "bright"])
@pytest.mark.parametrize(
    ("x", "y", "radius"), [(70, 60, 7), (70, 60, 25), (6, 60, 14)], ids=["small", "large", "at_the_border"]
)
@pytest.mark.parametrize("off_px", [-2, 2])
def test_an_outline_that_is_off_moves_to_the_edge(
    inside: float, outside: float, x: float, y: float, radius: float, off_px: float
) -> None:
    truth = disc(x, y, radius)
    grown = disc(x, y, radius + off_px)
    (followed,) = follow_edges(image(truth, inside, outside), [detection(grown)])
    assert iou(full(followed), truth) > iou(grown, truth) + 0.3 * (1 - iou(grown, truth))
    assert followed.area_px == followed.mask.sum()


def test_a_box_that_fills_itself_becomes_the_round_region_in_it() -> None:
    truth = disc(80, 60, 10)
    box = np.zeros(SIZE, bool)
    box[50:71, 70:91] = True
    (followed,) = follow_edges(image(truth, 60, 140), [detection(box)])
    assert iou(box, truth) < 0.8 < 0.88 < iou(full(followed), truth)


def test_where_the_image_shows_nothing_the_mask_stays() -> None:
    mask = disc(80, 60, 20)
    (followed,) = follow_edges(image(mask, 100, 100, noise=12), [detection(mask)])
    assert iou(full(followed), mask) > 0.97


def test_no_outline_moves_further_than_a_cell() -> None:
    (followed,) = follow_edges(image(disc(80, 60, 40), 60, 140), [detection(disc(80, 60, 20))])
    assert not (full(followed) & ~disc(80, 60, 25.5)).any()


def test_neighbours_stay_two_regions_that_share_no_pixel() -> None:
    left, right = disc(60, 60, 18), disc(96, 60, 18)
    found = [detection(disc(60, 60, 16)), detection(disc(96, 60, 16))]
    one, two = follow_edges(image(left | right, 60, 140), found)
    assert not (full(one) & full(two)).any()
    assert iou(full(one), left) > 0.9
    assert iou(full(two), right) > 0.9


@pytest.mark.parametrize("side", [1, 2, 3])
def test_the_smallest_regions_never_disappear(side: int) -> None:
    mask = np.zeros(SIZE, bool)
    mask[60 : 60 + side, 80 : 80 + side] = True
    (followed,) = follow_edges(image(mask, 100, 100, noise=20), [detection(mask)])
    assert followed.area_px >= 1


def test_a_mask_of_the_whole_image_and_none_at_all_are_left_alone() -> None:
    everything = detection(np.ones(SIZE, bool))
    grey = image(disc(80, 60, 20), 60, 140)
    assert follow_edges(grey, [everything]) == [everything]
    assert follow_edges(grey, []) == []


def test_the_largest_piece_is_tight_and_nothing_has_none() -> None:
    mask = np.zeros((10, 10), np.uint8)
    mask[1, 1] = mask[4:7, 5:9] = 1
    piece = largest_piece(mask)
    assert piece is not None
    x, y, tight = piece
    assert (x, y, tight.shape, bool(tight.all())) == (5, 4, (3, 4), True)
    assert largest_piece(np.zeros((3, 3), np.uint8)) is None
