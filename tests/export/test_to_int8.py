"""Quantised copies: how they are made, and which are refused."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from edge.backends.int8_copy import Agreement, copy_paths, has_copy, read_copy
from edge.backends.table import open_network
from edge.errors import ConfigError, EdgeError
from edge.inspection.classify import crop_region, field_of_view, softmax
from edge.inspection.segment import Segmenter
from edge.models.card import BUILTIN_FOLDER, load_card
from edge.samples import sample_files, sample_micrographs
from export import to_int8
from export.cli import main

CLASSIFIER = BUILTIN_FOLDER / "classifier.onnx"
AGREES = Agreement(views=100, changed=3, flips=1, flip_margin=0.05, mean_difference=0.01, largest_difference=0.2)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """The shipped classifier with its copy, in a folder of its own."""
    for path in (CLASSIFIER, CLASSIFIER.with_suffix(".json"), *copy_paths(CLASSIFIER)):
        shutil.copy(path, tmp_path / path.name)
    return tmp_path / CLASSIFIER.name


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
    samples = sample_files()
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
