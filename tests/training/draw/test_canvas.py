"""A region that nobody could see gets no label."""

from __future__ import annotations

import numpy as np
import pytest

from tests.training.draw.scenes import appearance_with
from training.draw import synthetic
from training.draw.canvas import Canvas


@pytest.mark.parametrize(("step", "kept"), [(0.2, 1), (0.005, 0)])
def test_a_region_that_nobody_could_see_gets_no_label(step: float, kept: int) -> None:
    canvas = Canvas(np.random.default_rng(0), appearance_with(), 64, 64)
    bare = canvas.grey.copy()
    canvas.claim(slice(40, 50), slice(40, 50), np.ones((10, 10), np.bool_), synthetic.PIT, 0.5)
    canvas.grey[40:50, 40:50] -= step
    canvas.forget_invisible(bare, canvas.grey)
    regions, _ = canvas.regions()
    assert len(regions) == kept
