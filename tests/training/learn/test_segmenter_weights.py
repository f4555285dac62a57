"""Training begins from weights of every kind, or says why it cannot."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge.errors import ConfigError, ModelError
from edge.models.card import BUILTIN_FOLDER, load_card
from tests import ROOT
from tests.conftest import pitted
from tests.training.learn.conftest import options
from training import cli
from training.draw.synthetic import CLASSES

COCO = ROOT / ".." / "shared" / "data" / "weights" / "yolov8n-seg_coco_fused_dequant.safetensors"


def test_weights_of_an_earlier_run_are_taken_for_other_classes(trainer: Any, run: Path) -> None:
    import torch

    from training.learn.segmenter_weights import initial_network

    known = trainer.Checkpoint.load(run / "segmenter.pt").state
    network = initial_network("yolov8n-seg", str(run / "segmenter.pt"), ("oxide",), [])
    state = network.state_dict()
    assert torch.equal(state["model.0.conv.weight"], known["model.0.conv.weight"])
    assert state["model.22.cv3.0.2.weight"].shape[0] == 1


def test_training_can_begin_from_the_shipped_segmenter(trainer: Any) -> None:
    """With BatchNorm put back it gives what the shipped file says."""
    import torch

    from export.graphs import SegmenterGraph
    from export.to_onnx import run_onnx
    from training.learn.segmenter_weights import initial_network

    model = BUILTIN_FOLDER / "segmenter.onnx"
    grey = pitted(96, 64, seed=1)[None, None]
    pixels = torch.from_numpy(grey).float().div(255).expand(4, 3, -1, -1)
    network = initial_network("yolov8n-seg", "shipped", load_card(model, "segment").classes, [pixels])
    with torch.no_grad():
        boxes, scores, *_ = SegmenterGraph(network)(torch.from_numpy(grey))
    expected = run_onnx(model, grey)
    assert np.allclose(scores.numpy(), expected["scores"], atol=1e-3)
    assert np.allclose(boxes.numpy()[:, :10], expected["boxes"][:, :10], atol=0.05)


def test_shipped_weights_serve_other_classes(trainer: Any) -> None:
    import torch

    from training.learn.segmenter_weights import initial_network

    pixels = torch.rand(2, 3, 64, 64)
    network = initial_network("yolov8n-seg", "shipped", ("oxide",), [pixels])
    assert network.state_dict()["model.22.cv3.0.2.weight"].shape[0] == 1


@pytest.mark.parametrize(
    ("weights", "error", "says"),
    [
        ("imagenet", ConfigError, "allowed are none, coco"),
        ("none.pt", ModelError, r"none\.pt"),
        ("none.safetensors", ModelError, r"none\.safetensors"),
        ("none.onnx", ModelError, r"none\.onnx"),
    ],
)
def test_weights_that_are_not_there_are_refused_by_name(
    trainer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, weights: str, error: type[Exception], says: str
) -> None:
    from training.learn.segmenter_weights import initial_network

    pytest.importorskip("safetensors")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=says):
        initial_network("yolov8n-seg", weights, CLASSES, [])


def test_weights_of_another_architecture_are_refused(trainer: Any, run: Path) -> None:
    from training.learn.segmenter_weights import initial_network

    with pytest.raises(ModelError, match="is a yolov8n-seg, whose weights do not fit a yolo11n-seg"):
        initial_network("yolo11n-seg", str(run / "segmenter.pt"), CLASSES, [])


def test_weights_that_cannot_be_downloaded_say_what_to_do(trainer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import ultralytics

    from training.learn.segmenter_weights import initial_network

    def offline(_name: str) -> Any:
        raise ConnectionError("no network\nat all")

    monkeypatch.setattr(ultralytics, "YOLO", offline)
    with pytest.raises(ModelError, match=r"yolov8n-seg\.pt \(no network\): put the file"):
        initial_network("yolov8n-seg", "coco", CLASSES, [])


@pytest.mark.parametrize("model", ["yolov8n", "yolov8-seg", "yolov99n-seg", "../yolov8n-seg"])
def test_a_name_of_no_segmenter_is_refused(trainer: Any, drawn: Path, tmp_path: Path, model: str) -> None:
    assert cli.main(["segmenter", *options(drawn, tmp_path, "--model", model)]) == 1


@pytest.fixture
def coco(trainer: Any) -> Path:
    pytest.importorskip("safetensors")
    if not COCO.is_file():
        pytest.skip("the COCO weights are not at hand")
    return COCO


def test_restored_batchnorm_changes_nothing_in_eval_mode(trainer: Any, coco: Path) -> None:
    import torch
    from safetensors.torch import load_file

    from export.checkpoint import segmentation_network
    from training.learn.segmenter_weights import initial_network

    classes = tuple(f"class {index}" for index in range(80))
    torch.manual_seed(0)
    images = torch.rand(2, 1, 96, 96).expand(-1, 3, -1, -1)
    restored = initial_network("yolov8n-seg", str(coco), classes, [images]).eval()
    fused = segmentation_network(classes).eval().fuse(verbose=False)
    missing = fused.load_state_dict(load_file(coco), strict=False)
    assert not missing.unexpected_keys
    other = torch.rand(1, 1, 128, 96).expand(-1, 3, -1, -1)
    with torch.no_grad():
        (one, _), _ = restored(other)
        (two, _), _ = fused(other)
    assert float((one - two).abs().max()) < 0.05


def test_restored_batchnorm_normalises_its_own_batch(trainer: Any, coco: Path) -> None:
    import torch

    from training.learn.segmenter_weights import initial_network

    images = torch.rand(4, 1, 96, 96).expand(-1, 3, -1, -1)
    network = initial_network("yolov8n-seg", str(coco), ("pit", "product"), [images])
    with torch.no_grad():
        learning = network.train()(images)["proto"]
        judging = network.eval()(images)[0][1]
    assert float((learning - judging).abs().mean()) < 0.1 * float(judging.abs().mean())


def test_averaged_weights_lie_between_and_counters_are_the_trained_ones() -> None:
    torch = pytest.importorskip("torch")
    pytest.importorskip("ultralytics")
    from training.learn.segmenter_weights import averaged

    begun = {"w": torch.tensor([0.0, 4.0]), "n": torch.tensor(1)}
    trained = {"w": torch.tensor([4.0, 0.0]), "n": torch.tensor(9)}
    mixed = averaged(begun, trained, 0.75)
    assert mixed["w"].tolist() == [3.0, 1.0]
    assert int(mixed["n"]) == 9
    with pytest.raises(ModelError, match="two different networks"):
        averaged({"w": begun["w"]}, trained, 0.5)
