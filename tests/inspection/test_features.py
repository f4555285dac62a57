"""The network's features at places of the image."""

from __future__ import annotations

import numpy as np
import pytest

from edge.errors import BackendError
from edge.inspection.features import feature_map


def test_values_lie_between_cells_and_the_sum_over_the_image_is_that_of_its_places() -> None:
    values = np.random.default_rng(0).normal(size=(1, 3, 8, 10)).astype(np.float32)
    found = feature_map({"prototypes": values}, 0, 1.0, 1.0)
    assert np.allclose(found.at(np.array([1.5]), np.array([1.5]))[0], values[0, :, 0, 0], atol=1e-6)
    weights = np.array([1.0, -2.0, 0.5])
    plane = found.spread(weights, (32, 40), (32, 40))
    y, x = np.mgrid[2:30, 2:38]
    expected = found.at(x.ravel().astype(np.float64), y.ravel().astype(np.float64)) @ weights
    assert np.allclose(plane[2:30, 2:38].ravel(), expected, atol=0.15)  # OpenCV interpolates in steps of 1/32


def test_features_that_are_no_numbers_are_the_networks_fault() -> None:
    with pytest.raises(BackendError, match="not numbers"):
        feature_map({"prototypes": np.full((1, 2, 4, 4), np.nan, np.float32)}, 0, 1.0, 1.0)
