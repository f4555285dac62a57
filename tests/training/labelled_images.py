"""Small images' labels as masks, and in every kind of file that is read."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from edge.records import Mask
from training.labels.image_labels import ImageLabels

WIDTH, HEIGHT = 120, 90


def painted(labels: ImageLabels, width: int = WIDTH, height: int = HEIGHT) -> Mask:
    """The union of what was drawn."""
    canvas = np.zeros((height, width), np.bool_)
    for one in labels.regions:
        rows, columns = one.mask.shape
        canvas[one.y_px : one.y_px + rows, one.x_px : one.x_px + columns] |= one.mask
    return canvas


def blobs(seed: int, width: int = WIDTH, height: int = HEIGHT, share: float = 0.4) -> Mask:
    """Random regions with holes, thin bridges and islands."""
    field = cv2.GaussianBlur(np.random.default_rng(seed).random((height, width)), (0, 0), 1.5)
    return np.asarray(field > np.quantile(field, 1 - share))


def ring(outer: int = 30, inner: int = 15) -> Mask:
    distance = np.hypot(*np.mgrid[-45:45, -60:60])
    return np.asarray((distance < outer) & (distance > inner))


def fatal(labels: ImageLabels) -> list[str]:
    return [finding.what for finding in labels.findings if finding.fatal]


def labelme(*shapes: dict[str, Any]) -> dict[str, Any]:
    return {"imageWidth": WIDTH, "imageHeight": HEIGHT, "shapes": list(shapes)}


def runs_of(mask: Mask) -> list[int]:
    flat = np.concatenate([[False], mask.T.ravel(), [not mask.T.ravel()[-1]]])
    edges = np.flatnonzero(flat[1:] != flat[:-1])
    return [int(length) for length in np.diff(edges, prepend=0)]


def as_coco(masks: dict[str, Mask], folder: Path) -> None:
    images = [{"id": number, "file_name": f"{stem}.png", "width": WIDTH, "height": HEIGHT} for number, stem in enumerate(masks)]
    annotations = [
        {"id": number, "image_id": number, "category_id": 4, "segmentation": {"size": [HEIGHT, WIDTH], "counts": runs_of(mask)}}
        for number, mask in enumerate(masks.values())
    ]
    content = {"images": images, "annotations": annotations, "categories": [{"id": 4, "name": "pit"}]}
    (folder / "annotations.json").write_text(json.dumps(content), encoding="utf-8")


def as_png(masks: dict[str, Mask], folder: Path) -> None:
    (folder / "masks").mkdir()
    for stem, mask in masks.items():
        cv2.imwrite(str(folder / "masks" / f"{stem}.png"), 255 * mask.astype(np.uint8))


def as_npy(masks: dict[str, Mask], folder: Path) -> None:
    (folder / "masks").mkdir()
    for stem, mask in masks.items():
        np.save(folder / "masks" / f"{stem}.npy", 5 * mask.astype(np.int32))


def as_labelme(masks: dict[str, Mask], folder: Path) -> None:
    for stem, mask in masks.items():
        encoded = base64.b64encode(cv2.imencode(".png", 255 * mask.astype(np.uint8))[1].tobytes()).decode()
        shape = {"label": "pit", "shape_type": "mask", "points": [[0, 0], [WIDTH - 1, HEIGHT - 1]], "mask": encoded}
        (folder / "images" / f"{stem}.json").write_text(json.dumps(labelme(shape)), encoding="utf-8")
