"""Does the severity follow growing corrosion?"""

from __future__ import annotations

import numpy as np
import pytest

from edge.records import Severity, SeverityLabel
from training.score.grown import FRACTIONS, expected_severity, follow, grown_scenes


def said(*probabilities: float, review: bool = False) -> Severity:
    labels: tuple[SeverityLabel, ...] = ("low", "moderate", "severe")
    named = dict(zip(labels, probabilities, strict=True))
    label = labels[int(np.argmax(probabilities))]
    reasons = ("ambiguous: two",) if review else ()
    return Severity(label, max(probabilities), named, None, review, reasons, True, np.zeros((0, 0), np.float32))


def test_the_expected_severity_is_the_mean_class() -> None:
    assert expected_severity(said(0.2, 0.3, 0.5)) == pytest.approx(1.3)


def test_falls_are_counted_and_those_by_a_class_that_nobody_is_told_of() -> None:
    rising = [said(0.9, 0.1, 0.0), said(0.1, 0.8, 0.1), said(0.0, 0.1, 0.9)]
    falling = [said(0.0, 0.1, 0.9), said(0.1, 0.8, 0.1), said(0.8, 0.2, 0.0, review=True)]
    grown = follow([rising, falling])
    assert (grown.steps, grown.falls, grown.unseen) == (4, 2, 1)
    assert grown.part == 0.5
    assert grown.largest_fall == pytest.approx(0.9)


@pytest.mark.parametrize("relief", [False, True], ids=["painted", "relief"])
def test_a_growing_scene_has_more_corroded_at_every_step(relief: bool) -> None:
    areas = [scene.area_fraction for scene in grown_scenes(1, (160, 120), relief=relief)]
    assert len(areas) == len(FRACTIONS)
    assert areas[-1] > areas[0]
    assert areas[-1] > 0.1
