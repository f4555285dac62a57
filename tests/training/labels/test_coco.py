"""COCO's run lengths and polygons become the pixels that they hold."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.training.labelled_images import HEIGHT, WIDTH, blobs, fatal, runs_of
from training.labels.coco import read_coco, run_lengths
from training.labels.image_labels import ImageLabels
from training.labels.regions import make_regions


def packed(runs: list[int]) -> str:
    """COCO's packing of run lengths, written from its description."""
    text = ""
    for index, run in enumerate(runs):
        value = run - (runs[index - 2] if index > 2 else 0)
        while True:
            bits, value = value & 0x1F, value >> 5
            done = value == (-1 if bits & 0x10 else 0)
            text += chr(48 + (bits if done else bits | 0x20))
            if done:
                break
    return text


@pytest.mark.parametrize("seed", range(5))
def test_packed_and_plain_run_lengths_give_the_mask_back(seed: int) -> None:
    mask = blobs(seed)
    np.testing.assert_array_equal(run_lengths(runs_of(mask), HEIGHT, WIDTH), mask)
    np.testing.assert_array_equal(run_lengths(packed(runs_of(mask)), HEIGHT, WIDTH), mask)


def test_packed_run_lengths_are_those_of_the_coco_tools() -> None:
    # what pycocotools 2.0 makes of this mask
    text = "jU1Q1k" + "0" * 19 + "TOZOb0f0^OZOb0f0^OZOb0f0:" + "0" * 48 + "Vf0"
    expected = np.zeros((60, 70), np.bool_)
    expected[10:43, 20:58] = True
    expected[15:20, 30:33] = False
    np.testing.assert_array_equal(run_lengths(text, 60, 70), expected)


def test_run_lengths_that_do_not_fill_the_image_are_refused() -> None:
    with pytest.raises(ValueError, match="add up to 5"):
        run_lengths([2, 3], 2, 2)


def coco_labels(segmentation: Any) -> ImageLabels:
    annotation = {"id": 7, "category_id": 1, "segmentation": segmentation}
    image = {"file_name": "a.png", "width": WIDTH, "height": HEIGHT}
    return read_coco(image, [annotation], {1: "pit"}, "coco.json", WIDTH, HEIGHT)


def test_polygons_of_one_coco_annotation_become_a_region_each() -> None:
    labels = coco_labels([[5, 5, 20, 5, 20, 20], [50, 50, 70, 50, 70, 70]])
    regions, findings = make_regions(labels.regions, ("pit",), WIDTH, HEIGHT, "a")
    assert len(labels.regions) == 1
    assert len(regions) == 2
    assert "several parts" in findings[0].what


def test_a_coco_box_without_an_outline_is_named() -> None:
    assert "a box" in fatal(coco_labels([]))[0]


def test_coco_run_lengths_of_another_size_are_named() -> None:
    assert "another size" in fatal(coco_labels({"size": [4, 4], "counts": [16]}))[0]
