"""Reviews, their images and the settings in; an adaptation, or why there is none, out."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from edge.config import InspectionSettings, change
from edge.errors import ConfigError, ImageError, ReviewError
from edge.folder.file import read_file
from edge.inspection.pipeline import Pipeline, limits_of
from edge.inspection.taught import LOW_FLOOR
from edge.inspection.taught_file import SCHEMA, Taught, TaughtFile
from edge.inspection.taught_severity import TaughtClass, TaughtSeverity, measured_with
from edge.inspection.taught_shelf import cards_of
from edge.records import Micrograph
from edge.sem import read
from edge.teach.examples import Examples, examples_of
from edge.teach.fit import Part, fit_pixels, fit_regions
from edge.teach.reviews import Review, check_model, latest
from edge.teach.severity import LabelledField, Learnt, fit_severity, verdicts_of

About = tuple[str, int]
"""SHA-256 of a file, page: `Review.about`."""
LEFT_OUT: Final = "by leaving images out"
BLOCKS: Final = "same image, optimistic: by blocks of its area"


@dataclass(frozen=True, slots=True, eq=False)
class Lesson:
    """What teaching came to. file: None where nothing helps.  told: what a user should know, in sentences.

    counts: of regions, see `edge.teach.fit.Part`; None where no verifier of regions was taught.
    """

    file: TaughtFile | None
    before: dict[str, Any]
    after: dict[str, Any]
    how: str
    told: tuple[str, ...]
    counts: dict[str, int] | None = None


def teach(reviews: Sequence[Review], images: Path, settings: InspectionSettings, classes: Sequence[TaughtClass] = ()) -> Lesson:
    """Fit what the reviews can teach. Raises ReviewError, ConfigError, ModelError, BackendError.

    classes: of severities, in rising order, where somebody said.
    """
    counted = latest(reviews)
    if not counted:
        raise ReviewError("every review was superseded or withdrawn: there is nothing to learn from")
    by_image: dict[About, list[Review]] = {}
    for one in counted:
        by_image.setdefault(one.about, []).append(one)
    verdicts = verdicts_of(counted)
    files = _files_of(by_image, images)

    def page(about: About) -> Micrograph:
        return _page(files[about[0]], about[1], settings, by_image[about][0].image.name)

    marked = {about: those for about, those in by_image.items() if any(map(_of_stage_1, those))}
    parts: dict[str, Part] = _stage_1(marked, page, settings) if marked else {}
    file = _file(counted, {name: part.taught for name, part in parts.items()}, len(marked), settings)
    learnt = _severity(verdicts, page, settings, file, classes)
    if learnt is not None:
        parts["severity"] = Part(learnt.taught, learnt.before, learnt.after, "")
        file = _file(counted, {name: part.taught for name, part in parts.items()}, len(marked), settings)
    told = tuple(part.why for part in parts.values() if part.why) + (learnt.told if learnt else ())
    if not parts:
        told = ("the reviews hold neither marked regions nor brushed pixels nor severities: there is nothing to learn from",)
    before = {name: part.before for name, part in parts.items() if part.before}
    after = {name: part.after for name, part in parts.items() if part.after}
    how = _how(len(marked), after)
    if file is not None:
        file = file.model_copy(update={"before": before, "after": after, "how": how})
    return Lesson(file, before, after, how, told, parts["regions"].counts if "regions" in parts else None)


def _of_stage_1(review: Review) -> bool:
    """Whether it says something of regions or pixels."""
    return bool(review.regions or review.missed or review.brushed or review.complete)


def _stage_1(
    marked: Mapping[About, Sequence[Review]], page: Callable[[About], Micrograph], settings: InspectionSettings
) -> dict[str, Part]:
    """What marked regions and pixels teach."""
    looking = change(
        settings,
        {"inspect": {"stages": "segment", "confidence": min(LOW_FLOOR, settings.inspect.confidence)}, "models": {"taught": ""}},
    )
    examples: list[Examples] = []
    channels = 0
    with Pipeline(looking) as pipeline:
        card = pipeline.segmenter_card
        for about, those in marked.items():
            for one in those:
                check_model(one, segmenter=card.sha256)
            micrograph = page(about)
            found = pipeline.look(micrograph)
            assert found.features is not None
            examples.append(
                examples_of(those, micrograph.grey, found.regions, found.features, confidence=settings.inspect.confidence)
            )
            channels = found.features.channels
    fitted = {
        "regions": fit_regions(examples, channels, settings.inspect.confidence),
        "pixels": fit_pixels(examples, card.classes),
    }
    return {name: part for name, part in fitted.items() if part is not None}


def _severity(
    verdicts: Mapping[About, str],
    page: Callable[[About], Micrograph],
    settings: InspectionSettings,
    stage_1: TaughtFile | None,
    classes: Sequence[TaughtClass],
) -> Learnt | None:
    """What severities of fields teach. stage_1: what was taught of regions and pixels, which changes what is measured."""
    if not verdicts:
        return None
    if settings.inspect.stages == "segment":
        why = 'severity: inspect.stages = "segment" leaves out the network that severities are learnt with: take "both"'
        return Learnt(None, {}, {}, (why,))
    seeing = change(settings, {"inspect": {"region_crops": 0}, "models": {"taught": ""}, "severity": {"rule": "model"}})
    taught = Taught(stage_1, "") if stage_1 is not None and settings.inspect.stages == "both" else None
    with Pipeline(seeing, taught=taught) as pipeline:
        fields = [LabelledField(about[0], verdict, pipeline.field(page(about))) for about, verdict in verdicts.items()]
    return fit_severity(fields, measured_with(settings) if settings.inspect.stages == "both" else None, classes)


def _file(reviews: Sequence[Review], taught: Mapping[str, Any], marked: int, settings: InspectionSettings) -> TaughtFile | None:
    """What helps, for the models that it was fitted with. marked: images with marks of regions or pixels."""
    taught = {name: part for name, part in taught.items() if part is not None}
    if not taught:
        return None
    severity: TaughtSeverity | None = taught.get("severity")
    of_stage_1 = bool(set(taught) - {"severity"})
    measured = of_stage_1 or (severity is not None and severity.measured_with is not None)
    segmenter, classifier = cards_of(settings)
    return TaughtFile(
        schema=SCHEMA,
        segmenter=segmenter.sha256 if segmenter and measured else None,
        classifier=classifier.sha256 if classifier and severity is not None else None,
        reviews=len(reviews),
        images=tuple(dict.fromkeys(one.image.sha256 for one in reviews)),
        provisional=of_stage_1 and marked == 1,
        how="",
        before={},
        after={},
        **taught,
    )


def _how(marked: int, after: Mapping[str, Any]) -> str:
    """How it was judged. marked: images with marks of regions or pixels."""
    if marked != 1:
        return LEFT_OUT
    return f"{BLOCKS}; severity {LEFT_OUT}" if "severity" in after else BLOCKS


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
