"""Logistic models as they are applied."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from edge.inspection.linear import REACH, Linear, probability


def test_what_lies_far_from_the_examples_counts_as_lying_at_the_reach() -> None:
    model = Linear(mean=(1.0,), deviation=(2.0,), weights=(3.0,), bias=-1.0)
    found = model.logits(np.array([[1.0], [3.0], [1e9]], np.float32))
    assert found.tolist() == [-1.0, 2.0, 3 * REACH - 1]


def test_probabilities_do_not_overflow() -> None:
    assert probability(np.array([-1e6, 0.0, 1e6])).tolist() == [0.0, 0.5, 1.0]


@pytest.mark.parametrize("change", [{"deviation": (0.0,)}, {"weights": (1.0, 2.0)}, {"bias": float("nan")}, {"other": 1}])
def test_a_model_that_cannot_be_one_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Linear.model_validate({"mean": (0.0,), "deviation": (1.0,), "weights": (1.0,), "bias": 0.0, **change})
