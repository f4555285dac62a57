from __future__ import annotations

import numpy as np
import pytest

from edge.report.ranking import rank
from tests.report.tables import factorial, table


def law(time: float, annealing: float) -> float:
    return float((0.006 + 0.2 * -np.expm1(-((time / 300) ** 1.3))) * annealing / 60)


def test_the_smaller_area_comes_first_and_is_surely_best() -> None:
    found = rank(factorial(law), 504)
    assert [row.annealing_min for row in found.rows] == [60, 90]
    assert found.rows[0].probability_best > 0.95
    assert found.rows[0].lo < law(504, 60) < found.rows[0].hi
    assert found.rows[0].coupons == 3


def test_equal_conditions_are_best_about_equally_often() -> None:
    shares = [rank(factorial(lambda t, _: law(t, 60), seed=seed), 504).rows[0].probability_best for seed in range(20)]
    assert np.mean(shares) < 0.9
    assert sum(row.probability_best for row in rank(factorial(law), 504).rows) == pytest.approx(1)


def test_between_exposures_the_curves_are_compared() -> None:
    found = rank(factorial(law), 250)
    assert [row.annealing_min for row in found.rows] == [60, 90]
    assert "curves" in found.notes[0]
    assert found.rows[0].coupons == 0


def test_nothing_is_ranked_beyond_the_curves_or_without_coupons() -> None:
    assert rank(factorial(law), 2000).rows == ()
    assert rank(factorial(law).assign(coupon=None), 504).rows == ()
    assert rank(table([]), 504).rows == ()
    assert rank(factorial(law, annealing=(60.0,)), 504).missing
    assert rank(factorial(lambda *_: 0.0), 504).missing
    assert rank(factorial(law, coupons=1), 504).missing
