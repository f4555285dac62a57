"""What the shipped segmenter learns from: drawn by both generators, and squares of real images of the named specimens."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.errors import ConfigError
from training.data.dataset import open_data_set
from training.draw.canvas import PIT
from training.learn.segmenter_mix import REAL_SETS, drawn_image, labelled_images, regions_of, write_mixture

SIDE = 96


def real_folder(folder: Path) -> Path:
    """One image with a dark square in it, of a specimen to learn from and of one to measure on."""
    for source in REAL_SETS:
        (folder / source.folder).mkdir(parents=True)
        for stem in (f"{source.specimens[0]}a", "other_a"):
            grey = np.full((120, 140), 180, np.uint8)
            grey[30:80, 40:90] = 60
            cv2.imwrite(str(folder / source.folder / f"{stem}.png"), grey)
            cv2.imwrite(str(folder / source.folder / f"{stem}_mask.png"), np.where(grey < 100, 255, 0).astype(np.uint8))
    return folder


def test_drawn_and_real_images_lie_in_one_data_set(tmp_path: Path) -> None:
    write_mixture(tmp_path / "data", 5, 1000, SIDE, real_folder(tmp_path / "real"), 6)
    data = open_data_set(tmp_path / "data")
    assert data.classes == ("pit", "product", "attack")
    assert len(data.images) == 11
    groups = {image.group for image in data.images}
    assert {f"{source.folder}-{source.specimens[0]}a" for source in REAL_SETS} < groups
    assert not any("other" in group for group in groups)
    labels = [(tmp_path / "data" / "labels" / f"real_1000_{index}.txt").read_text() for index in range(6)]
    assert any(labels)
    assert {text[0] for text in labels[::2] if text} <= {"0"}
    assert {text[0] for text in labels[1::2] if text} <= {"1"}


def test_the_same_seed_draws_the_same_image() -> None:
    one, other = drawn_image(1001, SIDE), drawn_image(1001, SIDE)
    np.testing.assert_array_equal(one[0], other[0])
    assert one[0].shape == (SIDE, SIDE)


def test_a_folder_without_the_sets_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="holds no image NAME with NAME_mask"):
        list(labelled_images(tmp_path, REAL_SETS[0]))


def test_a_mask_of_another_size_is_refused(tmp_path: Path) -> None:
    real = real_folder(tmp_path)
    name = f"{REAL_SETS[0].specimens[0]}a_mask.png"
    cv2.imwrite(str(real / REAL_SETS[0].folder / name), np.zeros((9, 9), np.uint8))
    with pytest.raises(ConfigError, match="same size"):
        list(labelled_images(real, REAL_SETS[0]))


def test_specks_of_a_mask_are_no_regions() -> None:
    mask = np.zeros((40, 40), np.bool_)
    mask[5:15, 5:15] = mask[30:33, 30:33] = True
    regions = regions_of(mask, PIT)
    assert regions.boxes_px.tolist() == [[5, 5, 10, 10]]
    assert regions.masks[0].all()
