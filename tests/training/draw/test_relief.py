"""Scenes built as a surface: the truth lies where something can be seen, and the part that is asked for is corroded."""

from __future__ import annotations

import numpy as np
import pytest

from edge.records import Regions
from training.draw.canvas import CLASSES
from training.draw.kinetics import DEGREE_LIMITS
from training.draw.relief import render_relief, seen_in

SIZE = (224, 192)


def test_the_same_seed_draws_the_same_scene() -> None:
    one, other = render_relief(7, SIZE), render_relief(7, SIZE)
    np.testing.assert_array_equal(one.grey, other.grey)
    np.testing.assert_array_equal(one.regions.boxes_px, other.regions.boxes_px)
    assert (one.grey != render_relief(8, SIZE).grey).mean() > 0.5


@pytest.mark.parametrize("seed", range(12))
def test_regions_lie_inside_and_do_not_overlap(seed: int) -> None:
    scene = render_relief(seed, SIZE, "severe")
    assert scene.grey.shape == SIZE[::-1]
    assert scene.grey.dtype == np.uint8
    taken = np.zeros(SIZE[::-1], np.int32)
    for (x, y, width, height), mask in zip(scene.regions.boxes_px, scene.regions.masks, strict=True):
        assert mask.shape == (height, width)
        taken[y : y + height, x : x + width] += mask
    assert taken.max(initial=0) <= 1
    assert len(scene.degrees) == len(scene.regions)
    assert ((scene.degrees > 0) & (scene.degrees <= 1)).all()


def test_metal_that_is_not_corroded_has_no_regions() -> None:
    assert all(not len(render_relief(seed, SIZE, fraction=0.0).regions) for seed in range(5))


@pytest.mark.parametrize("fraction", [0.05, 0.2, 0.4])
def test_about_the_part_asked_for_is_corroded(fraction: float) -> None:
    drawn = [render_relief(seed, SIZE, fraction=fraction, bars=False).area_fraction for seed in range(16)]
    assert 0.5 * fraction < np.median(drawn) < 1.2 * fraction


def test_more_exposure_corrodes_more_and_deeper() -> None:
    low = [render_relief(seed, SIZE, "low") for seed in range(12)]
    severe = [render_relief(seed, SIZE, "severe") for seed in range(12)]
    assert np.mean([scene.area_fraction for scene in low]) < 0.3 * np.mean([scene.area_fraction for scene in severe])
    deep = np.concatenate([scene.degrees for scene in severe])
    assert (deep > DEGREE_LIMITS[1]).mean() > 0.2


def test_a_larger_zoom_draws_larger_regions() -> None:
    def typical(zoom: float) -> float:
        scenes = [render_relief(seed, SIZE, fraction=0.15, zoom=zoom) for seed in range(10)]
        return float(np.median([mask.sum() for scene in scenes for mask in scene.regions.masks]))

    assert typical(2.0) > 1.5 * typical(0.7)


def test_regions_stand_out_from_the_metal() -> None:
    """Over many scenes: the mean inside differs from outside, in one direction for deep pits."""
    darker = brighter = 0
    for seed in range(10):
        scene = render_relief(seed, SIZE, "severe")
        for (x, y, width, height), mask, kind in zip(
            scene.regions.boxes_px, scene.regions.masks, scene.regions.class_ids, strict=True
        ):
            step = float(scene.grey[y : y + height, x : x + width][mask].mean()) - float(np.median(scene.grey))
            if CLASSES[kind] == "pit" and abs(step) > 10:
                darker, brighter = darker + (step < 0), brighter + (step > 0)
    assert darker > brighter


def test_a_region_like_its_surroundings_is_forgotten_and_one_unlike_them_is_kept() -> None:
    grey = np.random.default_rng(0).normal(128, 2, (80, 120)).clip(0, 255).astype(np.uint8)
    grey[20:40, 70:90] = 60
    regions = Regions(
        np.array([[20, 20, 20, 20], [70, 20, 20, 20]], np.int32),
        np.ones(2, np.float32),
        np.zeros(2, np.int32),
        (np.ones((20, 20), np.bool_),) * 2,
        CLASSES,
    )
    kept, degrees = seen_in(grey, regions, np.array([0.2, 0.8], np.float32))
    assert kept.boxes_px.tolist() == [[70, 20, 20, 20]]
    assert degrees.tolist() == [pytest.approx(0.8)]
