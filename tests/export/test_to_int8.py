"""Quantised copies: which are taken, what they say beside float32, and how they are made."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from edge.backends import int8_copy
from edge.backends.int8_copy import Agreement, copy_paths, has_copy, has_dot_products, read_copy
from edge.backends.table import open_network
from edge.errors import BackendError, ConfigError, EdgeError
from edge.inspection.classify import crop_region, field_of_view, softmax
from edge.inspection.parity import MOST_REGION_CHANGES
from edge.inspection.pipeline import Pipeline
from edge.inspection.segment import Segmenter
from edge.models.card import BUILTIN_FOLDER, load_card
from edge.samples import sample_micrographs
from export import to_int8
from export.cli import main
from tests.conftest import SOURCE, settings_for

CLASSIFIER = BUILTIN_FOLDER / "classifier.onnx"
AGREES = Agreement(views=100, changed=3, flips=1, flip_margin=0.05, mean_difference=0.01, largest_difference=0.2)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """The shipped classifier with its copy, in a folder of its own."""
    for path in (CLASSIFIER, CLASSIFIER.with_suffix(".json"), *copy_paths(CLASSIFIER)):
        shutil.copy(path, tmp_path / path.name)
    return tmp_path / CLASSIFIER.name


# --- which are taken -------------------------------------------------------------------------------------------------


def test_the_shipped_copy_belongs_to_the_shipped_model() -> None:
    graph, weights, passport = read_copy(CLASSIFIER)
    assert graph.startswith(b"<?xml")
    assert len(weights) > 1_000_000
    assert to_int8.refusal(passport.agreement) is None
    assert passport.scores["region_accuracy_weak"]["n"] >= 500


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_part_that_is_missing_is_named(model: Path, number: int) -> None:
    gone = copy_paths(model)[number]
    gone.unlink()
    assert has_copy(model) == (number != 2)
    with pytest.raises(BackendError, match=gone.name):
        read_copy(model)


@pytest.mark.parametrize("number", [0, 1])
def test_other_bytes_than_the_passports_are_refused(model: Path, number: int) -> None:
    path = copy_paths(model)[number]
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(BackendError, match=f"{path.name} is not the file"):
        read_copy(model)


def test_a_copy_of_another_model_is_refused(model: Path) -> None:
    model.write_bytes(model.read_bytes() + b"\0")
    with pytest.raises(BackendError, match="another model"):
        read_copy(model)


def test_a_passport_that_is_none_is_refused(model: Path) -> None:
    copy_paths(model)[2].write_text("{}")
    with pytest.raises(BackendError, match="not valid"):
        read_copy(model)


@pytest.mark.parametrize(
    ("flags", "expected"),
    [("fpu avx2 avx512_vnni amx_tile", True), ("fpu avx2 avx_vnni", True), ("fpu avx2 avx512f", False), ("", False)],
)
def test_dot_products_are_told_by_the_processors_flags(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flags: str, expected: bool
) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text(f"processor\t: 0\nflags\t\t: {flags}\n\nprocessor\t: 1\n")
    monkeypatch.setattr(int8_copy.platform, "machine", lambda: "x86_64")
    assert has_dot_products(cpuinfo) == expected
    assert not has_dot_products(tmp_path / "none")
    monkeypatch.setattr(int8_copy.platform, "machine", lambda: "aarch64")
    assert not has_dot_products(cpuinfo)


# --- what they say ---------------------------------------------------------------------------------------------------


@pytest.fixture
def dot_products() -> None:
    pytest.importorskip("openvino")
    if not has_dot_products():
        pytest.skip("this processor has no dot products of bytes, and the edge would not take the copy")


@pytest.mark.usefixtures("dot_products")
def test_the_shipped_copy_says_of_regions_what_float32_says() -> None:
    from edge.backends.openvino_model import OpenVinoModel

    card, finder = load_card(CLASSIFIER, "classify"), BUILTIN_FOLDER / "segmenter.onnx"
    with open_network("openvino", finder) as network:
        segmenter = Segmenter(network, load_card(finder, "segment"), confidence=0.25, iou=0.7)
        views = to_int8.stage_two_views((one.grey for one in sample_micrographs()), segmenter, card).regions[:, None]
    with OpenVinoModel(CLASSIFIER) as reference, OpenVinoModel(CLASSIFIER, "int8") as copy:
        assert (reference.precision, copy.precision) == ("float32", "int8")
        assert copy.temperature is not None
        ours = softmax(reference.run(views)["logits"] / card.calibration.temperature)
        theirs = softmax(copy.run(views)["logits"] / copy.temperature)
    assert np.ptp(theirs, axis=0).max() > 0.2, "the same answer for every region"
    assert np.abs(ours - theirs).mean() < 0.05
    assert (ours.argmax(axis=1) == theirs.argmax(axis=1)).mean() >= 1 - MOST_REGION_CHANGES


@pytest.mark.usefixtures("dot_products")
def test_the_fields_severity_is_that_of_float32_to_the_last_digit() -> None:
    settings = settings_for(BUILTIN_FOLDER, models={"backend": "openvino"})
    micrograph = sample_micrographs()[1]
    with Pipeline(settings) as reference, Pipeline(settings, precision="int8") as faster:
        ours, theirs = reference.inspect(micrograph, SOURCE), faster.inspect(micrograph, SOURCE)
    assert ours.severity is not None
    assert theirs.severity is not None
    assert ours.severity.probabilities == pytest.approx(theirs.severity.probabilities, abs=1e-5)
    assert ours.severity.domain_ratio == pytest.approx(theirs.severity.domain_ratio, abs=1e-5)
    np.testing.assert_array_equal(ours.regions.boxes_px, theirs.regions.boxes_px)
    assert [verdict is None for verdict in ours.region_severities] == [verdict is None for verdict in theirs.region_severities]


@pytest.mark.usefixtures("dot_products")
def test_an_inspection_says_what_ran(model: Path) -> None:
    settings = settings_for(model.parent, models={"backend": "openvino", "classifier": str(model)})
    _, _, passport = read_copy(model)
    with Pipeline(settings, precision="int8") as pipeline:
        inspection = pipeline.inspect(sample_micrographs()[0], SOURCE)
    assert inspection.models.precision == "float32/int8"
    assert inspection.models.engine_sha256 == passport.bin_sha256
    assert inspection.severity is not None
    assert sum(inspection.severity.probabilities.values()) == pytest.approx(1)


@pytest.mark.usefixtures("dot_products")
def test_a_damaged_copy_is_a_backend_error(model: Path) -> None:
    copy_paths(model)[1].write_bytes(b"")
    settings = settings_for(model.parent, models={"backend": "openvino", "classifier": str(model)})
    with pytest.raises(BackendError, match="int8"):
        Pipeline(settings, precision="int8")


# --- how they are made -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("changes", [{"flips": 9}, {"mean_difference": 0.041}])
def test_a_copy_that_changes_too_much_is_refused(changes: dict[str, float]) -> None:
    assert to_int8.refusal(AGREES) is None
    assert to_int8.refusal(AGREES.model_copy(update=changes)) is not None


def test_a_temperature_is_found_without_labels() -> None:
    pytest.importorskip("scipy")
    logits = np.random.default_rng(0).normal(0, 2, (400, 3))
    assert to_int8._like(softmax(logits / 1.5), logits * 1.2, 1.5) == pytest.approx(1.8, rel=0.01)


def test_views_are_the_field_and_two_regions_of_each_image() -> None:
    card, path = load_card(CLASSIFIER, "classify"), BUILTIN_FOLDER / "segmenter.onnx"
    images = [one.grey for one in sample_micrographs()][:3]
    with open_network("onnxruntime", path) as network:
        segmenter = Segmenter(network, load_card(path, "segment"), confidence=0.25, iou=0.7)
        views = to_int8.stage_two_views(images, segmenter, card)
        largest = segmenter.find(images[0])[0].boxes_px[0]
        nothing = to_int8.stage_two_views([np.full((64, 64), 128, np.uint8)], segmenter, card)
    assert 3 <= len(views.regions) <= 6
    np.testing.assert_array_equal(views.regions[0], crop_region(images[0], largest, card.crop_margin, card.input_px))
    np.testing.assert_array_equal(views.fields[2], field_of_view(images[2], card.input_px))
    assert (nothing.fields.shape, nothing.regions.shape) == ((1, 224, 224), (0, 224, 224))


def test_too_few_views_are_refused_before_anything_is_loaded(model: Path) -> None:
    before = {path: path.read_bytes() for path in copy_paths(model)}
    few = np.zeros((5, 224, 224), np.uint8)
    with pytest.raises(ConfigError, match="too few"):
        to_int8.export_int8(model, to_int8.Views(few, few), "nothing")
    assert {path: path.read_bytes() for path in copy_paths(model)} == before


def test_scores_come_into_the_passport(model: Path) -> None:
    to_int8.add_scores(model, {"accuracy": {"value": 0.5, "n": 2, "how": "coin"}})
    assert read_copy(model)[2].scores == {"accuracy": {"value": 0.5, "n": 2, "how": "coin"}}
    assert not list(model.parent.glob(".*"))


def test_edge_export_int8_makes_a_copy_that_the_edge_takes(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("nncf")
    folder = model.parent / "images"
    folder.mkdir()
    for path in copy_paths(model):
        path.unlink()
    samples = [path for path in (BUILTIN_FOLDER.parent / "samples").iterdir() if path.suffix in {".tif", ".png", ".jpg"}]
    for number in range(4):
        for path in samples:
            shutil.copy(path, folder / f"{number}{path.name}")
    assert main(["int8", str(model), "--images", str(folder)]) in (0, 1)  # eight images may be too few to agree on
    said = capsys.readouterr()
    if has_copy(model):
        assert said.out.strip().endswith("classifier.int8.xml")
        assert read_copy(model)[2].calibrated_on == f"{4 * len(samples)} images of images"
    else:
        assert "not used" in said.err


def test_edge_export_int8_says_what_is_missing(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("nncf")
    empty = model.parent / "empty"
    empty.mkdir()
    assert main(["int8", str(model), "--images", str(empty)]) == 2
    assert "too few" in capsys.readouterr().err
    with pytest.raises(EdgeError):
        load_card(model.with_name("segmenter.onnx"), "classify")


def test_edge_export_int8_without_nncf_says_what_to_install(
    model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "nncf", None)
    assert main(["int8", str(model), "--images", str(model.parent)]) == 2
    assert "sem-corrosion-edge[int8]" in capsys.readouterr().err
