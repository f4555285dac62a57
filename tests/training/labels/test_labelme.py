"""LabelMe's shapes become the pixels that they hold."""

from __future__ import annotations

import base64

import cv2
import numpy as np
import pytest

from tests.training.labelled_images import HEIGHT, WIDTH, fatal, labelme, painted
from training.labels.labelme import read_labelme


def test_labelme_shapes_cover_the_pixels_whose_centres_they_hold() -> None:
    rectangle = {"label": "pit", "shape_type": "rectangle", "points": [[10, 20], [30, 25]]}
    labels = read_labelme(labelme(rectangle), "a.json", WIDTH, HEIGHT)
    expected = np.zeros((HEIGHT, WIDTH), np.bool_)
    expected[20:25, 10:30] = True
    np.testing.assert_array_equal(painted(labels), expected)


def test_a_labelme_circle_has_the_area_of_one() -> None:
    circle = {"label": "pit", "shape_type": "circle", "points": [[60, 45], [80, 45]]}
    area = int(painted(read_labelme(labelme(circle), "a.json", WIDTH, HEIGHT)).sum())
    assert area == pytest.approx(np.pi * 400, rel=0.01)


def test_a_labelme_mask_lies_where_its_box_begins() -> None:
    pixels = np.full((5, 8), 255, np.uint8)
    encoded = base64.b64encode(cv2.imencode(".png", pixels)[1].tobytes()).decode()
    shape = {"label": "pit", "shape_type": "mask", "points": [[40, 30], [47, 34]], "mask": encoded}
    drawn = read_labelme(labelme(shape), "a.json", WIDTH, HEIGHT).regions[0]
    assert (drawn.x_px, drawn.y_px, drawn.mask.shape) == (40, 30, (5, 8))


def test_a_labelme_shape_that_is_no_region_is_named() -> None:
    line = {"label": "scratch", "shape_type": "linestrip", "points": [[1, 1], [50, 50]]}
    labels = read_labelme(labelme(line), "a.json", WIDTH, HEIGHT)
    assert "linestrip" in fatal(labels)[0]
    assert labels.findings[0].where == "a.json shape 1 (scratch)"


def test_labelme_of_another_size_is_named() -> None:
    assert "another size" in fatal(read_labelme(labelme(), "a.json", WIDTH + 1, HEIGHT))[0]
