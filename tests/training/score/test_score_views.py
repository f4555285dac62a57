"""Parts of a field are judged against their own truth."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edge.models.card import Calibration
from edge.records import SEVERITIES
from training.draw.synthetic import render
from training.score import score_views
from training.score.score_views import MagnifiedVerdicts, RegionVerdicts, Surface


def test_the_centre_at_twice_the_magnification_is_half_as_wide() -> None:
    pixels = np.arange(8 * 12).reshape(8, 12)
    assert (score_views.centre(pixels, 2.0) == pixels[2:6, 3:9]).all()
    assert score_views.centre(pixels, 1.0).shape == pixels.shape


def surface(grey: int, centre_grey: int, share: float, severity: int) -> Surface:
    pixels = np.full((60, 80), grey, np.uint8)
    score_views.centre(pixels, 2.0)[:] = centre_grey
    corroded = np.zeros((60, 80), np.bool_)
    corroded.flat[: round(share * corroded.size)] = True
    return Surface(pixels, corroded, severity)


def test_the_same_everywhere_is_the_same_at_every_magnification(brightness_judge: Any) -> None:
    surfaces = [surface(grey, grey, 0.1 * index, index) for index, grey in enumerate((30, 120, 220))]
    sure = Calibration(conformal_quantile=0.3)
    scores = score_views.magnification_agreement(brightness_judge, sure, surfaces, "three surfaces")
    assert scores["magnification_agreement_any_share"]["value"] == 1
    assert scores["magnification_silent_change"]["value"] == 0
    assert scores["magnification_review"] == {**scores["magnification_review"], "value": 0, "n": 6}
    assert scores["magnification_agreement"]["range"] == [1.0, 2.0]


def test_another_verdict_on_the_centre_is_seen(brightness_judge: Any) -> None:
    surfaces = [surface(grey, grey, 0.1 * index, index) for index, grey in enumerate((30, 120, 220))]
    changed = score_views.magnified_verdicts(
        brightness_judge, Calibration(conformal_quantile=0.3), [*surfaces, surface(30, 220, 0.0, 0)], (2.0,)
    )
    assert changed.labels.tolist() == [[0, 0], [1, 1], [2, 2], [0, 2]]
    assert changed.sure[3, 1]


def test_change_that_the_true_share_explains_is_not_held_against_the_classifier() -> None:
    judged = MagnifiedVerdicts(
        magnifications=(2.0,),
        labels=np.array([[0, 0], [0, 2], [1, 2], [1, 0]]),
        sure=np.array([[True, True], [True, True], [True, True], [True, False]]),
        by_share=np.array([[0, 0], [0, 2], [1, 1], [1, 1]]),
    )
    scores = {name: (row["value"], row["n"]) for name, row in judged.card("four pairs").items()}
    assert scores["magnification_agreement"] == (0.5, 2)
    assert scores["magnification_agreement_any_share"] == (pytest.approx(1 / 3, abs=1e-4), 3)
    assert scores["magnification_share_changes"] == (0.25, 4)
    assert scores["magnification_review"] == (0.25, 4)
    assert scores["magnification_silent_change"] == (0.5, 4)


def test_no_surfaces_cannot_be_judged(brightness_judge: Any) -> None:
    with pytest.raises(ValueError, match="no surfaces"):
        score_views.magnified_verdicts(brightness_judge, Calibration(), [])


def test_each_region_is_judged_against_its_own_truth(brightness_judge: Any) -> None:
    scenes = [render(seed, (160, 120), "severe") for seed in (4, 5)]
    judged = score_views.region_verdicts(brightness_judge, Calibration(), scenes, most=3)
    shown = [min(3, len(scene.regions)) for scene in scenes]
    assert len(judged.truth) == sum(shown)
    truths = {
        (SEVERITIES.index(severity), float(degree))
        for scene in scenes
        for severity, degree in zip(scene.region_severities, scene.degrees, strict=True)
    }
    assert set(zip(judged.truth.tolist(), judged.degrees.tolist(), strict=True)) <= truths
    assert len(set(judged.of_fields[: shown[0]].tolist())) == 1


def test_right_verdicts_on_regions_beat_the_fields() -> None:
    pytest.importorskip("sklearn")
    truth = np.array([0, 1, 2, 2])
    judged = RegionVerdicts(truth, np.array([2, 2, 2, 2]), truth, truth.astype(float), np.array([0.1, 0.4, 0.7, 0.8]))
    scores = {name: row["value"] for name, row in judged.card("four regions").items()}
    assert scores["region_accuracy_weak"] == scores["region_macro_f1_weak"] == 1
    assert scores["region_accuracy_of_field"] == 0.5
    assert scores["region_degree_correlation_weak"] > 0.9
