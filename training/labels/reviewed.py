"""What people said of one image and what was found in it in, its labelled regions out.

Outlines run through pixels of their region, as those of an inspection do. A stroke of the brush is a region, or extends the
one it touches; what is brushed as background is none. A point has no outline, so it cannot be a label.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.errors import ConfigError
from edge.records import Mask
from edge.teach.examples import brushed_pixels
from edge.teach.reviews import BACKGROUND, Missed, RegionVerdict, Review
from training.labels.image_labels import Finding, ImageLabels, LabelledRegion
from training.labels.pixels import cut, fill_with_line, parts_of, united

NO_CLASS: Final = ""
"""The label of what nobody named; also of what is brushed as "corrosion", which is what a stroke without a class is called."""
_ANY: Final = "corrosion"


@dataclass(frozen=True, slots=True)
class FoundRegion:
    """One region of an inspection, in pixels of the image as stored."""

    class_name: str
    box_px: tuple[float, ...]
    outline_px: Sequence[Sequence[float]]
    holes_px: Sequence[Sequence[Sequence[float]]]


@dataclass(frozen=True, slots=True)
class Inspected:
    """What an inspection document says that labels need. sha256, page: of the image.  listed: whether it lists all regions.

    below: how many regions were too small to be listed.  classes: all that its segmenter knows.
    """

    inspection_id: str
    sha256: str
    page: int
    segmenter: str | None
    taught: str | None
    classes: tuple[str, ...]
    regions: tuple[FoundRegion, ...]
    listed: bool
    below: int


def inspected_of(content: Mapping[str, Any], name: str) -> Inspected:
    """What an inspection document says. name: of its file, for the error. Raises ConfigError."""
    try:
        models, corrosion = content["model"], content["corrosion"] or {}
        regions = [
            FoundRegion(str(one["class"]), tuple(map(float, one["box_px"])), one["outline_px"], one.get("holes_px") or ())
            for one in content["regions"]
        ]
        if [one["index"] for one in content["regions"]] != list(range(len(regions))):
            raise ValueError("its regions are not in order")
        return Inspected(
            inspection_id=str(content["inspection_id"]),
            sha256=str(content["image"]["sha256"]),
            page=int(content["image"].get("page") or 0),
            segmenter=(models.get("segmenter") or {}).get("sha256"),
            taught=(models.get("taught") or {}).get("sha256"),
            classes=tuple(corrosion.get("by_class") or dict.fromkeys(one.class_name for one in regions)),
            regions=tuple(regions),
            listed=not content.get("regions_truncated"),
            below=int(corrosion.get("regions_below") or 0),
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ConfigError(f"{name} is no inspection that can be read ({type(error).__name__}: {error})") from error


def labels_of(reviews: Sequence[Review], inspected: Inspected, width_px: int, height_px: int, name: str) -> ImageLabels:
    """The labelled regions of an image that was looked at, those that were found and left unmarked among them.

    reviews: those that count and do not disagree, in order of time.  height_px: of the image as stored.
    Raises ReviewError for strokes of both kinds over the same pixels.
    """
    notes: list[str] = []
    pieces = _found(reviews, inspected, width_px, height_px, notes)
    for missed in (one for review in reviews for one in review.missed if one.class_name != BACKGROUND):
        pieces += _drawn(missed, width_px, height_px, notes)
    ground, _ = brushed_pixels(reviews, (height_px, width_px))
    pieces = _with_strokes(pieces, reviews, (height_px, width_px), notes)
    pieces = _without(pieces, ground > 0, width_px, height_px, notes)
    canvas = ImageLabels(tuple(pieces)).covered(width_px, height_px)
    points = [one.point_px for review in reviews for one in review.missed if one.point_px]
    for x, y in points:
        if not canvas[min(max(round(y), 0), height_px - 1), min(max(round(x), 0), width_px - 1)]:
            notes.append("missed region marked by a point: it has no outline, so it is no label and counts as ground (draw it)")
    return ImageLabels(tuple(pieces), tuple(Finding(note, name, fatal=False) for note in notes))


def cropped(labels: ImageLabels, box_px: tuple[int, int, int, int]) -> ImageLabels:
    """What lies in a box x, y, width, height, in its coordinates."""
    x, y, width, height = box_px
    pieces = (cut(one.label, one.x_px - x, one.y_px - y, one.mask, width, height) for one in labels.regions)
    return replace(labels, regions=tuple(piece for piece in pieces if piece is not None))


def _found(
    reviews: Iterable[Review], inspected: Inspected, width_px: int, height_px: int, notes: list[str]
) -> list[LabelledRegion]:
    """The found regions but for those that are not corrosion, with the class and the outline that a person gave them."""
    said = {verdict.index: verdict for review in reviews for verdict in review.regions}
    kept = []
    for index, region in enumerate(inspected.regions):
        verdict: RegionVerdict | None = said.get(index)
        label: str = region.class_name
        outline, holes = region.outline_px, region.holes_px
        if verdict is not None and verdict.verdict == "not_corrosion":
            continue
        if verdict is not None and verdict.verdict == "wrong_class":
            label = verdict.class_name or label
        if verdict is not None and verdict.verdict == "wrong_outline":
            if verdict.outline_px:
                outline, holes = verdict.outline_px, ()
            else:
                notes.append("outline said to be wrong, and none was drawn: the found one is taken")
        if label == BACKGROUND:
            continue
        pieces = _inside(label, outline, width_px, height_px)
        for hole in holes:
            pieces = [_less(piece, _hole(hole, height_px, width_px)) for piece in pieces]
        kept += [piece for piece in pieces if piece.mask.any()]
    return kept


def _inside(label: str, outline: Sequence[Sequence[float]], width_px: int, height_px: int) -> list[LabelledRegion]:
    """The pixels of an outline that runs through pixels; none where it lies outside the image."""
    return fill_with_line(label, np.rint(np.asarray(outline, np.float64).reshape(-1, 2)), width_px, height_px)


def _hole(outline: Sequence[Sequence[float]], height_px: int, width_px: int) -> Mask:
    """bool [H, W]: what an outline that runs through the pixels around a hole encloses, without that line."""
    points = np.rint(np.asarray(outline, np.float64)).astype(np.int32).reshape(-1, 1, 2)
    canvas = np.zeros((height_px, width_px), np.uint8)
    cv2.fillPoly(canvas, [points], (1,))
    cv2.polylines(canvas, [points], True, (0,), 1)
    return canvas > 0


def _less(piece: LabelledRegion, gone: Mask) -> LabelledRegion:
    """A region without the pixels that are true in bool [H, W]."""
    rows, columns = piece.mask.shape
    return replace(piece, mask=piece.mask & ~gone[piece.y_px : piece.y_px + rows, piece.x_px : piece.x_px + columns])


def _drawn(missed: Missed, width_px: int, height_px: int, notes: list[str]) -> list[LabelledRegion]:
    """A missed region that was drawn; of a box the ellipse in it, of a point nothing."""
    label = _named(missed.class_name)
    if missed.outline_px:
        return _inside(label, missed.outline_px, width_px, height_px)
    if missed.box_px:
        notes.append("missed region drawn as a box: the ellipse in it is taken")
        x, y, w, h = missed.box_px
        angles = np.linspace(0, 2 * np.pi, 64, endpoint=False)
        around = np.stack([x + w / 2 + w / 2 * np.cos(angles), y + h / 2 + h / 2 * np.sin(angles)], axis=1)
        return fill_with_line(label, around, width_px, height_px)
    return []


def _named(class_name: str | None) -> str:
    return NO_CLASS if class_name in (None, _ANY) else str(class_name)


def _with_strokes(
    pieces: list[LabelledRegion], reviews: Sequence[Review], shape: tuple[int, int], notes: list[str]
) -> list[LabelledRegion]:
    """The regions, extended by the strokes of corrosion that touch them, and the other strokes as regions of their own."""
    names = {_named(one.class_name) for review in reviews for one in review.brushed if one.class_name != BACKGROUND}
    for label in sorted(names):
        own = [
            replace(review, brushed=tuple(one for one in review.brushed if _named(one.class_name) == label))
            for review in reviews
        ]
        _, painted = brushed_pixels(own, shape)
        for x, y, mask in parts_of(painted > 0):
            stroke = LabelledRegion(label, x, y, mask)
            touched = [one for one in pieces if _touch(one, stroke) and label in (NO_CLASS, one.label)]
            touched = [one for one in touched if one.label == touched[0].label]
            notes.append("brushed as corroded: the strokes are taken as outlines")
            gone = set(map(id, touched))
            pieces = [one for one in pieces if id(one) not in gone] + [united([*touched, stroke])]
    return pieces


def _touch(one: LabelledRegion, other: LabelledRegion) -> bool:
    """Whether two regions share a pixel."""
    left, top = max(one.x_px, other.x_px), max(one.y_px, other.y_px)
    right = min(one.x_px + one.mask.shape[1], other.x_px + other.mask.shape[1])
    bottom = min(one.y_px + one.mask.shape[0], other.y_px + other.mask.shape[0])
    if right <= left or bottom <= top:
        return False
    parts = (of.mask[top - of.y_px : bottom - of.y_px, left - of.x_px : right - of.x_px] for of in (one, other))
    return bool(np.logical_and(*parts).any())


def _without(
    pieces: list[LabelledRegion], ground: NDArray[np.bool_], width_px: int, height_px: int, notes: list[str]
) -> list[LabelledRegion]:
    """The regions without what was brushed as background."""
    left = []
    for piece in pieces:
        less = _less(piece, ground)
        if np.count_nonzero(less.mask) < np.count_nonzero(piece.mask):
            notes.append("brushed as background inside of a region: cut out of it")
        tight = cut(less.label, less.x_px, less.y_px, less.mask, width_px, height_px)
        left += [tight] if tight is not None else []
    return left
