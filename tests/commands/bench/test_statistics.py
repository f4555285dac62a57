"""Percentiles that the samples allow, drift, and ratios whose intervals hold."""

from __future__ import annotations

import numpy as np
import pytest

from edge.commands.bench import statistics


def test_percentiles_are_numpys() -> None:
    values = np.random.default_rng(0).gamma(3.0, 10.0, 7000)
    found = statistics.summarise(values)
    expected = {name: np.percentile(values, at) for name, at in statistics.PERCENTILES.items()}
    assert found.percentiles == pytest.approx(expected)
    assert found.too_few == {}
    assert found.mean == pytest.approx(values.mean())
    assert found.cv == pytest.approx(values.std(ddof=1) / values.mean())


@pytest.mark.parametrize(("percentile", "least"), [(90.0, 64), (99.0, 662)])
def test_least_numbers_of_samples_are_mlperfs(percentile: float, least: int) -> None:
    assert statistics.least_samples(percentile) == least


@pytest.mark.parametrize(
    ("n", "given"), [(1, {"p50"}), (63, {"p50"}), (64, {"p50", "p90"}), (662, {"p50", "p90", "p95", "p99"})]
)
def test_a_percentile_that_the_samples_do_not_allow_is_not_given(n: int, given: set[str]) -> None:
    found = statistics.summarise(np.arange(1.0, n + 1)).document()
    assert {name for name in statistics.PERCENTILES if found[name] is not None} == given


def test_what_is_not_given_is_labelled_with_how_many_it_needs() -> None:
    assert statistics.summarise([1.0] * 100).too_few == {"p95": 130, "p99": 662, "p99_9": 6636}


def test_one_sample_has_no_variation_and_none_is_refused() -> None:
    assert statistics.summarise([5.0]).cv is None
    with pytest.raises(ValueError, match="no samples"):
        statistics.summarise([])


def test_images_of_different_cost_are_no_unrest() -> None:
    assert statistics.relative_to_own([10.0, 90.0] * 20, 2).std() == 0.0


def test_a_machine_that_becomes_slower_drifts() -> None:
    relative = statistics.relative_to_own([10.0, 90.0] * 10 + [12.0, 108.0] * 10, 2)
    assert statistics.drift(relative) == pytest.approx(1.2)
    assert statistics.drift(relative[:3]) is None


def test_the_interval_of_a_ratio_holds_the_truth_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(1)
    held = 0
    for seed in range(60):
        above, below = 12.0 + rng.normal(0, 1, 40), 10.0 + rng.normal(0, 1, 40)
        ratio = statistics.ratio_of_runs(above, below, 1, seed=seed)
        assert ratio.low is not None
        assert ratio.high is not None
        held += ratio.low <= 1.2 <= ratio.high
    assert held >= 51


def test_two_runs_that_differ_by_their_images_alone_have_a_ratio_of_exactly_one() -> None:
    ratio = statistics.ratio_of_runs([10.0, 90.0] * 30, [10.0, 90.0] * 10, 2, statistics.median_of)
    assert (ratio.value, ratio.low, ratio.high) == (1.0, 1.0, 1.0)


def test_what_slows_both_of_a_pair_cancels() -> None:
    trouble = np.random.default_rng(2).uniform(1, 5, 12)
    ratio = statistics.ratio_of_pairs(30 * trouble, 10 * trouble)
    assert (ratio.value, ratio.low, ratio.high) == pytest.approx((3.0, 3.0, 3.0))


def test_too_little_to_resample_gives_no_interval() -> None:
    assert statistics.ratio_of_runs([1.0, 2.0], [1.0, 2.0], 2).low is None
    assert statistics.ratio_of_pairs([1.0], [1.0]).low is None


def test_a_ratio_of_ratios_knows_how_sure_both_are() -> None:
    rng = np.random.default_rng(4)
    ours = rng.uniform(9, 11, 20)
    ratio = statistics.ratio_of_ratios((6 * ours * rng.uniform(0.9, 1.1, 20), ours), (3 * ours, ours))
    assert ratio.value == pytest.approx(2.0, rel=0.05)
    assert ratio.low is not None
    assert ratio.high is not None
    assert ratio.low < 2.0 < ratio.high < 2.2
