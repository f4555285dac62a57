"""JSON Lines of `edge.review/1` in, checked Reviews out, and which of them count.

A review is what a person says about one image. Nothing here opens an image: who has it at hand asks `check_image`,
`check_model` and `check_regions` whether the review speaks of it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, Field, TypeAdapter, ValidationError
from pydantic_core import from_json

from edge.errors import ReviewError
from edge.records import SEVERITIES
from edge.wording import not_json, sentences

SCHEMA: Final = "edge.review/1"
MOST_CLICKS: Final = 500
"""On one image by one reviewer. Who says that an image is complete need not click on what is right."""
LARGEST_LINE_BYTES: Final = 8 << 20
LARGEST_FILE_BYTES: Final = 512 << 20
SAME_BOX_PX: Final = 1.5
"""So much may an edge of a box differ from the inspection's: whole pixels and rounding."""

Verdict = Literal["right", "not_corrosion", "wrong_class", "wrong_outline"]
BACKGROUND: Final = "background"
UNCORRODED: Final = "uncorroded"
CANNOT_TELL: Final = "cannot_tell"
_OURS: Final = frozenset({*SEVERITIES, UNCORRODED, CANNOT_TELL, BACKGROUND})

_Px = Annotated[float, Field(ge=-1e6, le=1e6, allow_inf_nan=False)]
_Length = Annotated[float, Field(gt=0, le=1e6, allow_inf_nan=False)]
_Name = Annotated[str, Field(min_length=1, max_length=200)]
_Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Point = tuple[_Px, _Px]
Box = tuple[_Px, _Px, _Length, _Length]
"""x, y, width, height in pixels of the image as stored."""


def _has_area(outline: tuple[Point, ...]) -> tuple[Point, ...]:
    following = outline[1:] + outline[:1]
    twice = sum(ax * by - bx * ay for (ax, ay), (bx, by) in zip(outline, following, strict=True))
    if abs(twice) <= 0:
        raise ValueError("an outline encloses no area")
    return outline


def plain(name: str) -> str:
    """What tells names of classes apart: neither capitals nor blanks do."""
    return " ".join(name.split()).casefold()


def _class_name(name: str) -> str:
    """Without needless blanks; a name of ours as we write it, so that "Severe" is no class of the plant's own."""
    if not (known := plain(name)):
        raise ValueError("a class needs a name")
    return known if known in _OURS else " ".join(name.split())


_Class = Annotated[_Name, AfterValidator(_class_name)]

Outline = Annotated[tuple[Point, ...], Field(min_length=3, max_length=20_000), AfterValidator(_has_area)]

_BY_ALIAS: Final = Field(alias="class", default=None)


@dataclass(frozen=True, slots=True)
class ReviewedImage:
    """Which image. path: below the watched folder; sha256: of the file's bytes; page: counted from 0."""

    sha256: _Sha256
    name: Annotated[str, Field(max_length=1000)] = ""
    path: Annotated[str, Field(max_length=10_000)] = ""
    page: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    revision: Annotated[int, Field(ge=1, le=2**62)] = 1


@dataclass(frozen=True, slots=True)
class ReviewedModel:
    """What had inspected it: the sha256 of each file, as far as it was said."""

    segmenter: _Sha256 | None = None
    classifier: _Sha256 | None = None
    regions: _Sha256 | None = None
    taught: _Sha256 | None = None


@dataclass(frozen=True, slots=True)
class RegionVerdict:
    """What is said of one found region, named by index and box of the inspection.

    class_name: the right one, with `wrong_class`.  outline_px: the right one, with `wrong_outline`, if it was drawn.
    """

    index: Annotated[int, Field(ge=0, le=1_000_000)]
    box_px: Box
    verdict: Verdict
    class_name: Annotated[_Class | None, _BY_ALIAS] = None
    outline_px: Outline | None = None


@dataclass(frozen=True, slots=True)
class Missed:
    """A region that was not found: exactly one of a point in it, a box around it, its outline."""

    point_px: Point | None = None
    box_px: Box | None = None
    outline_px: Outline | None = None
    class_name: Annotated[_Class | None, _BY_ALIAS] = None


