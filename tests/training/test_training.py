"""Training takes data to a checkpoint that can be exported."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge.errors import ConfigError
from edge.records import SEVERITIES, Regions
from training import cli
from training.data.dataset import open_data_set
from training.draw.samples import SAMPLES, write_samples
from training.draw.synthetic import CLASSES, render, write_data_set
from training.score.region_scores import RegionScores, match

SIZE = (192, 144)


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
    from training.learn import make_models

    trained = {
        *(seed for images, first, _ in make_models.SEGMENTER_ROUNDS for seed in range(first, first + images)),
        *(seed for images, first, *_ in make_models.CLASSIFIER_ROUNDS for seed in range(first, first + images)),
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


@pytest.mark.slow
def test_make_models_goes_from_nothing_to_two_cards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("ultralytics")
    pytest.importorskip("timm")
    from edge.models.card import load_card
    from training.learn import make_models

    small = {
        "SEGMENTER_SIDE_PX": 96,
        "SEGMENTER_ROUNDS": ((18, 1, 1), (18, 101, 1)),
        "CLASSIFIER_SIZE_PX": (112, 96),
        "CLASSIFIER_ROUNDS": ((24, 201, 1, 1, 0.0, 0.0), (24, 301, 0, 1, 0.0, 1.0)),
        "CALIBRATION_FIELDS": 30,
        "COVERAGE_FIELDS": 20,
        "SURFACES": 4,
        "REGION_SCENES": 2,
        "TEST_IMAGES": 3,
        "INT8_IMAGES": 2,
    }
    for name, value in small.items():
        monkeypatch.setattr(make_models, name, value)
    places = ["--work", str(tmp_path / "work"), "--out", str(tmp_path / "models"), "--model-version", "9.9.9"]
    assert make_models.main(["--weights", "none", "--classifier-weights", "none", *places]) == 0
    assert "no quantised copy of the classifier" in capsys.readouterr().err, "two images are too few, or OpenVINO is missing"
    segmenter = load_card(tmp_path / "models" / "segmenter.onnx", "segment")
    classifier = load_card(tmp_path / "models" / "classifier.onnx", "classify")
    assert (segmenter.version, segmenter.training.initialised_from) == ("9.9.9", "segmenter.pt, 1 epochs from none")
    assert {"mask_map50", "region_recall"} <= set(segmenter.scores)
    assert {"conformal_coverage_low_95", "magnification_share_changes", "region_accuracy_weak"} <= set(classifier.scores)
