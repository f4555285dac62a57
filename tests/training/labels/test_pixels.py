"""Outlines and arrays become the pixels of each region, cut to the image."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from training.labels.image_labels import ImageLabels, LabelledRegion
from training.labels.pixels import by_value, cut, fill, fill_with_line, outside_findings, parts_of, size_findings, united

WIDTH, HEIGHT = 20, 12


def outline(*points: tuple[float, float]) -> NDArray[np.float64]:
    return np.array(points, np.float64)


def test_a_polygon_holds_the_pixels_whose_centres_lie_inside_it() -> None:
    region = fill("pit", outline((2, 3), (6, 3), (6, 5), (2, 5)), WIDTH, HEIGHT)
    assert region is not None
    assert (region.label, region.x_px, region.y_px, region.mask.shape) == ("pit", 2, 3, (2, 4))
    assert region.mask.all()
    assert fill("pit", outline((2.6, 3.6), (3.4, 3.6), (3.4, 4.4), (2.6, 4.4)), WIDTH, HEIGHT) is None


def test_polygons_side_by_side_share_no_pixel_and_leave_none_out() -> None:
    corner, middle, far = (1.3, 0.7), (10.2, 4.9), (18.1, 11.2)
    parts = [fill(0, outline(corner, middle, far, side), WIDTH, HEIGHT) for side in ((17.0, 1.0), (2.0, 11.0))]
    whole = fill(0, outline(corner, (17.0, 1.0), far, (2.0, 11.0)), WIDTH, HEIGHT)
    assert whole is not None
    covered = [ImageLabels((part,)).covered(WIDTH, HEIGHT).astype(int) for part in parts if part is not None]
    np.testing.assert_array_equal(covered[0] + covered[1], ImageLabels((whole,)).covered(WIDTH, HEIGHT))


def test_a_polygon_that_crosses_itself_has_holes() -> None:
    twice = outline((0, 0), (10, 0), (10, 10), (0, 10), (0, 0), (3, 3), (7, 3), (7, 7), (3, 7), (3, 3))
    region = fill(0, twice, WIDTH, HEIGHT)
    assert region is not None
    assert np.count_nonzero(region.mask) == 100 - 16


def test_a_polygon_with_its_line_holds_the_pixels_of_its_corners() -> None:
    (region,) = fill_with_line(1, outline((2, 3), (5, 3), (5, 4), (2, 4)), WIDTH, HEIGHT)
    assert (region.x_px, region.y_px, region.mask.shape) == (2, 3, (2, 4))
    assert fill_with_line(1, outline((30, 3), (35, 3), (35, 4)), WIDTH, HEIGHT) == []


def test_what_reaches_out_of_the_image_is_cut_and_the_rest_keeps_its_place() -> None:
    region = cut(0, -2, 10, np.ones((5, 6), np.bool_), WIDTH, HEIGHT)
    assert region is not None
    assert (region.x_px, region.y_px, region.mask.shape) == (0, 10, (2, 4))
    assert cut(0, WIDTH, 0, np.ones((3, 3), np.bool_), WIDTH, HEIGHT) is None


def test_bounds_are_tight() -> None:
    mask = np.zeros((6, 6), np.bool_)
    mask[2, 3:5] = True
    region = cut(0, 1, 1, mask, WIDTH, HEIGHT)
    assert region is not None
    assert (region.x_px, region.y_px, region.mask.shape) == (4, 3, (1, 2))


def test_pieces_become_one_region_with_the_first_ones_label() -> None:
    pieces = [LabelledRegion("pit", 5, 4, np.ones((2, 2), np.bool_)), LabelledRegion("x", 1, 1, np.ones((1, 3), np.bool_))]
    region = united(pieces)
    assert (region.label, region.x_px, region.y_px, region.mask.shape) == ("pit", 1, 1, (5, 6))
    covered = ImageLabels(tuple(pieces)).covered(WIDTH, HEIGHT)
    np.testing.assert_array_equal(ImageLabels((region,)).covered(WIDTH, HEIGHT), covered)


def test_parts_that_touch_at_a_corner_are_one() -> None:
    mask = np.array([[1, 0, 0, 0], [0, 1, 0, 1]], np.bool_)
    parts = parts_of(mask, 10, 20)
    assert [(x, y, part.shape) for x, y, part in parts] == [(10, 20, (2, 2)), (13, 21, (1, 1))]


def test_each_value_besides_zero_is_a_mask_of_its_own() -> None:
    values = np.array([[0, 7, 0], [3, 7, 0], [0, 0, 3]])
    found = {value: (x, y, part.tolist()) for value, x, y, part in by_value(values)}
    assert found == {
        3: (0, 1, [[True, False, False], [False, False, True]]),
        7: (1, 0, [[True], [True]]),
    }
    assert list(by_value(np.zeros((2, 2), int))) == []


@pytest.mark.parametrize(
    ("corner", "fatal"), [((WIDTH + 0.9, 5.0), []), ((WIDTH + 3.0, 5.0), [False])], ids=["a click on the border", "beyond it"]
)
def test_an_outline_that_leaves_its_image_is_reported_as_cut(corner: tuple[float, float], fatal: list[bool]) -> None:
    findings = outside_findings(outline((5, 5), corner, (5, 9)), "a.txt", WIDTH, HEIGHT)
    assert [finding.fatal for finding in findings] == fatal


def test_an_outline_of_another_place_is_fatal() -> None:
    (finding,) = outside_findings(outline((50, 5), (60, 5), (60, 9)), "a.txt line 1", WIDTH, HEIGHT)
    assert finding.fatal
    assert finding.where == "a.txt line 1"


def test_labels_of_another_size_are_named_with_both_sizes_and_no_size_is_no_finding() -> None:
    (finding,) = size_findings(40, "24", "a.json", WIDTH, HEIGHT)
    assert finding.where == "a.json (labels 40x24, image 20x12)"
    assert size_findings("20", 12, "a.json", WIDTH, HEIGHT) == []
    assert size_findings(None, None, "a.json", WIDTH, HEIGHT) == []
