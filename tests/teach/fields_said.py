"""Fields with a class that follows from one number, for tests of taught severities."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edge.inspection.pipeline import FieldSeen
from edge.inspection.taught_severity import NETWORK, TYPICAL, MeasuredWith
from edge.records import SEVERITIES, Severity
from edge.teach.severity import LabelledField

WITH = MeasuredWith(confidence=0.3, iou=0.7, min_diameter_px=0, min_diameter_um=0)
WIDTH = 12
NAMES = ("area", "log_area", "largest", "regions", "median_size", TYPICAL, "contrast")


def untaught(label: str = "low", ratio: float | None = 0.5) -> Severity:
    """A verdict of the network's that says `label` with 0.8."""
    given = {name: 0.8 if name == label else 0.1 for name in SEVERITIES}
    return Severity(
        label=label,  # type: ignore[arg-type]  # a plain str: tests name labels freely
        confidence=0.8,
        probabilities=given,
        prediction_set=None,
        needs_review=False,
        reasons=(),
        in_domain=True,
        cam=np.zeros((2, 2), np.float32),
        domain_ratio=ratio,
    )


def seen(level: float, seed: int, *, says: str = "low", shift: float = 0.0) -> FieldSeen:
    """A field of which size and area are `level`, 0…1, and all else is noise. shift: of the embedding."""
    random = np.random.default_rng([seed, 7])
    numbers = {name: float(random.normal()) for name in NAMES}
    numbers.update(area=level, log_area=5 * level, largest=level + 0.02 * float(random.normal()), **{NETWORK: -1.0})
    embedding = (random.normal(size=WIDTH) + shift).astype(np.float32)
    return FieldSeen(numbers, embedding, untaught(says))


def said(levels: Sequence[float], names: Sequence[str], limits: Sequence[float], *, seed: int = 0) -> list[LabelledField]:
    """Fields that are each of the class whose limits its level lies between."""
    return [
        LabelledField(f"{index:064x}", names[int(np.digitize(level, limits))], seen(level, 1000 * seed + index))
        for index, level in enumerate(levels)
    ]


def spread(count: int, seed: int = 0) -> list[float]:
    """Levels from 0 to 1 in an order by chance."""
    return np.random.default_rng(seed).permutation(np.linspace(0, 1, count)).tolist()
