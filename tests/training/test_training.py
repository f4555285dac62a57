"""Training takes data to a checkpoint that can be exported."""

from __future__ import annotations

from pathlib import Path

import pytest

from training import cli
from training.draw.synthetic import CLASSES


def test_training_without_data_says_how_to_make_some(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("torch")
    assert cli.main(["classifier", "--data", str(tmp_path), "--weights", "none", "--out", str(tmp_path)]) == 2
    assert "edge-train synthesize" in capsys.readouterr().err


@pytest.mark.slow
def test_training_goes_from_drawn_images_to_models_that_run(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("ultralytics")
    pytest.importorskip("timm")
    from edge.models.card import load_card
    from export import cli as export_cli

    data, out, models = str(tmp_path / "data"), str(tmp_path / "runs"), str(tmp_path / "models")
    common = ["--data", data, "--weights", "none", "--epochs", "1", "--out", out]
    assert cli.main(["synthesize", "--out", data, "--images", "40", "--size", "96x96"]) == 0
    assert cli.main(["segmenter", *common, "--imgsz", "96"]) == 0
    assert cli.main(["classifier", *common]) == 0
    weights = ["--segmenter", f"{out}/segmenter.pt", "--classifier", f"{out}/classifier.pt"]
    assert export_cli.main(["onnx", *weights, "--out", models]) == 0
    assert load_card(tmp_path / "models" / "segmenter.onnx", "segment").classes == CLASSES
    domain = load_card(tmp_path / "models" / "classifier.onnx", "classify").calibration.domain
    assert domain is not None
    assert domain.threshold > 0
