"""Metal under the corrosion: every kind can be drawn, and cells cover the picture."""

from __future__ import annotations

import numpy as np
import pytest

from training.draw import relief_metal
from training.draw.appearance import wide
from training.draw.canvas import Canvas
from training.draw.relief import Relief
from training.draw.relief_metal import KINDS, border_distance, lay_metal, warped_cells


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_a_finite_surface_of_its_own(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relief_metal, "KIND_PARTS", tuple(float(name == kind) for name in KINDS))
    rng = np.random.default_rng(3)
    relief = Relief(Canvas(rng, wide(rng), 120, 90))
    assert lay_metal(relief) == kind
    assert np.isfinite(relief.height).all()
    assert np.isfinite(relief.material).all()
    assert relief.height.std() > 0.01
    assert not relief.hollow.any()


@pytest.mark.parametrize("stretch", [1.0, 5.0])
def test_cells_cover_the_picture_and_are_about_as_large_as_asked(stretch: float) -> None:
    numbers = warped_cells(np.random.default_rng(2), 160, 120, 20.0, stretch)
    assert numbers.shape == (120, 160)
    assert numbers.min() >= 1
    assert 20 < len(np.unique(numbers)) < 120


def test_the_border_is_at_distance_zero() -> None:
    numbers = np.ones((20, 20), np.int32)
    numbers[:, 10:] = 2
    distance = border_distance(numbers)
    assert distance[5, 9] == distance[5, 10] == 0
    assert distance[5, 2] > 6
