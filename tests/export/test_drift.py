"""How far two sets of outputs are apart, whatever places equal candidates take in the ranking."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("torch")

from export.drift import largest_drift, match_candidates
from export.graphs import CANDIDATES

Outputs = dict[str, NDArray[Any]]


def candidates(count: int = 6, images: int = 2) -> Outputs:
    """What a segmenter gives, best first."""
    rng = np.random.default_rng(0)
    return {
        "boxes": rng.uniform(0, 100, (images, count, 4)).astype(np.float32),
        "scores": np.linspace(0.9, 0.3, count, dtype=np.float32)[None].repeat(images, 0),
        "coefficients": rng.normal(size=(images, count, 8)).astype(np.float32),
        "prototypes": rng.normal(size=(images, 8, 5, 5)).astype(np.float32),
    }


def test_equal_outputs_have_no_drift() -> None:
    assert largest_drift(candidates(), candidates()) == 0.0
    assert largest_drift({"logits": np.zeros((1, 3))}, {"logits": np.zeros((1, 3))}) == 0.0


def test_outputs_of_another_shape_are_infinitely_far() -> None:
    assert largest_drift({"logits": np.zeros((1, 3))}, {"logits": np.zeros((1, 2))}) == float("inf")


def test_candidates_in_another_order_match() -> None:
    found = candidates()
    for name in ("boxes", "scores", "coefficients"):
        found[name] = found[name][:, ::-1]
    assert largest_drift(candidates(), found) == 0.0


def test_the_worst_image_counts() -> None:
    found = candidates()
    found["scores"] = found["scores"] + np.array([[0.0], [0.25]], np.float32)
    assert largest_drift(candidates(), found) == pytest.approx(0.25, rel=1e-5)


@pytest.mark.parametrize(("score", "drift"), [(0.3, 1.0), (0.0003, 0.0)])
def test_a_class_counts_where_the_candidate_can_be_found(score: float, drift: float) -> None:
    expected, found = candidates(), candidates()
    for side, last in ((expected, 0.0), (found, 1.0)):
        side["scores"][:, -1] = score
        side["classes"] = np.zeros((2, 6)) + np.eye(6)[-1] * last
    assert largest_drift(expected, found) == drift


def test_a_difference_is_relative_to_large_values_and_absolute_to_small_ones() -> None:
    assert largest_drift({"x": np.array([100.0, 0.0])}, {"x": np.array([100.0, 1.0])}) == pytest.approx(0.01)
    assert largest_drift({"x": np.array([0.01, 0.0])}, {"x": np.array([0.01, 0.5])}) == pytest.approx(0.5)


def test_the_end_of_a_full_ranking_does_not_count_and_neither_do_low_scores() -> None:
    few = {name: values[0] for name, values in candidates().items()}
    full = {name: values[0] for name, values in candidates(CANDIDATES).items()}
    assert match_candidates(few, few)[0].tolist() == list(range(6))
    assert match_candidates(few, few, least_score=0.5)[0].tolist() == [0, 1, 2, 3]
    assert match_candidates(full, full)[0].tolist() == list(range(CANDIDATES - 1))
