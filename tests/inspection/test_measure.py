"""Areas, diameters and outlines of shapes whose measures are known."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.inspection.measure import measure, quality
from edge.records import Mask, Regions
from tests.conftest import pitted


def regions(*placed: tuple[int, int, Mask]) -> Regions:
    boxes = np.array([[x, y, mask.shape[1], mask.shape[0]] for x, y, mask in placed], np.int32).reshape(-1, 4)
    n = len(placed)
    return Regions(boxes, np.ones(n, np.float32), np.zeros(n, np.int32), tuple(mask for _, _, mask in placed), ("pit",))


def disc(radius: int) -> Mask:
    canvas = np.zeros((2 * radius + 1, 2 * radius + 1), np.uint8)
    cv2.circle(canvas, (radius, radius), radius, 1, -1)
    return canvas.astype(bool)


def test_a_disc_has_its_own_diameter_and_is_round() -> None:
    found = measure(regions((10, 10, disc(40))), (200, 200))
    assert found.equivalent_diameter_px[0] == pytest.approx(80, rel=0.01)
    assert found.circularity[0] == pytest.approx(1, abs=0.03)


def test_a_long_bar_is_not_round() -> None:
    found = measure(regions((5, 5, np.ones((4, 120), bool))), (200, 200))
    assert found.circularity[0] < 0.2


def test_a_single_pixel_is_measured() -> None:
    found = measure(regions((7, 9, np.ones((1, 1), bool))), (20, 20))
    assert found.area_px[0] == 1
    assert found.outlines_px[0].tolist() == [[7, 9]]
    assert 0 < found.circularity[0] <= 1


def test_the_area_fraction_counts_shared_pixels_once() -> None:
    square = np.ones((10, 10), bool)
    found = measure(regions((0, 0, square), (5, 0, square)), (20, 20))
    assert found.union_px == 150
    assert found.area_fraction == 150 / 400


def test_a_hole_is_told_and_not_counted() -> None:
    ring = np.ones((30, 30), bool)
    ring[10:20, 10:20] = False
    found = measure(regions((3, 4, ring)), (50, 50))
    assert found.area_px[0] == 800
    assert len(found.holes_px[0]) == 1
    assert found.holes_px[0][0].min(axis=0).tolist() >= [12, 13]


def test_the_outline_drawn_again_is_the_mask() -> None:
    random = np.random.default_rng(3)
    blob = cv2.GaussianBlur(random.random((80, 80)), (0, 0), 6) > 0.5
    _, labels, stats, _ = cv2.connectedComponentsWithStats(blob.astype(np.uint8))
    label = 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())
    x, y, w, h = stats[label, :4]
    mask = labels[y : y + h, x : x + w] == label
    found = measure(regions((int(x), int(y), mask)), (80, 80))
    drawn = np.zeros((80, 80), np.uint8)
    cv2.fillPoly(drawn, [found.outlines_px[0], *found.holes_px[0]], 1)
    full = np.zeros((80, 80), bool)
    full[y : y + h, x : x + w] = mask
    either = np.count_nonzero(full | (drawn > 0))
    assert np.count_nonzero(full & (drawn > 0)) / either > 0.97


@pytest.mark.parametrize("angle", [0, 15, 30, 45, 60])
def test_a_square_is_as_round_as_a_square_at_any_angle(angle: float) -> None:
    canvas = np.zeros((301, 301), np.uint8)
    corners = cv2.boxPoints(((150, 150), (180, 180), angle))
    cv2.fillPoly(canvas, [np.rint(corners * 16).astype(np.int32)], 1, cv2.LINE_8, 4)
    x, y, w, h = cv2.boundingRect(canvas)
    found = measure(regions((x, y, canvas[y : y + h, x : x + w] > 0)), (301, 301))
    assert found.circularity[0] == pytest.approx(np.pi / 4, rel=0.05)


def walked(steps: list[tuple[int, int]]) -> Mask:
    """A connected mask: the pixels on a walk of king's moves."""
    points = np.cumsum([(0, 0), *steps], axis=0)
    points -= points.min(axis=0)
    mask = np.zeros(points.max(axis=0) + 1, np.bool_)
    mask[tuple(points.T)] = True
    return mask


@given(st.lists(st.tuples(st.integers(-1, 1), st.integers(-1, 1)), max_size=60))
def test_any_connected_mask_has_measures_in_range_and_an_outline_inside_its_box(steps: list[tuple[int, int]]) -> None:
    mask = walked(steps)
    found = measure(regions((3, 5, mask)), (100, 100))
    assert found.area_px[0] == np.count_nonzero(mask)
    assert 0 < found.circularity[0] <= 1
    rings = np.vstack([found.outlines_px[0], *found.holes_px[0]])
    assert (rings >= [3, 5]).all()
    assert (rings < [3 + mask.shape[1], 5 + mask.shape[0]]).all()
    drawn = np.zeros((100, 100), np.uint8)
    cv2.fillPoly(drawn, [found.outlines_px[0]], 1)
    thick = cv2.dilate(drawn, np.ones((3, 3), np.uint8))[5 : 5 + mask.shape[0], 3 : 3 + mask.shape[1]]
    assert thick[mask].all()


def test_touching_the_edge_is_told_for_all_four_edges() -> None:
    square = np.ones((5, 5), bool)
    found = measure(regions((0, 8, square), (8, 0, square), (15, 8, square), (8, 15, square), (8, 8, square)), (20, 20))
    assert found.touches_edge.tolist() == [True, True, True, True, False]


def test_no_region_gives_empty_measures() -> None:
    found = measure(regions(), (20, 20))
    assert found.area_fraction == 0
    assert len(found.area_px) == 0


def test_a_flat_image_is_called_flat_and_a_pitted_one_is_not() -> None:
    assert any(warning.startswith("flat:") for warning in quality(np.full((50, 50), 90, np.uint8), 0, None, ()).warnings)
    assert quality(pitted(), 0.0, None, ()).warnings == ()


def test_a_blurred_image_is_called_blurred() -> None:
    rows, columns = np.mgrid[0:480, 0:640]
    blurred = (128 + 80 * np.sin(rows / 60) * np.cos(columns / 75)).astype(np.uint8)
    assert any(warning.startswith("blurred:") for warning in quality(blurred, 0, None, ()).warnings)
