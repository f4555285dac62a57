from __future__ import annotations

from training.score.growth_coverage import DESIGNS, factorial_table, measure_coverage


def test_a_design_has_its_coupons_and_fields() -> None:
    rows = factorial_table(3, DESIGNS[0])
    assert len(rows) == 12 * 5 * 3
    assert rows["coupon"].nunique() == 12 * 5


def test_a_lost_condition_is_asked_for_all_the_same() -> None:
    found = measure_coverage(DESIGNS[4], 1)
    assert found.asked == 12


def test_bands_hold_the_truth_about_as_often_as_they_say() -> None:
    found = measure_coverage(DESIGNS[1], 8)
    assert found.held / found.asked > 0.85
