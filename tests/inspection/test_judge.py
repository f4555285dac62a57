"""Severity that follows what is measured, and what is foreign."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.errors import ModelError
from edge.inspection.judge import NETWORK, evidence, foreign_ratio, foreignness, severity_probabilities
from edge.models.card import ForeignFit, ForeignNumber, SeverityFit

FIT = SeverityFit(weights={NETWORK: 1.5, "area": 8.0}, limits=(2.0, 5.0), conformal_quantile=0.6)
FOREIGN = ForeignFit(
    numbers={
        "area": ForeignNumber(mean=0.2, deviation=0.1, weight=1.0, weight_of_square=0.5),
        "contrast": ForeignNumber(mean=0.1, deviation=0.05, weight=0.0, weight_of_square=1.0),
    },
    offset=-4.0,
    limit=1.0,
)


@given(st.floats(0, 2), st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
def test_more_of_anything_is_never_less_severe(network: float, area: float, more: float, more_area: float) -> None:
    before = severity_probabilities(FIT, {NETWORK: network, "area": area})
    after = severity_probabilities(FIT, {NETWORK: network + more, "area": area + more_area})
    assert before.sum() == pytest.approx(1)
    assert (before >= 0).all()
    assert after @ [0, 1, 2] >= before @ [0, 1, 2] - 1e-12


def test_the_network_speaks_by_its_expected_severity() -> None:
    assert evidence(np.array([0.2, 0.3, 0.5]), {"area": 0.1}) == {"area": 0.1, NETWORK: pytest.approx(1.3)}


def test_a_usual_field_is_not_foreign_and_a_strange_one_is_with_what_is_strangest() -> None:
    usual, _ = foreignness(FOREIGN, {"area": 0.2, "contrast": 0.1})
    strange, why = foreignness(FOREIGN, {"area": 0.7, "contrast": 0.1})
    assert usual < 0 < strange
    assert "corroded area fraction (0.49, usually about 0.04)" in why


def test_a_number_counts_only_so_far() -> None:
    far, farther = (foreignness(FOREIGN, {"area": area, "contrast": 0.1})[0] for area in (10.0, 1000.0))
    assert far == farther


def test_the_ratio_is_above_1_exactly_where_the_field_is_foreign() -> None:
    assert foreign_ratio(0.1) > 1 > foreign_ratio(-0.1) > foreign_ratio(-50.0) == 0


def test_a_number_that_nobody_measures_is_named() -> None:
    with pytest.raises(ModelError, match="contrast"):
        foreignness(FOREIGN, {"area": 0.2})
