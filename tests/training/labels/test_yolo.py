"""Outlines come back to the pixel, holes included; a wrong line is named."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from tests.training.labelled_images import HEIGHT, WIDTH, blobs, ring
from training.labels.image_labels import LabelledRegion
from training.labels.regions import make_regions
from training.labels.yolo import outline, read_yolo, yolo_text


@pytest.mark.parametrize("seed", range(10))
def test_regions_written_as_yolo_text_come_back_to_the_pixel(seed: int) -> None:
    mask = blobs(seed)
    regions, _ = make_regions([LabelledRegion(0, 0, 0, mask)], ("pit",), WIDTH, HEIGHT, "a")
    again, _ = make_regions(
        read_yolo(yolo_text(regions, WIDTH, HEIGHT), "a.txt", WIDTH, HEIGHT).regions, ("pit",), WIDTH, HEIGHT, "a"
    )
    assert len(again) == len(regions)
    for one, other in zip(regions.masks, again.masks, strict=True):
        np.testing.assert_array_equal(one, other)


def test_holes_survive_in_an_outline() -> None:
    canvas = np.zeros((HEIGHT, WIDTH), np.uint8)
    cv2.fillPoly(canvas, [outline(ring()).astype(np.int32)], (1,))
    np.testing.assert_array_equal(canvas > 0, ring())


def test_ultralytics_fills_the_text_to_the_same_pixels() -> None:
    polygon2mask = pytest.importorskip("ultralytics.data.utils").polygon2mask
    regions, _ = make_regions([LabelledRegion(0, 0, 0, ring())], ("pit",), WIDTH, HEIGHT, "a")
    points = np.array(yolo_text(regions, WIDTH, HEIGHT).split()[1:], np.float32).reshape(-1, 2) * (WIDTH, HEIGHT)
    np.testing.assert_array_equal(polygon2mask((HEIGHT, WIDTH), [points]) > 0, ring())


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("0 0.5 0.5 0.2 0.2", "a box"),
        ("0 10 10 40 10 40 40", "coordinates in pixels"),
        ("0 0.1 0.1 0.2", "no YOLO-seg line"),
        ("pit 0.1 0.1 0.2 0.1 0.2 0.2", "no YOLO-seg line"),
        ("0 1.2 0.1 1.4 0.1 1.4 0.2", "outside its image"),
    ],
)
def test_a_wrong_yolo_line_is_named_with_its_number(line: str, what: str) -> None:
    labels = read_yolo(f"\n{line}\n", "a.txt", WIDTH, HEIGHT)
    assert what in labels.findings[0].what
    assert labels.findings[0].where == "a.txt line 2"
