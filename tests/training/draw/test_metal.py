"""Bare metal, and what lies on it and is no corrosion: none of it is labelled, and what covers a region takes its pixels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.training.draw.scenes import appearance_with
from training.draw.canvas import PIT, Canvas
from training.draw.metal import draw_above, draw_below, draw_surface

BARE = {"scratches": 0.0, "stains": 0.0, "inclusions": 0.0}


def canvas_with(**changes: Any) -> Canvas:
    return Canvas(np.random.default_rng(4), appearance_with(**{**BARE, **changes}), 160, 120)


@pytest.mark.parametrize("surface", ["polished", "machined", "grains", "mottled", "rough", "dull"])
def test_every_surface_has_texture_and_no_label(surface: str) -> None:
    canvas = canvas_with(surface=surface)
    draw_surface(canvas)
    assert canvas.grey.dtype == np.float32
    assert np.isfinite(canvas.grey).all()
    assert canvas.grey.std() > 0
    assert not canvas.labels.any()


def test_only_etched_metal_shows_grains() -> None:
    shown = []
    for surface in ("grains", "polished"):
        canvas = canvas_with(surface=surface)
        draw_surface(canvas)
        shown.append(canvas.grains is not None)
    assert shown == [True, False]


@pytest.mark.parametrize("kind", BARE)
def test_what_lies_under_corrosion_changes_the_picture_and_gets_no_label(kind: str) -> None:
    canvas = canvas_with(**{kind: 40.0})
    before = canvas.grey.copy()
    draw_below(canvas)
    assert (canvas.grey != before).any()
    assert canvas.grey.min() >= np.float32(0.02)
    assert canvas.grey.max() <= np.float32(1.2)
    assert not canvas.labels.any()


def corroded(**changes: Any) -> Canvas:
    """One pit over all of the picture."""
    canvas = canvas_with(**changes)
    everywhere = slice(0, canvas.height), slice(0, canvas.width)
    canvas.claim(*everywhere, np.ones((canvas.height, canvas.width), np.bool_), PIT, 0.5)
    return canvas


@pytest.mark.parametrize(
    "changes", [{"holes": 3.0}, {"particles": 30.0}, {"edge_part": 0.3}], ids=["holes", "particles", "edge"]
)
def test_what_covers_a_region_takes_its_pixels(changes: dict[str, float]) -> None:
    canvas = corroded(**changes)
    draw_above(canvas)
    assert 0 < np.count_nonzero(canvas.labels == 0) < canvas.labels.size


@pytest.mark.parametrize("changes", [{"fibres": 5.0}, {"scratches": 200.0}], ids=["fibres", "scratches"])
def test_a_region_under_a_scratch_or_a_fibre_stays_a_region(changes: dict[str, float]) -> None:
    canvas = corroded(**changes)
    before = canvas.grey.copy()
    draw_above(canvas)
    assert (canvas.grey != before).any()
    assert (canvas.labels == 1).all()


@pytest.mark.parametrize("draw", [draw_surface, draw_below, draw_above])
def test_the_same_seed_draws_the_same(draw: Callable[[Canvas], None]) -> None:
    first, second = (corroded(scratches=20.0, stains=3.0, particles=5.0, holes=1.0) for _ in range(2))
    draw(first)
    draw(second)
    np.testing.assert_array_equal(first.grey, second.grey)
    np.testing.assert_array_equal(first.labels, second.labels)
