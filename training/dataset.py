"""A folder of micrographs with labels in, its samples and a split that keeps each physical sample on one side out."""

from __future__ import annotations

import csv
import hashlib
from dataclasses import dataclass
from pathlib import Path

from edge.config import Sample
from edge.errors import ConfigError
from edge.records import SEVERITIES, SeverityLabel


@dataclass(frozen=True, slots=True)
class LabelledImage:
    """One image of a data set. severity is None when neither samples.csv nor the name says it."""

    path: Path
    severity: SeverityLabel | None
    group: str


@dataclass(frozen=True, slots=True)
class DataSet:
    """All images of a folder. sha256: of all image and label files' names and bytes."""

    folder: Path
    classes: tuple[str, ...]
    images: tuple[LabelledImage, ...]
    sha256: str

    def split(self, held_out: float) -> tuple[tuple[LabelledImage, ...], tuple[LabelledImage, ...]]:
        """Training and held-out images; the side depends on the group's name alone, so it never changes as data grow.

        When no group would be held out, or none kept, the last group's images are moved.
        """
        groups = sorted({image.group for image in self.images}, key=_rank)
        if len(groups) < 2:
            raise ConfigError(f"{self.folder} holds one group of images only: nothing can be held out honestly")
        count = min(len(groups) - 1, max(1, round(held_out * len(groups))))
        outside = set(groups[:count])
        kept = tuple(image for image in self.images if image.group not in outside)
        return kept, tuple(image for image in self.images if image.group in outside)


def _rank(group: str) -> str:
    return hashlib.sha256(group.encode()).hexdigest()


def severity_of(exposure_h: float | None) -> SeverityLabel | None:
    """The paper's classes (section 3.3): 1 h low, 7 days moderate, 14 to 21 days severe; nearest where between."""
    if exposure_h is None:
        return None
    if exposure_h < 72:
        return "low"
    return "moderate" if exposure_h < 252 else "severe"


def open_data_set(folder: Path) -> DataSet:
    """Read `images/`, `labels/`, samples.csv and classes.txt below `folder`. Raises ConfigError when there are no images."""
    paths = sorted(path for path in (folder / "images").glob("*") if path.suffix.lower() in _SUFFIXES)
    if not paths:
        raise ConfigError(f"no images in {folder / 'images'}: make some with edge-train synthesize --out {folder}")
    rows = _rows(folder / "samples.csv")
    pattern = Sample()
    images = []
    for path in paths:
        row = rows.get(path.name, {})
        label = row.get("severity") or None
        if label is not None and label not in SEVERITIES:
            raise ConfigError(f"samples.csv: severity {label!r} of {path.name}; allowed are {', '.join(SEVERITIES)}")
        severity = next((name for name in SEVERITIES if name == label), None)
        if severity is None:
            hours = row.get("exposure_h")
            severity = severity_of(float(hours) if hours else pattern.fields(path.name)["exposure_h"])
        images.append(LabelledImage(path, severity, row.get("group") or path.stem))
    classes_file = folder / "classes.txt"
    classes = tuple(classes_file.read_text(encoding="utf-8").split("\n")) if classes_file.is_file() else ("corrosion",)
    return DataSet(folder, tuple(name.strip() for name in classes if name.strip()), tuple(images), _hash(folder, paths))


_SUFFIXES = {".png", ".tif", ".tiff", ".bmp", ".jpg", ".jpeg"}


def _rows(path: Path) -> dict[str, dict[str, str]]:
    if not path.is_file():
        return {}
    with path.open(newline="", encoding="utf-8") as stream:
        return {row["image"]: row for row in csv.DictReader(stream)}


def _hash(folder: Path, images: list[Path]) -> str:
    digest = hashlib.sha256()
    for image in images:
        label = folder / "labels" / f"{image.stem}.txt"
        for path in (image, label):
            digest.update(path.name.encode() + b"\0")
            if path.is_file():
                digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()
