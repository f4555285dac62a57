"""Intervals draw whole groups; spread is over folds."""

from __future__ import annotations

import numpy as np
import pytest

from tests.training.score.conftest import of_stage_1


def test_intervals_draw_whole_groups() -> None:
    of_stage_1()
    from training.score.intervals import Design

    values = np.array([0.0, 0.0, 1.0, 1.0])
    alike = Design((np.arange(4),), ("a", "a", "b", "b"))
    number = alike.over_folds(lambda images: {"x": float(values[images].mean())}, {"x": "x"})["x"]
    assert (number.value, number.low_95, number.high_95) == (0.5, 0.0, 1.0)
    lone = Design((np.arange(4),), ("a",) * 4)
    assert lone.over_folds(lambda images: {"x": float(values[images].mean())}, {"x": "x"})["x"].low_95 is None


def test_spread_is_over_folds() -> None:
    of_stage_1()
    from training.score.intervals import Design

    values = np.array([0.2, 0.2, 0.4, 0.4])
    design = Design((np.arange(2), np.arange(2, 4)), ("a", "b", "c", "d"))
    number = design.over_folds(lambda images: {"x": float(values[images].mean())}, {"x": "x"})["x"]
    assert number.value == pytest.approx(0.3)
    assert number.folds == pytest.approx((0.2, 0.4))
    assert number.spread == pytest.approx(np.sqrt(0.02), abs=1e-6)
