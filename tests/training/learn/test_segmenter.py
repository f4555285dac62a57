"""A segmenter is trained from what a user has, survives a kill, and refuses what it would learn wrongly from."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edge.errors import ConfigError, ModelError
from edge.models.card import BUILTIN_FOLDER, load_card
from tests import ROOT
from tests.conftest import pitted
from training import cli
from training.draw.synthetic import CLASSES, write_data_set

COCO = ROOT / ".." / "shared" / "data" / "weights" / "yolov8n-seg_coco_fused_dequant.safetensors"


@pytest.fixture(scope="module")
def trainer() -> Any:
    pytest.importorskip("torch")
    pytest.importorskip("ultralytics")
    from training.learn import segmenter as train_segmenter

    return train_segmenter


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("drawn")
    write_data_set(folder, images=10, seed=5, size_px=(96, 96))
    return folder


@pytest.fixture(scope="module")
def run(trainer: Any, drawn: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of one epoch."""
    out = tmp_path_factory.mktemp("run")
    assert cli.main(["segmenter", *options(drawn, out)]) == 0
    return out


def options(data: Path, out: Path, *more: str, weights: str = "none", epochs: int = 1) -> list[str]:
    return ["--data", str(data), "--out", str(out), "--weights", weights, "--epochs", str(epochs), "--imgsz", "96", *more]


@pytest.fixture
def copied(drawn: Path, tmp_path: Path) -> Path:
    """The drawn set, to be changed."""
    return Path(shutil.copytree(drawn, tmp_path / "data"))


def first(folder: Path, kind: str) -> Path:
    return sorted((folder / kind).iterdir())[0]


# --- what comes out --------------------------------------------------------------------------------------------------


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


def test_a_hole_in_a_label_stays_a_hole_in_what_is_learnt(trainer: Any, tmp_path: Path) -> None:
    from types import SimpleNamespace

    from ultralytics.data import build_yolo_dataset
    from ultralytics.data.utils import check_det_dataset
    from ultralytics.utils import DEFAULT_CFG_DICT

    from edge.records import Regions
    from training.data.dataset import LabelledImage
    from training.labels.yolo import yolo_text

    ring = np.ones((64, 64), bool)
    ring[16:48, 16:48] = False
    regions = Regions(
        np.array([[16, 16, 64, 64], [0, 0, 8, 8]], np.int32),
        np.ones(2, np.float32),
        np.array([1, 0], np.int32),
        (ring, np.ones((8, 8), bool)),
        CLASSES,
    )
    for name in ("images", "labels"):
        (tmp_path / name).mkdir()
    cv2.imwrite(str(tmp_path / "images" / "a.png"), np.full((96, 96), 128, np.uint8))
    (tmp_path / "labels" / "a.txt").write_text(yolo_text(regions, 96, 96))
    image = LabelledImage(tmp_path / "images" / "a.png", None, "a")
    description = trainer.write_for_ultralytics(tmp_path / "seen", CLASSES, 96, train=(image,), val=(image,))

    data = check_det_dataset(str(description))
    settings = SimpleNamespace(**{**DEFAULT_CFG_DICT, "task": "segment", "imgsz": 96, "mask_ratio": 1})
    (seen,) = build_yolo_dataset(settings, data["train"], 1, data, mode="val")
    masks = seen["masks"][0].numpy()
    assert len(np.unique(masks)) == 3  # ground and two regions
    assert masks[48, 48] == 0
    assert masks[20, 20] != 0


# --- a run that was cut off ------------------------------------------------------------------------------------------


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


# --- where training begins -------------------------------------------------------------------------------------------


def test_weights_of_an_earlier_run_are_taken_for_other_classes(trainer: Any, run: Path) -> None:
    import torch

    known = trainer.Checkpoint.load(run / "segmenter.pt").state
    network = trainer.initial_network("yolov8n-seg", str(run / "segmenter.pt"), ("oxide",), [])
    state = network.state_dict()
    assert torch.equal(state["model.0.conv.weight"], known["model.0.conv.weight"])
    assert state["model.22.cv3.0.2.weight"].shape[0] == 1


def test_training_can_begin_from_the_shipped_segmenter(trainer: Any) -> None:
    """With BatchNorm put back it says what the shipped file says."""
    import torch

    from export.to_onnx import SegmenterGraph, run_onnx

    model = BUILTIN_FOLDER / "segmenter.onnx"
    grey = pitted(96, 64, seed=1)[None, None]
    pixels = torch.from_numpy(grey).float().div(255).expand(4, 3, -1, -1)
    network = trainer.initial_network("yolov8n-seg", "shipped", load_card(model, "segment").classes, [pixels])
    with torch.no_grad():
        boxes, scores, *_ = SegmenterGraph(network)(torch.from_numpy(grey))
    expected = run_onnx(model, grey)
    assert np.allclose(scores.numpy(), expected["scores"], atol=1e-3)
    assert np.allclose(boxes.numpy()[:, :10], expected["boxes"][:, :10], atol=0.05)


def test_shipped_weights_serve_other_classes(trainer: Any) -> None:
    import torch

    pixels = torch.rand(2, 3, 64, 64)
    network = trainer.initial_network("yolov8n-seg", "shipped", ("oxide",), [pixels])
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
    pytest.importorskip("safetensors")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=says):
        trainer.initial_network("yolov8n-seg", weights, CLASSES, [])


def test_weights_of_another_architecture_are_refused(trainer: Any, run: Path) -> None:
    with pytest.raises(ModelError, match="is a yolov8n-seg, whose weights do not fit a yolo11n-seg"):
        trainer.initial_network("yolo11n-seg", str(run / "segmenter.pt"), CLASSES, [])


