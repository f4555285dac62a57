"""What stands in no document is left out of the lines."""

from __future__ import annotations

from training.score.score_text import describe


def test_a_score_of_nothing_but_severities_is_told_without_areas() -> None:
    severity = {
        "labels": {"low": 1, "moderate": 0, "severe": 1},
        "labels_without_doubt": {"low": 1, "moderate": 0, "severe": 0},
        "abstained": 1,
        "images": 3,
        "accuracy": {"value": 0.5, "n": 2, "interval_95": [0.1, 0.9]},
    }
    document = {"images": 3, "specimens": 2, "labels": {"kind": None}, "edge": None, "severity": severity, "perturbed": None}
    text = describe(document)
    assert "area" not in text
    assert "not judged 1 of 3" in text
    assert "50.0% right of 2 judged" in text
