"""The trained network is what everything else is measured against."""

from __future__ import annotations

from typing import Any

from tests.export.checkpoints import noise


def test_folding_the_stem_changes_nothing(exporters: Any, segmenter: Any, classifier: Any) -> None:
    assert exporters.trained.folding_difference(segmenter.checkpoint, noise(1, 96, 160)) < 1e-5
    assert exporters.trained.folding_difference(classifier.checkpoint, noise(1, 224, 224)) < 1e-5
