from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edge.report.extremes import HEADING, largest
from tests.report.tables import table


def rows(count: int, *, seed: int = 0, cut_above: float = np.inf, **more: Any) -> list[dict[str, Any]]:
    sizes = np.random.default_rng(seed).gumbel(10.0, 2.0, count)
    return [
        {
            "annealing_min": 60,
            "exposure_h": 1,
            "coupon": str(at),
            "count": 1,
            "largest_um": min(size, cut_above),
            "largest_cut": size > cut_above,
            **more,
        }
        for at, size in enumerate(sizes)
    ]


def test_the_law_and_the_return_level_are_found_again() -> None:
    found = largest(table(rows(400)), 1.0)
    assert found.heading == HEADING
    assert found.location_um == pytest.approx(10, abs=0.4)
    assert found.scale_um == pytest.approx(2, abs=0.25)
    assert found.return_period == pytest.approx(100)
    assert found.largest_um == pytest.approx(10 + 2 * 4.600, abs=1.2)  # −ln(−ln(0.99)) = 4.600
    assert found.lo_um is not None
    assert found.hi_um is not None
    assert found.lo_um < found.largest_um < found.hi_um


def test_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    held = 0
    for seed in range(60):
        found = largest(table(rows(20, seed=seed)), 1.0)
        assert found.lo_um is not None
        assert found.hi_um is not None
        held += found.lo_um <= 19.2 <= found.hi_um
    assert held >= 52


def test_cut_maxima_count_as_at_least_what_was_seen() -> None:
    cut = table(rows(400, cut_above=12.0))
    assert largest(cut, 1.0).location_um == pytest.approx(10, abs=0.5)
    assert largest(cut, 1.0).censored > 50
    taken_as_whole = largest(cut.assign(largest_cut=False), 1.0)
    assert taken_as_whole.largest_um is not None
    assert taken_as_whole.largest_um < 17


def test_one_maximum_a_coupon_over_equally_many_fields() -> None:
    of_two = [{**row, "largest_um": row["largest_um"] - 1} for row in rows(12)]
    found = largest(table([*rows(12), *of_two, {**rows(1)[0], "largest_um": 500.0}]), None)
    assert found.maxima == 12
    assert found.block_um2 == pytest.approx(20_000)
    assert max(size for _, size, _ in found.qq) < 100
    assert any("first 2 fields" in note for note in found.notes)
    assert found.largest_um is None


@pytest.mark.parametrize(
    ("given", "word"),
    [
        ([], "no images"),
        (rows(9), "10 independent"),
        (rows(12, coupon="a"), "10 independent"),
        (rows(12, coupon=None), "coupon is missing"),
        (rows(12, field_um2=np.nan), "scale"),
        ([*rows(12), *rows(1, field_um2=20_000.0)], "not equally large"),
        ([*rows(12), *rows(1, exposure_h=2)], "One condition"),
        (rows(12, cut_above=-100.0, largest_um=5.0), "no edge cuts"),
        (rows(12, largest_um=5.0), "equal"),
    ],
)
def test_what_lacks_is_said(given: list[dict[str, Any]], word: str) -> None:
    found = largest(table(given), 1.0)
    assert found.largest_um is None
    assert word in " ".join(found.missing)


def test_a_surface_smaller_than_a_field_is_not_extrapolated() -> None:
    found = largest(table(rows(12)), 0.005)
    assert found.largest_um is None
    assert any("not larger" in note for note in found.notes)


def test_a_field_without_a_region_counts_as_surface_and_a_coupon_without_is_said() -> None:
    bare = {"count": 0, "largest_um": np.nan, "largest_cut": False}
    found = largest(
        table([*rows(12), *({**row, **bare} for row in rows(12)), *({**row, **bare, "coupon": "bare"} for row in rows(2))]), 1.0
    )
    assert found.maxima == 12
    assert found.block_um2 == pytest.approx(20_000)
    assert any("1 coupons have no region" in note for note in found.notes)
