"""A review is shown as it was given, and which one counts."""

from __future__ import annotations

from typing import Any

from edge.report.reviewed import told
from tests.teach.making import review


def given(reviewer: str, number: int, **content: Any) -> dict[str, Any]:
    one = review("a.tif", "0" * 64, **content)
    return {**one, "reviewer": reviewer, "review_id": f"r{number}", "ts_ms": one["ts_ms"] + number}


def severity(verdict: str) -> dict[str, Any]:
    return {"severity": {"verdict": verdict}}


def test_the_latest_word_of_a_reviewer_counts_and_the_earlier_one_says_so() -> None:
    found = told([given("anna", 1, **severity("low")), given("anna", 2, **severity("severe"))])
    assert found.severities == (("anna", "severe"),)
    assert found.lines[0].endswith("severity low (a later one counts).")
    assert found.lines[1].endswith("anna: severity severe.")
    assert found.disagree == ()


def test_what_was_withdrawn_counts_no_more() -> None:
    found = told([given("anna", 1, **severity("low")), given("anna", 2, withdrawn=True)])
    assert found.severities == ()
    assert "(withdrawn)" in found.lines[1]


def test_reviewers_who_disagree_are_shown_as_such() -> None:
    found = told([given("anna", 1, **severity("low")), given("ben", 2, **severity("severe"))])
    assert found.disagree == ("Reviewers disagree on severity: anna says low, ben says severe.",)
    assert [name for name, _ in found.severities] == ["anna", "ben"]


def test_what_was_marked_is_counted_in_words() -> None:
    region = {"index": 0, "box_px": [0, 0, 5, 5], "verdict": "not_corrosion"}
    found = told([given("anna", 1, regions=[region], missed=[{"point_px": [1, 1]}], complete=True)])
    assert "1 region not corrosion, 1 missed region, looked at the whole image" in found.lines[0]


def test_what_is_no_review_is_listed_and_does_not_count() -> None:
    found = told([{"reviewer": "anna", "severity": {"verdict": "low"}}])
    assert found.severities == ()
    assert "severity low" in found.lines[0]
