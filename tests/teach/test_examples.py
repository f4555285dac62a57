"""What a review says of regions and pixels."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from edge.errors import ReviewError
from edge.inspection.features import FeatureMap
from edge.records import Regions
from edge.teach.examples import Examples, examples_of
from edge.teach.reviews import parse_review
from tests.teach.making import brushed, review, spotted

GREY, SPOTS = spotted(3)


def found() -> Regions:
    boxes = np.array([[x - r, y - r, 2 * r, 2 * r] for x, y, r in SPOTS], np.int32)
    masks = tuple(np.ones((2 * r, 2 * r), np.bool_) for _, _, r in SPOTS)
    return Regions(boxes, np.linspace(0.9, 0.1, len(SPOTS)).astype(np.float32), np.zeros(len(SPOTS), np.int32), masks, ("pit",))


def learnt(*contents: dict[str, Any]) -> Examples:
    documents = [
        {**review("a.png", "0" * 64, **one), "reviewer": f"r{n}", "review_id": f"{n}"} for n, one in enumerate(contents)
    ]
    reviews = [parse_review(json.dumps(one).encode(), "here") for one in documents]
    features = FeatureMap(np.zeros((2, 60, 80), np.float32), 0.25, 0.25)
    return examples_of(reviews, GREY, found(), features, confidence=0.25)


def verdict(index: int, said: str, **more: Any) -> dict[str, Any]:
    return {"index": index, "box_px": found().boxes_px[index].tolist(), "verdict": said, **more}


def test_marked_regions_are_examples_of_both_kinds() -> None:
    examples = learnt({"regions": [verdict(0, "right"), verdict(1, "not_corrosion"), verdict(2, "wrong_outline")]})
    assert examples.right.tolist() == [True, False, True]
    assert not len(examples.pixels)


def test_in_a_complete_image_what_counts_and_is_unmarked_is_right() -> None:
    examples = learnt({"regions": [verdict(1, "not_corrosion")], "complete": True})
    assert len(examples.right) == int(np.count_nonzero(found().scores >= 0.25))
    assert np.count_nonzero(~examples.right) == 1


def test_brushed_pixels_and_every_kind_of_missed_region_are_examples() -> None:
    x, y, r = SPOTS[0]
    missed = [
        {"point_px": [x, y]},
        {"box_px": [x - r, y - r, 2 * r, 2 * r]},
        {"outline_px": [[x, y - r], [x + r, y], [x, y + r]]},
    ]
    examples = learnt({"brushed": brushed(SPOTS[:3]), "missed": missed})
    assert examples.corroded.any()
    assert not examples.corroded.all()
    assert len(examples.pixels) == len(examples.corroded) == len(examples.pixel_places)
    assert np.isfinite(examples.pixels).all()
    assert examples.classes == ("pit",)


def test_reviewers_who_contradict_each_other_of_one_region_are_refused() -> None:
    with pytest.raises(ReviewError, match="right and not corrosion"):
        learnt({"regions": [verdict(0, "right")]}, {"regions": [verdict(0, "not_corrosion")]})


def test_pixels_brushed_as_both_are_refused() -> None:
    x, y, r = SPOTS[0]
    both = [{"class": name, "points_px": [[x, y]], "radius_px": r} for name in ("pit", "background")]
    with pytest.raises(ReviewError, match="brushed as background and as corroded"):
        learnt({"brushed": both})


def test_regions_that_are_not_found_and_marks_outside_are_of_another_image_or_model() -> None:
    with pytest.raises(ReviewError, match="another model"):
        learnt({"regions": [{"index": 0, "box_px": [1, 1, 3, 3], "verdict": "right"}]})
    with pytest.raises(ReviewError, match="outside the 320x240 image"):
        learnt({"missed": [{"point_px": [5000, 10]}]})
