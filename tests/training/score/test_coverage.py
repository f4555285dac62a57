"""How often the labelled truth lies inside the intervals that the edge gave."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edge import samples
from edge.config import load_for_command
from edge.inspector import Inspector
from edge.models.card import FittedWith, IntervalFit, SpreadFit
from edge.records import Inspection
from tests.training.score.scored import make_folder, scored
from training.data.options import Options
from training.score.coverage import Promised, coverage, promised
from training.score.score_folder import FolderScore, open_folder, score_folder
from training.score.score_page import page
from training.score.score_text import describe

FILES = Path(samples.__file__).parents[1] / "models" / "files"
SPREAD = SpreadFit(numbers={}, low_offset=-0.05, high_offset=0.05, groups=(0.3,), margins=(0.01, 0.01))


COUNT = SPREAD.model_copy(update={"low_offset": -0.8, "high_offset": 0.8})
"""Regions that touch are one in a mask, so a count is not the same."""


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped segmenter with a fit of intervals on its card."""
    folder = tmp_path_factory.mktemp("models")
    (found,) = FILES.glob("segmenter*.json")
    card = json.loads(found.read_text())
    with_ = FittedWith(segmenter_sha256=card["sha256"], confidence=0.3, iou=0.7)
    fit = IntervalFit(level=0.9, fitted_with=with_, area=SPREAD, counted=COUNT, largest=SPREAD)
    card["calibration"]["intervals"] = fit.model_dump(mode="json")
    shutil.copy(found.with_suffix(".onnx"), folder / "with.onnx")
    (folder / "with.json").write_text(json.dumps(card))
    return folder / "with.onnx"


def judged(models: Path) -> tuple[Path, Inspection]:
    """A shipped micrograph that is judged, for others have no intervals, with its inspection."""
    with Inspector(backend="onnxruntime", segmenter=models, confidence=0.3) as inspector:
        for image in sorted(Path(samples.__file__).parent.glob("*.tif")):
            inspection = inspector.inspect(image)
            if inspection.measures.area_fraction_interval is not None:
                return image, inspection
    raise AssertionError("no shipped micrograph is judged")


@pytest.fixture(scope="module")
def whole(models: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[FolderScore, Inspection]:
    """A shipped micrograph twice: labelled with what is found, and as free of corrosion."""
    folder = tmp_path_factory.mktemp("covered") / "mine"
    for kind in ("images", "masks"):
        (folder / kind).mkdir(parents=True)
    first, inspection = judged(models)
    shutil.copy(first, folder / "images" / "as_found.tif")
    shutil.copy(first, folder / "images" / "clean.tif")
    canvas = np.zeros((inspection.micrograph.height_px, inspection.micrograph.width_px), np.uint8)
    for (x, y, w, h), mask in zip(inspection.regions.boxes_px.tolist(), inspection.regions.masks, strict=True):
        canvas[y : y + h, x : x + w][mask] = 1
    cv2.imwrite(str(folder / "masks" / "as_found.png"), canvas)
    cv2.imwrite(str(folder / "masks" / "clean.png"), 0 * canvas)
    toml = folder.parent / "edge.toml"
    toml.write_text(f'[models]\nbackend = "onnxruntime"\nsegmenter = "{models}"\n[inspect]\nconfidence = 0.3\n')
    data = open_folder(folder, Options(class_blind=True), clean=False)
    score = score_folder(folder, data, load_for_command(toml, {}), views=False, command="", tell=lambda done, of: None)
    return score, inspection


def test_the_truth_is_looked_for_inside_of_what_the_edge_gave(whole: tuple[FolderScore, Inspection]) -> None:
    score, inspection = whole
    of = json.loads(json.dumps(score.document, allow_nan=False))["intervals"]
    assert (of["images"], of["with_intervals"]) == (2, 2)
    for name in ("area_fraction", "density_per_mm2", "largest_px"):
        assert (of[name]["n"], of[name]["held"]) == (2, 1), name
        assert (of[name]["true_below"], of[name]["true_above"]) == (1, 0), name
    first, clean = (line["intervals"] for line in score.document["each"])
    assert first["area_fraction"]["true"] == pytest.approx(inspection.measures.area_fraction, rel=1e-3)
    assert clean["area_fraction"] == {**first["area_fraction"], "true": 0.0, "held": False}


def test_people_are_told(whole: tuple[FolderScore, Inspection]) -> None:
    document = whole[0].document
    assert "area in 1 of 2, density in 1 of 2, largest region in 1 of 2" in describe(document)
    assert "2 of 2 images have intervals" in page(document, ())


def test_settings_without_a_fit_are_said_to_have_none(tmp_path: Path) -> None:
    document = scored(make_folder(tmp_path / "mine", 1), confidence=0.37).document  # no fit is for this one
    assert document["intervals"]["area_fraction"]["coverage"] is None
    assert "none of 1 images" in describe(document)
    assert "None of 1 images has intervals" in page(document, ())


def test_without_labels_nothing_is_told_of_intervals(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "mine", 1, masks=False)
    (folder / "samples.csv").write_text("image,severity\ncoupon0_1.png,severe\n")
    assert scored(folder).document["intervals"] is None


def test_a_density_without_a_scale_is_left_out(whole: tuple[FolderScore, Inspection]) -> None:
    _, inspection = whole
    unscaled = replace(inspection, micrograph=replace(inspection.micrograph, pixel_size_nm=None, pixel_size_source=None))
    measures = inspection.measures
    given = replace(measures, area_fraction_interval=(0, 1), counted_interval=(0, 9), largest_px_interval=(0, 9))
    assert set(promised(replace(unscaled, measures=given), inspection.regions)) == {"area_fraction", "largest_px"}
    assert promised(replace(unscaled, measures=replace(measures, area_fraction_interval=None)), inspection.regions).keys() <= {
        "largest_px"
    }


def test_ends_belong_to_an_interval_and_what_is_outside_is_on_a_side() -> None:
    images: list[dict[str, Any]] = [{"area_fraction": Promised((0.1, 0.2), true)} for true in (0.1, 0.2, 0.05, 0.3, 0.15)]
    of = coverage([*images, {}])
    assert (of["images"], of["with_intervals"]) == (6, 5)
    area = of["area_fraction"]
    assert (area["held"], area["coverage"], area["true_below"], area["true_above"]) == (3, 0.6, 1, 1)
    assert area["interval_95"][0] < 0.6 < area["interval_95"][1]
    assert area["median_width"] == pytest.approx(0.1)
    assert of["largest_px"]["n"] == 0
