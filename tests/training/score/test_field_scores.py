"""Labelled and found regions of one image are compared as areas, as regions and as outlines."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from edge.records import Mask
from training.score.field_scores import compare
from training.score.thresholds import components

SHAPE = (120, 160)


def disc(x: int, y: int, radius: int) -> Mask:
    return cv2.circle(np.zeros(SHAPE, np.uint8), (x, y), radius, (1,), -1) > 0


def test_the_truth_agrees_with_itself() -> None:
    truth = components(disc(40, 60, 20) | disc(110, 60, 10))
    score = compare(truth, truth, SHAPE)
    assert score.iou == 1
    assert score.true_hit.all()
    assert score.found_hit.all()
    assert score.outline_px.tolist() == score.offset_px.tolist() == [0, 0]


def test_an_outline_two_pixels_too_far_out_is_told_with_its_sign() -> None:
    small, large = components(disc(70, 60, 20)), components(disc(70, 60, 22))
    outside, inside = compare(small, large, SHAPE), compare(large, small, SHAPE)
    assert outside.outline_px[0] == pytest.approx(2, abs=0.2)
    assert outside.offset_px[0] == pytest.approx(2, abs=0.2)
    assert inside.offset_px[0] == pytest.approx(-2, abs=0.2)
    assert outside.found_fraction > outside.truth_fraction


def test_where_the_image_ends_there_is_no_outline() -> None:
    left = np.zeros(SHAPE, bool)
    left[:, :40] = True
    wider = np.zeros(SHAPE, bool)
    wider[:, :43] = True
    score = compare(components(left), components(wider), SHAPE)
    assert score.outline_px[0] == score.offset_px[0] == 3
    everything = components(np.ones(SHAPE, bool))
    assert not len(compare(everything, everything, SHAPE).outline_px)


def test_a_false_region_and_a_miss_are_counted_apart() -> None:
    score = compare(components(disc(30, 60, 12)), components(disc(120, 60, 12)), SHAPE)
    assert score.iou == 0
    assert (score.true_hit.tolist(), score.found_hit.tolist()) == ([False], [False])
    assert score.false_regions == 1


def test_a_clean_image_has_no_iou_but_false_regions() -> None:
    nothing = components(np.zeros(SHAPE, bool))
    score = compare(nothing, components(disc(30, 60, 12)), SHAPE)
    assert score.iou is None
    assert score.false_regions == 1
    assert compare(nothing, nothing, SHAPE).found_fraction == 0


def test_pixels_that_show_no_specimen_do_not_count() -> None:
    letters = np.zeros(SHAPE, bool)
    letters[:, 80:] = True
    score = compare(components(disc(30, 60, 12)), components(disc(30, 60, 12) | disc(120, 60, 12)), SHAPE, letters)
    assert score.iou == 1
    assert score.field_px == SHAPE[0] * 80
