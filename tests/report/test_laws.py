from __future__ import annotations

import numpy as np
import pytest

from edge.report.coupons import coupon_means, measured
from edge.report.laws import count_parameters, fit_law
from tests.report.tables import factorial


def growth(time: float, annealing: float) -> float:
    return float(0.006 + 0.2 * -np.expm1(-((time / 100) ** 1.3)) * annealing / 60)


def power(time: float, annealing: float) -> float:
    return float(0.002 + 0.0001 * annealing / 60 * time**0.8)


@pytest.mark.parametrize(("law", "true"), [("growth", growth), ("power", power)])
def test_a_law_without_scatter_is_found_again(law: str, true: object) -> None:
    means = coupon_means(measured(factorial(true, sigma=1e-4, exposures=(1, 24, 72, 168, 336, 504)), "area_fraction"), "log")
    fit = fit_law(means, law, 1.0)  # type: ignore[arg-type]
    for annealing in (60.0, 90.0):
        for time in (24.0, 250.0):
            assert np.exp(fit.log_value(annealing, time)[0]) == pytest.approx(true(time, annealing), rel=0.02)  # type: ignore[operator]
    assert np.exp(fit.parameters[0]) == pytest.approx(1.3 if law == "growth" else 0.8, rel=0.03)


def test_the_laws_need_as_many_conditions_as_they_have_unknowns() -> None:
    assert count_parameters("growth", 3) == 10
    assert count_parameters("power", 3) == 7


def test_coupons_that_were_followed_are_counted_once() -> None:
    table = factorial(growth, coupons=5)
    table["coupon"] = [f"{row.annealing_min}-{str(row.coupon)[-1]}" for row in table.itertuples()]
    fit = fit_law(coupon_means(measured(table, "area_fraction"), "log"), "growth", 1.0)
    assert [free for _, free in fit.parts] == [4, 4]
    assert fit.log_value(60.0, 168.0)[1] > 0


def test_each_exposure_has_a_scatter_of_its_own_where_coupons_allow() -> None:
    table = factorial(growth, coupons=4, annealing=(60.0, 90.0))
    rng = np.random.default_rng(3)
    early = table["exposure_h"] == 1
    factors = {coupon: rng.lognormal(0, 0.8) for coupon in table["coupon"].unique()}
    table.loc[early, "area_fraction"] *= [factors[coupon] for coupon in table.loc[early, "coupon"]]
    fit = fit_law(coupon_means(measured(table, "area_fraction"), "log"), "growth", 1.0)
    assert len(fit.parts) == 4
    assert fit.log_value(60.0, 1.0)[1] > 3 * fit.log_value(60.0, 504.0)[1]


def test_few_coupons_share_one_scatter() -> None:
    fit = fit_law(coupon_means(measured(factorial(growth, coupons=2), "area_fraction"), "log"), "growth", 1.0)
    assert [free for _, free in fit.parts] == [8]
