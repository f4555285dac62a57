"""Appearances range over all surfaces and microscopes."""

from __future__ import annotations

import numpy as np

from training.draw.appearance import wide


def test_the_wide_appearance_reaches_all_surfaces_faint_doses_and_data_bars() -> None:
    appearances = [wide(np.random.default_rng(seed)) for seed in range(300)]
    assert {appearance.surface for appearance in appearances} == {
        "ground",
        "polished",
        "machined",
        "grains",
        "mottled",
        "rough",
        "dull",
    }
    assert min(appearance.dose for appearance in appearances) < 60 < 2000 < max(appearance.dose for appearance in appearances)
    assert any(appearance.bar for appearance in appearances)
    assert {appearance.bits for appearance in appearances} == {6, 8, 16}
