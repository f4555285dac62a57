"""The corroded part of each condition, beside its labels and, where it is known, the truth."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edge.errors import ConfigError
from tests.training.score.results import image_score, segmenter
from training.data.dataset import DataSet, LabelledImage
from training.score.time_course import measure_time_course


def data_set(folder: Path, *names: str) -> DataSet:
    return DataSet(folder, ("pit",), tuple(LabelledImage(folder / name, None, name) for name in names), "0" * 64)


NAMES = ("AN_60_24h_1.png", "AN_60_24h_2.png", "AN_90_7d_1.png", "unknown.png")
FOUND = segmenter(*(image_score(name, part) for name, part in zip(NAMES, (0.1, 0.3, 0.4, 0.9), strict=True)))


def test_images_of_one_condition_are_averaged_in_the_order_of_annealing_and_exposure(tmp_path: Path) -> None:
    course = measure_time_course(data_set(tmp_path, *NAMES), FOUND, None)
    assert course is not None
    assert [(one.annealing_min, one.exposure_h, one.images) for one in course.conditions] == [(60, 24, 2), (90, 168, 1)]
    first, second = course.conditions
    assert first.measured == pytest.approx(0.2)
    assert first.deviation == pytest.approx(0.2 / 2**0.5)
    assert (second.measured, second.deviation, second.true) == (pytest.approx(0.4), None, None)
    assert course.reference == "labelled"


def test_the_table_of_a_data_set_says_what_names_do_not(tmp_path: Path) -> None:
    (tmp_path / "samples.csv").write_text("image,annealing_min,exposure_h\nunknown.png,30,2\n")
    course = measure_time_course(data_set(tmp_path, "unknown.png"), segmenter(image_score("unknown.png", 0.2)), None)
    assert course is not None
    assert [(one.annealing_min, one.exposure_h) for one in course.conditions] == [(30, 2)]


def test_without_any_condition_there_is_no_time_course(tmp_path: Path) -> None:
    assert measure_time_course(data_set(tmp_path, "unknown.png"), segmenter(image_score("unknown.png", 0.2)), None) is None


def truth(folder: Path, **drawn: float) -> Path:
    path = folder / "truth.json"
    images = [{"image": f"images/{stem}.png", "drawn_fraction": fraction} for stem, fraction in drawn.items()]
    path.write_text(json.dumps({"images": images}))
    return path


def test_the_error_is_against_what_was_drawn_where_that_is_known(tmp_path: Path) -> None:
    path = truth(tmp_path, AN_60_24h_1=0.15, AN_60_24h_2=0.15)
    course = measure_time_course(data_set(tmp_path, *NAMES), FOUND, path)
    assert course is not None
    assert course.reference == "drawn"
    assert [one.true for one in course.conditions] == [pytest.approx(0.15), None]
    assert course.error.value == pytest.approx((-0.05 + 0.15) / 2)
    assert course.absolute_error.value == pytest.approx((0.05 + 0.15) / 2)


def test_a_truth_of_other_images_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="names none of the images"):
        measure_time_course(data_set(tmp_path, *NAMES), FOUND, truth(tmp_path, other=0.1))


@pytest.mark.parametrize("content", [None, "{", "[]", '{"images": [{"image": "a.png"}]}'])
def test_a_file_that_is_no_truth_is_refused_by_its_name(content: str | None, tmp_path: Path) -> None:
    path = tmp_path / "truth.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ConfigError, match=r"truth\.json is not a truth\.json of edge-train synthesize"):
        measure_time_course(data_set(tmp_path, *NAMES), FOUND, path)
