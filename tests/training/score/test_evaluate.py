"""`edge-train evaluate`: prepared data and trained runs go in, the paper's tables and figures come out."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edge.errors import ConfigError
from edge.records import SEVERITIES
from training import cli
from training.score.evaluation import ClassifierResult, Curve, Evaluation, HeatScores, Judge, Number, Verdict, summary

SIDE_PX = 96
NOWHERE = HeatScores(Number(None, 0, ""), None, None, {}, None, (), ())


def of_stage_1() -> None:
    for name in ("torch", "ultralytics", "pycocotools", "pytorch_grad_cam", "sklearn"):
        pytest.importorskip(name)


def of_stage_2() -> None:
    for name in ("torch", "timm", "pytorch_grad_cam", "sklearn", "scipy"):
        pytest.importorskip(name)


# --- a data set whose labels are what an untrained network finds -----------------------------------------------------


@pytest.fixture(scope="module")
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


@pytest.fixture(scope="module")
def run(ready: Path) -> Path:
    """A run of two folds; the labels of `ready` become a part of what it finds."""
    of_stage_1()
    from pycocotools import mask as coco_mask

    from training.data.dataset import open_data_set
    from training.score.segmentation_scores import look

    data_set = open_data_set(ready)
    network = untrained(data_set.classes)
    originals = [image for image in data_set.images if image.origin is None]
    for seen in look(network, originals, data_set.classes, SIDE_PX, one_class=False):
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


@pytest.fixture(scope="module")
def evaluation(ready: Path, run: Path) -> Any:
    from training.score import evaluate

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluate, "REPLICATES", 20)
        truth = ready.parent / "drawn" / "truth.json"
        return evaluate.evaluate(ready, {"manual": run}, {}, "edge-train evaluate", truth=truth if truth.is_file() else None)


# --- stage 1 ---------------------------------------------------------------------------------------------------------


def test_every_number_says_how_it_was_measured_and_on_what(evaluation: Evaluation) -> None:
    (segmenter,) = evaluation.segmenters
    assert segmenter.by_class is not None
    for number in (*segmenter.any_class.values(), *segmenter.by_class.values()):
        assert number.how
        assert number.n == 12 or "AUC" in number.how


def test_labels_that_the_network_finds_are_found(evaluation: Evaluation) -> None:
    (segmenter,) = evaluation.segmenters
    assert segmenter.any_class["matched_iou"].value > 0.7  # type: ignore[operator]
    assert segmenter.sizes[0].regions > 12
    assert segmenter.sizes[0].recall50 > 0.2  # type: ignore[operator]


def test_precision_and_map_are_what_ultralytics_val_says(ready: Path, run: Path, tmp_path: Path) -> None:
    from export.checkpoint import Checkpoint
    from training.data.dataset import open_data_set
    from training.learn.segmenter import score
    from training.score.segmentation_scores import look, official

    data_set = open_data_set(ready)
    images = data_set.fold(0)[1]
    network = Checkpoint.load(run / "fold0" / "segmenter.pt").network()
    said = score(network, images, data_set.classes, tmp_path, SIDE_PX, "a test")
    seen = look(network, images, data_set.classes, SIDE_PX, one_class=False)
    found = {
        f"{kind}_{name}": value
        for kind, key in (("box", "tp"), ("mask", "tp_m"))
        for name, value in official(seen, key).items()
    }
    assert said["mask_map50"]["value"] > 0
    for name in said.keys() & found.keys():
        assert found[name] == pytest.approx(said[name]["value"], abs=2e-4), name


def test_masks_are_those_of_ultralytics_at_full_size() -> None:
    of_stage_1()
    import torch
    from pycocotools import mask as coco_mask
    from ultralytics.utils import ops

    from training.score.segmentation_scores import _Masks

    rng = np.random.default_rng(0)
    prototypes = rng.normal(size=(32, 16, 24)).astype(np.float32)
    coefficients = rng.normal(size=(5, 32)).astype(np.float32)
    boxes = np.array(
        [[3.2, 4.7, 40.1, 50.0], [0, 0, 96, 64], [50, 10, 55.5, 12], [90, 60, 99, 70], [20, 20, 20, 30]], np.float32
    )
    tensors = (torch.from_numpy(values) for values in (prototypes, coefficients, boxes))
    expected = ops.process_mask(*tensors, shape=(64, 96), upsample=True).numpy().astype(bool)
    found, _ = _Masks(prototypes, coefficients, boxes, (0, 0, 64, 96)).encode(np.ones(5))
    decoded = np.stack([coco_mask.decode(mask) for mask in found]).astype(bool)
    assert (decoded != expected).mean() < 1e-3


def test_areas_under_the_pixel_curves_are_those_of_scikit_learn() -> None:
    of_stage_1()
    from sklearn.metrics import average_precision_score, roc_auc_score

    from training.score.segmentation_scores import _levels, pixel_curves

    rng = np.random.default_rng(0)
    truth = rng.random((40, 50)) < 0.2
    scores = np.where(rng.random((40, 50)) < 0.5, 0.0, np.clip(rng.normal(0.3 + 0.2 * truth, 0.2), 0, 1)).astype(np.float16)
    curves = pixel_curves(_levels(scores.astype(np.float32), truth))
    assert curves.roc_auc == pytest.approx(roc_auc_score(truth.ravel(), scores.ravel()))
    assert curves.pr_auc == pytest.approx(average_precision_score(truth.ravel(), scores.ravel()))


def seen_of(truth: list[tuple[int, int, int]], found: list[tuple[int, int, int]]) -> Any:
    """An image of 64 × 64 with squares (x, y, side); found ones have descending scores."""
    from pycocotools import mask as coco_mask

    from training.data.dataset import LabelledImage
    from training.score.segmentation_scores import LEVELS, Seen

    def encoded(squares: list[tuple[int, int, int]]) -> tuple[Any, ...]:
        sheets = [np.zeros((64, 64), np.uint8, order="F") for _ in squares]
        for sheet, (x, y, side) in zip(sheets, squares, strict=True):
            sheet[y : y + side, x : x + side] = 1
        return tuple(coco_mask.encode(sheet) for sheet in sheets)

    return Seen(
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

    seen = seen_of(truth=[(0, 0, 30), (40, 40, 4)], found=[(50, 5, 5), (0, 0, 30)])
    every, resolved, *_ = SizeScores([seen]).of(np.array([0]))
    assert (every.regions, resolved.regions) == (2, 1)
    assert every.map50 is not None
    assert every.map50 < 0.5
    assert resolved.map50 == pytest.approx(1.0)


def test_a_found_region_is_assigned_to_one_labelled_region_only() -> None:
    of_stage_1()
    from training.score.segmentation_scores import matched

    diameters, overlaps = matched(seen_of(truth=[(0, 0, 20), (0, 0, 21)], found=[(0, 0, 20)]))
    assert diameters[0] == pytest.approx(20 * np.sqrt(4 / np.pi))
    assert overlaps.tolist() == [1.0, 0.0]


def test_pixels_of_regions_too_small_to_resolve_count_neither_way() -> None:
    of_stage_1()
    from training.score.segmentation_scores import iou, resolved_iou

    seen = seen_of(truth=[(0, 0, 30), (40, 40, 4)], found=[(50, 5, 5), (0, 0, 30)])
    assert iou(seen.truth_union(), seen.found_union()) < 0.97
    assert resolved_iou(seen) == 1.0


def test_the_union_of_found_and_labelled_pixels_gives_the_mean_iou() -> None:
    of_stage_1()
    from training.score.segmentation_scores import iou

    seen = seen_of(truth=[(0, 0, 20)], found=[(0, 10, 20)])
    assert iou(seen.truth_union(), seen.found_union()) == pytest.approx(1 / 3)
    assert iou(np.zeros((2, 2), bool), np.zeros((2, 2), bool)) == 1.0


# --- who may judge what ----------------------------------------------------------------------------------------------


def test_a_checkpoint_that_learnt_from_a_copy_of_what_it_judges_is_refused(ready: Path, run: Path, tmp_path: Path) -> None:
    from training.data.dataset import open_data_set
    from training.score.evaluate import evaluate

    judged = open_data_set(ready).fold(0)[1][0].path.stem
    folder = tmp_path / "leaky" / "fold0"
    (folder / "segmenter-data").mkdir(parents=True)
    (folder / "segmenter.pt").write_bytes((run / "fold0" / "segmenter.pt").read_bytes())
    (folder / "segmenter-data" / "train.txt").write_text(f"/elsewhere/{judged}_varied1.png\n")
    copies = {image.path.stem for image in open_data_set(ready).images if image.origin is not None}
    assert f"{judged}_varied1" in copies
    with pytest.raises(ConfigError, match="learnt from"):
        evaluate(ready, {"leaky": tmp_path / "leaky"}, {}, "test")


def test_a_run_without_its_first_checkpoint_says_how_to_train(ready: Path, run: Path, tmp_path: Path) -> None:
    from training.score.evaluate import evaluate

    with pytest.raises(ConfigError, match="edge-train segmenter --fold all"):
        evaluate(ready, {"manual": tmp_path}, {}, "test")


def test_data_that_were_not_prepared_are_refused(ready: Path, run: Path) -> None:
    from training.score.evaluate import evaluate

    with pytest.raises(ConfigError, match="edge-train prepare"):
        evaluate(ready.parent / "drawn", {"manual": run}, {}, "test")


def test_other_classes_are_compared_without_classes_and_a_missing_fold_is_named(
    ready: Path, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from training.score import evaluate

    monkeypatch.setattr(evaluate, "REPLICATES", 2)
    save(untrained(("corrosion",)), ("corrosion",), tmp_path / "fold1" / "segmenter.pt", "0" * 64)
    found = evaluate.evaluate(ready, {"automated": tmp_path}, {}, "test")
    assert found.segmenters[0].by_class is None
    assert found.segmenters[0].any_class["mean_iou"].value is not None
    assert any("fold 0" in warning for warning in found.warnings)
    assert any("other data or labels" in warning for warning in found.warnings)


# --- heat maps -------------------------------------------------------------------------------------------------------


def test_a_segmenters_heat_map_covers_its_canvas() -> None:
    of_stage_1()
    from training.score.explain import segmenter_heat

    canvas = np.random.default_rng(0).integers(0, 256, (64, 96), dtype=np.uint8)
    heat = segmenter_heat(untrained(("pit", "product")), canvas, 0.25)
    assert heat.shape == canvas.shape
    assert heat.min() >= 0
    assert heat.max() <= 1


@pytest.mark.parametrize(("architecture", "layer"), [("efficientnet_b0", "bn2"), ("resnet18", "layer4")])
def test_a_classifiers_own_map_is_grad_cam(architecture: str, layer: str) -> None:
    of_stage_2()
    import torch
    from pytorch_grad_cam import GradCAM
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    from export.checkpoint import classification_network
    from export.graphs import ClassifierGraph
    from training.score.explain import classifier_heat

    torch.manual_seed(0)
    network: Any = classification_network(architecture, len(SEVERITIES)).eval()
    field = np.random.default_rng(0).integers(0, 256, (224, 224), dtype=np.uint8)
    heat = classifier_heat(ClassifierGraph(network, 0.5, 0.2), field)
    pixels = ((torch.from_numpy(field).float() / 255 - 0.5) / 0.2)[None, None].repeat(1, 3, 1, 1)
    with GradCAM(model=network, target_layers=[getattr(network, layer)]) as cam:
        decided = int(network(pixels)[0].argmax())
        expected = cam(input_tensor=pixels, targets=[ClassifierOutputTarget(decided)])[0]
    if expected.max() > 0:  # pytorch-grad-cam also takes the minimum off
        shifted = (heat - heat.min()) / max(float(heat.max() - heat.min()), 1e-9)
        assert np.abs(shifted - expected).max() < 0.02


def test_a_heat_map_is_compared_with_the_labels_above_its_threshold() -> None:
    of_stage_1()
    from training.score.explain import heat_iou

    heat = np.array([[1.0, 0.2], [0.1, 0.0]], np.float32)
    truth = np.array([[True, False], [False, False]])
    assert heat_iou(heat, truth, 0.15) == 0.5
    assert heat_iou(heat, truth, 0.5) == 1.0
    assert np.isnan(heat_iou(heat, np.zeros((2, 2), bool), 0.5))


# --- stage 2 ---------------------------------------------------------------------------------------------------------


def test_two_architectures_are_compared_on_the_same_images(
    ready: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    of_stage_2()
    import torch

    from export.checkpoint import classification_network
    from training.data.dataset import open_data_set
    from training.score import evaluate

    monkeypatch.setattr(evaluate, "REPLICATES", 5)
    for architecture in ("efficientnet_b0", "resnet18"):
        torch.manual_seed(0)
        network = classification_network(architecture, len(SEVERITIES))
        for fold in range(2):
            path = tmp_path / architecture / f"fold{fold}" / "classifier.pt"
            save(network, SEVERITIES, path, open_data_set(ready).sha256, architecture)
    runs = {name: tmp_path / name for name in ("efficientnet_b0", "resnet18")}
    found = evaluate.evaluate(ready, {}, runs, "test")
    for classifier in found.classifiers:
        accuracy = classifier.numbers["accuracy"]
        right = sum(verdict.said == verdict.severity for verdict in classifier.images)
        assert np.sum(classifier.confusion) == len(classifier.images) == accuracy.n == 12
        assert np.trace(np.array(classifier.confusion)) == right
        assert accuracy.value == pytest.approx(right / 12, abs=1e-6)
        assert accuracy.low_95 < accuracy.value < accuracy.high_95  # type: ignore[operator]
    (comparison,) = found.comparisons
    assert comparison.initialised_from == ("none", "none")
    assert "Accuracy" in summary(found).title()


def classifier_of(name: str, right: list[bool]) -> ClassifierResult:
    said = ["low" if is_right else "severe" for is_right in right]
    images = tuple(Verdict(f"{i}.png", f"coupon {i // 2}", 0, "low", one, 0.9) for i, one in enumerate(said))
    judge = Judge("fold0/classifier.pt", 0, len(right), "imagenet", 1, "ready", "")
    return ClassifierResult(name, name, (judge,), {}, ((0,),), NOWHERE, images)


def test_mcnemar_counts_the_images_that_one_of_two_has_right() -> None:
    of_stage_1()
    of_stage_2()
    from training.score.evaluate import _compare_classifiers

    comparison = _compare_classifiers(classifier_of("a", [True] * 8), classifier_of("b", [False] * 5 + [True] * 3))
    assert comparison is not None
    assert (comparison.only_one, comparison.only_other) == (5, 0)
    assert comparison.mcnemar_p == pytest.approx(2 * 0.5**5)
    assert comparison.difference.value == pytest.approx(5 / 8)


# --- numbers ---------------------------------------------------------------------------------------------------------


def test_intervals_draw_whole_groups() -> None:
    of_stage_1()
    from training.score.evaluate import _Design

    values = np.array([0.0, 0.0, 1.0, 1.0])
    alike = _Design((np.arange(4),), ("a", "a", "b", "b"))
    number = alike.over_folds(lambda images: {"x": float(values[images].mean())}, {"x": "x"})["x"]
    assert (number.value, number.low_95, number.high_95) == (0.5, 0.0, 1.0)
    lone = _Design((np.arange(4),), ("a",) * 4)
    assert lone.over_folds(lambda images: {"x": float(values[images].mean())}, {"x": "x"})["x"].low_95 is None


def test_spread_is_over_folds() -> None:
    of_stage_1()
    from training.score.evaluate import _Design

    values = np.array([0.2, 0.2, 0.4, 0.4])
    design = _Design((np.arange(2), np.arange(2, 4)), ("a", "b", "c", "d"))
    number = design.over_folds(lambda images: {"x": float(values[images].mean())}, {"x": "x"})["x"]
    assert number.value == pytest.approx(0.3)
    assert number.folds == pytest.approx((0.2, 0.4))
    assert number.spread == pytest.approx(np.sqrt(0.02), abs=1e-6)


# --- files -----------------------------------------------------------------------------------------------------------


def test_the_page_shows_only_what_lies_beside_it(evaluation: Evaluation, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    from training.score.evaluation_page import write

    page = write(evaluation, tmp_path / "report").read_text()
    pictures = re.findall(r'src="([^"]+)"', page)
    assert len(pictures) >= 5
    assert all((tmp_path / "report" / name).is_file() for name in pictures)
    assert "http" not in page
    assert "89.91" in page
    assert "The data differ" in page


def test_the_json_holds_every_number_and_no_nan(evaluation: Evaluation) -> None:
    stored = json.loads(evaluation.as_json(), parse_constant=lambda name: pytest.fail(name))
    assert stored["schema"] == "training.evaluation/1"
    number = stored["segmenters"][0]["any_class"]["mean_iou"]
    assert number["value"] == evaluation.segmenters[0].any_class["mean_iou"].value
    assert len(number["folds"]) == 2


def test_an_undefined_number_is_null_and_a_dash(evaluation: Evaluation) -> None:
    (segmenter,) = evaluation.segmenters
    numbers = {name: replace(number, value=None, low_95=None) for name, number in segmenter.any_class.items()}
    bare = replace(segmenter, any_class=numbers, by_class=None, curve=Curve((), (), ()), heat=NOWHERE)
    nothing = replace(evaluation, segmenters=(bare,))
    assert json.loads(nothing.as_json())["segmenters"][0]["any_class"]["mean_iou"]["value"] is None
    assert " -" in summary(nothing)


def test_evaluating_nothing_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["evaluate", "--data", str(tmp_path), "--out", str(tmp_path / "report")]) == 2
    assert "--segmenter" in capsys.readouterr().err


@pytest.mark.parametrize("run", ["manual", "=folder", "a/b=folder"])
def test_a_run_has_a_name(run: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["evaluate", "--data", str(tmp_path), "--segmenter", run, "--out", str(tmp_path)])
    assert "write it like" in capsys.readouterr().err
