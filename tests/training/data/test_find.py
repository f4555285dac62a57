"""The kind of labels is found, or has to be chosen."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.errors import ConfigError
from tests.training.data.conftest import make_images, run
from tests.training.labelled_images import HEIGHT, WIDTH, as_png, ring
from training.data.find import find_images, find_labels
from training.data.options import Options


def test_labels_of_two_kinds_have_to_be_chosen_from(data: Path) -> None:
    as_png({path.stem: ring() for path in (data / "labels").glob("*.txt")}, data)
    with pytest.raises(ConfigError, match="several kinds"):
        run(data)
    assert run(data, labels="png").record["labels"] == {"kind": "png", "mask_rule": "binary"}


def test_images_without_labels_can_still_be_classified(tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    make_images(tmp_path / "data", labels=False)
    prepared = run(tmp_path / "data")
    assert prepared.record["labels"]["kind"] is None
    assert any("only the classifier" in line for line in prepared.warnings)


def test_a_mask_named_after_its_image_is_no_image(tmp_path: Path) -> None:
    for name in ("a.jpg", "a_mask.png", "b_mask.png"):
        cv2.imwrite(str(tmp_path / name), np.ones((HEIGHT, WIDTH), np.uint8))
    files = find_images(tmp_path)
    assert [file.path.name for file in files] == ["a.jpg", "b_mask.png"], "there is no b that b_mask could belong to"
    labels = find_labels(tmp_path, files, Options(), [])
    assert labels.kind == "png"
    assert {key: path.name for key, path in labels.files.items()} == {"a": "a_mask.png"}


def test_masks_in_a_folder_of_masks_may_end_in_mask(tmp_path: Path) -> None:
    for name in ("images/a.png", "masks/a_mask.png"):
        (tmp_path / name).parent.mkdir()
        cv2.imwrite(str(tmp_path / name), np.ones((HEIGHT, WIDTH), np.uint8))
    assert list(find_labels(tmp_path, find_images(tmp_path), Options(), []).files) == ["a"]
