"""Labelled images in, what ultralytics reads out: shrunk images, outlines that it can use, and their list."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np
import torch
from torch import Tensor

from edge.errors import ConfigError
from edge.inspection.segment import letterbox_scale
from edge.records import Grey
from training.data.dataset import LabelledImage

BATCH = 16
FEWEST_FIELDS = 7  # of a label's line: a class and three corners


def write_for_ultralytics(folder: Path, classes: tuple[str, ...], side_px: int, **parts: tuple[LabelledImage, ...]) -> Path:
    """Write the images as the network will see them, their labels and the YAML (in its JSON subset) that ultralytics reads.

    Images are shrunk to `side_px` here, as the edge shrinks them: ultralytics would drop pixels instead of averaging them.
    An image without a label file is one without regions. Returns the YAML's path. Raises ConfigError.
    """
    content: dict[str, Any] = {"path": str(folder.resolve()), "names": list(classes)}
    for name in ("images", "labels"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for cache in folder.glob("*.cache"):  # ultralytics distinguishes label files by their sizes alone
        cache.unlink()
    written: dict[str, Path] = {}
    for part, images in parts.items():
        lines = []
        for image in images:
            stem = image.path.stem
            target = folder / "images" / f"{stem}.png"
            lines.append(f"{target.resolve()}\n")
            if written.get(stem) == image.path:  # in two parts
                continue
            first = written.setdefault(stem, image.path)
            if first != image.path:
                raise ConfigError(f"{image.path} and {first.name} would share {stem}.txt: rename one and its labels")
            _write_shrunk(image.path, target, side_px)
            (folder / "labels" / f"{stem}.txt").write_text(_outlines(_label(image), len(classes)), encoding="utf-8")
        (folder / f"{part}.txt").write_text("".join(lines), encoding="utf-8")
        content[part] = f"{part}.txt"
    path = folder / "data.yaml"
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def _label(image: LabelledImage) -> Path:
    return image.path.parent.parent / "labels" / f"{image.path.stem}.txt"


def any_region(images: tuple[LabelledImage, ...]) -> bool:
    """Whether any of the images has a label file with a line in it."""
    return any(_label(image).is_file() and _label(image).read_bytes().strip() for image in images)


def _outlines(label: Path, classes: int) -> str:
    """The text of a label file, "" when there is none. Raises ConfigError.

    ultralytics would leave out an image with a line that it cannot read, and train on the others.
    """
    text = label.read_text(encoding="utf-8-sig") if label.is_file() else ""
    for number, line in enumerate(text.splitlines(), start=1):
        try:
            values = [float(word) for word in line.split()]
        except ValueError:
            values = [-1.0]
        within = all(-0.01 <= value <= 1.01 for value in values[1:])
        whole = len(values) >= FEWEST_FIELDS and len(values) % 2 == 1 and values[0] in range(classes)
        if values and not (within and whole):
            raise ConfigError(
                f"{label}, line {number}: not an outline `class x y x y x y …` of one of {classes} classes, in parts of "
                "the image's sides: edge-train prepare reads more kinds of labels and says all that is wrong"
            )
    return text


def _grey(image: Path) -> Grey:
    """uint8 [H, W] of a file that holds 8 bits. Raises ConfigError."""
    grey = cv2.imread(str(image), cv2.IMREAD_GRAYSCALE | cv2.IMREAD_ANYDEPTH)
    if grey is None:
        raise ConfigError(f"cannot decode {image}: let edge-train prepare convert it")
    if grey.dtype != np.uint8:  # OpenCV would keep the upper byte, the edge maps a window to 8 bits
        raise ConfigError(f"{image} holds {grey.dtype}, not 8 bits: let edge-train prepare convert it as the edge does")
    return cast(Grey, grey)


def _write_shrunk(image: Path, target: Path, side_px: int) -> None:
    grey = _grey(image)
    scale = letterbox_scale(grey.shape, side_px)
    if scale < 1:
        size = (max(1, round(grey.shape[1] * scale)), max(1, round(grey.shape[0] * scale)))
        grey = cast(Grey, cv2.resize(grey, size, interpolation=cv2.INTER_AREA))
    target.write_bytes(cv2.imencode(".png", grey, [cv2.IMWRITE_PNG_COMPRESSION, 1])[1].tobytes())


def stack_images(images: tuple[LabelledImage, ...], side_px: int) -> Tensor:
    """float32 [N, 3, side, side] in 0…1."""
    resized = [cv2.resize(_grey(image.path), (side_px, side_px), interpolation=cv2.INTER_AREA) for image in images]
    return torch.from_numpy(np.stack(resized)).float().div(255)[:, None].expand(-1, 3, -1, -1)
