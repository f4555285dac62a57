"""Labelled fields of view in, batches of varied ones for the network out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edge.errors import ConfigError
from edge.inspection.classify import crop_region, field_of_view
from edge.records import SEVERITIES, Grey, Mask
from training.data.dataset import DataSet, Images
from training.labels.yolo import read_yolo
from training.learn.calibration import Fields, Labels
from training.score.score_views import CROP_MARGIN, SIDE_PX, Surface

CROP_WEIGHT = 0.3  # a region's label is its field's, so it says little
BATCH = 16


def load_fields(images: Images) -> tuple[Fields, Labels]:
    """uint8 [N, 224, 224] and class numbers [N] of the images whose severity is known. Raises ConfigError without any."""
    pictures, labels = load_pictures(images)
    return np.stack([field_of_view(picture, SIDE_PX) for picture in pictures]), labels


def load_pictures(images: Images) -> tuple[tuple[Grey, ...], Labels]:
    """Images whose severity is known, shrunk no further than half a side needs to fill the network's input."""
    known = [image for image in images if image.severity is not None]
    if not known:
        raise ConfigError("no image with a severity: give samples.csv a column `severity` or `exposure_h`")
    labels = np.array([SEVERITIES.index(image.severity) for image in known if image.severity is not None])
    return tuple(_shrunk(_read(image.path)) for image in known), labels


def load_corroded(data_set: DataSet, images: Images, pictures: tuple[Grey, ...]) -> tuple[Mask | None, ...]:
    """The labelled pixels of each picture; None for an image without a label file."""
    known = (image for image in images if image.severity is not None)
    masks: list[Mask | None] = []
    for image, picture in zip(known, pictures, strict=True):
        label = data_set.folder / "labels" / f"{image.path.stem}.txt"
        height, width = picture.shape
        text = label.read_text(encoding="ascii") if label.is_file() else None
        masks.append(None if text is None else read_yolo(text, label.name, width, height).covered(width, height))
    return tuple(masks)


def _shrunk(grey: Grey) -> Grey:
    height, width = grey.shape
    scale = 2 * SIDE_PX / min(height, width)
    if scale >= 1:
        return grey
    return cast(Grey, cv2.resize(grey, (round(width * scale), round(height * scale)), interpolation=cv2.INTER_AREA))


def load_crops(data_set: DataSet, images: Images, rng: np.random.Generator, part: float) -> tuple[Fields, Labels]:
    """One labelled region each of about `part` of the images, cut out as the edge does; labels are the fields' own."""
    crops, labels = [], []
    for image in images:
        if image.severity is None or rng.random() >= part:
            continue
        boxes = _label_boxes(data_set.folder / "labels" / f"{image.path.stem}.txt")
        if not len(boxes):
            continue
        grey = _read(image.path)
        scale = np.array([grey.shape[1], grey.shape[0]] * 2)
        box = np.round(boxes[int(rng.integers(min(32, len(boxes))))] * scale).astype(np.int32)
        crops.append(crop_region(grey, box, CROP_MARGIN, SIDE_PX))
        labels.append(SEVERITIES.index(image.severity))
    return np.array(crops, np.uint8).reshape(-1, SIDE_PX, SIDE_PX), np.array(labels, np.int64)


def _label_boxes(path: Path) -> NDArray[np.float64]:
    """x, y, width, height of each line of a YOLO-seg file, as parts of the image's size."""
    if not path.is_file():
        return np.empty((0, 4))
    boxes = []
    for line in path.read_text(encoding="ascii").splitlines():
        points = np.array(line.split()[1:], np.float64).reshape(-1, 2)
        boxes.append((*points.min(axis=0), *(points.max(axis=0) - points.min(axis=0))))
    return np.array(boxes).reshape(-1, 4)


def load_surfaces(data_set: DataSet, images: Images) -> list[Surface]:
    """The images that have a severity and a label file, with their corroded pixels."""
    surfaces = []
    for image in images:
        label = data_set.folder / "labels" / f"{image.path.stem}.txt"
        if image.severity is None or not label.is_file():
            continue
        grey = _read(image.path)
        height, width = grey.shape
        corroded = read_yolo(label.read_text(encoding="ascii"), label.name, width, height).covered(width, height)
        surfaces.append(Surface(grey, corroded, SEVERITIES.index(image.severity)))
    return surfaces


def _read(path: Path) -> Grey:
    grey = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    if grey is None:
        raise ConfigError(f"cannot decode {path}: use PNG, TIFF or JPEG")
    return grey.astype(np.uint8, copy=False)


