from __future__ import annotations

import pytest

from edge.report.fields import CHOSEN, SAMPLED, over_fields
from tests.report.tables import table


def rows(areas: list[float], way: str | None, **more: object) -> list[dict[str, object]]:
    return [
        {"annealing_min": 60, "exposure_h": 1, "coupon": "a", "area_fraction": area, "field_selection": way, **more}
        for area in areas
    ]


def test_mean_deviation_interval_and_relative_accuracy_as_by_hand() -> None:
    (found,) = over_fields(table(rows([0.08, 0.10, 0.12, 0.10, 0.10], "systematic")))
    # sd = sqrt(0.0008 / 4) = 0.014142; t(0.975, 4) = 2.7764; half = 2.7764 · 0.014142 / sqrt 5 = 0.017560
    assert found.heading == SAMPLED
    assert found.mean == pytest.approx(0.1)
    assert found.sd == pytest.approx(0.0141421, rel=1e-5)
    assert found.hi == pytest.approx(0.117560, abs=1e-5)
    assert found.relative_accuracy_percent == pytest.approx(17.56, abs=0.01)


@pytest.mark.parametrize("way", ["operator", None, "sytematic"])
def test_fields_of_the_operators_choice_get_no_interval(way: str | None) -> None:
    (found,) = over_fields(table(rows([0.1, 0.2], way)))
    assert found.heading == CHOSEN
    assert (found.lo, found.hi, found.relative_accuracy_percent) == (None, None, None)


def test_one_field_in_a_mixture_takes_the_heading_of_the_weaker() -> None:
    (found,) = over_fields(table([*rows([0.1], "random"), *rows([0.2], "operator")]))
    assert found.heading == CHOSEN


def test_one_field_zeros_and_nothing() -> None:
    assert over_fields(table([])) == ()
    (one,) = over_fields(table(rows([0.1], "random")))
    assert one.sd is None
    (zero,) = over_fields(table(rows([0.0, 0.0, float("nan")], "random")))
    assert (zero.fields, zero.relative_accuracy_percent) == (2, None)


def test_each_coupon_is_a_specimen() -> None:
    found = over_fields(table([*rows([0.1, 0.2], "random"), *rows([0.3], "random", coupon="b", annealing_min=None)]))
    assert [one.coupon for one in found] == ["a", "b"]
