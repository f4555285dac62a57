"""The numbers that speak for a whole field."""

from __future__ import annotations

import numpy as np
import pytest

from edge.inspection.describe import describe, in_words
from edge.inspection.measure import measure, quality
from edge.inspection.segment import no_regions
from edge.records import Grey, Regions


def squares(*sides_px: int) -> tuple[Regions, Grey]:
    """Dark squares on a brighter ground, with scores of 0.8 and 0.4 by turns."""
    grey = np.full((200, 300), 150, np.uint8)
    boxes, masks = [], []
    for number, side in enumerate(sides_px):
        x, y = 10 + 70 * number, 20
        grey[y : y + side, x : x + side] = 50
        boxes.append((x, y, side, side))
        masks.append(np.ones((side, side), np.bool_))
    n = len(masks)
    scores = np.array([0.8, 0.4] * n, np.float32)[:n]
    return Regions(np.array(boxes, np.int32).reshape(-1, 4), scores, np.zeros(n, np.int32), tuple(masks), ("pit",)), grey


def described(regions: Regions, grey: Grey) -> dict[str, float]:
    return describe(regions, measure(regions, grey.shape), grey, quality(grey, 0.0, None, ()))


def test_more_and_larger_regions_have_larger_numbers() -> None:
    few, many = described(*squares(20, 20)), described(*squares(40, 40, 40))
    for name in ("area", "log_area", "largest", "regions", "unsure", "boundary", "area of pit"):
        assert few[name] < many[name], name


def test_roots_and_shares_are_of_the_field() -> None:
    numbers = described(*squares(30, 20))
    assert numbers["area"] ** 2 == pytest.approx(1300 / 60000)
    assert numbers["largest"] ** 2 == pytest.approx(900 / 60000)
    assert numbers["regions"] ** 2 == pytest.approx(2)
    assert numbers["doubtful"] == 0.5


def test_dark_regions_are_dark() -> None:
    regions, grey = squares(30, 20)
    assert described(regions, grey)["darkness"] > 1
    assert described(regions, 255 - grey)["darkness"] < -1


@pytest.mark.parametrize("grey", [np.zeros((1, 1), np.uint8), np.full((50, 60), 7, np.uint8)], ids=["a pixel", "nothing"])
def test_an_image_without_regions_has_numbers_all_the_same(grey: Grey) -> None:
    regions = no_regions(("pit",))
    numbers = described(regions, grey)
    assert all(np.isfinite(value) for value in numbers.values())
    assert set(numbers) == set(described(*squares(20)))


def test_a_person_reads_the_area_and_not_its_root() -> None:
    assert in_words("area", 0.6, 0.25) == "the corroded area fraction (0.36, usually about 0.062)"
    assert in_words("contrast", 0.1, 0.2) == "the contrast of the picture (0.1, usually about 0.2)"
