"""Drawn corrosion on a real ground."""

from __future__ import annotations

import numpy as np

from training.draw.blend import blended, without_marked
from training.draw.synthetic import render_fraction


def test_the_ground_stays_where_nothing_is_corroded() -> None:
    scene = render_fraction(3, 0.02, (240, 180))
    ground = np.random.default_rng(0).integers(90, 110, (180, 240)).astype(np.uint8)
    picture = blended(scene, ground)
    assert picture.shape == scene.grey.shape
    assert (picture == ground).mean() > 0.5
    assert (picture != ground).any()


def test_a_ground_of_another_size_is_stretched() -> None:
    scene = render_fraction(3, 0.02, (240, 180))
    assert blended(scene, np.full((50, 50), 100, np.uint8)).shape == (180, 240)


def test_what_is_marked_is_filled_in() -> None:
    grey = np.full((60, 60), 100, np.uint8)
    mask = np.zeros((60, 60), np.bool_)
    mask[20:40, 20:40] = True
    grey[mask] = 10
    assert np.abs(without_marked(grey, mask).astype(int) - 100).max() < 12
