"""A folder of micrographs with labels in, its samples and a split that keeps each physical sample on one side out."""

from __future__ import annotations

import csv
import hashlib
import re
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Final, Literal

from edge.config import SampleSettings
from edge.errors import ConfigError
from edge.records import SEVERITIES, SeverityLabel

Part = Literal["train", "val", "test"]
PARTS: tuple[Part, ...] = ("train", "val", "test")
OUTLINES: Final = "outlines"
UNKNOWN: Final = "unknown"
"""What stands in that column of samples.csv for an image whose regions nobody knows."""


@dataclass(frozen=True, slots=True)
class LabelledImage:
    """One image of a data set. severity is None when neither samples.csv nor the name says it.

    part and fold (from 0; None for test images): of a prepared data set.  origin: the image that this one is a varied
    copy of; a copy is only ever learnt from.  outlined: whether its regions are known.
    """

    path: Path
    severity: SeverityLabel | None
    group: str
    part: Part | None = None
    fold: int | None = None
    origin: str | None = None
    outlined: bool = True


Images = tuple[LabelledImage, ...]


@dataclass(frozen=True, slots=True)
class DataSet:
    """All images of a folder. sha256: of all image and label files' names and bytes."""

    folder: Path
    classes: tuple[str, ...]
    images: Images
    sha256: str

    @property
    def prepared(self) -> bool:
        """Whether `edge-train prepare` has decided on the parts and folds."""
        return any(image.part is not None for image in self.images)

    def outlined(self) -> DataSet:
        """The same without the images whose regions nobody knows: they are no clean ones."""
        return replace(self, images=tuple(image for image in self.images if image.outlined))

    @property
    def folds(self) -> int:
        """Number of folds, 0 for none."""
        return 1 + max((image.fold for image in self.images if image.fold is not None), default=-1)

    def split(self, held_out: float) -> tuple[Images, Images]:
        """Training and held-out images: the parts train and val of a prepared data set, whatever `held_out` says.

        Otherwise the side depends on the group's name alone, so it never changes as data grow. When no group would be
        held out, or none kept, the last group's images are moved.
        """
        if self.prepared:
            return self._part("train"), self._part("val")
        inside, outside = self._groups(held_out)
        return inside, tuple(image for images in outside for image in images)

    def parts(self) -> tuple[Images, Images, Images]:
        """Images to learn from, to calibrate on and to score on: 70/15/15 by groups when nothing was prepared."""
        if self.prepared:
            return self._part("train"), self._part("val"), self._part("test")
        kept, outside = self._groups(0.3)
        if len(outside) < 2:
            raise ConfigError(f"{self.folder} holds too few groups of images to calibrate on some and score on others")
        half = len(outside) // 2
        first, second = (tuple(image for images in part for image in images) for part in (outside[:half], outside[half:]))
        return kept, first, second

    def fold(self, number: int) -> tuple[Images, Images]:
        """Images to learn from, varied copies included, and to score on in one fold (from 0) of a prepared data set."""
        if not 0 <= number < self.folds:
            raise ConfigError(f"{self.folder} has {self.folds} folds, there is no fold {number} (counted from 0)")
        inside = tuple(image for image in self.images if image.fold not in (None, number))
        return inside, tuple(image for image in self.images if image.fold == number and image.origin is None)

    def _part(self, part: Part) -> Images:
        found = tuple(image for image in self.images if image.part == part and (part == "train" or image.origin is None))
        if not found:
            raise ConfigError(f"{self.folder} was prepared without {part} images: give edge-train prepare a --{part} above 0")
        return found

    def _groups(self, held_out: float) -> tuple[Images, tuple[Images, ...]]:
        """Kept images, and the images of each group that is held out."""
        groups = sorted({image.group for image in self.images}, key=_rank)
        if len(groups) < 2:
            raise ConfigError(f"{self.folder} holds one group of images only: nothing can be held out honestly")
        count = min(len(groups) - 1, max(1, round(held_out * len(groups))))
        members: dict[str, list[LabelledImage]] = {group: [] for group in groups}
        for image in self.images:
            members[image.group].append(image)
        outside = set(groups[:count])
        kept = tuple(image for image in self.images if image.group not in outside)
        return kept, tuple(tuple(members[group]) for group in groups[:count])


def _rank(group: str) -> str:
    return hashlib.sha256(group.encode()).hexdigest()


def sample_group(path: str) -> str:
    """The physical sample that an image's path (with `/`) speaks of: folder and name without the number at its end.

    040617_3_S0410018.png and 040617_3_S0410019.png are of one sample, and so are all AN_60_7days_*.png: the default can
    only be too careful with names that count through images. A name that is a number alone says nothing and stays.
    """
    place = PurePosixPath(path)
    prefix = re.sub(r"[\W_]*\d+$", "", place.stem) or place.stem
    return str(place.with_name(prefix))


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
    pattern = SampleSettings()
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
        images.append(
            LabelledImage(
                path,
                severity,
                row.get("group") or sample_group(path.name),
                part=next((part for part in PARTS if part == row.get("part")), None),
                fold=int(row["fold"]) if row.get("fold") else None,
                origin=row.get("origin") or None,
                outlined=row.get(OUTLINES) != UNKNOWN,
            )
        )
    classes_file = folder / "classes.txt"
    classes = tuple(classes_file.read_text(encoding="utf-8").split("\n")) if classes_file.is_file() else ("corrosion",)
    return DataSet(folder, tuple(name.strip() for name in classes if name.strip()), tuple(images), hash_of(folder, paths))


_SUFFIXES = {".png", ".tif", ".tiff", ".bmp", ".jpg", ".jpeg"}


def _rows(path: Path) -> dict[str, dict[str, str]]:
    if not path.is_file():
        return {}
    with path.open(newline="", encoding="utf-8") as stream:
        return {row["image"]: row for row in csv.DictReader(stream)}


def hash_of(folder: Path, images: list[Path]) -> str:
    """sha256 of the names and bytes of images and their labels, in the order given."""
    digest = hashlib.sha256()
    for image in images:
        label = folder / "labels" / f"{image.stem}.txt"
        for path in (image, label):
            digest.update(path.name.encode() + b"\0")
            if path.is_file():
                digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()
