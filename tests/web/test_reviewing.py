"""Clicks to reviews: what fits the inspection is whole, everything else is a sentence."""

from __future__ import annotations

import json
from typing import Any

import pytest

from edge.config import DeviceSettings
from edge.errors import ReviewError
from edge.teach.reviews import Review, parse_review
from edge.web.reviewing import compose, reviewed, said

DEVICE = DeviceSettings(site="plant", area="lab", id="s1")
SEGMENTER = "b" * 64


def document(**changed: Any) -> dict[str, Any]:
    image = {"name": "a.png", "path": "x/a.png", "sha256": "a" * 64, "page": 0, "revision": 1, "width_px": 100, "height_px": 80}
    return {
        "inspection_id": "i1",
        "image": image,
        "model": {"segmenter": {"name": "s", "version": "1", "sha256": SEGMENTER}, "classifier": None, "taught": None},
        "regions": [{"box_px": [1, 2, 3, 4]}, {"box_px": [10, 20, 5, 5]}],
        **changed,
    }


def composed(clicked: dict[str, Any], reviewer: str = "ann", **changed: Any) -> Review:
    review_id, line = compose(clicked, document(**changed), reviewer, DEVICE)
    review = parse_review(line, "it")
    assert review.review_id == review_id
    return review


STRUCK = {"index": 1, "box_px": [10, 20, 5, 5], "verdict": "not_corrosion"}


def test_a_review_knows_its_image_its_inspection_its_models_and_who() -> None:
    review = composed({"inspection_id": "i1", "regions": [STRUCK], "severity": {"verdict": "low"}, "complete": True})
    assert (review.reviewer, review.inspection_id, review.about) == ("ann", "i1", ("a" * 64, 0))
    assert review.model is not None
    assert (review.model.segmenter, review.model.classifier, review.model.regions) == (SEGMENTER, None, None)
    assert [region.index for region in review.regions] == [1]


def test_the_browser_does_not_say_who_or_of_what() -> None:
    for name in ("reviewer", "ts_ms", "review_id", "image", "model", "schema", "device"):
        with pytest.raises(ReviewError, match=f"'{name}' is no part of a review"):
            composed({"note": "x", name: "eve"})


@pytest.mark.parametrize(
    ("clicked", "sentence"),
    [
        ({}, "nothing is marked"),
        ({"regions": [{**STRUCK, "index": 2}]}, "which has 2"),
        ({"regions": [{**STRUCK, "box_px": [50, 20, 5, 5]}]}, "where the inspection has it"),
        ({"regions": [{**STRUCK, "verdict": "maybe"}]}, "verdict"),
        ({"regions": [STRUCK, {**STRUCK, "verdict": "right"}]}, "contradictory"),
        ({"regions": "all"}, "regions"),
        ({"missed": [{"point_px": [101, 5]}]}, "outside of the image"),
        ({"complete": {"box_px": [10, 10, 95, 5]}}, "outside of the image"),
        ({"missed": [{"point_px": [5, 5], "box_px": [1, 1, 2, 2]}]}, "exactly one"),
        ({"missed": [{"outline_px": [[1, 1], [2, 2], [3, 3]]}]}, "no area"),
        ({"brushed": [{"class": "pit", "points_px": [[5, -1]], "radius_px": 3}]}, "outside of the image"),
        ({"brushed": [{"class": "pit", "points_px": [], "radius_px": 3}]}, "points_px"),
        ({"missed": [{"point_px": [5, 5]}] * 501}, "501 clicks"),
        ({"severity": "low"}, "severity"),
        ({"severity": {"verdict": "uncorroded"}, "missed": [{"point_px": [5, 5]}]}, "contradictory"),
        ({"withdrawn": "yes"}, "withdrawn"),
    ],
)
def test_what_does_not_fit_is_a_sentence(clicked: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ReviewError, match=sentence):
        composed(clicked)


def test_a_field_without_regions_has_a_severity_all_the_same() -> None:
    nothings: list[Any] = [[], None]
    for nothing in nothings:
        assert composed({"severity": {"verdict": "severe"}}, regions=nothing).severity is not None
        with pytest.raises(ReviewError, match="which has 0"):
            composed({"regions": [STRUCK]}, regions=nothing)


def test_a_withdrawn_review_says_nothing_but_that() -> None:
    first = composed({"severity": {"verdict": "low"}})
    back = composed({"withdrawn": True, "supersedes": first.review_id})
    assert reviewed([first, back]) is None
    assert said(back)["supersedes"] == first.review_id


def test_what_was_said_can_be_handed_over_again_as_it_was() -> None:
    clicked = {
        "regions": [STRUCK, {"index": 0, "box_px": [1, 2, 3, 4], "verdict": "wrong_class", "class": "pit"}],
        "missed": [{"point_px": [5, 5], "class": "pit"}, {"box_px": [1, 1, 5, 5]}],
        "brushed": [{"class": "background", "points_px": [[1, 1], [2, 2]], "radius_px": 3}],
        "complete": {"box_px": [0, 0, 50, 50]},
    }
    once = composed(clicked)
    told = json.loads(json.dumps(said(once)))
    again = composed({name: told[name] for name in clicked})
    assert (again.regions, again.missed, again.brushed, again.complete) == (
        once.regions,
        once.missed,
        once.brushed,
        once.complete,
    )


def test_two_who_say_different_things_of_a_region_or_the_severity_disagree() -> None:
    struck, right = composed({"regions": [STRUCK]}), composed({"regions": [{**STRUCK, "verdict": "right"}]}, "bea")
    low, severe = (composed({"severity": {"verdict": name}}, name) for name in ("low", "severe"))
    for two in ((struck, right), (low, severe)):
        assert (reviewed(two) or {})["disagree"]
    assert not (reviewed([struck, low]) or {})["disagree"]
    assert reviewed([]) is None
