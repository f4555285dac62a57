"""Every number of a segmenter says how it was measured, and other classes are compared without classes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.training.score.conftest import save, untrained
from training.score.evaluation import Evaluation


def test_every_number_says_how_it_was_measured_and_on_what(evaluation: Evaluation) -> None:
    (segmenter,) = evaluation.segmenters
    assert segmenter.by_class is not None
    for number in (*segmenter.any_class.values(), *segmenter.by_class.values()):
        assert number.how
        assert number.n == 12 or "AUC" in number.how


def test_labels_that_the_network_finds_are_found(evaluation: Evaluation) -> None:
    (segmenter,) = evaluation.segmenters
    assert segmenter.any_class["matched_iou"].value > 0.7  # type: ignore[operator]
    assert segmenter.sizes[0].regions > 12
    assert segmenter.sizes[0].recall50 > 0.2  # type: ignore[operator]


def test_other_classes_are_compared_without_classes_and_a_missing_fold_is_named(
    ready: Path, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from training.score import evaluate, intervals

    monkeypatch.setattr(intervals, "REPLICATES", 2)
    save(untrained(("corrosion",)), ("corrosion",), tmp_path / "fold1" / "segmenter.pt", "0" * 64)
    found = evaluate.evaluate(ready, {"automated": tmp_path}, {}, "test")
    assert found.segmenters[0].by_class is None
    assert found.segmenters[0].any_class["mean_iou"].value is not None
    assert any("fold 0" in warning for warning in found.warnings)
    assert any("other data or labels" in warning for warning in found.warnings)
