"""A classifier is calibrated on what it did not learn, and scored on its fold."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge.errors import ConfigError
from edge.records import SEVERITIES
from tests.training.conftest import SIDE, Modules
from training import cli
from training.data.dataset import LabelledImage
from training.draw.synthetic import write_data_set
from training.learn import calibration
from training.learn.classifier_recipe import Recipe


def image(group: str, severity: Any, origin: str | None = None) -> LabelledImage:
    return LabelledImage(Path(f"{group}.png"), severity, group, "train", 1, origin)


def test_calibration_takes_whole_groups_and_no_copies(training: Modules) -> None:
    originals = [image(f"{severity} {number}", severity) for severity in SEVERITIES for number in range(5)]
    images = (*originals, *(replace(one, origin=one.path.name) for one in originals))
    learnt, aside = training.classifier._set_aside(images, seed=0)
    assert not {one.group for one in learnt} & {one.group for one in aside}
    assert {one.severity for one in aside} == set(SEVERITIES)
    assert all(one.origin is None for one in aside)
    assert len(learnt) + 2 * len(aside) == len(images)


def test_one_group_cannot_calibrate_what_it_taught(training: Modules) -> None:
    with pytest.raises(ConfigError, match="too few groups"):
        training.classifier._set_aside((image("a", "low"), image("a", "low")), seed=0)


@pytest.fixture(scope="module")
def folded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small drawn data set with two folds."""
    folder = tmp_path_factory.mktemp("folded")
    write_data_set(folder, images=24, seed=50, size_px=(96, 96))
    with (folder / "samples.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    with (folder / "samples.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, [*rows[0], "part", "fold"])
        writer.writeheader()
        writer.writerows({**row, "part": "train", "fold": index // 3 % 2} for index, row in enumerate(rows))
    return folder


def test_each_fold_gets_a_classifier_scored_on_that_fold(folded: Path, tmp_path: Path, training: Modules) -> None:
    from export.checkpoint import Checkpoint

    options = ["--weights", "none", "--architecture", "resnet18", "--epochs", "1", "--fold", "all", "--out", str(tmp_path)]
    assert cli.main(["classifier", "--data", str(folded), *options]) == 0
    for fold in range(2):
        checkpoint = Checkpoint.load(tmp_path / f"fold{fold}" / "classifier.pt")
        assert checkpoint.scores["accuracy"]["n"] == 12
        assert checkpoint.scores["accuracy"]["how"] == f"fold {fold} of {folded.name}"
        assert 6 <= checkpoint.training.images <= 10
        logits, _ = calibration.outputs(calibration.graph_of(checkpoint), np.zeros((1, SIDE, SIDE), np.uint8))
        assert np.isfinite(logits).all()


def test_recalibration_keeps_weights_and_domain(folded: Path, tmp_path: Path, training: Modules) -> None:
    recipe = Recipe(architecture="resnet18", weights="none", epochs=1, crops_part=0.0)
    before = training.classifier.train(folded, tmp_path, recipe, "test", fold=0)
    fields, labels = calibration.drawn_fields(7, 40, (96, 96), SIDE)
    after = calibration.recalibrated(before, fields, labels)
    assert after.calibration.domain == before.calibration.domain
    assert after.calibration.conformal_quantile != before.calibration.conformal_quantile
    assert all(bool((before.state[name] == after.state[name]).all()) for name in before.state)
