"""Intervals of the measures."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.errors import ModelError
from edge.inspection.intervals import root_interval, with_intervals
from edge.inspection.measure import measure
from edge.models.card import FittedWith, IntervalFit, SpreadFit, SpreadNumber
from tests.inspection.test_describe import described, squares

SPREAD = SpreadFit(
    numbers={"unsure": SpreadNumber(mean=0.1, deviation=0.1, low=-0.02, high=0.03)},
    low_offset=-0.05,
    high_offset=0.04,
    groups=(0.1, 0.3),
    margins=(0.01, 0.02, -0.5),
)
FIT = IntervalFit(
    level=0.9,
    fitted_with=FittedWith(segmenter_sha256="0" * 64, confidence=0.25, iou=0.7),
    area=SPREAD,
    counted=SPREAD.model_copy(update={"margins": (0.3, 0.3, 0.3)}),
    largest=SPREAD,
)


@given(st.floats(0, 1), st.floats(0, 1))
def test_an_interval_holds_what_was_measured_and_nothing_below_0(measured: float, unsure: float) -> None:
    low, high = root_interval(SPREAD, measured, {"unsure": unsure})
    assert 0 <= low <= measured <= high


def test_what_the_segmenter_is_unsure_of_widens_it() -> None:
    (low, high), (lower, higher) = (root_interval(SPREAD, 0.2, {"unsure": unsure}) for unsure in (0.1, 0.4))
    assert (low, high) == pytest.approx((0.2 - 0.05 - 0.02, 0.2 + 0.04 + 0.02))
    assert lower < low
    assert high < higher


def test_each_size_has_its_own_margin() -> None:
    widths = [ends[1] - ends[0] for ends in (root_interval(SPREAD, root, {"unsure": 0.1}) for root in (0.09, 0.2, 0.4))]
    assert widths == pytest.approx([0.11, 0.13, 0.0])


def test_measures_get_the_intervals_in_their_own_units() -> None:
    regions, grey = squares(30, 20)
    measures = measure(regions, grey.shape)
    held = with_intervals(FIT, measures, described(regions, grey))
    assert held.area_fraction_interval is not None
    assert held.counted_interval is not None
    assert held.largest_px_interval is not None
    assert held.area_fraction_interval[0] < measures.area_fraction < held.area_fraction_interval[1] < 1
    assert held.counted_interval[0] < 2 < held.counted_interval[1]
    assert held.largest_px_interval[0] < 900 < held.largest_px_interval[1]


def test_a_number_that_nobody_measures_is_named() -> None:
    with pytest.raises(ModelError, match="unsure"):
        root_interval(SPREAD, 0.2, {})
