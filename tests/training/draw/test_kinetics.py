"""Corrosion follows its law, and scatters as the law says."""

from __future__ import annotations

import numpy as np
import pytest

from training.draw import kinetics
from training.draw.kinetics import ANNEALING_MIN, EXPOSURES_H, Growth, corroded_fraction
from training.draw.synthetic import render_coupon


@pytest.mark.parametrize("annealing_min", ANNEALING_MIN)
def test_corrosion_grows_and_saturates(annealing_min: float) -> None:
    hours = np.array([0.0, 1, 24, 168, 336, 504, 5000, 50000])
    fractions = np.array([corroded_fraction(t, annealing_min) for t in hours])
    assert (np.diff(fractions) >= 0).all()
    assert fractions[0] == 0
    assert fractions[-1] == pytest.approx(kinetics.START_FRACTION + kinetics.LIMIT_FRACTION[annealing_min], rel=1e-6)
    assert fractions[-1] == pytest.approx(fractions[-2], rel=1e-6)


def test_longer_annealing_corrodes_more() -> None:
    for hours in EXPOSURES_H[1:]:
        fractions = [corroded_fraction(hours, minutes) for minutes in ANNEALING_MIN]
        assert fractions == sorted(fractions)


def test_drawn_coupons_follow_the_law() -> None:
    for hours in EXPOSURES_H:
        scenes = [render_coupon(90.0, hours, coupon, 1, (320, 240)) for coupon in range(1, 9)]
        ratios = [scene.area_fraction / scene.growth.target_fraction for scene in scenes]
        assert np.median(ratios) == pytest.approx(1.0, abs=0.25)


def test_scatter_between_coupons_is_shared_by_their_images() -> None:
    one, other = (render_coupon(60.0, 168.0, 2, image, (64, 64)).growth for image in (1, 2))
    assert one.coupon_factor == other.coupon_factor
    assert one.image_factor != other.image_factor


def test_degrees_grow_with_progress_and_betray_no_more() -> None:
    rng = np.random.default_rng(0)
    means = [np.mean([kinetics.degree(rng, progress) for _ in range(400)]) for progress in (0.03, 0.3, 1.0)]
    low, high = kinetics.DEGREE_LIMITS
    assert means[0] < low < means[1] < high < means[2]
    slow, fast = Growth(60.0, 504.0, coupon_factor=0.5), Growth(60.0, 504.0 * 0.5)
    assert slow.progress == pytest.approx(fast.progress, rel=0.2)
