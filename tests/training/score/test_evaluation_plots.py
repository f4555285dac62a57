"""Every plot is a PNG of its own, also where numbers are missing."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.training.score.conftest import NOWHERE
from tests.training.score.results import image_score, segmenter
from training.score import evaluation_plots as plots
from training.score.evaluation import ClassifierResult, Condition, Evaluation, Example, HeatScores, Number, TimeCourse

pytest.importorskip("matplotlib")

UNKNOWN = Number(None, 0, "a test")


def shown(out: Path, name: str) -> tuple[int, int]:
    """Height and width of a picture that is there and not empty."""
    image = cv2.imread(str(out / name), cv2.IMREAD_GRAYSCALE)
    assert image is not None
    assert image.std() > 1
    return image.shape[0], image.shape[1]


def test_segmenters_are_drawn_together_and_the_name_of_each_file_is_returned(tmp_path: Path) -> None:
    both = [segmenter(image_score("a", 0.1), name="manual"), segmenter(image_score("a", 0.2, roc_auc=None), name="automatic")]
    names = [plot(both, tmp_path) for plot in (plots.plot_curves, plots.plot_aucs, plots.plot_sizes)]
    assert names == ["pixel-curves.png", "image-auc.png", "by-size.png"]
    for name in names:
        shown(tmp_path, name)


def test_a_confusion_matrix_is_drawn_for_each_classifier_also_with_an_empty_row(tmp_path: Path) -> None:
    one = ClassifierResult("b0", "efficientnet_b0", (), {}, ((5, 1, 0), (0, 0, 0), (0, 2, 9)), NOWHERE, ())
    _, narrow = shown(tmp_path, plots.plot_confusions([one], tmp_path))
    _, wide = shown(tmp_path, plots.plot_confusions([one, one], tmp_path))
    assert wide == pytest.approx(2 * narrow, rel=0.02)


def test_heat_maps_are_drawn_above_each_other_with_the_name_that_was_asked_for(tmp_path: Path) -> None:
    truth = np.zeros((20, 30), np.bool_)
    truth[5:10, 5:10] = True
    grey = np.arange(600, dtype=np.uint16).reshape(20, 30).astype(np.uint8)
    example = Example("best", "a.png", 0.5, grey, grey.astype(np.float32) / 255, truth)
    heat = HeatScores(UNKNOWN, 0.5, 0.5, {}, None, (("a.png", 0.5),), (example,))
    assert plots.plot_heat("heat-manual", heat, tmp_path) == "heat-manual.png"
    shown(tmp_path, "heat-manual.png")


@pytest.mark.parametrize("true", [None, 0.04])
def test_a_time_course_has_a_plot_for_each_annealing(true: float | None, tmp_path: Path) -> None:
    conditions = [Condition(minutes, 24.0 * days, 2, 0.05, None, 0.05, true) for minutes in (60, 90) for days in (1, 7)]
    _, two = shown(tmp_path, plots.plot_time_course(evaluation(*conditions), tmp_path))
    _, one = shown(tmp_path, plots.plot_time_course(evaluation(*conditions[:2]), tmp_path))
    assert two == pytest.approx(2 * one, rel=0.02)


def evaluation(*conditions: Condition) -> Evaluation:
    course = TimeCourse("manual", conditions, "labelled", UNKNOWN, UNKNOWN)
    return Evaluation("data", "0" * 64, 1, 1, 1, ("pit",), "a test", {}, (), (), (), course, ())
