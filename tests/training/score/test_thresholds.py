"""Simple thresholds find what stands out, and Otsu can be told which side."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from training.score.thresholds import THRESHOLDS, components, known_side, local, otsu


def grey(value: int) -> np.ndarray:
    image = np.full((200, 240), 120, np.uint8)
    cv2.circle(image, (80, 100), 12, value, -1)
    return image


@pytest.mark.parametrize(("value", "side"), [(20, "otsu_dark"), (230, "otsu_bright")])
def test_otsu_finds_the_disc_on_its_side_alone(value: int, side: str) -> None:
    truth = cv2.circle(np.zeros((200, 240), np.uint8), (80, 100), 12, 1, -1) > 0
    assert known_side(grey(value), truth) == side
    (box,) = THRESHOLDS[side](grey(value)).boxes_px
    assert np.abs(box[2:] - 25).max() <= 2


@pytest.mark.parametrize("value", [20, 230])
def test_a_local_threshold_finds_both_sides(value: int) -> None:
    assert len(local(grey(value))) >= 1


def test_without_a_label_no_side_is_known() -> None:
    assert known_side(grey(20), np.zeros((200, 240), bool)) is None
    assert known_side(grey(20), np.ones((200, 240), bool)) is None


def test_specks_are_no_regions_and_the_largest_comes_first() -> None:
    mask = np.zeros((60, 60), bool)
    mask[2, 2] = True
    mask[10:20, 10:20] = True
    mask[30:50, 30:50] = True
    assert components(mask).boxes_px.tolist() == [[30, 30, 20, 20], [10, 10, 10, 10]]


@pytest.mark.parametrize("side", [True, False])
def test_an_even_image_is_no_reason_to_stop(side: bool) -> None:
    otsu(np.full((64, 64), 90, np.uint8), dark=side)
