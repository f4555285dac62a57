"""The same field under other settings: how it looks, and how the verdict's unrest is counted."""

from __future__ import annotations

import numpy as np
import pytest

from edge.records import Micrograph
from training.score.perturb import VIEWS, Seen, brighter, contrasted, defocused, noisy, resampled, steadiness, view

GREY = np.random.default_rng(1).integers(60, 190, (80, 120)).astype(np.uint8)


def micrograph() -> Micrograph:
    return Micrograph(GREY, 120, 90, databar_px=10, pixel_size_nm=10.0, pixel_size_source="config", drawn_px=GREY > 180)


@pytest.mark.parametrize("name", VIEWS)
def test_every_view_differs_and_keeps_what_the_pixels_stand_for(name: str) -> None:
    original, turned = micrograph(), view(micrograph(), name)
    assert turned.grey.shape != GREY.shape or (turned.grey != GREY).any()
    assert turned.pixel_size_nm is not None
    assert turned.pixel_size_nm * turned.width_px == pytest.approx(10.0 * original.width_px)
    assert turned.drawn_px is not None
    assert turned.drawn_px.shape == turned.grey.shape
    assert (view(micrograph(), name).grey == turned.grey).all(), "the same in every run"


def test_each_knob_does_what_it_is_called() -> None:
    assert brighter(GREY, 25).mean() == pytest.approx(GREY.mean() + 25, abs=0.5)
    assert contrasted(GREY, 0.75).std() == pytest.approx(0.75 * GREY.std(), rel=0.02)
    assert defocused(GREY, 2).std() < 0.5 * GREY.std()
    assert (noisy(GREY, 6).astype(int) - GREY).std() == pytest.approx(6, rel=0.1)
    assert resampled(GREY, 0.8).shape == (64, 96)


def test_light_that_is_cut_off_counts_as_saturated() -> None:
    bright = Micrograph(np.full((40, 40), 240, np.uint8), 40, 40)
    assert view(bright, "brighter_25").saturated_fraction == 1


def seen(area: float, label: str | None, answer: str | None = None) -> Seen:
    return Seen(area, label, answer or label, 1)  # type: ignore[arg-type]


def test_a_verdict_that_never_moves_is_steady() -> None:
    one = seen(0.1, "low")
    result = steadiness([(one, dict.fromkeys(VIEWS, one))])
    assert result["area_spread"]["mean"] == 0
    assert result["severity_flips"] == {
        **result["severity_flips"],
        "part": 0,
        "flips": 0,
        "pairs": len(VIEWS),
        "withheld_part": 0,
    }


def test_flips_and_withheld_labels_are_counted_apart_and_by_knob() -> None:
    one = seen(0.1, "low")
    views = dict.fromkeys(VIEWS, one) | {"darker_25": seen(0.2, "severe"), "noise_6": seen(0.1, None, "low")}
    result = steadiness([(one, views)])
    flips = result["severity_flips"]
    assert (flips["flips"], flips["pairs"]) == (1, len(VIEWS) - 1)
    assert flips["withheld_part"] == flips["answer_flips_part"] == pytest.approx(1 / len(VIEWS))
    assert result["by_knob"]["brightness"]["severity_flips"] == 0.5
    assert result["by_knob"]["contrast"]["area_spread_mean"] == 0
    assert result["area_spread"]["mean"] > 0.2


def test_the_spread_of_next_to_nothing_is_not_stated() -> None:
    one = seen(0.0001, None, "low")
    result = steadiness([(one, dict.fromkeys(VIEWS, seen(0.0004, None, "low")))])
    assert result["area_spread"]["mean"] is None
    assert result["severity_flips"]["part"] is None
