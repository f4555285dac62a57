"""The rules choose which regions count; impossible ones are refused."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from edge.errors import ConfigError
from tests.training.labels.planted import GROUND, disc, ground, photograph
from training.labels.annotate import annotate
from training.labels.rules import Polarity, Rules


@pytest.mark.parametrize("angle", [0.4, 1.3, 2.2])
def test_scratches_are_refused(angle: float) -> None:
    image = ground()
    middle, along = np.array((160.0, 120.0)), np.array((np.cos(angle), np.sin(angle))) * 95
    ends = [tuple(int(value) for value in middle + sign * along) for sign in (-1, 1)]
    cv2.line(image, ends[0], ends[1], GROUND + 70, 3)
    assert annotate(photograph(image)).count == 0


def test_what_lies_beside_the_sample_is_refused() -> None:
    image = ground()
    image[200:] = 10
    image[disc(160, 90, 12)] -= 70
    assert annotate(photograph(image)).count == 1


def test_regions_below_the_least_diameter_are_left_out() -> None:
    image = ground()
    image[disc(80, 120, 5)] -= 80
    image[disc(220, 120, 14)] -= 80
    assert annotate(photograph(image)).count == 2
    assert annotate(photograph(image), Rules(min_diameter_px=16)).count == 1


@pytest.mark.parametrize(("polarity", "kept"), [("dark", (True, False)), ("bright", (False, True)), ("both", (True, True))])
def test_polarity_chooses_between_dark_and_bright_regions(polarity: Polarity, kept: tuple[bool, bool]) -> None:
    image = ground()
    image[disc(90, 120, 14)] -= 70
    image[disc(230, 120, 14)] += 70
    labels = annotate(photograph(image), Rules(polarity=polarity)).labels
    assert (bool(labels[120, 90]), bool(labels[120, 230])) == kept


def test_a_ringed_pit_counts_as_dark() -> None:
    image = ground()
    image[disc(160, 120, 22) & ~disc(160, 120, 18)] += 80
    assert annotate(photograph(image), Rules(polarity="dark")).count == 1
    assert annotate(photograph(image), Rules(polarity="bright")).count == 0


@pytest.mark.parametrize("wrong", [{"min_diameter_px": 0.0}, {"min_diameter_px": float("nan")}, {"threshold": 0.0}])
def test_impossible_rules_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError):
        Rules(**wrong)  # type: ignore[arg-type]
