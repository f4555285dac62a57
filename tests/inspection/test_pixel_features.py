"""What describes a pixel."""

from __future__ import annotations

import numpy as np
import pytest

from edge.inspection.pixel_features import FILTERS, filter_features, network_answer, own_threshold, working_shape
from edge.inspection.segment import no_regions
from tests.teach.making import spotted


def test_another_brightness_and_contrast_change_little() -> None:
    grey, _ = spotted(1)
    other = np.clip(grey * 0.6 + 20, 0, 255).astype(np.uint8)
    one, two = filter_features(grey), filter_features(other)
    assert one.shape == (FILTERS - 1, *grey.shape)
    assert np.abs(one - two).mean() < 0.02


@pytest.mark.parametrize("shape", [(1, 1), (3, 2000), (40, 40), (2048, 3072)])
def test_any_size_gives_finite_numbers(shape: tuple[int, int]) -> None:
    found = filter_features(np.full(shape, 9, np.uint8))
    assert found.shape[1:] == working_shape(shape)
    assert max(found.shape) <= 1024
    assert np.isfinite(found).all()


def test_the_threshold_lies_between_an_images_two_groups_but_not_anywhere() -> None:
    rng = np.random.default_rng(0)
    two = np.concatenate([rng.normal(-1, 0.2, 900), rng.normal(3, 0.2, 100)]).astype(np.float32).reshape(20, 50)
    assert -0.5 < own_threshold(two) <= 2
    assert own_threshold(np.full((9, 9), -6, np.float32)) >= -2


def test_without_regions_the_network_said_nothing() -> None:
    assert not network_answer(no_regions(), (10, 10), (5, 5)).any()
