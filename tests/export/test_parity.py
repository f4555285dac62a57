"""`edge-export parity` proves on images that a file says what its weights say."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edge.errors import ModelError
from export import cli
from tests.conftest import pitted
from tests.export.checkpoints import untrained

# --- the proof -------------------------------------------------------------------------------------------------------


@pytest.fixture
def micrographs(tmp_path: Path) -> Path:
    import cv2

    folder = tmp_path / "images"
    folder.mkdir()
    cv2.imwrite(str(folder / "a.png"), pitted(160, 128))
    return folder


def test_an_exported_segmenter_agrees_with_its_weights_on_every_backend(segmenter: Any, micrographs: Path) -> None:
    from edge.backends.table import local
    from export.parity import compare_export

    found = compare_export(segmenter.checkpoint, segmenter.path, micrographs)
    assert found.passed
    assert tuple(backend.backend for backend in found.backends) == local("float32")
    assert all(image.candidates >= 100 for backend in found.backends for image in backend.images)


def test_an_exported_classifier_agrees_with_its_weights(classifier: Any, micrographs: Path) -> None:
    from export.parity import compare_export

    assert compare_export(classifier.checkpoint, classifier.path, micrographs).passed


def test_weights_that_changed_since_the_export_differ(
    exporters: Any, segmenter: Any, micrographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state = {name: tensor.clone() for name, tensor in segmenter.checkpoint.state.items()}
    for level in range(3):
        state[f"model.22.cv2.{level}.2.bias"][0] += 0.1  # the first distance of a side becomes a little likelier
    replace(segmenter.checkpoint, state=state).save(tmp_path / "w.pt")
    command = ["parity", "--checkpoint", str(tmp_path / "w.pt"), "--onnx", str(segmenter.path), "--images", str(micrographs)]
    assert cli.main([*command, "--json", str(tmp_path / "figures.json")]) == 1
    assert capsys.readouterr().out.startswith("DIFFERS")
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert not figures["passed"]
    assert figures["backends"][0]["worst"]["box_px"] > figures["tolerances"]["box_px"]


def test_without_a_file_the_figures_go_to_stdout_and_the_verdict_beside_them(
    classifier: Any, micrographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (micrographs / "b.tif").write_bytes(b"no image")
    classifier.checkpoint.save(tmp_path / "w.pt")
    command = ["parity", "--checkpoint", str(tmp_path / "w.pt"), "--onnx", str(classifier.path), "--images", str(micrographs)]
    capsys.readouterr()
    assert cli.main(command) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out)["unreadable"].keys() == {"b.tif"}
    assert "agrees" in printed.err


def test_a_file_of_another_architecture_is_refused(exporters: Any, segmenter: Any, micrographs: Path) -> None:
    from export.parity import compare_export

    with pytest.raises(ModelError, match="exported from other weights"):
        compare_export(untrained(exporters, "yolo11n-seg"), segmenter.path, micrographs)


def test_a_proof_without_images_is_wrong_usage(segmenter: Any, tmp_path: Path) -> None:
    segmenter.checkpoint.save(tmp_path / "w.pt")
    images = ["--images", str(tmp_path / "none")]
    assert cli.main(["parity", "--checkpoint", str(tmp_path / "w.pt"), "--onnx", str(segmenter.path), *images]) == 2


@pytest.mark.parametrize("images", ["microscopes/quanta_image.tif", "microscopes/tescan-pfib_dataZeroed.tif"])
def test_both_agree_on_a_real_microscopes_file(segmenter: Any, shared_data: Path, images: str) -> None:
    from export.parity import compare_export

    assert compare_export(segmenter.checkpoint, segmenter.path, shared_data / images).passed


def test_both_agree_on_a_real_cross_section(segmenter: Any, shared_data: Path) -> None:
    from export.parity import compare_export

    image = sorted((shared_data / "ebc_oxide" / "images").iterdir())[0]
    assert compare_export(segmenter.checkpoint, segmenter.path, image).passed