@dataclass(frozen=True, slots=True)
class Brushed:
    """Pixels within `radius_px` of a line through `points_px`. class_name: theirs, or "background"."""

    points_px: Annotated[tuple[Point, ...], Field(min_length=1, max_length=20_000)]
    radius_px: Annotated[float, Field(gt=0, le=10_000, allow_inf_nan=False)]
    class_name: Annotated[_Class, Field(alias="class")] = "corrosion"


@dataclass(frozen=True, slots=True)
class CompleteBox:
    """The part of the image that was looked at."""

    box_px: Box


@dataclass(frozen=True, slots=True)
class FieldVerdict:
    """verdict: a severity, a class of the plant's own, "uncorroded" or "cannot_tell"."""

    verdict: _Class


@dataclass(frozen=True, slots=True)
class Review:
    """One review, checked in itself. ts_ms: milliseconds since 1970.

    complete: True, or the box, where all was looked at: what is unmarked there is right, what is not found is background.
    """

    review_id: Annotated[str, Field(min_length=1, max_length=100)]
    ts_ms: Annotated[int, Field(ge=0, le=2**62)]
    reviewer: _Name
    image: ReviewedImage
    model: ReviewedModel | None = None
    inspection_id: Annotated[str, Field(max_length=100)] | None = None
    regions: tuple[RegionVerdict, ...] = ()
    missed: tuple[Missed, ...] = ()
    brushed: tuple[Brushed, ...] = ()
    complete: bool | CompleteBox = False
    severity: FieldVerdict | None = None
    supersedes: Annotated[str, Field(max_length=100)] | None = None
    withdrawn: bool = False
    note: Annotated[str, Field(max_length=10_000)] | None = None

    @property
    def clicks(self) -> int:
        """What it cost the reviewer; a brush stroke is one."""
        return len(self.regions) + len(self.missed) + len(self.brushed) + (self.severity is not None)

    @property
    def about(self) -> tuple[str, int]:
        """Which pixels it is about: sha256 of the file, page."""
        return self.image.sha256, self.image.page


_ADAPTER: Final[TypeAdapter[Review]] = TypeAdapter(Review)


@dataclass(frozen=True, slots=True)
class Disagreement:
    """Two or more reviewers who say different things. what: "region 3" or "severity"; said: (reviewer, verdict) each."""

    image: ReviewedImage
    what: str
    said: tuple[tuple[str, str], ...]


# Reading


def read_reviews(path: Path) -> list[Review]:
    """Every review in a file of JSON Lines, in its order, repeats of one line left out.

    Raises ReviewError with one sentence, that names file and line, for what is no review or contradicts itself.
    """
    try:
        size = path.stat().st_size
        if size > LARGEST_FILE_BYTES:
            raise ReviewError(f"{path} has {size} bytes, more than the {LARGEST_FILE_BYTES} that are read: divide it")
        data = path.read_bytes()
    except OSError as error:
        raise ReviewError(f"{path} cannot be read: {error.strerror or error}") from error
    return parse_reviews(data, str(path))


def parse_reviews(data: bytes, source: str) -> list[Review]:
    """As `read_reviews`, of the bytes themselves. source: what the errors call them."""
    if not data.strip():
        raise ReviewError(f"{source} is empty: it should hold one {SCHEMA} a line")
    lines = data.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    reviews: dict[str, Review] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        review = _parse_line(line, f"{source}, line {number}", unfinished=number == len(lines))
        if reviews.setdefault(review.review_id, review) != review:
            raise ReviewError(f"{source}, line {number}: review {review.review_id!r} stands here twice, with other content")
    found = list(reviews.values())
    check_clicks(found, source)
    return found


def parse_review(line: bytes, where: str) -> Review:
    """One review. where: what the errors call the place. Raises ReviewError."""
    return _parse_line(line, where, unfinished=False)


