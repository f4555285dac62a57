from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from edge.report.anova import two_way
from tests.report.tables import factorial, table


def rising(time: float, annealing: float) -> float:
    return 0.02 * (1 + time / 504) * annealing / 60


def flat(*_: float) -> float:
    return 0.1


def test_balanced_sums_of_squares_are_those_by_hand() -> None:
    logits = {(60, 1): (0.0, 2.0), (60, 2): (1.0, 3.0), (90, 1): (2.0, 4.0), (90, 2): (7.0, 9.0)}
    rows = [
        {"annealing_min": a, "exposure_h": e, "coupon": f"{a}-{e}-{at}", "area_fraction": 1 / (1 + np.exp(-value))}
        for (a, e), values in logits.items()
        for at, value in enumerate(values)
    ]
    found = {row.term: row for row in two_way(table(rows)).rows}
    # cell means 1, 2, 3, 8, grand 3.5: A: 8·2² = 32; E: 8·1.5² = 18; A × E: 8·1² = 8; within: 4 · 2 = 8 with 4 df
    assert [
        found[term].sum_squares for term in ("annealing", "exposure", "annealing × exposure", "between coupons")
    ] == pytest.approx([32, 18, 8, 8])
    assert found["annealing"].f == pytest.approx(16)
    assert found["annealing"].p == pytest.approx(stats.f.sf(16, 1, 4))
    assert found["annealing"].partial_eta2 == pytest.approx(0.8)


def test_more_images_of_the_same_coupons_make_nothing_more_certain() -> None:
    few = factorial(rising, fields=2)
    many = pd.concat([few] * 5, ignore_index=True)
    assert [row.p for row in two_way(few).rows] == pytest.approx([row.p for row in two_way(many).rows], nan_ok=True)


def test_p_is_small_no_more_often_than_it_says() -> None:
    small = sum((two_way(factorial(flat, seed=seed, fields=3)).rows[0].p or 0) < 0.05 for seed in range(60))
    assert small <= 8


def test_unequal_numbers_are_said_and_take_type_three() -> None:
    found = two_way(factorial(rising).iloc[2:])
    assert "type III" in (found.method or "")
    assert found.assumptions


def test_a_missing_condition_leaves_the_interaction_out() -> None:
    rows = factorial(rising)
    found = two_way(rows[~((rows["annealing_min"] == 60) & (rows["exposure_h"] == 504))])
    assert [row.term for row in found.rows] == ["annealing", "exposure", "between coupons"]
    assert any("missing" in note for note in found.notes)


def test_coupons_followed_through_exposures_are_a_random_effect() -> None:
    rng = np.random.default_rng(0)
    rows = []
    for annealing in (60, 90):
        for coupon in range(6):
            factor = rng.lognormal(0, 0.5)
            rows += [
                {
                    "annealing_min": annealing,
                    "exposure_h": exposure,
                    "coupon": f"{annealing}-{coupon}",
                    "area_fraction": 0.02 * rise * factor * rng.lognormal(0, 0.05),
                }
                for exposure, rise in ((1, 1.0), (168, 1.3), (504, 1.6))
            ]
    found = two_way(table(rows))
    assert "random effect" in (found.method or found.missing[0])
    assert {row.term: row.p for row in found.rows}["exposure"] < 0.001  # type: ignore[operator]
    assert any("lies between coupons" in note for note in found.notes)


@pytest.mark.parametrize(
    ("rows", "word"),
    [
        (table([]), "No image"),
        (factorial(rising).assign(coupon=None), "coupon is missing"),
        (factorial(rising, coupons=1), "2 coupons"),
        (factorial(lambda *_: 0.0), "zero"),
        (factorial(flat, sigma=0.0), "equal"),
        (factorial(flat, annealing=(60.0,), exposures=(1.0,)), "2 conditions"),
    ],
)
def test_what_lacks_is_said_and_no_p_is_given(rows: Any, word: str) -> None:
    found = two_way(rows)
    assert found.rows == ()
    assert word in " ".join(found.missing)


def test_one_annealing_time_is_a_one_way_analysis_and_zeros_are_said() -> None:
    rows = factorial(rising, annealing=(60.0,))
    rows.loc[0, "area_fraction"] = 0.0
    found = two_way(rows)
    assert [row.term for row in found.rows] == ["exposure", "between coupons"]
    assert any("half of the smallest" in note for note in found.notes)
