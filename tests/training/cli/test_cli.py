"""`edge-train` answers at once what it can do, and takes data to a checkpoint that can be exported."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from edge import __version__
from tests import ROOT
from training import cli
from training.draw.synthetic import CLASSES

HEAVY = ("numpy", "cv2", "torch", "ultralytics", "pydantic")


@pytest.mark.parametrize("subcommand", ["", *cli.SUBCOMMANDS])
def test_help_imports_nothing_heavy(subcommand: Any) -> None:
    words = [subcommand.__name__.rpartition(".")[2], "--help"] if subcommand else ["--help"]
    code = f"""if True:
        import sys
        from training import cli
        try:
            cli.main({words})
        except SystemExit as end:
            assert end.code == 0
        assert not [name for name in {HEAVY} if name in sys.modules]"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    assert not subcommand or "example" in done.stdout


def test_the_version_is_that_of_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"edge-train {__version__}\n"


def test_the_package_runs_as_a_module() -> None:
    done = subprocess.run([sys.executable, "-m", "training.cli"], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 2
    assert "edge-train: needs command" in done.stderr


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
