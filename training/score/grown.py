"""Scenes that corrode further step by step in, how the severity follows out: does it ever fall where more is corroded?

Every scene keeps its metal, its microscope and its seed; only the corroded part of the field grows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from edge.records import SEVERITIES, Severity
from training.draw import synthetic
from training.draw.relief import render_relief
from training.draw.synthetic import Scene

FRACTIONS = (0.005, 0.02, 0.05, 0.09, 0.14, 0.2, 0.28)
"""Corroded parts of the field, one a step."""


@dataclass(frozen=True, slots=True)
class Grown:
    """How the severity followed. falls: steps on which the expected severity fell.  unseen: falls by a class without review.

    judged: steps of which both ends have an answer.  largest_fall: of the expected severity, in classes.
    """

    steps: int
    falls: int
    unseen: int
    largest_fall: float

    @property
    def part(self) -> float:
        """Of all steps, those on which it fell."""
        return self.falls / self.steps if self.steps else 0.0


def grown_scenes(seed: int, size_px: tuple[int, int] = (640, 480), *, relief: bool = False) -> Iterator[Scene]:
    """One scene at every part of `FRACTIONS`, in this order. relief: by the generator of heights instead."""
    for fraction in FRACTIONS:
        yield render_relief(seed, size_px, fraction=fraction) if relief else synthetic.render_fraction(seed, fraction, size_px)


def expected_severity(severity: Severity) -> float:
    """The mean class number by the network's probabilities, given or only guessed: 0 low … 2 severe."""
    probabilities = severity.answer.probabilities or {}
    return float(sum(SEVERITIES.index(name) * value for name, value in probabilities.items() if name in SEVERITIES))


def follow(scenes: Sequence[Sequence[Severity]], least: float = 1e-3) -> Grown:
    """Judge the severities of grown scenes, each in the order of its growth. least: a smaller fall is rounding."""
    steps = falls = unseen = 0
    largest = 0.0
    for severities in scenes:
        expected = np.array([expected_severity(one) for one in severities])
        drop = expected[:-1] - expected[1:]
        steps += len(drop)
        falls += int(np.count_nonzero(drop > least))
        largest = max(largest, float(drop.max(initial=0.0)))
        for before, after in pairwise(severities):
            if before.label is None or after.label is None or before.needs_review or after.needs_review:
                continue
            unseen += SEVERITIES.index(after.label) < SEVERITIES.index(before.label)
    return Grown(steps, falls, unseen, largest)
