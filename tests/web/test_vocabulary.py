"""Names that a plant uses: from its adaptation in rising order, then from its reviews, each spelled one way."""

from __future__ import annotations

from typing import Any

import pytest

from edge.errors import ReviewError
from edge.teach.reviews import Brushed, FieldVerdict, Missed, RegionVerdict, Review, ReviewedImage
from edge.teach.severity import parse_classes
from edge.web.vocabulary import classes, in_order, severities, spelled

BOX = (0.0, 0.0, 1.0, 1.0)
ADAPTATION = {"severity": {"classes": [{"name": "fine", "label": "low"}, {"name": "Coarse", "label": None}]}}


def review(number: int, verdict: str | None = None, **marks: Any) -> Review:
    said = None if verdict is None else FieldVerdict(verdict)
    image = ReviewedImage(f"{number:064x}")
    return Review(review_id=f"r{number}", ts_ms=number, reviewer="ann", image=image, severity=said, **marks)


def test_an_adaptation_gives_its_classes_in_order_and_reviews_add_theirs() -> None:
    said = [review(1, "coarse"), review(2, "odd"), review(3, "odd"), review(4, "severe"), review(5, "cannot_tell"), review(6)]
    assert severities([ADAPTATION], said) == [
        {"name": "fine", "label": "low", "images": 0},
        {"name": "Coarse", "label": None, "images": 1},
        {"name": "odd", "label": None, "images": 2},
        {"name": "severe", "label": "severe", "images": 1},
    ]


@pytest.mark.parametrize("told", [{}, {"severity": None}, {"severity": {"classes": 3}}, {"severity": {"classes": [1, {}]}}])
def test_an_adaptation_without_severities_names_none(told: dict[str, Any]) -> None:
    assert severities([told], []) == []


def test_regions_are_called_as_the_segmenter_and_reviewers_call_them() -> None:
    marks: dict[str, Any] = {
        "regions": (RegionVerdict(0, BOX, "wrong_class", "crack"), RegionVerdict(1, BOX, "right")),
        "missed": (Missed((1.0, 1.0), class_name="Pit"),),
        "brushed": (Brushed(((1.0, 1.0),), 2.0, "background"), Brushed(((1.0, 1.0),), 2.0, "rust")),
    }
    assert classes(("pit", "product"), [review(1, **marks)]) == ["pit", "product", "crack", "rust"]


def test_a_class_is_spelled_as_the_plant_does_and_has_no_sign_that_parts_classes() -> None:
    known = [{"name": "Coarse"}]
    assert [spelled(name, known) for name in ("coarse", "new")] == ["Coarse", "new"]
    for name in ("a,b", "a=low", "x" * 101):
        with pytest.raises(ReviewError, match="without comma"):
            spelled(name, known)


def test_an_order_is_told_as_edge_teach_reads_it() -> None:
    text = in_order([{"name": "fine", "label": "low"}, {"name": "Too coarse", "label": None}])
    assert [(one.name, one.label) for one in parse_classes(text)] == [("fine", "low"), ("Too coarse", None)]


@pytest.mark.parametrize(
    "asked",
    [
        "fine,coarse",
        [],
        [{"name": "fine", "label": None}],
        [1, 2],
        [{"name": "fine", "label": "bad"}, {"name": "coarse"}],
        [{"name": " "}, {"name": "coarse"}],
        [{"name": ["x"]}, {"name": "coarse"}],
        [{"name": "a,b"}, {"name": "coarse"}],
        [{"name": "fine", "label": ["low"]}, {"name": "coarse"}],
        [{"name": "--out", "label": None}] * 31,
    ],
)
def test_an_order_that_is_none_is_refused_with_a_sentence(asked: Any) -> None:
    with pytest.raises(ReviewError, match="class"):
        in_order(asked)
