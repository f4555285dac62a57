"""A plain threshold and an oracle judge a set."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from edge.records import SEVERITIES
from training.data.dataset import severity_of
from training.draw import kinetics
from training.draw.kinetics import ANNEALING_MIN, EXPOSURES_H, Growth
from training.draw.synthetic import render
from training.score.baselines import measure, oracle_hits, otsu_regions


def test_otsu_finds_dark_discs_on_plain_metal() -> None:
    grey = np.full((240, 320), 150, np.uint8)
    for x in (60, 160, 260):
        cv2.circle(grey, (x, 120), 20, 40, -1)
    boxes = otsu_regions(grey).boxes_px
    assert len(boxes) == 3
    assert np.abs(boxes[:, 2:] - 41).max() <= 4


def test_otsu_finds_nothing_on_noise() -> None:
    noise = np.random.default_rng(0).normal(128, 10, (240, 320))
    assert len(otsu_regions(np.clip(noise, 0, 255).astype(np.uint8))) <= 2


def test_an_oracle_is_right_where_fractions_do_not_overlap() -> None:
    fractions = np.array([0.01, 0.012, 0.05, 0.06, 0.2, 0.3] * 3)
    severities = np.array([0, 0, 1, 1, 2, 2] * 3)
    assert oracle_hits(fractions, severities, np.array([str(i % 9) for i in range(18)])).all()


def test_an_oracle_never_learns_from_the_coupon_it_judges() -> None:
    fractions, severities = np.array([0.01, 0.02, 0.03, 0.04, 0.9]), np.array([0, 0, 1, 1, 2])
    groups = np.array(["a", "b", "c", "d", "e"])
    assert not oracle_hits(fractions, severities, groups)[-1]


def test_the_law_makes_the_papers_classes_as_separable_as_the_paper_found() -> None:
    rng = np.random.default_rng(5)
    fractions, severities, groups = [], [], []
    for coupon in range(100):
        for minutes in ANNEALING_MIN:
            for hours in EXPOSURES_H:
                factor = kinetics.scatter(rng, kinetics.COUPON_SCATTER)
                growth = Growth(minutes, hours, factor, kinetics.scatter(rng, kinetics.IMAGE_SCATTER))
                fractions.append(growth.target_fraction)
                label = severity_of(hours)
                assert label is not None
                severities.append(SEVERITIES.index(label))
                groups.append(str(coupon % 4))
    assert oracle_hits(np.array(fractions), np.array(severities), np.array(groups)).mean() == pytest.approx(0.94, abs=0.02)


def test_both_judges_score_a_set() -> None:
    scored = measure(render(seed, (96, 96), SEVERITIES[seed % 3]) for seed in range(6))
    assert scored.images == 6
    assert 0 <= scored.pixel_iou <= 1
    assert "oracle" in str(scored)
