"""Automatic and manual labels of one image in, how well they agree out: the paper's two annotation strategies side by side."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from edge.errors import ConfigError
from training.labels.image_labels import LabelImage
from training.labels.masks import load_mask, read_mask
from training.labels.yolo import read_yolo

_LABEL_SUFFIXES: Final = (".npy", ".png", ".tif", ".tiff", ".txt")


@dataclass(frozen=True, slots=True)
class Agreement:
    """Automatic against manual labels of one image or, added up, of many.

    manual, automatic: number of regions.  right: pairs of one each whose masks overlap with an IoU above one half.
    both_px, either_px: pixels in regions of both, and of at least one.
    """

    manual: int = 0
    automatic: int = 0
    right: int = 0
    both_px: int = 0
    either_px: int = 0

    def __add__(self, other: Agreement) -> Agreement:
        return Agreement(
            self.manual + other.manual,
            self.automatic + other.automatic,
            self.right + other.right,
            self.both_px + other.both_px,
            self.either_px + other.either_px,
        )

    @property
    def recall(self) -> float:
        """Part of the manual regions that were found; 1 where there are none."""
        return self.right / self.manual if self.manual else 1.0

    @property
    def precision(self) -> float:
        """Part of the automatic regions that are right; 1 where there are none."""
        return self.right / self.automatic if self.automatic else 1.0

    @property
    def f1(self) -> float:
        """Harmonic mean of recall and precision; 1 where there are no regions at all."""
        return 2 * self.right / (self.manual + self.automatic) if self.manual + self.automatic else 1.0

    @property
    def pixel_iou(self) -> float:
        """Of the union of all regions; 1 where nothing is labelled and nothing found."""
        return self.both_px / self.either_px if self.either_px else 1.0


def compare(automatic: LabelImage, manual: LabelImage) -> Agreement:
    """Count agreement of two label images, int32 [H, W], 0 ground, each other value one region. Classes are not compared."""
    if automatic.shape != manual.shape:
        raise ValueError(f"labels of {automatic.shape} cannot be compared with labels of {manual.shape}")
    values_a, a = np.unique(automatic, return_inverse=True)
    values_m, m = np.unique(manual, return_inverse=True)
    pairs, shared = np.unique(a.reshape(-1).astype(np.int64) * len(values_m) + m.reshape(-1), return_counts=True)
    one, other = pairs // len(values_m), pairs % len(values_m)
    area_a, area_m = np.bincount(one, shared), np.bincount(other, shared)
    is_region = (values_a[one] != 0) & (values_m[other] != 0)
    # above one half no region can have two partners, so no assignment is needed
    right = is_region & (shared > 0.5 * (area_a[one] + area_m[other] - shared))
    return Agreement(
        manual=int(np.count_nonzero(values_m)),
        automatic=int(np.count_nonzero(values_a)),
        right=int(right.sum()),
        both_px=int(shared[is_region].sum()),
        either_px=int(np.count_nonzero((automatic != 0) | (manual != 0))),
    )


def read_manual_labels(folder: Path, stem: str, shape: tuple[int, int], stored_height_px: int) -> LabelImage | None:
    """Manual labels of one image from `stem`.npy, .png, .tif or .txt (YOLO-seg) in `folder`; None when there are none.

    In a mask every connected part of every value is a region, so masks of classes and of instances both work; an NPY
    mask may have a plane per region. shape: of the image without its data bar; labels in the bar are cut off.
    Raises ConfigError when the labels cannot be read or are of another size.
    """
    path = next((path for suffix in _LABEL_SUFFIXES if (path := folder / f"{stem}{suffix}").is_file()), None)
    if path is None:
        return None
    labels = np.zeros((stored_height_px, shape[1]), np.int32)
    if path.suffix == ".txt":
        found = read_yolo(path.read_text(encoding="utf-8"), path.name, shape[1], stored_height_px)
    else:
        try:
            values = load_mask(path)
        except ConfigError as error:
            raise ConfigError(f"{path}: {error}") from error
        found = read_mask(values, "class", path.name, shape[1], stored_height_px, shape[0])
    fatal = [finding for finding in found.findings if finding.fatal]
    if fatal:
        raise ConfigError(f"{fatal[0].where}: {fatal[0].what}")
    for number, region in enumerate(found.regions, start=1):
        rows, columns = region.mask.shape
        labels[region.y_px : region.y_px + rows, region.x_px : region.x_px + columns][region.mask] = number
    return labels[: shape[0]]


def describe(agreement: Agreement) -> str:
    """One sentence about agreement with manual labels."""
    return (
        f"Against manual labels: {agreement.right} of {agreement.manual} manual regions found (recall {agreement.recall:.3f}), "
        f"{agreement.right} of {agreement.automatic} automatic ones right (precision {agreement.precision:.3f}), "
        f"F1 {agreement.f1:.3f}, pixel IoU {agreement.pixel_iou:.3f}."
    )
