"""Examples with their answers in, a logistic model out: iteratively reweighted least squares with a ridge penalty."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge.inspection.linear import Linear, probability

ROUNDS = 15
SETTLED = 1e-4
_LEAST_DEVIATION = 1e-3


def fit(
    rows: NDArray[np.float32],
    right: NDArray[np.bool_],
    weights: NDArray[np.float64],
    penalty: NDArray[np.float64] | float,
) -> Linear:
    """The model of float32 [N, F] rows.

    right, weights: [N].  penalty: on the square of each standardised weight, one or [F]. Needs rows of both kinds.
    """
    mean = rows.mean(axis=0, dtype=np.float64)
    deviation = np.maximum(rows.std(axis=0, dtype=np.float64), _LEAST_DEVIATION)
    width = rows.shape[1]
    start = Linear(mean=tuple(mean), deviation=tuple(deviation), weights=(0.0,) * width, bias=0.0)
    inputs = np.hstack([start.standardised(rows), np.ones((len(rows), 1))])
    ridge = np.append(np.broadcast_to(penalty, width), 1e-6)
    found = np.zeros(width + 1)
    for _ in range(ROUNDS):
        share = probability(inputs @ found)
        each = weights * np.maximum(share * (1 - share), 1e-4)
        curvature = (inputs * each[:, None]).T @ inputs + np.diag(ridge)
        step = np.linalg.solve(curvature, inputs.T @ (weights * (right - share)) - ridge * found)
        found += step
        if np.abs(step).max() < SETTLED:
            break
    return start.model_copy(update={"weights": tuple(found[:-1].tolist()), "bias": float(found[-1])})


def balanced(right: NDArray[np.bool_], total: float) -> NDArray[np.float64]:
    """Weights [N] that sum to `total`, half of it for either kind."""
    counts = np.array([max(1, np.count_nonzero(~right)), max(1, np.count_nonzero(right))])
    return np.asarray(total / 2 / counts[right.astype(np.intp)], np.float64)
