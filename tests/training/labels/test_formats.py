"""A row a kind of label file: each reads one image's labels from its own file, and says when it cannot."""

from __future__ import annotations

import json
from pathlib import Path
from typing import get_args

import cv2
import numpy as np
import pytest

from edge.errors import ConfigError
from tests.training.labelled_images import HEIGHT, WIDTH, labelme
from training.labels.formats import FORMATS, ImageSize, LabelKind, load_json

SIZE = ImageSize(WIDTH, HEIGHT, HEIGHT)


def test_every_kind_has_a_row_and_its_suffixes_are_in_lower_case() -> None:
    assert set(FORMATS) == set(get_args(LabelKind))
    for row in FORMATS.values():
        assert row.suffixes
        assert all(suffix.startswith(".") and suffix == suffix.lower() for suffix in row.suffixes)


def test_only_coco_and_reviews_have_the_labels_of_many_images_in_one_file() -> None:
    assert [kind for kind, row in FORMATS.items() if row.read is None] == ["coco", "reviews"]


def square() -> np.ndarray:
    mask = np.zeros((HEIGHT, WIDTH), np.bool_)
    mask[20:40, 30:60] = True
    return mask


@pytest.mark.parametrize("kind", ["yolo", "labelme", "png", "npy"])
def test_one_square_is_the_same_region_in_every_kind_of_file(kind: LabelKind, tmp_path: Path) -> None:
    row = FORMATS[kind]
    path = tmp_path / f"a{row.suffixes[0]}"
    if kind == "yolo":
        corners = [(30.5, 20.5), (59.5, 20.5), (59.5, 39.5), (30.5, 39.5)]
        path.write_text("0 " + " ".join(f"{x / WIDTH:.6f} {y / HEIGHT:.6f}" for x, y in corners))
    elif kind == "labelme":
        path.write_text(json.dumps(labelme({"label": "pit", "shape_type": "rectangle", "points": [[30, 20], [60, 40]]})))
    elif kind == "png":
        cv2.imwrite(str(path), square().astype(np.uint8) * 255)
    else:
        np.save(path, square())
    assert row.read is not None
    labels = row.read(path, SIZE, "binary")
    assert labels.findings == ()
    np.testing.assert_array_equal(labels.covered(WIDTH, HEIGHT), square())


def test_json_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(b'\xef\xbb\xbf{"shapes": []}')
    assert load_json(tmp_path / "a.json") == {"shapes": []}


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", None])
def test_what_is_no_json_is_refused_by_the_name_of_its_file(content: bytes | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(ConfigError, match=r"^a\.json is no JSON"):
        load_json(tmp_path / "a.json")
