"""Fitting logistic models."""

from __future__ import annotations

import numpy as np

from edge.inspection.linear import probability
from edge.teach.logistic import balanced, fit


def test_what_tells_the_kinds_apart_is_found_and_the_probabilities_are_those_of_the_examples() -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(4000, 5)).astype(np.float32)
    right = rng.random(4000) < probability(1.5 * rows[:, 2].astype(np.float64) - 0.5)
    model = fit(rows, right, np.ones(4000), 1.0)
    assert abs(model.weights[2] - 1.5) < 0.2
    assert max(abs(weight) for index, weight in enumerate(model.weights) if index != 2) < 0.15
    assert abs(probability(model.logits(rows)).mean() - right.mean()) < 0.01


def test_kinds_that_part_fully_and_columns_without_spread_give_finite_numbers() -> None:
    rows = np.array([[0.0, 7.0], [0.1, 7.0], [5.0, 7.0], [5.1, 7.0]], np.float32)
    right = np.array([False, False, True, True])
    model = fit(rows, right, balanced(right, 4.0), 1.0)
    assert np.isfinite(model.logits(rows)).all()
    assert (model.logits(rows) > 0).tolist() == right.tolist()


def test_balanced_weights_give_both_kinds_half() -> None:
    weights = balanced(np.array([True, False, False, False]), 10.0)
    assert weights.tolist() == [5.0, 5 / 3, 5 / 3, 5 / 3]
