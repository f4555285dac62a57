"""What the network answered and the numbers of the field in, its severity and how foreign it is out; both fits can be read.

Severity: proportional odds (McCullagh 1980). The network's expected severity and the measured areas are added up with
weights that are never negative, so more corrosion is never less severe. Foreign: a logistic regression on a few numbers.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from edge.errors import ModelError
from edge.inspection.describe import Described, in_words
from edge.models.card import ForeignFit, SeverityFit

NETWORK = "network"
"""Name of the network's expected severity among the evidence, 0…2."""
RATIO_PER_LOGIT = 0.1
"""How far the distance from the domain, in parts of its limit, moves with the log odds of being foreign."""


def evidence(probabilities: NDArray[np.float64], described: Described) -> dict[str, float]:
    """`described` with the network's expected severity, from its probabilities [C] in the order of the classes."""
    return {**described, NETWORK: float(probabilities @ np.arange(len(probabilities)))}


def severity_probabilities(fit: SeverityFit, given: Described) -> NDArray[np.float64]:
    """float64 [C] of the classes in rising order, sum 1. given: `evidence`. Raises ModelError for a number it lacks."""
    known = _known(given, fit.weights)
    total = sum(weight * known[name] for name, weight in fit.weights.items())
    beyond = 1 / (1 + np.exp(np.clip(np.asarray(fit.limits) - total, -500, 500)))
    return -np.diff(np.concatenate(([1.0], beyond, [0.0])))


def foreignness(fit: ForeignFit, given: Described) -> tuple[float, str]:
    """Log odds that the field is foreign, above those of the limit (positive: foreign), and a sentence that says why."""
    known = _known(given, fit.numbers)
    parts = {}
    for name, of in fit.numbers.items():
        offset = float(np.clip((known[name] - of.mean) / of.deviation, -of.reach, of.reach))
        parts[name] = of.weight * offset + of.weight_of_square * offset * offset
    odds = fit.offset + sum(parts.values()) - fit.limit
    most = max(parts, key=lambda name: parts[name])
    why = f"most of all {in_words(most, known[most], fit.numbers[most].mean)}"
    return odds, why


def foreign_ratio(odds: float) -> float:
    """The same as a distance over its limit, above 1 where the field is foreign."""
    return max(0.0, 1 + RATIO_PER_LOGIT * odds)


def _known(given: Described, names: Iterable[str]) -> Described:
    missing = [name for name in names if name not in given]
    if missing:
        raise ModelError(f"the card weighs {', '.join(missing)}, which nobody measures: fit it again with this version")
    return given
