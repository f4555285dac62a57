"""A segmenter is trained from what a user has, and survives a kill."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from edge.errors import ConfigError, ModelError
from tests import ROOT
from tests.training.learn.conftest import first, options
from training import cli
from training.draw.synthetic import CLASSES


def test_a_run_gives_a_checkpoint_that_says_how_it_was_made(trainer: Any, run: Path, drawn: Path) -> None:
    checkpoint = trainer.Checkpoint.load(run / "segmenter.pt")
    assert (checkpoint.architecture, checkpoint.classes) == ("yolov8n-seg", CLASSES)
    assert checkpoint.training.command.startswith(f"edge-train segmenter --data {drawn}")
    assert checkpoint.training.initialised_from == "none"


@pytest.mark.parametrize("model", ["yolo11n-seg", "yolo26n-seg"])
def test_other_architectures_learn_and_are_scored_alike(
    trainer: Any, run: Path, drawn: Path, tmp_path: Path, model: str
) -> None:
    assert cli.main(["segmenter", *options(drawn, tmp_path, "--model", model)]) == 0
    checkpoint = trainer.Checkpoint.load(tmp_path / "segmenter.pt")
    assert checkpoint.architecture == model
    assert set(checkpoint.scores) == set(trainer.Checkpoint.load(run / "segmenter.pt").scores) >= {"mask_map50", "box_map50_95"}


def test_each_fold_is_scored_on_its_own_images(trainer: Any, drawn: Path, tmp_path: Path) -> None:
    ready, out = tmp_path / "ready", tmp_path / "runs"
    assert cli.main(["prepare", str(drawn), "--out", str(ready), "--folds", "2", "--augment", "1"]) == 0
    assert cli.main(["segmenter", *options(ready, out, "--fold", "all")]) == 0
    scores = [trainer.Checkpoint.load(out / f"fold{fold}" / "segmenter.pt").scores["mask_map50"]["how"] for fold in range(2)]
    assert ["fold 0 of ready" in scores[0], "fold 1 of ready" in scores[1]] == [True, True]
    # a second run begins each fold with the first run's weights of that fold
    more = tmp_path / "more"
    assert cli.main(["segmenter", *options(ready, more, "--fold", "1", weights=str(out))]) == 0
    later = trainer.Checkpoint.load(more / "fold1" / "segmenter.pt")
    assert later.training.initialised_from == "segmenter.pt, 1 epochs from none"


def test_a_fold_does_not_begin_with_weights_that_learnt_from_other_data(
    trainer: Any, drawn: Path, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ready = tmp_path / "ready"
    assert cli.main(["prepare", str(drawn), "--out", str(ready), "--folds", "2", "--augment", "1"]) == 0
    shutil.copytree(run, tmp_path / "earlier" / "fold0")
    assert cli.main(["segmenter", *options(ready, tmp_path / "o", "--fold", "0", weights=str(tmp_path / "earlier"))]) == 2
    assert "learnt from another data set" in capsys.readouterr().err


def test_held_out_images_without_a_region_have_no_score(trainer: Any, copied: Path, tmp_path: Path) -> None:
    from training.data.dataset import open_data_set

    for label in (copied / "labels").iterdir():
        label.write_text("")
    assert trainer.score(None, open_data_set(copied).images, CLASSES, tmp_path, 96, "nothing") == {}


def test_a_killed_run_goes_on_after_its_last_whole_epoch(trainer: Any, drawn: Path, tmp_path: Path) -> None:
    out, whole = tmp_path / "run", tmp_path / "run" / "segmenter" / "weights" / "whole.pt"
    command = [sys.executable, "-m", "training.cli", "segmenter", *options(drawn, out, epochs=3)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        command, env=environment, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        while not whole.is_file():
            assert process.poll() is None
        process.send_signal(signal.SIGKILL)
    assert trainer.progress(out) == "begun"

    moved = out.rename(tmp_path / "moved")
    begun = ["segmenter", *options(drawn, moved, "--resume", epochs=1)]  # the run's own three epochs count
    assert cli.main(begun) == 0
    assert trainer.progress(moved) == "finished"
    assert trainer.Checkpoint.load(moved / "segmenter.pt").training.epochs == 3
    table = (moved / "segmenter" / "results.csv").read_text().splitlines()
    assert [row.split(",")[0] for row in table[1:]] == ["1", "2", "3"]
    assert not out.exists()


def test_a_finished_run_is_left_alone(run: Path, drawn: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (run / "segmenter.pt").stat().st_mtime_ns
    assert cli.main(["segmenter", *options(drawn, run, "--resume")]) == 0
    assert "nothing to resume" in capsys.readouterr().err
    assert (run / "segmenter.pt").stat().st_mtime_ns == before


def test_resuming_where_no_epoch_was_finished_begins(
    trainer: Any, drawn: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["segmenter", *options(drawn, tmp_path, "--resume")]) == 0
    assert "training begins" in capsys.readouterr().err
    assert trainer.progress(tmp_path) == "finished"


def test_a_run_killed_while_it_was_scored_is_only_scored(
    trainer: Any, drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: Any) -> Any:
        raise KeyboardInterrupt

    recipe = trainer.Recipe(weights="none", epochs=1, imgsz=96)
    with monkeypatch.context() as patched:
        patched.setattr(trainer, "score", killed)
        with pytest.raises(KeyboardInterrupt):
            trainer.train(drawn, tmp_path, recipe, "a test")
    trained = (tmp_path / "segmenter" / "results.csv").read_bytes()
    checkpoint = trainer.train(drawn, tmp_path, recipe, "another test", resume=True)
    assert checkpoint.training.command == "a test"
    assert (tmp_path / "segmenter" / "results.csv").read_bytes() == trained


def begun(trainer: Any, run: Path, out: Path) -> Path:
    """A copy of a finished run that looks cut off."""
    import json

    shutil.copytree(run, out)
    (out / "segmenter" / "weights" / "whole.pt").write_bytes(b"half of a file")
    record = json.loads((out / "segmenter-run.json").read_text())
    (out / "segmenter-run.json").write_text(json.dumps({**record, "finished": False}))
    assert trainer.progress(out) == "begun"
    return out


def test_a_run_is_not_resumed_on_other_data(trainer: Any, run: Path, copied: Path, tmp_path: Path) -> None:
    first(copied, "labels").write_text("")
    with pytest.raises(ConfigError, match="changed since"):
        trainer.train(copied, begun(trainer, run, tmp_path / "run"), trainer.Recipe(), "a test", resume=True)


def test_a_damaged_state_is_named(trainer: Any, run: Path, drawn: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"whole\.pt"):
        trainer.train(drawn, begun(trainer, run, tmp_path / "run"), trainer.Recipe(), "a test", resume=True)


@pytest.mark.parametrize(("more", "status"), [(("--fold", "0"), 2), (("--imgsz", "100"), 2)])
def test_impossible_wishes_are_wrong_usage(
    trainer: Any, drawn: Path, tmp_path: Path, more: tuple[str, ...], status: int
) -> None:
    assert cli.main(["segmenter", *options(drawn, tmp_path, *more)]) == status


@pytest.mark.parametrize(("model", "sparse"), [("yolov8n-seg", True), ("yolo26n-seg", False)])
def test_the_quicker_loss_serves_the_networks_it_is_that_of(
    trainer: Any, drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: str, sparse: bool
) -> None:
    from training.learn.sparse_loss import SparseSegmentationLoss

    calls = []
    of_boxes = SparseSegmentationLoss.calculate_segmentation_loss
    monkeypatch.setattr(SparseSegmentationLoss, "calculate_segmentation_loss", lambda *args: calls.append(1) or of_boxes(*args))
    assert cli.main(["segmenter", *options(drawn, tmp_path, "--model", model)]) == 0
    assert bool(calls) == sparse
