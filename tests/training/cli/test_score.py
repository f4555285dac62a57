"""`edge-train score` writes what it is asked for, says with its status how it went, and needs no torch."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests import ROOT
from tests.training.score.scored import make_folder
from training import cli
from training.labels.formats import FORMATS

NOT_NEEDED = (
    "torch torchvision ultralytics timm sklearn scipy matplotlib tqdm pycocotools onnx safetensors pytorch_grad_cam pandas"
)


@pytest.fixture
def config(tmp_path: Path) -> str:
    path = tmp_path / "edge.toml"
    path.write_text('[models]\nbackend = "onnxruntime"\n[inspect]\nstages = "segment"\n', encoding="ascii")
    return str(path)


def test_it_runs_where_nothing_is_installed_that_only_training_needs(tmp_path: Path, config: str) -> None:
    folder = make_folder(tmp_path / "mine", 1)
    out = [tmp_path / "score.json", tmp_path / "score.html"]
    words = ["score", str(folder), "--config", config, "--json", str(out[0]), "--page", str(out[1])]
    code = f"""if True:
        import sys
        sys.modules.update(dict.fromkeys({NOT_NEEDED!r}.split()))
        from training import cli
        sys.exit(cli.main({words}))"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    assert "area IoU" in done.stdout
    assert json.loads(out[0].read_text(encoding="utf-8"))["schema"] == "edge.score/1"
    assert "<html" in out[1].read_text(encoding="utf-8")


def test_an_image_that_failed_is_status_1(tmp_path: Path, config: str, capsys: pytest.CaptureFixture[str]) -> None:
    folder = make_folder(tmp_path / "mine", 2)
    (folder / "images" / "coupon1_1.png").write_bytes(b"")
    assert cli.main(["score", str(folder), "--config", config]) == 1
    told = capsys.readouterr()
    assert "FAILED coupon1_1.png" in told.err
    assert "1 images of 1 specimens" in told.out


@pytest.mark.parametrize("option", ["--json", "--page"])
def test_a_place_that_is_not_there_is_told_before_the_work(
    tmp_path: Path, option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = make_folder(tmp_path / "mine", 1)
    assert cli.main(["score", str(folder), option, str(tmp_path / "nowhere" / "file")]) == 2
    assert "is no folder" in capsys.readouterr().err


def test_a_folder_without_images_is_status_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["score", str(tmp_path)]) == 2
    assert "no images in" in capsys.readouterr().err


def test_every_kind_of_label_can_be_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["score", "--help"])
    assert f"{{auto,{','.join(FORMATS)}}}" in "".join(capsys.readouterr().out.split())
