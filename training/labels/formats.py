"""A label file of any of six kinds in, what it holds about one image out: a row a kind, in `FORMATS`.

Nothing is repaired in silence: whatever is left out, cut off or divided is a `Finding`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from edge.errors import ConfigError
from training.labels.image_labels import ImageLabels
from training.labels.labelme import read_labelme
from training.labels.masks import MaskRule, load_mask, read_mask
from training.labels.yolo import read_yolo

LabelKind = Literal["yolo", "labelme", "coco", "png", "npy", "reviews"]


@dataclass(frozen=True, slots=True)
class ImageSize:
    """Of the image that labels belong to. stored_height_px: data bar included.  height_px: without it."""

    width_px: int
    stored_height_px: int
    height_px: int


ReadFile = Callable[[Path, ImageSize, MaskRule | None], ImageLabels]


@dataclass(frozen=True, slots=True)
class LabelFormat:
    """One kind of label file.

    suffixes: in lower case.  read: the labels of one image from its own file, given what the values of masks mean; raises
    ConfigError and OSError.  It is None where one file holds the labels of many images: `coco.read_coco`,
    `reviewed.labels_of`.
    """

    suffixes: tuple[str, ...]
    read: ReadFile | None


def _read_yolo_file(path: Path, size: ImageSize, _rule: MaskRule | None) -> ImageLabels:
    return read_yolo(path.read_text(encoding="utf-8-sig"), path.name, size.width_px, size.stored_height_px)


def _read_labelme_file(path: Path, size: ImageSize, _rule: MaskRule | None) -> ImageLabels:
    return read_labelme(load_json(path), path.name, size.width_px, size.stored_height_px)


def _read_mask_file(path: Path, size: ImageSize, rule: MaskRule | None) -> ImageLabels:
    assert rule is not None
    return read_mask(load_mask(path), rule, path.name, size.width_px, size.stored_height_px, size.height_px)


def load_json(path: Path) -> Any:
    """The content of a JSON file. Raises ConfigError."""
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path.name} is no JSON that can be read ({error})") from error


FORMATS: Final[Mapping[LabelKind, LabelFormat]] = {
    "yolo": LabelFormat((".txt",), _read_yolo_file),
    "labelme": LabelFormat((".json",), _read_labelme_file),
    "coco": LabelFormat((".json",), None),
    "png": LabelFormat((".png", ".tif", ".tiff"), _read_mask_file),
    "npy": LabelFormat((".npy",), _read_mask_file),
    "reviews": LabelFormat((".jsonl",), None),
}
