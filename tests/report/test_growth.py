from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from edge.report.growth import FURTHEST, at, fit_growth
from tests.report.tables import factorial, table


def law(time: float, annealing: float) -> float:
    return float(0.006 + 0.2 * -np.expm1(-((time / 100) ** 1.3)) * annealing / 60)


def early(time: float, annealing: float) -> float:
    return float(0.001 + 0.00005 * annealing / 60 * time**1.2)


def test_a_plateau_that_was_reached_is_named_with_its_interval() -> None:
    found = fit_growth(factorial(law, coupons=6, sigma=0.05, exposures=(1, 24, 72, 168, 336, 504)))
    assert found.law == "growth"
    assert found.plateau_identified
    lo, value, hi = found.plateau[60.0] or (0, 0, 0)
    assert lo < 0.2 < hi
    assert value == pytest.approx(0.2, rel=0.1)


def test_a_plateau_that_was_not_reached_is_not_named() -> None:
    found = fit_growth(factorial(early, coupons=4))
    assert not found.plateau_identified
    assert set(found.plateau.values()) == {None}
    assert any("not identified" in note for note in found.notes)


def test_curves_end_at_one_and_a_half_times_the_longest_exposure() -> None:
    found = fit_growth(factorial(law))
    assert found.curves[0].exposure_h[-1] == FURTHEST * 504
    assert at(found, 60.0, 756.0) is not None
    assert at(found, 60.0, 757.0) is None
    assert at(found, 75.0, 100.0) is None


def test_without_coupons_points_are_shown_and_nothing_is_fitted() -> None:
    rows = factorial(law).assign(coupon=None)
    found = fit_growth(rows)
    assert found.law is None
    assert "coupon" in found.missing[0]
    assert len(found.points) == len(rows)


@pytest.mark.parametrize(
    ("rows", "word"),
    [
        (table([]), "No image"),
        (table([{"annealing_min": 60, "exposure_h": 1, "coupon": "a", "area_fraction": 0.1}]), "3 exposures at least"),
        (factorial(law, coupons=1), "2 coupons a condition"),
        (factorial(law, exposures=(1, 168)), "3 exposures at least"),
        (factorial(lambda *_: 0.0), "zero"),
        (factorial(lambda *_: 0.1, sigma=0.0), "equal"),
        (factorial(lambda *_: float("nan")), "No image"),
    ],
)
def test_too_little_data_is_said_and_nothing_is_fitted(rows: pd.DataFrame, word: str) -> None:
    found = fit_growth(rows)
    assert found.law is None
    assert found.curves == ()
    assert word in " ".join(found.missing)


def test_one_annealing_time_with_three_exposures_gets_the_early_law() -> None:
    found = fit_growth(factorial(law, annealing=(60.0,), exposures=(1, 168, 504), coupons=4))
    assert found.law == "power"
    assert not found.plateau_identified


def test_densities_may_lie_above_one() -> None:
    found = fit_growth(factorial(lambda t, a: 5000 * law(t, a), measure="density_per_mm2"), "density_per_mm2")
    assert found.law == "growth"
    assert max(found.curves[0].median) > 100


def test_zero_fields_are_counted_in_the_result() -> None:
    rows = factorial(law)
    rows.loc[0, "area_fraction"] = 0.0
    found = fit_growth(rows)
    assert found.zeros == 1
    assert any("half of the smallest" in note for note in found.notes)
