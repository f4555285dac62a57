"""Numbers that describe things in, how probable each answer is out: logistic models of a few hundred numbers."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

REACH: Final = 4.0
"""Standard deviations: what lies farther from the reviewed examples counts as lying here, so that nothing is extrapolated."""
Number = Field(allow_inf_nan=False)


class Part(BaseModel):
    """A part of an adaptation file: frozen, without unknown keys and without NaN."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Linear(Part):
    """One logistic model with `REACH`: mean, deviation and weight of each of F numbers, and a bias."""

    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    weights: tuple[float, ...]
    bias: float

    @model_validator(mode="after")
    def _fits(self) -> Linear:
        if not len(self.mean) == len(self.deviation) == len(self.weights) or min(self.deviation, default=1.0) <= 0:
            raise ValueError("mean, deviation (above 0) and weights must have one number each for every feature")
        return self

    def standardised(self, rows: NDArray[np.float32]) -> NDArray[np.float64]:
        """float64 [N, F] of float32 [N, F]."""
        mean, deviation = np.asarray(self.mean), np.asarray(self.deviation)
        return np.asarray(np.clip((rows - mean) / deviation, -REACH, REACH))

    def logits(self, rows: NDArray[np.float32]) -> NDArray[np.float64]:
        """float64 [N] of float32 [N, F]."""
        return np.asarray(self.standardised(rows) @ np.asarray(self.weights, np.float64) + self.bias)


def probability(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """0…1 of logits, without overflow."""
    return np.asarray(0.5 * (1 + np.tanh(0.5 * np.asarray(logits, np.float64))))
