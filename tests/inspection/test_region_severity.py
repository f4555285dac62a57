"""A region's own severity: what is measured, which weights are refused, who judges."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge.errors import ModelError
from edge.inspection.measure import measure
from edge.inspection.region_severity import MEASURES, RegionJudge, field_columns, region_measures
from edge.models.card import BUILTIN_FOLDER
from edge.records import Regions

SHIPPED = BUILTIN_FOLDER / "regions.json"
EVEN = {"low": 1 / 3, "moderate": 1 / 3, "severe": 1 / 3}


def dark_squares(*sides: int) -> tuple[np.ndarray[Any, Any], Regions]:
    """Metal of grey 100 and 140 in turn, with squares of grey 30, the largest first."""
    grey = np.full((200, 400), 100, np.uint8)
    grey[::2] = 140
    boxes = np.array([(10 + 90 * index, 20, side, side) for index, side in enumerate(sides)], np.int32).reshape(-1, 4)
    for x, y, w, h in boxes.tolist():
        grey[y : y + h, x : x + w] = 30
    masks = tuple(np.ones((side, side), np.bool_) for side in sides)
    count = len(sides)
    return grey, Regions(boxes, np.ones(count, np.float32), np.zeros(count, np.int32), masks, ("pit",))


def measured(*sides: int, most: int = 32) -> dict[str, Any]:
    grey, regions = dark_squares(*sides)
    found = measure(regions, grey.shape)
    rows = region_measures(grey, regions, found.area_px, found.area_fraction, most)
    return dict(zip(MEASURES[:-2], rows.T, strict=True))


def test_contrast_is_told_in_deviations_of_the_bare_metal() -> None:
    assert measured(40, 20)["mean_contrast"] == pytest.approx([(30 - 120) / 20] * 2)


def test_sizes_are_parts_of_the_image_and_of_the_median_region() -> None:
    found = measured(60, 40, 20)
    assert found["log_area_to_median"] == pytest.approx(np.log([3600 / 1600, 1, 400 / 1600]))
    assert np.exp(found["log_area"]) == pytest.approx(np.array([3600, 1600, 400]) / 80000)
    assert np.exp(found["log_count"]) == pytest.approx(3)


@pytest.mark.parametrize("sides", [(), (170,)])
def test_no_region_and_one_that_covers_much_are_measured(sides: tuple[int, ...]) -> None:
    assert all(len(column) == len(sides) and np.isfinite(column).all() for column in measured(*sides).values())


def test_the_largest_are_judged_and_the_others_are_not() -> None:
    grey, regions = dark_squares(60, 40, 20)
    judged = RegionJudge("builtin").judge(grey, regions, measure(regions, grey.shape), EVEN, 2)
    assert judged[2] is None
    assert [(one.basis, one.weak) for one in judged if one] == [("degree", False)] * 2
    assert all(1 / 3 <= one.confidence <= 1 for one in judged if one)


def test_the_verdict_on_the_field_weighs_in(tmp_path: Path) -> None:
    held = json.loads(SHIPPED.read_text())
    of_field = [[0.0] * (len(MEASURES) - 2) + list(pair) for pair in ((0, 0), (1, 0), (0, 1))]
    path = tmp_path / "regions.json"
    moved = {"weights": of_field, "means": [0.0] * len(MEASURES), "deviations": [1.0] * len(MEASURES), "biases": [0.0] * 3}
    path.write_text(json.dumps({**held, **moved}))
    grey, regions = dark_squares(60)
    measures = measure(regions, grey.shape)
    for field in ({"low": 0.8, "moderate": 0.1, "severe": 0.1}, {"low": 0.0, "moderate": 0.1, "severe": 0.9}):
        (one,) = RegionJudge(str(path)).judge(grey, regions, measures, field, 1)
        assert one is not None
        assert one.label == max(field, key=lambda label: field[label])


def test_an_impossible_verdict_on_the_field_is_bounded() -> None:
    assert np.isfinite(field_columns([0.0, 0.0, 1.0])).all()
    assert field_columns([0.0, 0.0, 1.0]).tolist() == field_columns([0.01, 0.01, 1.0]).tolist()


def test_the_file_is_named_with_its_hash() -> None:
    identity = RegionJudge("builtin").identity
    assert identity.name == "regions"
    assert len(identity.sha256) == 64


@pytest.mark.parametrize(
    "change",
    [
        {"weights": [[1.0]]},
        {"measures": ["odd"]},
        {"deviations": [0.0] * len(MEASURES)},
        {"biases": [1.0]},
        {"classes": ["low", "rusty"]},
    ],
)
def test_weights_that_do_not_fit_are_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    path = tmp_path / "regions.json"
    path.write_text(json.dumps({**json.loads(SHIPPED.read_text()), **change}))
    with pytest.raises(ModelError, match="not valid"):
        RegionJudge(str(path))


def test_a_missing_file_is_told_with_its_cure(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="region weights"):
        RegionJudge(str(tmp_path / "none.json"))


def test_a_file_without_the_plants_signature_is_refused() -> None:
    with pytest.raises(ModelError):
        RegionJudge("builtin", "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3")
