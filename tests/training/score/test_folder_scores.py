"""Images together: means with intervals, sizes, and what stage 2 said."""

from __future__ import annotations

import json

import numpy as np
import pytest

from edge.records import Severity, SeverityLabel
from tests.training.score.test_field_scores import SHAPE, disc
from training.score import folder_scores
from training.score.field_scores import FieldScore, compare
from training.score.folder_scores import HOW, ScoredImage, by_size, numbers, row, worst
from training.score.thresholds import components


def field(grown_px: int = 0, *, clean: bool = False) -> FieldScore:
    """A disc of 40 px across, found by so much wider."""
    truth = components(np.zeros(SHAPE, bool)) if clean else components(disc(70, 60, 20))
    return compare(truth, components(disc(70, 60, 20 + grown_px)), SHAPE)


def said(label: SeverityLabel, *reasons: str) -> Severity:
    answer = {"low": 0.1, "moderate": 0.2, "severe": 0.1} | {label: 0.7}
    cam = np.zeros((7, 7), np.float32)
    return Severity(label, 0.7, answer, (label,), False, (), True, cam).doubted(reasons)


def test_numbers_have_an_interval_over_images_and_over_specimens() -> None:
    fields = [field(0), field(2), field(4), field(6)]
    of = numbers(fields, ["a", "a", "b", "b"])
    assert set(of) == set(HOW)
    iou = of["area_iou"]
    assert iou["interval_95"][0] < iou["value"] < iou["interval_95"][1]
    assert iou["interval_95_specimens"] is not None
    assert of["area_bias"]["value"] > 0
    assert of["area_bias"]["value"] == of["area_absolute_error"]["value"]
    assert of["outline_offset_px"]["value"] == pytest.approx(3, abs=0.3)


def test_one_image_or_one_specimen_has_no_interval() -> None:
    assert numbers([field(1)], ["a"])["area_iou"]["interval_95"] is None
    of = numbers([field(1), field(2)], ["a", "a"])
    assert of["area_iou"]["interval_95"] is not None
    assert of["area_iou"]["interval_95_specimens"] is None


def test_clean_images_count_in_false_regions_and_not_in_the_iou() -> None:
    of = numbers([field(0), field(0, clean=True)], ["a", "b"])
    assert (of["area_iou"]["value"], of["area_iou"]["n"]) == (1, 1)
    assert of["false_regions"]["value"] == 0.5
    alone = numbers([field(0, clean=True)], ["a"])
    assert alone["area_iou"]["value"] is None
    assert alone["region_recall"]["value"] is None
    assert json.dumps(alone, allow_nan=False)


def test_sizes_are_those_of_labelled_and_of_found_regions() -> None:
    sizes = {size["from_px"]: size for size in by_size([field(0), field(0, clean=True)])}
    assert (sizes[32.0]["labelled"], sizes[32.0]["recall"]) == (1, 1)
    assert (sizes[32.0]["found"], sizes[32.0]["precision"]) == (2, 0.5)
    assert sizes[0.0]["recall"] is None
    assert sizes[128.0]["below_px"] is None


def test_the_worst_images_are_named() -> None:
    images = [ScoredImage(name, name, None, one, None) for name, one in (("a", field(1)), ("b", field(8)))]
    assert worst(images)["area_iou"]["image"] == "b"
    assert worst(images)["area_error"]["image"] == "b"


def test_abstaining_doubting_and_being_right_are_counted_apart() -> None:
    doubt, away = "blurred: no fine detail", "out_of_domain: unlike the training images"
    severities = [
        ("low", said("low")),
        ("low", said("severe")),
        ("low", said("low", doubt)),
        ("severe", said("low", away)),
        (None, said("severe")),
    ]
    images = [ScoredImage("x", "x", true, None, severity) for true, severity in severities]  # type: ignore[arg-type]
    of = folder_scores.severity(images)
    assert of is not None
    assert (of["given"], of["abstained"], of["doubted"], of["known"]) == (4, 1, 1, 4)
    assert of["accuracy"]["value"] == pytest.approx(2 / 3, abs=1e-3)
    assert of["accuracy_without_doubt"] == {"value": 0.5, "n": 2}
    assert of["accuracy_of_answers"]["n"] == 4
    assert of["labels_without_doubt"] == {"low": 1, "moderate": 0, "severe": 2}
    assert of["confusion"]["severe"] == {"low": 0, "moderate": 0, "severe": 0, "None": 1}
    assert of["reasons"] == {"blurred": 1, "out_of_domain": 1}
    line = row(images[3])["severity"]
    assert (line["label"], line["answer"], line["reasons"]) == (None, "low", ["out_of_domain"])


def test_without_stage_2_nothing_is_said_of_severity() -> None:
    assert folder_scores.severity([ScoredImage("x", "x", "low", field(0), None)]) is None
