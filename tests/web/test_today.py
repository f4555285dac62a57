"""What today's counts hold, and when they are counted anew."""

from __future__ import annotations

import time
from typing import Any, cast

from edge.journal.history import Count, History
from edge.teach.reviews import Review, ReviewedImage
from edge.web.today import Today


class Index:
    """What the index counts, and how often it was asked."""

    asked = 0

    def counts_since(self, at: float) -> list[Count]:
        assert time.time() - 90_000 < at <= time.time()
        self.asked += 1
        return [
            Count("inspection", "severe", None, "judged", 3),
            Count("inspection", "severe", "coarse", "judged", 2),
            Count("inspection", None, "odd", "judged", 4),
            Count("inspection", None, None, "abstained", 1),
            Count("failure", None, None, "failed", 5),
        ]

    def doubtful_since(self, at: float) -> list[str]:
        return ["open", "said", "taken back"]


def said(withdrawn: bool = False) -> list[Review]:
    return [Review(review_id="r", ts_ms=1, reviewer="ann", image=ReviewedImage("a" * 64), complete=True, withdrawn=withdrawn)]


def counts(index: Index, versions: list[int]) -> list[dict[str, Any]]:
    today = Today(cast(History, index))
    return [today.counts(version, lambda: {"said": said(), "taken back": said(withdrawn=True)}) for version in versions]


def test_verdicts_are_counted_by_label_and_by_class_and_what_was_reviewed_is_not_to_review() -> None:
    (told,) = counts(Index(), [1])
    assert told == {
        "inspections": 10, "failures": 5, "low": 0, "moderate": 0, "severe": 5, "abstained": 1, "to_review": 2,
        "classes": {"odd": 4},
    }  # fmt: skip


def test_nothing_is_counted_again_before_something_came() -> None:
    index = Index()
    counts(index, [1, 1, 1, 2, 2])
    assert index.asked == 2
