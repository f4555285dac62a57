"""Reviews, their images and the settings in; an adaptation, or why there is none, out."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from edge.config import InspectionSettings, change
from edge.errors import ConfigError, ImageError, ReviewError
from edge.folder.file import read_file
from edge.inspection.pipeline import Pipeline, limits_of
from edge.inspection.taught import LOW_FLOOR
from edge.inspection.taught_file import SCHEMA, TaughtFile
from edge.models.card import ModelCard
from edge.records import Micrograph
from edge.sem import read
from edge.teach.examples import Examples, examples_of
from edge.teach.fit import Part, fit_pixels, fit_regions
from edge.teach.reviews import Review, check_model, latest

LEFT_OUT: Final = "by leaving images out"
BLOCKS: Final = "same image, optimistic: by blocks of its area"


@dataclass(frozen=True, slots=True, eq=False)
class Lesson:
    """What teaching came to. file: None where nothing helps.  told: what a user should know, in sentences."""

    file: TaughtFile | None
    before: dict[str, Any]
    after: dict[str, Any]
    how: str
    told: tuple[str, ...]


def teach(reviews: Sequence[Review], images: Path, settings: InspectionSettings) -> Lesson:
    """Fit what the reviews can teach. Raises ConfigError, ModelError, BackendError."""
    counted = latest(reviews)
    if not counted:
        raise ReviewError("every review was superseded or withdrawn: there is nothing to learn from")
    by_image: dict[tuple[str, int], list[Review]] = {}
    for one in counted:
        by_image.setdefault((one.image.sha256, one.image.page), []).append(one)
    files = _files_of(by_image, images)
    looking = change(
        settings,
        {"inspect": {"stages": "segment", "confidence": min(LOW_FLOOR, settings.inspect.confidence)}, "models": {"taught": ""}},
    )
    examples: list[Examples] = []
    with Pipeline(looking) as pipeline:
        card = pipeline.segmenter_card
        for (sha256, page), those in by_image.items():
            for one in those:
                check_model(one, segmenter=card.sha256)
            micrograph = _page(files[sha256], page, looking, those[0].image.name)
            found = pipeline.look(micrograph)
            assert found.features is not None
            examples.append(
                examples_of(those, micrograph.grey, found.regions, found.features, confidence=settings.inspect.confidence)
            )
            channels = found.features.channels
    parts = {"regions": fit_regions(examples, channels), "pixels": fit_pixels(examples, card.classes)}
    return _lesson(parts, counted, by_image, card)


def _lesson(
    parts: Mapping[str, Part | None],
    reviews: Sequence[Review],
    by_image: Mapping[tuple[str, int], Sequence[Review]],
    segmenter: ModelCard,
) -> Lesson:
    having = {name: part for name, part in parts.items() if part is not None}
    told = tuple(part.why for part in having.values() if part.why)
    if any(one.severity for one in reviews):
        told += ("severities: this version does not learn them; they are left out",)
    if not having:
        told = ("the reviews hold neither marked regions nor brushed pixels: there is nothing to learn from", *told)
    before = {name: part.before for name, part in having.items() if part.before}
    after = {name: part.after for name, part in having.items() if part.after}
    provisional = len(by_image) == 1
    how = BLOCKS if provisional else LEFT_OUT
    taught = {name: part.taught for name, part in having.items() if part.taught is not None}
    file = None
    if taught:
        file = TaughtFile(
            schema=SCHEMA,
            segmenter=segmenter.sha256,
            classifier=None,
            reviews=len(reviews),
            images=tuple(dict.fromkeys(sha256 for sha256, _ in by_image)),
            provisional=provisional,
            how=how,
            before=before,
            after=after,
            regions=taught.get("regions"),
            pixels=taught.get("pixels"),
        )
    return Lesson(file, before, after, how, told)


def _files_of(wanted: Mapping[tuple[str, int], Sequence[Review]], images: Path) -> dict[str, Path]:
    """The file of each image, by the hash of its bytes. Raises ConfigError where one is missing or was changed."""
    if not images.is_dir():
        raise ConfigError(f"--images {images} is no folder: name the one that holds the reviewed images")
    names = {sha256: those[0].image for (sha256, _), those in wanted.items()}
    found: dict[str, Path] = {}
    other: dict[str, Path] = {}
    for path in _candidates(images, {Path(image.name).name for image in names.values()} | set(names)):
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        if sha256 in names:
            found.setdefault(sha256, path)
        else:
            other[path.name] = path
    for sha256, image in names.items():
        if sha256 not in found:
            if image.name in other:
                raise ReviewError(
                    f"{other[image.name]} is not the image that was reviewed (its hash differs): put the reviewed one there"
                )
            raise ReviewError(f"the reviewed image {image.name} ({sha256[:12]}…) is not in {images}: put it there")
    return found


def _candidates(images: Path, names: set[str]) -> Iterator[Path]:
    """Files of these names or of these stems, wherever they lie below the folder."""
    for path in sorted(images.rglob("*")):
        if path.is_file() and (path.name in names or path.stem in names):
            yield path


def _page(path: Path, page: int, settings: InspectionSettings, name: str) -> Micrograph:
    limits = limits_of(settings)
    try:
        file = read_file(path, limits.max_bytes)
        pages = read(file.data, name, file.sidecars, limits, settings.inspect.pixel_size_nm)
    except ImageError as error:
        raise ReviewError(f"the reviewed image {name} cannot be read: {error}") from error
    for one in pages:
        if one.page == page:
            return one
    raise ReviewError(f"{name} has no page {page}: it is not the image that was reviewed")
