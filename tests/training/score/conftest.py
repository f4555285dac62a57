"""A prepared data set whose labels are what an untrained network finds, a run of that network, and its evaluation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from training import cli
from training.score.evaluation import HeatScores, Number

SIDE_PX = 96
NOWHERE = HeatScores(Number(None, 0, ""), None, None, {}, None, (), ())


def of_stage_1() -> None:
    for name in ("torch", "ultralytics", "pycocotools", "pytorch_grad_cam", "sklearn"):
        pytest.importorskip(name)


def of_stage_2() -> None:
    for name in ("torch", "timm", "pytorch_grad_cam", "sklearn", "scipy"):
        pytest.importorskip(name)


@pytest.fixture(scope="session")
def ready(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("evaluate")
    assert cli.main(["synthesize", "--images", "12", "--size", "96x96", "--out", str(folder / "drawn")]) == 0
    options = ["--folds", "2", "--test", "0", "--augment", "2", "--out", str(folder / "ready")]
    assert cli.main(["prepare", str(folder / "drawn"), *options]) == 0
    return folder / "ready"


def untrained(classes: tuple[str, ...]) -> Any:
    """A segmenter with random weights that nevertheless finds regions."""
    import torch

    from export.checkpoint import segmentation_network

    torch.manual_seed(0)
    network: Any = segmentation_network(classes)
    with torch.no_grad():
        for branch in network.model[-1].cv3:
            branch[-1].weight.normal_(0, 1)
            branch[-1].bias.fill_(0.0)  # a score of one half: above the default confidence
    return network.eval()


@pytest.fixture(scope="session")
def run(ready: Path) -> Path:
    """A run of two folds; the labels of `ready` become a part of what it finds."""
    of_stage_1()
    from pycocotools import mask as coco_mask

    from training.data.dataset import open_data_set
    from training.score.detect import detect

    data_set = open_data_set(ready)
    network = untrained(data_set.classes)
    originals = [image for image in data_set.images if image.origin is None]
    for seen in detect(network, originals, data_set.classes, SIDE_PX, one_class=False):
        lines = []
        for mask, class_id in zip(seen.found, seen.found_classes, strict=True):
            pixels = np.ascontiguousarray(coco_mask.decode(mask))
            contours, _ = cv2.findContours(pixels, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
            points = max(contours, key=cv2.contourArea, default=np.empty((0, 1, 2), np.int32))
            filled = cv2.fillPoly(np.zeros_like(pixels), [points], 1) if len(points) > 20 else 0 * pixels
            alike = np.count_nonzero(pixels & filled) > 0.9 * np.count_nonzero(pixels | filled)
            if filled.any() and alike and len(lines) < 6:
                lines.append(f"{class_id} {' '.join(f'{value:.5f}' for value in points.reshape(-1) / SIDE_PX)}\n")
        (ready / "labels" / f"{seen.image.path.stem}.txt").write_text("".join(lines))
    folder = ready.parent / "run"
    for fold in range(2):
        save(network, data_set.classes, folder / f"fold{fold}" / "segmenter.pt", open_data_set(ready).sha256)
    return folder


def save(network: Any, classes: tuple[str, ...], path: Path, sha256: str, architecture: str = "yolov8n-seg") -> None:
    from edge.models.card import Training
    from export.checkpoint import Checkpoint

    facts = Training(
        data="ready", data_sha256=sha256, initialised_from="none", epochs=0, images=6, seed=0, command="edge-train"
    )
    segments = architecture == "yolov8n-seg"
    scores = {"mask_map50": {"value": 0.0, "n": 6, "how": f"ultralytics val, {SIDE_PX} px, fold 0"}} if segments else {}
    task: Any = "segment" if segments else "classify"
    mean, std = (0.0, 1.0) if segments else (0.5, 0.2)
    Checkpoint(task, architecture, classes, network.state_dict(), facts, scores, grey_mean=mean, grey_std=std).save(path)


@pytest.fixture(scope="session")
def evaluation(ready: Path, run: Path) -> Any:
    from training.score import evaluate, intervals

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(intervals, "REPLICATES", 20)
        truth = ready.parent / "drawn" / "truth.json"
        return evaluate.evaluate(ready, {"manual": run}, {}, "edge-train evaluate", truth=truth if truth.is_file() else None)