def _parse_line(line: bytes, where: str, *, unfinished: bool) -> Review:
    if len(line) > LARGEST_LINE_BYTES:
        raise ReviewError(f"{where} has {len(line)} bytes, more than the {LARGEST_LINE_BYTES} that one review may have")
    try:
        raw = from_json(line, allow_inf_nan=True)
    except ValueError as error:
        if unfinished:
            raise ReviewError(f"{where} is half written: write the file again") from error
        raise ReviewError(f"{where} is {not_json(error)}") from error
    if not isinstance(raw, dict):
        raise ReviewError(f"{where} is no {SCHEMA}: it is no object")
    if raw.get("schema") != SCHEMA:
        raise ReviewError(f"{where} has the schema {raw.get('schema')!r:.60}, and only {SCHEMA!r} is understood")
    try:
        review = _ADAPTER.validate_json(json.dumps(_shaped(raw)), strict=True)
    except ValidationError as error:
        raise ReviewError(f"{where}: {sentences(error, 'the review')[0]}") from error
    _check_itself(review, where)
    return review


def _shaped(raw: dict[str, Any]) -> dict[str, Any]:
    """The same, with a model that is named by its card named by its sha256. Unknown fields stay, and are not read."""
    model = raw.get("model")
    if not isinstance(model, dict):
        return raw
    return {**raw, "model": {name: one.get("sha256") if isinstance(one, dict) else one for name, one in model.items()}}


def _check_itself(review: Review, where: str) -> None:
    """What one review says twice, or leaves open. Raises ReviewError."""
    said: dict[int, RegionVerdict] = {}
    for number, region in enumerate(review.regions):
        if said.setdefault(region.index, region) != region:
            raise ReviewError(f"{where}: contradictory: region {region.index} has two verdicts in review {review.review_id!r}")
        if region.verdict == "wrong_class" and region.class_name is None:
            raise ReviewError(f"{where}: regions.{number}: a wrong_class needs the right one as `class`")
    for number, missed in enumerate(review.missed):
        if sum(shape is not None for shape in (missed.point_px, missed.box_px, missed.outline_px)) != 1:
            raise ReviewError(f"{where}: missed.{number}: exactly one of point_px, box_px and outline_px is needed")
    corroded = bool(review.missed) or any(region.verdict != "not_corrosion" for region in review.regions)
    if review.severity is not None and review.severity.verdict == UNCORRODED and corroded:
        raise ReviewError(f"{where}: contradictory: the severity is uncorroded, and regions are said to be right or missed")
    if review.supersedes == review.review_id:
        raise ReviewError(f"{where}: contradictory: review {review.review_id!r} supersedes itself")


# Which count


def latest(reviews: Iterable[Review]) -> list[Review]:
    """Those that count: of each reviewer and image the latest that was neither superseded nor withdrawn, in order of time.

    A reviewer whose latest word is withdrawn has said nothing. Nobody supersedes what another has said.
    """
    ordered = sorted(reviews, key=lambda review: review.ts_ms)  # stable: of one moment the later line is the later
    by_reviewer: dict[tuple[str, str, int], list[Review]] = {}
    for review in ordered:
        by_reviewer.setdefault((review.reviewer, *review.about), []).append(review)
    superseded = {(review.reviewer, review.supersedes) for review in ordered}
    counting = []
    for own in by_reviewer.values():
        left = [review for review in own if (review.reviewer, review.review_id) not in superseded]
        if left and not left[-1].withdrawn:
            counting.append(left[-1])
    return sorted(counting, key=lambda review: review.ts_ms)


def disagreements(reviews: Iterable[Review]) -> list[Disagreement]:
    """Where reviewers whose word counts say different things of one region, or of one field's severity."""
    said: dict[tuple[str, int], dict[str, dict[str, str]]] = {}
    images: dict[tuple[str, int], ReviewedImage] = {}
    for review in latest(reviews):
        images.setdefault(review.about, review.image)
        of_image = said.setdefault(review.about, {})
        for region in review.regions:
            of_image.setdefault(f"region {region.index}", {})[review.reviewer] = region.verdict
        if review.severity is not None and review.severity.verdict != CANNOT_TELL:
            of_image.setdefault("severity", {})[review.reviewer] = review.severity.verdict
    return [
        Disagreement(images[about], what, tuple(sorted(by.items())))
        for about, of_image in said.items()
        for what, by in of_image.items()
        if len(set(map(plain, by.values()))) > 1
    ]


