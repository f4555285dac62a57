"""Architectures are judged, and compared on the same images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edge.records import SEVERITIES
from tests.training.score.conftest import of_stage_2, save
from training.score.evaluation import describe


def test_two_architectures_are_compared_on_the_same_images(
    ready: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    of_stage_2()
    import torch

    from export.checkpoint import classification_network
    from training.data.dataset import open_data_set
    from training.score import evaluate, intervals

    monkeypatch.setattr(intervals, "REPLICATES", 5)
    for architecture in ("efficientnet_b0", "resnet18"):
        torch.manual_seed(0)
        network = classification_network(architecture, len(SEVERITIES))
        for fold in range(2):
            path = tmp_path / architecture / f"fold{fold}" / "classifier.pt"
            save(network, SEVERITIES, path, open_data_set(ready).sha256, architecture)
    runs = {name: tmp_path / name for name in ("efficientnet_b0", "resnet18")}
    found = evaluate.evaluate(ready, {}, runs, "test")
    for classifier in found.classifiers:
        accuracy = classifier.numbers["accuracy"]
        right = sum(verdict.predicted == verdict.severity for verdict in classifier.images)
        assert np.sum(classifier.confusion) == len(classifier.images) == accuracy.n == 12
        assert np.trace(np.array(classifier.confusion)) == right
        assert accuracy.value == pytest.approx(right / 12, abs=1e-6)
        assert accuracy.low_95 < accuracy.value < accuracy.high_95  # type: ignore[operator]
    (comparison,) = found.comparisons
    assert comparison.initialised_from == ("none", "none")
    assert "Accuracy" in describe(found).title()
