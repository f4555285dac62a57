"""Scores are those of ultralytics and scikit-learn; regions too small to resolve are no errors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.training.score.conftest import SIDE_PX, of_stage_1


def test_precision_and_map_are_what_ultralytics_val_says(ready: Path, run: Path, tmp_path: Path) -> None:
    from export.checkpoint import Checkpoint
    from training.data.dataset import open_data_set
    from training.learn.segmenter import score
    from training.score.detect import detect
    from training.score.segmentation_scores import official

    data_set = open_data_set(ready)
    images = data_set.fold(0)[1]
    network = Checkpoint.load(run / "fold0" / "segmenter.pt").network()
    reported = score(network, images, data_set.classes, tmp_path, SIDE_PX, "a test")
    seen = detect(network, images, data_set.classes, SIDE_PX, one_class=False)
    found = {
        f"{kind}_{name}": value
        for kind, key in (("box", "tp"), ("mask", "tp_m"))
        for name, value in official(seen, key).items()
    }
    assert reported["mask_map50"]["value"] > 0
    for name in reported.keys() & found.keys():
        assert found[name] == pytest.approx(reported[name]["value"], abs=2e-4), name


def test_areas_under_the_pixel_curves_are_those_of_scikit_learn() -> None:
    of_stage_1()
    from sklearn.metrics import average_precision_score, roc_auc_score

    from training.score.detect import _levels
    from training.score.segmentation_scores import pixel_curves

    rng = np.random.default_rng(0)
    truth = rng.random((40, 50)) < 0.2
    scores = np.where(rng.random((40, 50)) < 0.5, 0.0, np.clip(rng.normal(0.3 + 0.2 * truth, 0.2), 0, 1)).astype(np.float16)
    curves = pixel_curves(_levels(scores.astype(np.float32), truth))
    assert curves.roc_auc == pytest.approx(roc_auc_score(truth.ravel(), scores.ravel()))
    assert curves.pr_auc == pytest.approx(average_precision_score(truth.ravel(), scores.ravel()))


def detections_of(truth: list[tuple[int, int, int]], found: list[tuple[int, int, int]]) -> Any:
    """An image of 64 × 64 with squares (x, y, side); found ones have descending scores."""
    from pycocotools import mask as coco_mask

    from training.data.dataset import LabelledImage
    from training.score.detect import LEVELS, Detections

    def encoded(squares: list[tuple[int, int, int]]) -> tuple[Any, ...]:
        planes = [np.zeros((64, 64), np.uint8, order="F") for _ in squares]
        for plane, (x, y, side) in zip(planes, squares, strict=True):
            plane[y : y + side, x : x + side] = 1
        return tuple(coco_mask.encode(plane) for plane in planes)

    return Detections(
        image=LabelledImage(Path("a.png"), None, "a"),
        canvas=np.zeros((64, 64), np.uint8),
        at=(0, 0, 64, 64),
        truth=encoded(truth),
        truth_classes=np.zeros(len(truth), np.int64),
        found=encoded(found),
        found_classes=np.zeros(len(found), np.int64),
        scores=np.linspace(0.9, 0.5, len(found)),
        levels=np.zeros((2, LEVELS), np.int64),
        official={},
    )


def test_regions_too_small_to_resolve_are_no_errors_among_the_resolved() -> None:
    of_stage_1()
    from training.score.segmentation_scores import SizeScores

    seen = detections_of(truth=[(0, 0, 30), (40, 40, 4)], found=[(50, 5, 5), (0, 0, 30)])
    every, resolved, *_ = SizeScores([seen]).of(np.array([0]))
    assert (every.regions, resolved.regions) == (2, 1)
    assert every.map50 is not None
    assert every.map50 < 0.5
    assert resolved.map50 == pytest.approx(1.0)


def test_a_found_region_is_assigned_to_one_labelled_region_only() -> None:
    of_stage_1()
    from training.score.segmentation_scores import matched

    diameters, overlaps = matched(detections_of(truth=[(0, 0, 20), (0, 0, 21)], found=[(0, 0, 20)]))
    assert diameters[0] == pytest.approx(20 * np.sqrt(4 / np.pi))
    assert overlaps.tolist() == [1.0, 0.0]


def test_pixels_of_regions_too_small_to_resolve_count_neither_way() -> None:
    of_stage_1()
    from training.score.segmentation_scores import iou, resolved_iou

    seen = detections_of(truth=[(0, 0, 30), (40, 40, 4)], found=[(50, 5, 5), (0, 0, 30)])
    assert iou(seen.truth_union(), seen.found_union()) < 0.97
    assert resolved_iou(seen) == 1.0


def test_the_union_of_found_and_labelled_pixels_gives_the_mean_iou() -> None:
    of_stage_1()
    from training.score.segmentation_scores import iou

    seen = detections_of(truth=[(0, 0, 20)], found=[(0, 10, 20)])
    assert iou(seen.truth_union(), seen.found_union()) == pytest.approx(1 / 3)
    assert iou(np.zeros((2, 2), bool), np.zeros((2, 2), bool)) == 1.0