# Whether they fit


def check_clicks(reviews: Iterable[Review], source: str) -> None:
    """Raises ReviewError where the reviews that count click more than `MOST_CLICKS` times on one image."""
    for review in latest(reviews):
        if review.clicks > MOST_CLICKS:
            raise ReviewError(
                f"{source}: review {review.review_id!r} has {review.clicks} clicks on {_called(review)}, more than the"
                f" {MOST_CLICKS} that one image may teach: say that it is complete instead, and review other images"
            )


def check_kinds(reviews: Iterable[Review]) -> None:
    """Raises ReviewError where regions were judged, and all of them alike: nothing tells right from not right."""
    kinds = {region.verdict == "not_corrosion" for review in latest(reviews) for region in review.regions}
    if len(kinds) == 1:
        only, other = ("not corrosion", "some that are right") if kinds == {True} else ("right", "some that are not corrosion")
        raise ReviewError(f"every region that was reviewed is {only}: mark {other} as well")


def check_image(review: Review, sha256: str) -> None:
    """Raises ReviewError where the image at hand, with this hash of its bytes, is not the one that was reviewed."""
    if review.image.sha256 != sha256:
        raise ReviewError(
            f"review {review.review_id!r} is of another {_called(review)}: its hash begins {review.image.sha256[:12]},"
            f" that of the file at hand {sha256[:12]}"
        )


def check_model(review: Review, *, segmenter: str | None, taught: str | None = None) -> None:
    """Raises ReviewError where verdicts on regions are of another segmenter, or of another adaptation.

    segmenter, taught: sha256 of what inspects now. Without verdicts on regions the model does not matter.
    """
    if review.model is None or not review.regions:
        return
    then = review.model.segmenter
    if then is not None and segmenter is not None and then != segmenter:
        raise ReviewError(
            f"review {review.review_id!r} of {_called(review)} names regions of another segmenter ({then[:12]}, now"
            f" {segmenter[:12]}): name that one in models.segmenter, or review the image again"
        )
    if review.model.taught is not None and taught is not None and review.model.taught != taught:
        raise ReviewError(
            f"review {review.review_id!r} of {_called(review)} names regions found with another adaptation"
            f" ({review.model.taught[:12]}): review the image again"
        )


def check_regions(review: Review, boxes_px: Sequence[Sequence[float]]) -> None:
    """Raises ReviewError where a verdict's index and box are not those of a region of the inspection.

    boxes_px: (x, y, width, height) of each region in order of index, in pixels of the image as stored.
    """
    for region in review.regions:
        if region.index >= len(boxes_px):
            raise ReviewError(
                f"review {review.review_id!r} judges region {region.index} of {_called(review)}, which has {len(boxes_px)}:"
                " it is of another inspection"
            )
        if not same_box(region.box_px, boxes_px[region.index]):
            raise ReviewError(
                f"review {review.review_id!r} has region {region.index} of {_called(review)} at"
                f" {_short(region.box_px)}, where the inspection has it at {_short(boxes_px[region.index])}"
            )


def same_box(one: Sequence[float], other: Sequence[float]) -> bool:
    """Whether two boxes (x, y, width, height) are one, but for rounding."""
    return all(math.isclose(a, b, rel_tol=0, abs_tol=SAME_BOX_PX) for a, b in zip(one, other, strict=True))


def _called(review: Review) -> str:
    return review.image.path or review.image.name or f"image {review.image.sha256[:12]}"


def _short(box: Sequence[float]) -> str:
    return f"[{', '.join(f'{edge:g}' for edge in box)}]"
