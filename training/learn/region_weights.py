"""Found regions whose degree is known in, the weights that judge single regions out, with what they reach on other fields."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.inspection.region_severity import MEASURES, RegionWeights, field_columns
from edge.models.card import Training
from edge.records import SEVERITIES, SeverityLabel
from training.learn.calibration import expected_calibration_error
from training.learn.field_records import Records

DRAWS = 2000


@dataclass(frozen=True, slots=True, eq=False)
class Examples:
    """Measures float64 [R, M] and truth int64 [R], into `SEVERITIES`, of found regions.

    verdicts: int64 [R], their field's severity.  fields: int64 [R], whose they are.
    """

    measured: NDArray[np.float64]
    truth: NDArray[np.int64]
    verdicts: NDArray[np.int64]
    fields: NDArray[np.int64]


def examples(records: Records, probabilities: NDArray[np.float64]) -> Examples:
    """The regions of every field that are those of the drawing. probabilities: float64 [N, 3], of the fields' severities.

    Raises ValueError where there are none.
    """
    known = records.region_truths >= 0
    if not known.any():
        raise ValueError("no regions to learn from")
    fields, places = np.nonzero(known)
    of_field = np.array([field_columns(row) for row in probabilities])
    return Examples(
        measured=np.hstack([records.regions[fields, places], of_field[fields]]),
        truth=records.region_truths[fields, places].astype(np.int64),
        verdicts=probabilities.argmax(axis=1)[fields],
        fields=fields.astype(np.int64),
    )


def fit(learnt: Examples, training: Training, version: str, scores: dict[str, Any] | None = None) -> RegionWeights:
    """A multinomial logistic regression on standardised measures."""
    from sklearn.linear_model import LogisticRegression

    means, deviations = learnt.measured.mean(axis=0), np.maximum(learnt.measured.std(axis=0), 1e-6)
    found = LogisticRegression(max_iter=1000).fit((learnt.measured - means) / deviations, learnt.truth)
    classes: tuple[SeverityLabel, ...] = tuple(SEVERITIES[int(index)] for index in found.classes_)
    short = [tuple(float(f"{value:.6g}") for value in row) for row in (means, deviations, found.intercept_)]
    return RegionWeights(
        schema="edge.regions/1",
        name="regions",
        version=version,
        classes=classes,
        measures=MEASURES,
        means=short[0],
        deviations=short[1],
        biases=short[2],
        weights=tuple(tuple(float(f"{value:.6g}") for value in row) for row in found.coef_),
        training=training,
        scores=scores or {},
        licence="Apache-2.0",
    )


def score(weights: RegionWeights, tested: Examples, measured_on: str, name: str) -> dict[str, dict[str, Any]]:
    """Accuracy beside the field's verdict for every region, both with 95 % intervals, in the form of a card's scores.

    The intervals, of the difference too, are a bootstrap over fields.
    """
    probabilities = weights.probabilities(tested.measured)
    right = probabilities.argmax(axis=1) == tested.truth
    of_field = tested.verdicts == tested.truth
    numbers, whose = np.unique(tested.fields, return_inverse=True)
    counts, hits, beside = (np.bincount(whose, weights=each) for each in (np.ones(len(right)), right, of_field))
    draws = np.random.default_rng(0).integers(len(numbers), size=(DRAWS, len(numbers)))
    drawn, drawn_hits, drawn_beside = (each[draws].sum(axis=1) for each in (counts, hits, beside))
    low, high = np.percentile(drawn_hits / drawn, (2.5, 97.5))
    gain_low, gain_high = np.percentile((drawn_hits - drawn_beside) / drawn, (2.5, 97.5))
    values = {
        f"region_accuracy_{name}": right.mean(),
        f"region_accuracy_{name}_low_95": low,
        f"region_accuracy_{name}_high_95": high,
        f"region_accuracy_of_field_{name}": of_field.mean(),
        f"region_gain_{name}_low_95": gain_low,
        f"region_gain_{name}_high_95": gain_high,
        f"region_calibration_error_{name}": expected_calibration_error(probabilities.max(axis=1), right),
    }
    how = f"found regions against the degree that they were drawn with; bootstrap over fields; {measured_on}"
    return {key: {"value": round(float(value), 4), "n": len(right), "how": how} for key, value in values.items()}
