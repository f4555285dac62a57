"""Agreement with manual labels counts regions and pixels."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.errors import ConfigError
from training.labels.compare import Agreement, compare, read_manual_labels


def test_agreement_counts_regions_and_pixels() -> None:
    manual, automatic = np.zeros((20, 30), np.int32), np.zeros((20, 30), np.int32)
    manual[2:8, 2:8], manual[12:18, 2:8] = 5, 9
    automatic[2:8, 2:7], automatic[2:8, 20:25] = 1, 2
    found = compare(automatic, manual)
    assert found == Agreement(manual=2, automatic=2, right=1, both_px=30, either_px=102)
    assert (found.recall, found.precision, found.f1) == (0.5, 0.5, 0.5)


def test_a_region_found_in_two_halves_is_not_found() -> None:
    manual = np.zeros((10, 20), np.int32)
    manual[2:8, 2:18] = 1
    automatic = manual.copy()
    automatic[2:8, 10:18] = 2
    assert compare(automatic, manual).right == 0


def test_agreement_of_empty_labels_is_perfect() -> None:
    empty = np.zeros((4, 4), np.int32)
    assert (compare(empty, empty).f1, compare(empty, empty).pixel_iou) == (1.0, 1.0)


def test_labels_of_different_sizes_are_not_compared() -> None:
    with pytest.raises(ValueError, match="cannot be compared"):
        compare(np.zeros((4, 4), np.int32), np.zeros((4, 5), np.int32))


def test_manual_labels_are_read_from_npy_png_and_yolo(tmp_path: Path) -> None:
    mask = np.zeros((40, 60), np.uint8)
    mask[5:15, 5:15], mask[20:35, 30:50] = 1, 1
    np.save(tmp_path / "a.npy", mask)
    cv2.imwrite(str(tmp_path / "b.png"), mask * 255)
    corners = ((5.5, 5.5), (14.5, 5.5), (14.5, 14.5), (5.5, 14.5))
    (tmp_path / "c.txt").write_text("0 " + " ".join(f"{x / 60:.5f} {y / 40:.5f}" for x, y in corners) + "\n")
    for stem, regions in (("a", 2), ("b", 2), ("c", 1)):
        labels = read_manual_labels(tmp_path, stem, (40, 60), 40)
        assert labels is not None
        assert labels.max() == regions
        assert labels[10, 10]
        assert not labels[2, 2]
    assert read_manual_labels(tmp_path, "d", (40, 60), 40) is None


def test_manual_labels_of_another_size_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((10, 10), np.uint8))
    with pytest.raises(ConfigError, match="another size"):
        read_manual_labels(tmp_path, "a", (40, 60), 40)
