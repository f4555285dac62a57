"""The values of a mask mean what its rule says, and the rule follows from all masks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edge.errors import ConfigError
from tests.training.labelled_images import HEIGHT, WIDTH, fatal, painted
from training.labels.masks import load_mask, mask_rule, read_mask


def two_values() -> NDArray[np.int64]:
    values = np.zeros((HEIGHT, WIDTH), np.int64)
    values[10:20, 10:20], values[10:20, 40:50], values[50:70, 60:90] = 1, 1, 2
    return values


@pytest.mark.parametrize(
    ("masks", "class_count", "rule"),
    [
        ([two_values() > 0], 0, "binary"),
        ([255 * (two_values() > 0)], 1, "binary"),
        ([two_values()], 2, "class"),
        ([np.arange(HEIGHT * WIDTH).reshape(HEIGHT, WIDTH) // (30 * WIDTH) + 4 * number for number in range(5)], 0, "instance"),
        ([np.stack([two_values() == 1, two_values() == 2])], 0, "instance"),
    ],
)
def test_the_rule_of_masks_follows_from_all_of_them(masks: list[NDArray[Any]], class_count: int, rule: str) -> None:
    assert mask_rule([mask.astype(np.int64) for mask in masks], class_count) == rule


def test_masks_that_can_be_read_in_two_ways_are_asked_about() -> None:
    with pytest.raises(ConfigError, match="--classes"):
        mask_rule([two_values()], 0)


@pytest.mark.parametrize(("rule", "labels"), [("binary", [0, 0, 0]), ("class", [0, 0, 1]), ("instance", [0, 0])])
def test_values_of_a_mask_mean_what_the_rule_says(rule: Any, labels: list[int]) -> None:
    found = read_mask(two_values(), rule, "a.png", WIDTH, HEIGHT, HEIGHT)
    assert sorted(int(one.label) for one in found.regions) == labels
    np.testing.assert_array_equal(painted(found), two_values() > 0)


@pytest.mark.parametrize("rule", ["binary", "class", "instance"])
@pytest.mark.parametrize("shape", [(HEIGHT, WIDTH), (2, HEIGHT, WIDTH), (0, HEIGHT, WIDTH)])
def test_a_mask_of_zeros_says_that_nothing_is_corroded(rule: Any, shape: tuple[int, ...]) -> None:
    empty = np.zeros(shape, np.int64)
    found = read_mask(empty, rule, "a.npy", WIDTH, HEIGHT, HEIGHT)
    assert (found.regions, found.findings) == ((), ())
    assert mask_rule([empty, np.where(two_values() > 1, 7, 0)], 0) == "binary"


def test_planes_of_an_npy_mask_may_overlap() -> None:
    planes = np.zeros((2, HEIGHT, WIDTH), np.int64)
    planes[0, 10:40, 10:40], planes[1, 30:60, 30:60] = 1, 1
    assert [int(one.mask.sum()) for one in read_mask(planes, "instance", "a.npy", WIDTH, HEIGHT, HEIGHT).regions] == [900, 900]


def test_a_mask_without_the_rows_of_the_data_bar_fits_too() -> None:
    assert read_mask(two_values()[:80], "binary", "a.png", WIDTH, HEIGHT, 80).findings == ()
    assert "another size" in fatal(read_mask(two_values()[:70], "binary", "a.png", WIDTH, HEIGHT, 80))[0]


@pytest.mark.parametrize("mask", [np.zeros((4, 4)), np.zeros(4, np.uint8), np.full((4, 4), -1)])
def test_an_npy_file_that_is_no_mask_is_refused(tmp_path: Path, mask: NDArray[Any]) -> None:
    np.save(tmp_path / "a.npy", mask)
    with pytest.raises(ConfigError):
        load_mask(tmp_path / "a.npy")


def test_a_coloured_mask_is_refused(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), np.random.default_rng(0).integers(0, 255, (8, 8, 3), np.uint8))
    with pytest.raises(ConfigError, match="coloured"):
        load_mask(tmp_path / "a.png")