def _window(shape: tuple[int, ...], least: float, rng: np.random.Generator) -> tuple[slice, slice]:
    """A part of the field with its aspect ratio and sides between `least` and 1 of its own: a higher magnification."""
    part = rng.uniform(least, 1.0)
    rows, columns = (max(1, round(side * part)) for side in shape)
    top, left = int(rng.integers(shape[0] - rows + 1)), int(rng.integers(shape[1] - columns + 1))
    return slice(top, top + rows), slice(left, left + columns)


def zoom_in(pictures: tuple[Grey, ...], least: float, rng: np.random.Generator) -> Fields:
    """uint8 [N, 224, 224]: a part of each picture, its sides between `least` and 1 of the picture's."""
    return np.stack([field_of_view(picture[_window(picture.shape, least, rng)], SIDE_PX) for picture in pictures])


@dataclass(frozen=True)
class Truth:
    """Of N images: labels [N], what each counts [N], corroded fraction [N], NaN where nobody knows it."""

    labels: Tensor
    weights: Tensor
    areas: Tensor

    def at(self, chosen: Tensor) -> Truth:
        """Of some of the images, or of all in another order."""
        return Truth(self.labels[chosen], self.weights[chosen], self.areas[chosen])

    def to(self, device: torch.device) -> Truth:
        """The same on `device`."""
        return Truth(self.labels.to(device), self.weights.to(device), self.areas.to(device))


@dataclass(frozen=True)
class Examples:
    """Fields and regions, and how they are shuffled and varied."""

    pictures: tuple[Grey, ...]
    labels: Labels
    corroded: tuple[Mask | None, ...]
    crops: Fields
    crop_labels: Labels
    mean: float
    std: float
    zoom: float
    rng: np.random.Generator

    def __len__(self) -> int:
        return len(self.pictures) + len(self.crops)

    def class_weights(self) -> Tensor:
        """float32 [C], inverse frequencies of the fields' classes; 1 for a class that does not occur."""
        from sklearn.utils.class_weight import compute_class_weight

        present = np.unique(self.labels)
        weights = np.ones(len(SEVERITIES), np.float32)
        weights[present] = compute_class_weight("balanced", classes=present, y=self.labels)
        return torch.from_numpy(weights)

    def batches(self, side_px: int = SIDE_PX) -> Iterator[tuple[Tensor, Truth]]:
        """One epoch: images [N, 3, side, side] normalised, and what is true of them."""
        order = self.rng.permutation(len(self))
        for start in range(0, len(self), BATCH):
            chosen = order[start : start + BATCH]
            if len(chosen) < 2:  # BatchNorm needs two
                continue
            varied, labels, weights, areas = [], [], [], []
            for index in chosen:
                is_field = index < len(self.pictures)
                at = index if is_field else index - len(self.pictures)
                grey = self.pictures[at] if is_field else self.crops[at]
                corroded = self.corroded[at] if is_field else None
                if is_field and self.rng.random() < 0.6:
                    window = _window(grey.shape, self.zoom, self.rng)
                    grey, corroded = grey[window], None if corroded is None else corroded[window]
                areas.append(np.nan if corroded is None else corroded.mean())
                varied.append(self._vary(field_of_view(grey, side_px)))
                labels.append((self.labels if is_field else self.crop_labels)[at])
                weights.append(1.0 if is_field else CROP_WEIGHT)
            pixels = torch.from_numpy(np.stack(varied)).float().div(255).sub(self.mean).div(self.std)
            images = pixels[:, None].expand(-1, 3, -1, -1).contiguous(memory_format=torch.channels_last)
            yield images, Truth(torch.tensor(np.array(labels)), torch.tensor(weights), torch.tensor(areas).float())

    def _vary(self, grey: Grey) -> Grey:
        """Flips, quarter turns, small turns, shears and shifts, brightness and contrast: none of them changes the severity."""
        rng, side = self.rng, len(grey)
        if rng.random() < 0.5:
            grey = grey[:, ::-1]
        grey = np.ascontiguousarray(np.rot90(grey, int(rng.integers(4))))
        if rng.random() < 0.5:
            middle = (side / 2, side / 2)
            turn = np.asarray(cv2.getRotationMatrix2D(middle, rng.uniform(-12, 12), rng.uniform(0.95, 1.1)), np.float64)
            turn[:, :2] += rng.uniform(-0.04, 0.04, (2, 2))
            turn[:, 2] += rng.uniform(-0.035, 0.035, 2) * side
            grey = np.asarray(cv2.warpAffine(grey, turn, (side, side), borderMode=cv2.BORDER_REFLECT), np.uint8)
        gain, shift = rng.uniform(0.75, 1.3), rng.uniform(-25, 25)
        return np.asarray(np.clip((grey.astype(np.float32) - 128) * gain + 128 + shift, 0, 255), np.uint8)
