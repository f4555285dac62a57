"""What an adaptation makes of what the network found."""

from __future__ import annotations

import numpy as np
import pytest

from edge.inspection.linear import Linear
from edge.inspection.pixel_features import FILTERS
from edge.inspection.taught import counted, joined, pixel_doubt
from edge.inspection.taught_file import TaughtPixels
from edge.records import Regions

PART = TaughtPixels(
    filters=Linear(mean=(0.0,) * FILTERS, deviation=(1.0,) * FILTERS, weights=(0.0,) * FILTERS, bias=0.0),
    features=(),
    class_id=1,
    least_area_px=9,
    most_uncertain=0.3,
    area_range=(0.01, 0.6),
    reviewed=10,
)


def regions(*boxes: tuple[int, int, int, int], scores: tuple[float, ...]) -> Regions:
    masks = tuple(np.ones((h, w), np.bool_) for _, _, w, h in boxes)
    return Regions(
        np.array(boxes, np.int32), np.array(scores, np.float32), np.zeros(len(boxes), np.int32), masks, ("pit", "product")
    )


def logits(*boxes: tuple[int, int, int, int]) -> np.ndarray:
    found = np.full((80, 100), -5.0, np.float32)
    for x, y, w, h in boxes:
        found[y : y + h, x : x + w] = 5.0
    return found


def test_pixels_give_a_region_its_outline_and_add_what_the_network_did_not_see() -> None:
    found = joined(regions((10, 10, 20, 20), scores=(0.2,)), logits((10, 10, 24, 20), (60, 50, 12, 10)), PART, (80, 100))
    one, other = counted(found, 0.25).boxes_px.tolist()
    assert one == [10, 10, 24, 20]
    assert other == [60, 50, 12, 10]
    assert found.class_ids.tolist() == [0, 1]
    assert found.network_scores is not None
    assert found.network_scores.tolist() == pytest.approx([0.2, 0.0])
    assert (found.scores > 0.9).all()


def test_a_verifiers_score_is_not_raised_by_pixels() -> None:
    found = joined(regions((10, 10, 20, 20), scores=(0.1,)), logits((10, 10, 20, 20)), PART, (80, 100), sure=True)
    assert found.scores.tolist() == pytest.approx([0.1])


def test_a_region_on_background_is_not_deleted_its_score_falls() -> None:
    found = joined(regions((10, 10, 20, 20), scores=(0.9,)), logits((60, 50, 12, 10)), PART, (80, 100))
    kept = dict(zip(map(tuple, found.boxes_px.tolist()), found.scores.tolist(), strict=True))
    assert kept[10, 10, 20, 20] < 0.05
    assert len(counted(found, 0.25)) == 1


def test_several_regions_of_the_network_in_one_piece_divide_it_among_them() -> None:
    both = regions((10, 10, 15, 20), (30, 10, 15, 20), scores=(0.8, 0.7))
    found = counted(joined(both, logits((10, 10, 35, 20)), PART, (80, 100)), 0.25)
    assert len(found) == 2
    assert sum(int(mask.sum()) for mask in found.masks) == 35 * 20


def test_pixels_that_cannot_be_believed_say_so() -> None:
    assert pixel_doubt(logits((10, 10, 20, 20)), 0.3, (0.01, 0.6)) is None
    doubtful = pixel_doubt(np.full((80, 100), -0.1, np.float32), 0.3, (0.0, 0.6))
    much = pixel_doubt(logits((0, 0, 100, 70)), 0.3, (0.01, 0.6))
    nothing = pixel_doubt(logits(), 1.0, (0.01, 0.6))
    for reason in (doubtful, much, nothing):
        assert reason is not None
        assert reason.startswith("taught_unsure: ")
