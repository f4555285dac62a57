"""The generator draws what it says; training takes data to a checkpoint that can be exported."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edge.config import Sample
from edge.errors import ConfigError
from edge.records import SEVERITIES, Regions, SeverityLabel
from training import cli
from training.dataset import open_data_set, severity_of
from training.evaluate import RegionScores, match
from training.samples import SAMPLES, write_samples
from training.synthetic import CLASSES, SMALLEST_REGION_PX2, render, write_data_set, yolo_labels

SIZE = (192, 144)
COCO = Path(__file__).parents[1] / ".." / "shared" / "data" / "weights" / "yolov8n-seg_coco_fused_dequant.safetensors"


def test_the_same_seed_draws_the_same_scene() -> None:
    one, other = render(11, SIZE), render(11, SIZE)
    assert one.name == other.name
    np.testing.assert_array_equal(one.grey, other.grey)
    np.testing.assert_array_equal(one.regions.boxes_px, other.regions.boxes_px)


def test_another_seed_draws_another_scene() -> None:
    assert (render(11, SIZE).grey != render(12, SIZE).grey).mean() > 0.5


@pytest.mark.parametrize("size", [(192, 144), (144, 192), (97, 131)])
def test_a_scene_has_the_size_asked_for(size: tuple[int, int]) -> None:
    scene = render(5, size)
    assert scene.grey.shape == size[::-1]
    assert scene.grey.dtype == np.uint8


@pytest.mark.parametrize("seed", range(8))
def test_regions_lie_inside_the_image_and_do_not_overlap(seed: int) -> None:
    regions = render(seed, SIZE, "severe").regions
    taken = np.zeros(SIZE[::-1], np.int32)
    for (x, y, width, height), mask in zip(regions.boxes_px, regions.masks, strict=True):
        assert x >= 0
        assert y >= 0
        assert x + width <= SIZE[0]
        assert y + height <= SIZE[1]
        taken[y : y + height, x : x + width] += mask
    assert taken.max() <= 1


@pytest.mark.parametrize("seed", range(8))
def test_a_region_is_one_connected_part_with_tight_bounds(seed: int) -> None:
    for mask in render(seed, SIZE, "severe").regions.masks:
        parts, _ = cv2.connectedComponents(mask.astype(np.uint8), connectivity=4)
        assert parts == 2
        assert mask.sum() >= SMALLEST_REGION_PX2
        assert all(edge.any() for edge in (mask[0], mask[-1], mask[:, 0], mask[:, -1]))


def test_more_severe_scenes_are_more_corroded_on_average() -> None:
    means = [np.mean([render(seed, SIZE, label).area_fraction for seed in range(20)]) for label in SEVERITIES]
    assert means[0] < means[1] < means[2]


def test_both_classes_occur() -> None:
    seen = {int(value) for seed in range(6) for value in render(seed, SIZE, "severe").regions.class_ids}
    assert seen == set(range(len(CLASSES)))


def test_scenes_without_a_chosen_severity_have_all_of_them() -> None:
    assert {render(seed, (64, 64)).severity for seed in range(20)} == set(SEVERITIES)


@pytest.mark.parametrize("severity", SEVERITIES)
def test_a_scenes_name_says_its_annealing_and_exposure(severity: SeverityLabel) -> None:
    scene = render(3, (64, 64), severity)
    fields = Sample().fields(f"{scene.name}.tif")
    assert (fields["annealing_min"], fields["exposure_h"]) == (scene.annealing_min, scene.exposure_h)
    assert severity_of(fields["exposure_h"]) == severity


def test_labels_drawn_again_cover_their_regions() -> None:
    scene = render(7, (320, 240), "severe")
    lines = yolo_labels(scene.regions, 320, 240).splitlines()
    assert len(lines) > 3
    largest = np.array(lines[0].split()[1:], float).reshape(-1, 2) * (320, 240) - 0.5
    drawn = np.zeros((240, 320), np.uint8)
    cv2.fillPoly(drawn, [np.round(largest).astype(np.int32)], 1)
    truth = np.zeros((240, 320), bool)
    x, y, width, height = scene.regions.boxes_px[0]
    truth[y : y + height, x : x + width] = scene.regions.masks[0]
    both, either = (drawn & truth).sum(), (drawn | truth).sum()
    assert both / either > 0.95


# --- data sets -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    write_data_set(folder, images=24, seed=50, size_px=(96, 96))
    return folder


def test_a_written_data_set_can_be_opened(data: Path) -> None:
    data_set = open_data_set(data)
    assert data_set.classes == CLASSES
    assert len(data_set.images) == 24
    assert {image.severity for image in data_set.images} == set(SEVERITIES)


def test_a_data_sets_hash_changes_with_a_label(data: Path) -> None:
    before = open_data_set(data).sha256
    label = next((data / "labels").iterdir())
    text = label.read_text()
    label.write_text(text + "0 0.1 0.1 0.2 0.1 0.2 0.2\n")
    changed = open_data_set(data).sha256
    label.write_text(text)
    assert changed != before
    assert open_data_set(data).sha256 == before


def test_a_group_is_never_on_both_sides_of_a_split(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    rows = ["image,severity,group"]
    for index in range(30):
        (tmp_path / "images" / f"{index}.png").write_bytes(b"")
        rows.append(f"{index}.png,low,sample {index % 6}")
    (tmp_path / "samples.csv").write_text("\n".join(rows))
    kept, held_out = open_data_set(tmp_path).split(0.3)
    assert len(kept) + len(held_out) == 30
    assert held_out
    assert not {image.group for image in kept} & {image.group for image in held_out}


def test_severity_comes_from_the_name_where_no_table_says_it(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "AN_60_14days_01.tif").write_bytes(b"")
    assert open_data_set(tmp_path).images[0].severity == "severe"


def test_one_group_cannot_be_split_honestly(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.png").write_bytes(b"")
    with pytest.raises(ConfigError, match="one group"):
        open_data_set(tmp_path).split(0.2)


def test_an_unknown_severity_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.png").write_bytes(b"")
    (tmp_path / "samples.csv").write_text("image,severity\na.png,awful\n")
    with pytest.raises(ConfigError, match="awful"):
        open_data_set(tmp_path)


# --- samples and commands --------------------------------------------------------------------------------------------


def test_sample_seeds_are_not_trained_on() -> None:
    from training import make_models

    trained = {
        *range(make_models.SEGMENTER_SEED, make_models.SEGMENTER_SEED + make_models.SEGMENTER_IMAGES),
        *(seed for images, first, _, _ in make_models.CLASSIFIER_ROUNDS for seed in range(first, first + images)),
    }
    tested = set(range(make_models.TEST_SEED, make_models.TEST_SEED + make_models.TEST_IMAGES))
    assert not trained & tested
    assert not trained & {sample.seed for sample in SAMPLES}


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: f"{sample.seed}-{sample.form}")
def test_samples_read_as_the_microscopes_they_imitate(sample: Any, tmp_path: Path) -> None:
    sem = pytest.importorskip("edge.sem")
    (path,) = write_samples(tmp_path, (sample,))
    micrograph = sem.read(path.read_bytes(), path.name)[0]
    barred = sample.form in ("thermofisher", "zeiss", "jpeg")
    assert micrograph.databar_px == (64 if barred else 0)
    if sample.form in ("thermofisher", "zeiss"):
        assert micrograph.pixel_size_nm == pytest.approx(sample.field_um * 1000 / 1024, rel=1e-3)
        assert micrograph.acquisition.acceleration_kv == 15.0
        assert micrograph.acquisition.captured_at is not None
    else:
        assert micrograph.pixel_size_nm is None
    assert micrograph.warnings == ()


def test_synthesize_writes_as_many_images_as_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["synthesize", "--out", str(tmp_path), "--images", "2", "--seed", "9", "--size", "96x64"]) == 0
    images = sorted((tmp_path / "images").iterdir())
    assert len(images) == 2
    assert cv2.imread(str(images[0]), cv2.IMREAD_GRAYSCALE).shape == (64, 96)


def test_a_size_that_is_none_is_wrong_usage(tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as raised:
        cli.main(["synthesize", "--out", str(tmp_path), "--images", "2", "--size", "large"])
    assert raised.value.code == 2


def test_training_without_data_says_how_to_make_some(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("torch")
    assert cli.main(["classifier", "--data", str(tmp_path), "--weights", "none", "--out", str(tmp_path)]) == 2
    assert "edge-train synthesize" in capsys.readouterr().err


# --- scoring ---------------------------------------------------------------------------------------------------------


def regions_of(*boxes: tuple[int, int, int, int]) -> Regions:
    return Regions(
        boxes_px=np.array(boxes, np.int32).reshape(-1, 4),
        scores=np.ones(len(boxes), np.float32),
        class_ids=np.zeros(len(boxes), np.int32),
        masks=tuple(np.ones((height, width), bool) for _, _, width, height in boxes),
        class_names=CLASSES,
    )


def test_the_truth_matches_itself() -> None:
    regions = render(4, SIZE, "severe").regions
    assert match(regions, regions).all()


def test_a_found_region_counts_for_one_true_region_only() -> None:
    truth = regions_of((0, 0, 10, 10), (0, 0, 10, 9))
    assert match(truth, regions_of((0, 0, 10, 10))).tolist() == [True, False]


def test_too_little_overlap_is_no_match() -> None:
    assert match(regions_of((0, 0, 10, 10)), regions_of((6, 0, 10, 10))).tolist() == [False]


def test_the_smallest_resolved_diameter_is_where_half_are_found() -> None:
    diameters = np.repeat([7.0, 9.0, 12.0, 40.0], 20)
    found = np.repeat([False, True, True, True], 20)
    assert RegionScores(diameters, found, 60, 60, np.zeros(1)).smallest_resolved_px() == 8.0


def test_a_size_that_hardly_occurs_is_not_called_resolved() -> None:
    diameters, found = np.array([9.0] * 3 + [12.0] * 20), np.ones(23, bool)
    assert RegionScores(diameters, found, 23, 23, np.zeros(1)).smallest_resolved_px() == 10.0


# --- learning --------------------------------------------------------------------------------------------------------


@pytest.fixture
def coco() -> Path:
    pytest.importorskip("torch")
    pytest.importorskip("ultralytics")
    pytest.importorskip("safetensors")
    if not COCO.is_file():
        pytest.skip("the COCO weights are not at hand")
    return COCO


def test_restored_batchnorm_changes_nothing_in_eval_mode(coco: Path) -> None:
    import torch
    from safetensors.torch import load_file

    from export.to_onnx import segmentation_network
    from training.train_segmenter import initial_network

    classes = tuple(f"class {index}" for index in range(80))
    torch.manual_seed(0)
    images = torch.rand(2, 1, 96, 96).expand(-1, 3, -1, -1)
    restored = initial_network(str(coco), classes, [images]).eval()
    fused = segmentation_network(classes).eval().fuse(verbose=False)
    missing = fused.load_state_dict(load_file(coco), strict=False)
    assert not missing.unexpected_keys
    other = torch.rand(1, 1, 128, 96).expand(-1, 3, -1, -1)
    with torch.no_grad():
        (one, _), _ = restored(other)
        (two, _), _ = fused(other)
    assert float((one - two).abs().max()) < 0.05


def test_restored_batchnorm_normalises_its_own_batch(coco: Path) -> None:
    import torch

    from training.train_segmenter import initial_network

    images = torch.rand(4, 1, 96, 96).expand(-1, 3, -1, -1)
    network = initial_network(str(coco), ("pit", "product"), [images])
    with torch.no_grad():
        learning = network.train()(images)["proto"]
        judging = network.eval()(images)[0][1]
    assert float((learning - judging).abs().mean()) < 0.1 * float(judging.abs().mean())


def test_temperature_undoes_overconfidence() -> None:
    pytest.importorskip("torch")
    pytest.importorskip("timm")
    from training.train_classifier import expected_calibration_error, softmax, wilson_interval

    logits = np.array([[8.0, 0, 0]] * 10)
    assert softmax(logits, 4.0)[0, 0] < softmax(logits)[0, 0]
    assert expected_calibration_error(np.array([0.9] * 10), np.array([True] * 9 + [False])) == pytest.approx(0, abs=1e-9)
    low, high = wilson_interval(15, 16)
    assert (round(low, 2), round(high, 2)) == (0.72, 0.99)


def test_embeddings_far_from_the_training_images_are_out_of_domain() -> None:
    pytest.importorskip("torch")
    pytest.importorskip("timm")
    from edge.classify import domain_distance
    from training.train_classifier import domain_statistics

    rng = np.random.default_rng(0)
    mixing = rng.normal(size=(20, 128))
    near = (rng.normal(size=(500, 20)) @ mixing + 0.1 * rng.normal(size=(500, 128))).astype(np.float32)
    statistics = domain_statistics(near[:300], near[300:400])
    assert (domain_distance(near[400:], statistics) <= statistics.threshold).mean() > 0.9
    far = (10 * rng.normal(size=(20, 128))).astype(np.float32)
    assert (domain_distance(far, statistics) > statistics.threshold).all()


@pytest.mark.slow
def test_training_goes_from_drawn_images_to_models_that_run(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("ultralytics")
    pytest.importorskip("timm")
    from edge.model_card import load_card
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
