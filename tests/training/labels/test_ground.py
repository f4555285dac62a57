"""Light, grooves and noise of the bare metal are no regions and hide none."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from tests.training.labels.planted import SIZE, ground, photograph, pits
from training.labels.annotate import annotate
from training.labels.compare import compare


def test_uneven_illumination_changes_nothing_that_matters() -> None:
    grey, truth = pits()
    slope = np.linspace(-60, 60, SIZE[0])[None, :] + np.linspace(-20, 20, SIZE[1])[:, None]
    agreement = compare(annotate(np.clip(grey + slope, 0, 255).astype(np.uint8)).labels, truth)
    assert (agreement.automatic, agreement.right) == (6, 6)


@pytest.mark.parametrize("seed", range(3))
def test_bare_metal_has_no_regions(seed: int) -> None:
    assert annotate(photograph(ground(seed))).count == 0


def test_an_image_of_one_grey_has_no_regions() -> None:
    assert annotate(np.full((60, 80), 90, np.uint8)).count == 0


def test_brushed_metal_is_no_region_and_hides_no_pit() -> None:
    rng = np.random.default_rng(4)
    grey, truth = pits()
    grooves = 14 * cv2.GaussianBlur(rng.standard_normal((SIZE[1], 1)), (1, 3), 0.8) * np.ones((1, SIZE[0]))
    agreement = compare(annotate(np.clip(grey + grooves, 0, 255).astype(np.uint8)).labels, truth)
    assert (agreement.automatic, agreement.right) == (6, 6)
