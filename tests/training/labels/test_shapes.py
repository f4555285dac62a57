"""Rims, crescents and cut rings stand for whole pits; touching pits are divided."""

from __future__ import annotations

import cv2
import numpy as np

from tests.training.labels.planted import SIZE, disc, ground, overlap, photograph
from training.draw.synthetic import render
from training.labels.annotate import annotate


def test_a_bright_ring_stands_for_the_pit_inside_it() -> None:
    image = ground()
    image[disc(160, 120, 22) & ~disc(160, 120, 18)] += 80
    found = annotate(photograph(image))
    assert found.count == 1
    assert overlap(found.labels > 0, disc(160, 120, 22)) > 0.8


def test_a_dark_pit_and_its_bright_rim_are_one_region() -> None:
    image = ground()
    image[disc(160, 120, 22)] += 80
    image[disc(160, 120, 18)] -= 150
    found = annotate(photograph(image))
    assert found.count == 1
    assert overlap(found.labels > 0, disc(160, 120, 22)) > 0.8


def test_a_crescent_stands_for_the_whole_mouth() -> None:
    image = ground()
    rows, columns = np.mgrid[: SIZE[1], : SIZE[0]]
    lit = np.cos(np.arctan2(rows - 120, columns - 160)) > -0.3
    image[disc(160, 120, 22) & ~disc(160, 120, 17) & lit] += 80
    found = annotate(photograph(image))
    assert found.count == 1
    assert overlap(found.labels > 0, disc(160, 120, 22)) > 0.6


def test_a_ring_that_the_images_border_cuts_is_filled() -> None:
    image = ground()
    image[disc(4, 120, 24) & ~disc(4, 120, 20)] += 80
    found = annotate(photograph(image))
    assert found.count == 1
    assert overlap(found.labels > 0, disc(4, 120, 24)) > 0.75


def test_touching_pits_are_divided_at_their_neck() -> None:
    image = ground()
    image[disc(140, 120, 18) | disc(173, 120, 18)] -= 70
    assert annotate(photograph(image)).count == 2


def test_an_oblong_pit_stays_whole() -> None:
    image = ground()
    rows, columns = np.mgrid[: SIZE[1], : SIZE[0]]
    image[((columns - 160) / 34) ** 2 + ((rows - 120) / 14) ** 2 <= 1] -= 70
    assert annotate(photograph(image)).count == 1


def test_every_region_is_one_connected_part() -> None:
    labels = annotate(render(7107, SIZE, "severe").grey).labels
    assert labels.max() > 5
    for number in range(1, int(labels.max()) + 1):
        assert cv2.connectedComponents((labels == number).astype(np.uint8), connectivity=4)[0] == 2
