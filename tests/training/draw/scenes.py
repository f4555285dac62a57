"""Scenes with the appearance and the corroded part that a test asks for."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from training.draw import synthetic
from training.draw.appearance import Appearance, paper
from training.draw.kinetics import Growth, corroded_fraction
from training.draw.synthetic import Scene

SIZE = (192, 144)


def appearance_with(**changes: Any) -> Appearance:
    """A quiet one: nothing that covers regions, no noise worth mentioning."""
    calm = {"bar": False, "edge_part": 0.0, "holes": 0.0, "particles": 0.0, "fibres": 0.0, "drift_px": 0.0, "dose": 1e5}
    return replace(paper(np.random.default_rng(0), 60.0), **{**calm, **changes})


def drawn(appearance: Appearance, fraction: float = 0.06, size: tuple[int, int] = SIZE, seed: int = 3) -> Scene:
    growth = Growth(60.0, 168.0, image_factor=fraction / corroded_fraction(168.0, 60.0))
    return synthetic._draw(np.random.default_rng(seed), appearance, growth, size, "moderate", "K", seed, "name")
