"""Heat maps are scored where something is labelled, and the best, the median and the worst are shown."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch")

from training.score.heat_scores import Picture, score_heat
from training.score.intervals import Design

GREY = np.zeros((10, 10), np.uint8)


def picture(name: str, hot: int, labelled: int) -> Picture:
    """So many hot columns, and so many labelled ones, from the left."""
    heat, truth = np.zeros((10, 10), np.float32), np.zeros((10, 10), np.bool_)
    heat[:, :hot] = 1.0
    truth[:, :labelled] = True
    return name, GREY, heat, truth


PICTURES = [picture("good", 4, 4), picture("bare", 5, 0), picture("half", 4, 2), picture("poor", 10, 1)]
DESIGN = Design((np.array([0, 1]), np.array([2, 3])), ("a", "b", "c", "d"))


def test_best_median_and_worst_are_told_and_bare_images_left_out() -> None:
    scores = score_heat(PICTURES, DESIGN, "a test")
    assert scores.images == (("good", 1.0), ("half", 0.5), ("poor", 0.1))
    assert (scores.best, scores.worst) == (1.0, 0.1)
    assert [(one.which, one.image) for one in scores.examples] == [("best", "good"), ("median", "half"), ("worst", "poor")]
    assert scores.examples[0].truth is PICTURES[0][3]


def test_the_mean_is_over_folds_and_says_how_and_on_how_many_images() -> None:
    mean = score_heat(PICTURES, DESIGN, "a test").mean
    assert mean.value == pytest.approx((1.0 + 0.3) / 2)
    assert mean.n == 3
    assert mean.how.startswith("a test; heat at 15% of its maximum")


def test_a_map_that_knows_nothing_is_told_beside_it_and_other_thresholds_too() -> None:
    scores = score_heat(PICTURES, DESIGN, "a test")
    assert scores.everywhere == pytest.approx((0.4 + 0.2 + 0.1) / 3, abs=1e-6)
    assert list(scores.by_threshold) == ["0.15", "0.3", "0.5"]


def test_without_a_labelled_region_nothing_is_defined() -> None:
    scores = score_heat([picture("bare", 5, 0)], Design((np.array([0]),), ("a",)), "a test")
    assert (scores.mean.value, scores.mean.n, scores.best, scores.worst, scores.everywhere) == (None, 0, None, None, None)
    assert scores.examples == ()
