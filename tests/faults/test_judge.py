"""The judge itself: each thing that a plant must never see is seen by it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from tests.faults.book import Book, Page, picture
from tests.faults.judge import counted, judge

PAGES = {"a.png": Page({"1", "2"}, "2"), "b.png": Page({"3"}, "3"), "gone.png": Page({"4"}, None)}


def inspection(path: str, digest: str, seq: int, name: str = "", *, doubts: Sequence[str] = (), **more: Any) -> bytes:
    body = {
        "schema": "edge.inspection/1",
        "inspection_id": name or f"{path}-{seq}",
        "epoch": "e",
        "seq": seq,
        "image": {"path": path, "sha256": digest},
        "quality": {"warnings": [f"{code}: a sentence" for code in doubts]},
        "severity": None,
    }
    return json.dumps({**body, **more}).encode()


def failure(path: str, digest: str | None, seq: int) -> bytes:
    image = {"path": path, "sha256": digest}
    return json.dumps({"schema": "edge.failure/1", "failure_id": f"f{seq}", "epoch": "e", "seq": seq, "image": image}).encode()


GOOD = [inspection("a.png", "1", 1), inspection("a.png", "2", 2), inspection("b.png", "3", 3)]


def test_all_contents_judged_once_in_order_are_no_problem() -> None:
    found = judge(PAGES, GOOD)
    assert found.settled
    assert found.all_problems() == []
    assert (found.images, found.verdicts, found.repeats) == (2, 3, 0)


def test_a_repeat_with_the_same_content_is_counted_and_no_problem() -> None:
    found = judge(PAGES, [*GOOD, GOOD[1]])
    assert (found.repeats, found.all_problems()) == (1, [])


@pytest.mark.parametrize(
    ("payloads", "kind"),
    [
        ([GOOD[0], GOOD[1]], "lost"),
        ([GOOD[0], GOOD[2]], "stale"),
        ([GOOD[1], GOOD[2]], "gap"),
        ([*GOOD, inspection("b.png", "3", 3, ts="later")], "two contents"),
        ([*GOOD, inspection("gone.png", "4", 3)], "two verdicts"),
        ([*GOOD, inspection("gone.png", "half", 4)], "partial"),
        ([*GOOD, inspection("other.png", "9", 4, doubts=["damaged"])], "invented"),
        ([GOOD[0], failure("a.png", None, 2), GOOD[2]], "stale"),
    ],
)
def test_each_kind_of_harm_is_seen(payloads: list[bytes], kind: str) -> None:
    assert kind in counted(judge(PAGES, payloads).all_problems())


def test_a_buried_verdict_is_a_problem_though_its_seq_is_there() -> None:
    tombstone = {"schema": "edge.tombstone/1", "epoch": "e", "seq": 4, "reason": "too large"}
    found = judge(PAGES, [*GOOD, json.dumps(tombstone).encode()])
    assert counted(found.all_problems()) == {"buried": 1}


@pytest.mark.parametrize("doubt", ["damaged", "zero_rows", "zero_tail"])
def test_partial_bytes_may_be_doubted_or_fail(doubt: str) -> None:
    found = judge(PAGES, [*GOOD, inspection("gone.png", "half", 4, doubts=[doubt]), failure("gone.png", "h", 5)])
    assert found.all_problems() == []
    assert (found.doubted, found.failures) == (1, 1)


def test_the_status_tells_of_verdicts_that_never_came() -> None:
    assert judge(PAGES, GOOD, {"e": 5}).missing == {"e": [4, 5]}


@pytest.mark.parametrize("extension", [".bmp", ".tif"])
def test_images_of_one_kind_have_one_size_and_other_bytes(extension: str) -> None:
    book = Book()
    one, other = book.new_image(extension), book.new_image(extension)
    assert one[0] != other[0]
    assert one[1] != other[1]
    assert len(one[1]) == len(other[1]) == len(picture(77, extension))


def test_a_number_behind_a_higher_one_is_out_of_order_unless_it_was_asked_for() -> None:
    late = [GOOD[0], GOOD[2], GOOD[1]]
    assert counted(judge(PAGES, late).problems) == {"order": 1}
    assert judge(PAGES, late, asked={"e": {2}}).problems == []
    assert judge(PAGES, [*GOOD, GOOD[0]]).problems == []
