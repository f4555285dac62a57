"""What the head of the page says is what the analysis found, and no more."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("statsmodels")

from edge.report import anova, extremes, fields, findings, growth, parameters, ranking
from tests.report.tables import factorial, table


def law(time: float, annealing: float) -> float:
    return float((0.006 + 0.2 * -np.expm1(-((time / 300) ** 1.3))) * annealing / 60)


def grown(rows: Any, measure: str = "area_fraction") -> list[str]:
    return findings.of_growth({measure: growth.fit_growth(rows, measure)})


def test_what_grew_is_told_from_its_first_to_its_last_exposure_with_intervals() -> None:
    rows = factorial(law)
    result = growth.fit_growth(rows)
    first = growth.at(result, 60, 1)
    assert first is not None
    said = grown(rows)
    assert said[0].startswith("Annealed 60 min, the corroded area grows from ")
    assert f"{first[0]:.2%} (95 % {first[1]:.2%} to {first[2]:.2%}) after 1 h" in said[0]
    assert "after 504 h" in said[0]
    assert said[1].startswith("Annealed 90 min")


def test_how_many_times_it_grew_holds_the_truth_and_more_scatter_says_less() -> None:
    times = law(504, 60) / law(1, 60)
    held = 0
    for seed in range(20):
        log, error, free = growth.fit_growth(factorial(law, seed=seed)).fit.log_change(60, 1, 504)  # type: ignore[union-attr]
        assert free > 1
        held += abs(log - np.log(times)) < 2.3 * error
    assert held >= 17


def test_no_growth_is_not_called_one() -> None:
    said = grown(factorial(lambda *_: 0.05, sigma=0.3))
    assert all("A growth is not shown." in sentence for sentence in said[:2])


def test_a_limit_is_told_where_it_is_known_and_else_said_to_be_unknown() -> None:
    exposures = (1.0, 50.0, 168.0, 336.0, 504.0, 1000.0, 2000.0)
    told = grown(factorial(law, coupons=6, exposures=exposures, sigma=0.05))
    assert any("slows down" in sentence and "at 60 min" in sentence for sentence in told)
    assert any("is not seen within these exposures" in s for s in grown(factorial(lambda t, _: 0.001 * (1 + t))))


def test_the_same_lack_is_told_once_for_all_measures() -> None:
    rows = factorial(law).assign(coupon=None)
    rows["density_per_mm2"] = 10.0
    both = {measure: growth.fit_growth(rows, measure) for measure in ("area_fraction", "density_per_mm2")}
    (said,) = findings.of_growth(both)
    assert said.startswith("No growth is fitted to the corroded area and the density of regions: The column coupon is missing")


def test_effects_are_shown_or_not_shown_and_never_denied() -> None:
    said = " ".join(findings.of_variance(anova.two_way(factorial(law))))
    assert "effect is shown of annealing time (p < 0.001" in said
    flat = " ".join(findings.of_variance(anova.two_way(factorial(lambda *_: 0.05, seed=4))))
    assert "Not shown is an effect of annealing time" in flat
    assert "no effect" not in flat
    assert "no p-values: The column coupon" in findings.of_variance(anova.two_way(factorial(law).assign(coupon=None)))[0]


def test_a_ranking_says_how_sure_it_is() -> None:
    best, worst = findings.of_ranking(ranking.rank(factorial(law), 504))
    assert "After 504 h the smallest corroded area is that of 60 min" in best
    assert "not settled" not in best
    assert "90 min" in worst
    alike = findings.of_ranking(ranking.rank(factorial(lambda t, _: law(t, 60)), 504))
    assert "not settled" in alike[0]
    assert findings.of_ranking(None) == [findings.UNRANKED]
    assert "after 2000 h" in findings.of_ranking(ranking.rank(factorial(law), 2000))[0]


def test_parameters_that_go_with_the_area_are_named() -> None:
    rng = np.random.default_rng(0)
    drawn = rng.uniform(1, 5, 12)
    rows = table(
        [
            {"annealing_min": 60, "exposure_h": 1, "coupon": str(n), "area_fraction": 0.01 * x, "current": x, "noise": y}
            for n, (x, y) in enumerate(zip(drawn, rng.permutation(12), strict=True))
        ]
    )
    (said,) = findings.of_parameters(parameters.correlate(rows, ["current", "noise"]))
    assert "current (ρ 1.00" in said
    assert "noise" not in said
    assert "not shown for any of 1" in findings.of_parameters(parameters.correlate(rows, ["noise"]))[0]
    assert findings.of_parameters(None) == []
    assert "coupon is missing" in findings.of_parameters(parameters.correlate(rows.assign(coupon=None), ["noise"]))[0]


def test_fields_chosen_by_the_operator_are_said_at_the_head() -> None:
    rows = factorial(law)
    assert findings.of_fields(fields.over_fields(rows.assign(field_selection="random"))) == []
    assert findings.of_fields(fields.over_fields(rows)) == [
        "Fields chosen by the operator: describes these images, not the surface."
    ]


def test_a_largest_size_is_told_with_what_it_does_not_say() -> None:
    rng = np.random.default_rng(1)
    rows = table(
        [
            {"annealing_min": 60, "exposure_h": 1, "coupon": str(n), "largest_um": size, "count": 1}
            for n, size in enumerate(rng.gumbel(10, 2, 15))
        ]
    )
    one = extremes.largest(rows, 100.0)
    (said,) = findings.of_extremes([(60.0, None, one)], 100.0)
    assert "On 100 mm² the largest diameter to expect is" in said
    assert "an unknown exposure" in said
    assert "says nothing of penetration" in said
    assert "no upper end" in findings.of_extremes([(60.0, 1.0, replace(one, hi_um=None))], 100.0)[0]
    assert findings.of_extremes([(60.0, 1.0, extremes.largest(rows[:5], 100.0))], None) == []
    assert "10 independent" in findings.of_extremes([(60.0, 1.0, extremes.largest(rows[:5], 100.0))], 100.0)[0]
