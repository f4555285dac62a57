"""Pits go down, heaps go up, plates stay apart, and each is claimed as what it is."""

from __future__ import annotations

import numpy as np
import pytest

from training.draw import relief_corrosion
from training.draw.appearance import wide
from training.draw.canvas import PIT, PRODUCT, Canvas
from training.draw.relief import Relief
from training.draw.relief_corrosion import PLANS, corrode_relief


def corroded(plan: str, monkeypatch: pytest.MonkeyPatch, fraction: float = 0.2, seed: int = 5) -> Relief:
    monkeypatch.setattr(relief_corrosion, "PLAN_PARTS", tuple(float(name == plan) for name in PLANS))
    rng = np.random.default_rng(seed)
    relief = Relief(Canvas(rng, wide(rng), 200, 160))
    corrode_relief(relief, fraction, 0.7)
    return relief


@pytest.mark.parametrize("plan", PLANS)
@pytest.mark.parametrize("seed", range(4))
def test_every_plan_corrodes_about_what_was_asked(plan: str, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    relief = corroded(plan, monkeypatch, seed=seed)
    part = (relief.canvas.labels > 0).mean()
    assert 0.04 < part < 0.3
    assert len(relief.canvas.degrees) == len(relief.canvas.class_ids)


def test_nothing_is_drawn_where_nothing_is_corroded(monkeypatch: pytest.MonkeyPatch) -> None:
    relief = corroded("mixed", monkeypatch, fraction=0.0)
    assert not relief.canvas.labels.any()
    assert not relief.height.any()


def test_pits_lie_below_and_heaps_stand_above(monkeypatch: pytest.MonkeyPatch) -> None:
    pits = corroded("pits", monkeypatch)
    of_class = np.array([-1, *pits.canvas.class_ids])[pits.canvas.labels]
    assert pits.height[of_class == PIT].mean() < -0.5
    heaps = corroded("agglomerates", monkeypatch)
    of_class = np.array([-1, *heaps.canvas.class_ids])[heaps.canvas.labels]
    assert heaps.height[of_class == PRODUCT].mean() > 0.3


def test_plates_do_not_touch_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    labels = corroded("plates", monkeypatch, fraction=0.45).canvas.labels
    right, left = labels[:, 1:], labels[:, :-1]
    touching = (right != left) & (right > 0) & (left > 0)
    assert touching.mean() < 0.01
