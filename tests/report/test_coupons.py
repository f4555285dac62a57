from __future__ import annotations

import numpy as np
import pytest

from edge.report.coupons import coupon_means, measured, weights
from tests.report.tables import table


def test_fields_of_a_coupon_become_one_mean_of_logs() -> None:
    rows = [{"annealing_min": 60, "exposure_h": 1, "coupon": "a", "area_fraction": value} for value in (0.01, 0.04)]
    means = coupon_means(measured(table(rows), "area_fraction"), "log")
    assert means.coupon == ("a",)
    assert np.exp(means.mean[0]) == pytest.approx(0.02)
    assert means.fields[0] == 2


def test_zeros_become_half_of_the_smallest_and_are_counted() -> None:
    rows = [
        {"annealing_min": 60, "exposure_h": 1, "coupon": str(at), "area_fraction": value}
        for at, value in enumerate((0.0, 0.02, 1.0))
    ]
    means = coupon_means(measured(table(rows), "area_fraction"), "logit")
    assert means.zeros == 2
    assert means.by == pytest.approx(0.01)
    assert np.isfinite(means.mean).all()


def test_what_is_unknown_or_impossible_is_left_out() -> None:
    rows = [
        {"annealing_min": 60, "exposure_h": 1, "coupon": "a", "area_fraction": np.nan},
        {"annealing_min": None, "exposure_h": 1, "coupon": "a", "area_fraction": 0.1},
        {"annealing_min": 60, "exposure_h": 1, "coupon": "a", "area_fraction": 1.2},
        {"annealing_min": 60, "exposure_h": 1, "coupon": " ", "area_fraction": 0.2},
    ]
    kept = measured(table(rows), "area_fraction")
    assert kept["value"].tolist() == [0.2]
    assert kept["coupon"].tolist() == [None]
    assert len(coupon_means(kept, "log").mean) == 0


def test_a_coupon_with_more_fields_counts_more_when_fields_scatter() -> None:
    rng = np.random.default_rng(0)
    rows = [
        {"annealing_min": 60, "exposure_h": 1, "coupon": str(coupon), "area_fraction": rng.lognormal(-3, 0.5)}
        for coupon in range(8)
        for _ in range(1 + 4 * (coupon % 2))
    ]
    means = coupon_means(measured(table(rows), "area_fraction"), "log")
    assert weights(means)[1] > weights(means)[0]


def test_sizes_are_the_median_diameter_of_each_field() -> None:
    rows = [
        {"annealing_min": 60, "exposure_h": 1, "coupon": "a", "region_diameters_um": value}
        for value in ([1.0, 2.0, 9.0], [], None)
    ]
    assert measured(table(rows), "diameter_um")["value"].tolist() == [2.0]


def test_another_measure_is_refused() -> None:
    with pytest.raises(ValueError, match="no measure"):
        measured(table([]), "severity")


def test_a_name_that_returns_at_another_annealing_time_is_another_coupon() -> None:
    rows = [
        {"annealing_min": minutes, "exposure_h": hours, "coupon": "1", "area_fraction": 0.1}
        for minutes, hours in ((60, 1), (90, 1))
    ]
    assert not coupon_means(measured(table(rows), "area_fraction"), "log").followed
    rows.append({"annealing_min": 60, "exposure_h": 168, "coupon": "1", "area_fraction": 0.2})
    assert coupon_means(measured(table(rows), "area_fraction"), "log").followed
