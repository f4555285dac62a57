"""What is asked next on the page: open images with doubtful regions, each with why."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edge.journal import Journal
from edge.web.asking import MOST_REGIONS, Asking, asked, found
from edge.web.journal_source import JournalSource
from tests.conftest import settings_for
from tests.journal.examples import inspected, one
from tests.web.documents import inspection
from tests.web.test_journal_source import until


def row(name: str, *reasons: str) -> dict[str, Any]:
    return {"id": name, "reasons": list(reasons), "warnings": []}


def document(*scores: float) -> dict[str, Any]:
    told = inspection()
    region = told["regions"][0]
    told["regions"] = [
        {**region, "index": index, "score": score, "area_px": 50 * (index + 1), "box_px": [40 * index, 9, 8, 8]}
        for index, score in enumerate(scores)
    ]
    return told


def test_the_image_with_the_most_doubtful_region_comes_first_and_the_regions_are_named() -> None:
    told = asked([(row("sure"), found(document(0.99, 0.98))), (row("doubtful"), found(document(0.9, 0.5)))], clicks=3)
    assert [one["row"]["id"] for one in told] == ["doubtful", "sure"]
    assert told[0]["regions"][0] == 1
    assert sum(len(one["regions"]) for one in told) == 3


def test_where_what_was_taught_does_not_hold_a_brush_is_asked_for_first() -> None:
    odd = row("odd", "taught_unsure: say what this is")
    told = asked([(row("doubtful"), found(document(0.5))), (odd, found(document()))])
    assert [(one["row"]["id"], one["regions"], one["brush"]) for one in told] == [("odd", [], True), ("doubtful", [0], False)]


@pytest.mark.parametrize("regions", [None, 3, [1], [{}], [{"index": "x", "box_px": [], "score": None}]])
def test_an_inspection_whose_regions_cannot_be_read_asks_nothing(regions: Any) -> None:
    assert asked([(row("a"), found({**document(), "regions": regions}))]) == []
    assert asked([(row("a"), found({}))]) == []


def test_many_regions_of_one_image_are_bounded() -> None:
    assert len(found(document(*[0.4] * 1000)).indices) == MOST_REGIONS


@pytest.fixture
def source(tmp_path: Path) -> Iterator[JournalSource]:
    (tmp_path / "watched").mkdir()
    with JournalSource(settings_for(tmp_path / "watched")) as source:
        yield source


def test_images_that_are_gone_or_reviewed_are_not_asked_about(source: JournalSource, tmp_path: Path) -> None:
    told = {name: copy.deepcopy(document(0.5)) for name in ("here", "gone", "said")}
    with Journal.open(tmp_path / "state") as journal:
        for name, one_document in told.items():
            inspected(journal, f"{name}.tif", one(name, payload=json.dumps(one_document).encode()))
            (tmp_path / "watched" / f"{name}.tif").write_bytes(b"image")
        (tmp_path / "watched" / "gone.tif").unlink()
        asking = Asking(source)
        until(lambda: len(asking.questions()) == 2)
        said = {"schema": "edge.review/1", "review_id": "r", "ts_ms": 1, "reviewer": "ann", "image": {"sha256": "a" * 64}}
        line = json.dumps({**said, "inspection_id": "said-3", "complete": True}).encode()
        journal.reviews.add("r", "a" * 64, line, lambda _seq: b"")
        left = until(lambda: images if len(images := asking.questions()) == 1 else None)
    assert [(one["row"]["name"], one["regions"]) for one in left] == [("here.tif", [0])]