def test_weights_that_cannot_be_downloaded_say_what_to_do(trainer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import ultralytics

    def offline(_name: str) -> Any:
        raise ConnectionError("no network\nat all")

    monkeypatch.setattr(ultralytics, "YOLO", offline)
    with pytest.raises(ModelError, match=r"yolov8n-seg\.pt \(no network\): put the file"):
        trainer.initial_network("yolov8n-seg", "coco", CLASSES, [])


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

    classes = tuple(f"class {index}" for index in range(80))
    torch.manual_seed(0)
    images = torch.rand(2, 1, 96, 96).expand(-1, 3, -1, -1)
    restored = trainer.initial_network("yolov8n-seg", str(coco), classes, [images]).eval()
    fused = trainer.segmentation_network(classes).eval().fuse(verbose=False)
    missing = fused.load_state_dict(load_file(coco), strict=False)
    assert not missing.unexpected_keys
    other = torch.rand(1, 1, 128, 96).expand(-1, 3, -1, -1)
    with torch.no_grad():
        (one, _), _ = restored(other)
        (two, _), _ = fused(other)
    assert float((one - two).abs().max()) < 0.05


def test_restored_batchnorm_normalises_its_own_batch(trainer: Any, coco: Path) -> None:
    import torch

    images = torch.rand(4, 1, 96, 96).expand(-1, 3, -1, -1)
    network = trainer.initial_network("yolov8n-seg", str(coco), ("pit", "product"), [images])
    with torch.no_grad():
        learning = network.train()(images)["proto"]
        judging = network.eval()(images)[0][1]
    assert float((learning - judging).abs().mean()) < 0.1 * float(judging.abs().mean())


# --- what it refuses to learn from -----------------------------------------------------------------------------------


def refused(trainer: Any, data: Path, out: Path) -> str:
    with pytest.raises(ConfigError) as raised:
        trainer.train(data, out, trainer.Recipe(weights="none", epochs=1, imgsz=96), "a test")
    return str(raised.value)


def test_two_images_that_would_share_their_labels_are_refused(trainer: Any, copied: Path, tmp_path: Path) -> None:
    image = first(copied, "images")
    cv2.imwrite(str(image.with_suffix(".tif")), cv2.imread(str(image)))
    assert f"would share {image.stem}.txt" in refused(trainer, copied, tmp_path)


def test_sixteen_bits_are_sent_through_prepare(trainer: Any, copied: Path, tmp_path: Path) -> None:
    image = first(copied, "images")
    cv2.imwrite(str(image), np.full((96, 96), 40000, np.uint16))
    said = refused(trainer, copied, tmp_path)
    assert image.name in said
    assert "edge-train prepare" in said


@pytest.mark.parametrize("line", ["0 0.5 0.5 0.2 0.2", "7 0.1 0.1 0.2 0.1 0.2 0.2", "0 10 10 20 10 20 20", "pit 0 0 1 0 1 1"])
def test_a_label_that_would_cost_its_image_is_named(trainer: Any, copied: Path, tmp_path: Path, line: str) -> None:
    label = first(copied, "labels")
    label.write_text(f"0 0.1 0.1 0.2 0.1 0.2 0.2\n{line}\n")
    assert f"{label.name}, line 2" in refused(trainer, copied, tmp_path)


def test_a_set_without_any_region_is_refused(trainer: Any, copied: Path, tmp_path: Path) -> None:
    shutil.rmtree(copied / "labels")
    assert "has a labelled region" in refused(trainer, copied, tmp_path)


def test_images_without_labels_are_ground_and_tiff_is_read(trainer: Any, copied: Path, tmp_path: Path) -> None:
    from training.data.dataset import open_data_set

    image = first(copied, "images")
    cv2.imwrite(str(image.with_suffix(".tif")), cv2.imread(str(image), cv2.IMREAD_GRAYSCALE))
    image.unlink()
    (copied / "labels" / f"{image.stem}.txt").unlink()
    images = open_data_set(copied).images
    trainer.write_for_ultralytics(tmp_path / "seen", CLASSES, 96, train=images, val=images)
    assert (tmp_path / "seen" / "labels" / f"{image.stem}.txt").read_text() == ""
    assert cv2.imread(str(tmp_path / "seen" / "images" / f"{image.stem}.png")) is not None


def test_images_are_shrunk_as_the_edge_shrinks_them(trainer: Any, tmp_path: Path) -> None:
    from edge.backends.crop import canvas
    from edge.inspection.segment import letterbox
    from training.data.dataset import LabelledImage

    grey = np.random.default_rng(0).integers(0, 256, (192, 256), dtype=np.uint8)
    (tmp_path / "images").mkdir()
    cv2.imwrite(str(tmp_path / "images" / "a.png"), grey)
    image = LabelledImage(tmp_path / "images" / "a.png", None, "a")
    trainer.write_for_ultralytics(tmp_path / "seen", CLASSES, 128, train=(image,))
    seen = cv2.imread(str(tmp_path / "seen" / "images" / "a.png"), cv2.IMREAD_GRAYSCALE)
    assert np.array_equal(seen, canvas(grey, letterbox(grey.shape, 128), 96, 128))


@pytest.mark.parametrize(("more", "status"), [(("--fold", "0"), 2), (("--imgsz", "100"), 2)])
def test_impossible_wishes_are_wrong_usage(
    trainer: Any, drawn: Path, tmp_path: Path, more: tuple[str, ...], status: int
) -> None:
    assert cli.main(["segmenter", *options(drawn, tmp_path, *more)]) == status


def test_a_fold_that_is_no_number_is_wrong_usage(drawn: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["segmenter", *options(drawn, tmp_path, "--fold", "last")])
    assert "a number from 0, or all" in capsys.readouterr().err


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
