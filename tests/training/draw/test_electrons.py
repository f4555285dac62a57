"""Slopes shine, hollows are dark, and a detector at one side sees what faces it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from training.draw.canvas import Image
from training.draw.electrons import Detector, any_detector, collected

PLAIN = Detector(
    escape_px=0.8,
    edge_px=2.0,
    tilt=0.5,
    side=0.0,
    edge=0.0,
    dent=0.0,
    occlusion=0.0,
    mouth=0.0,
    mouth_gamma=1.0,
    azimuth=0.0,
    shadow=0.0,
    elevation=0.5,
)
NOTHING: Image = np.zeros((64, 64), np.float32)


def step_down() -> Image:
    """Flat, then a wall down to the right in the middle."""
    height = NOTHING.copy()
    height[:, 32:] = -8
    return height


def test_flat_metal_gives_one_everywhere() -> None:
    np.testing.assert_allclose(collected(any_detector(np.random.default_rng(1)), NOTHING, NOTHING, NOTHING), 1, atol=1e-5)


def test_a_wall_is_brighter_than_what_is_flat() -> None:
    signal = collected(PLAIN, step_down(), NOTHING, NOTHING)
    assert signal[:, 31:33].min() > 1.3
    np.testing.assert_allclose(signal[:, :20], 1, atol=1e-3)


@pytest.mark.parametrize(("azimuth", "brighter"), [(0.0, False), (np.pi, True)])
def test_a_wall_that_faces_the_detector_is_brighter(azimuth: float, brighter: bool) -> None:
    one_sided = replace(PLAIN, tilt=0.0, side=0.6, azimuth=azimuth)
    signal = collected(one_sided, step_down(), NOTHING, NOTHING)
    assert (float(signal[32, 32]) > 1) is brighter


def test_the_upper_edge_shines_and_the_ground_of_a_hollow_is_dark() -> None:
    edged = replace(PLAIN, tilt=0.0, edge=0.6, occlusion=0.5)
    signal = collected(edged, step_down(), NOTHING, NOTHING)
    assert signal[32, 31] > 1.1
    assert signal[32, 34] < 0.9


def test_what_the_walls_catch_and_another_material_change_the_signal() -> None:
    hollow = np.full_like(NOTHING, 0.5)
    np.testing.assert_allclose(collected(replace(PLAIN, mouth=0.4), NOTHING, NOTHING, hollow), 0.8, atol=1e-5)
    np.testing.assert_allclose(collected(PLAIN, NOTHING, hollow, NOTHING), 1.5, atol=1e-5)


def test_a_mound_throws_its_shadow_away_from_the_detector() -> None:
    height = NOTHING.copy()
    height[28:36, 28:36] = 20
    signal = collected(replace(PLAIN, tilt=0.0, shadow=0.5, elevation=0.3), height, NOTHING, NOTHING)
    assert signal[32, 22] < 0.8
    assert signal[32, 45] > 0.99


def test_no_signal_is_negative() -> None:
    rng = np.random.default_rng(4)
    rough = rng.normal(0, 20, NOTHING.shape).astype(np.float32)
    assert collected(any_detector(rng), rough, rough, np.ones_like(NOTHING)).min() > 0
