"""Fits on numbers of fields whose law is known."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge.inspection.judge import foreignness, severity_probabilities
from edge.models.card import SeverityFit
from training.learn import field_fits
from training.learn.field_fits import FOREIGN, SPREAD, WEIGHED, fit_foreign, fit_severity, fit_spread, holds, rows_of

Floats = NDArray[np.float64]


def drawn(names: tuple[str, ...], n: int, seed: int, shift: float = 0.0) -> dict[str, Floats]:
    rng = np.random.default_rng(seed)
    return {name: rng.normal(shift, 1, n) for name in names}


def test_severity_has_no_negative_weight_even_where_that_would_fit() -> None:
    numbers = drawn(WEIGHED, 400, 0)
    numbers["regions"] = -numbers["area"]
    severities = np.digitize(numbers["area"], (-0.5, 0.5)).astype(np.int64)
    weights, limits = fit_severity(numbers, severities)
    assert min(weights.values()) >= 0
    assert weights["area"] > 1
    assert limits[0] < limits[1]
    fit = SeverityFit(weights=weights, limits=limits, conformal_quantile=1.0)
    found = np.array([severity_probabilities(fit, row).argmax() for row in rows_of(numbers)])
    assert (found == severities).mean() > 0.95


def test_the_part_that_is_asked_of_own_fields_is_foreign_and_nearly_all_foreign_ones() -> None:
    own, foreign = drawn((*FOREIGN, "area of pit"), 600, 0), drawn((*FOREIGN, "area of pit"), 60, 1, 1.5)
    fit = fit_foreign(own, foreign, np.arange(600), np.ones(600, np.bool_), 0.04)
    assert "area of pit" in fit.numbers

    def part(numbers: dict[str, Floats]) -> float:
        return float(np.mean([foreignness(fit, row)[0] > 0 for row in rows_of(numbers)]))

    assert part(drawn((*FOREIGN, "area of pit"), 1000, 2)) < 0.08
    assert part(drawn((*FOREIGN, "area of pit"), 200, 3, 1.5)) > 0.9


def spread(n: int, seed: int) -> tuple[dict[str, Floats], Floats, Floats]:
    """Errors that grow with what was measured and with what the segmenter is unsure of."""
    numbers = drawn(SPREAD, n, seed)
    rng = np.random.default_rng(seed + 1000)
    measured = rng.uniform(0.05, 0.6, n)
    numbers["area"] = measured
    numbers["unsure"] = rng.uniform(0, 1, n)
    true = np.maximum(0, measured + rng.normal(0.01, 0.02 + 0.1 * measured * numbers["unsure"]))
    return numbers, measured, true


def test_intervals_cover_what_they_promise_for_small_and_for_large_values() -> None:
    one, other, third = spread(600, 0), spread(600, 1), spread(2000, 2)
    fit = fit_spread(one[0], other[0], [one[1], other[1]], [one[2], other[2]], 0.9)
    held, ends = holds(fit, *third)
    assert 0.87 < held.mean() < 0.94
    order = np.argsort(third[2])
    for part in np.array_split(order, 3):
        assert held[part].mean() > 0.85
    assert (ends[:, 0] <= third[1]).all()
    assert (third[1] <= ends[:, 1]).all()


def test_numbers_are_kept_short_in_the_card() -> None:
    assert field_fits._short(1 / 3) == 0.333333
