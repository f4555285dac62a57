"""Every form of corrosion can be drawn, as much of it as asked for."""

from __future__ import annotations

import numpy as np
import pytest

from tests.training.draw.scenes import appearance_with, drawn
from training.draw import synthetic
from training.draw.appearance import ATTACKS, PIT_STYLES, PRODUCT_HABITS


@pytest.mark.parametrize("style", PIT_STYLES)
def test_every_style_of_pit_can_be_drawn(style: str) -> None:
    scene = drawn(appearance_with(pit_styles=tuple(float(name == style) for name in PIT_STYLES), product_part=0.0))
    assert set(scene.regions.class_ids.tolist()) <= {synthetic.PIT}
    assert len(scene.regions) or style == "faint"


@pytest.mark.parametrize("habit", PRODUCT_HABITS)
def test_every_habit_of_product_can_be_drawn(habit: str) -> None:
    scene = drawn(appearance_with(product_habits=tuple(float(name == habit) for name in PRODUCT_HABITS), product_part=1.0))
    assert set(scene.regions.class_ids.tolist()) == {synthetic.PRODUCT}


@pytest.mark.parametrize(
    ("attack", "class_id"), [("uniform", synthetic.ATTACK), ("intergranular", synthetic.ATTACK), ("layer", synthetic.PRODUCT)]
)
def test_every_kind_of_attack_can_be_drawn(attack: str, class_id: int) -> None:
    assert attack in ATTACKS
    scene = drawn(appearance_with(attack=attack, grain_px=200.0, contrast=2.0), fraction=0.15)
    assert class_id in scene.regions.class_ids


def test_a_dense_field_holds_hundreds_of_small_pits() -> None:
    styles = tuple(float(name == "deep") for name in PIT_STYLES)
    appearance = appearance_with(pit_px=9.0, pit_styles=styles, product_part=0.0, crowding=0.3, contrast=2.0)
    assert 200 <= len(drawn(appearance, fraction=0.1, size=(640, 480)).regions) <= 450


def test_the_drawn_fraction_is_the_one_that_was_asked_for() -> None:
    scenes = [drawn(appearance_with(darkness=0.9), 0.08, (320, 240), seed) for seed in range(6)]
    assert np.mean([scene.area_fraction for scene in scenes]) == pytest.approx(0.08, rel=0.1)
