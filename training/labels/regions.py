"""Labelled regions of any kind in, regions in the form of a prediction out: one connected part each, inside the image."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np

from edge.records import Mask, Regions
from training.labels.image_labels import Finding, LabelledRegion
from training.labels.pixels import cut, parts_of

SMALLEST_SIDE_PX: Final = 2  # a line one pixel wide has an outline without area
SAME_IOU: Final = 0.9


def make_regions(
    drawn: Iterable[LabelledRegion], classes: tuple[str, ...], width_px: int, height_px: int, name: str
) -> tuple[Regions, tuple[Finding, ...]]:
    """Regions inside an image of `width_px` and `height_px` (data bar cut off), each one connected part, largest first.

    A region in several parts becomes several regions, because that is what the edge finds and measures; holes stay.
    """
    findings: list[Finding] = []
    kept: list[tuple[int, int, int, Mask]] = []
    for one in drawn:
        class_id = classes.index(one.label) if one.label in classes else one.label
        if not isinstance(class_id, int) or not 0 <= class_id < len(classes):
            shown = f"number {class_id}" if isinstance(class_id, int) else repr(class_id)
            findings.append(Finding(f"an unknown class: {shown} (known: {_numbered(classes)})", name))
            continue
        whole = int(one.mask.sum())
        inside = cut(one.label, one.x_px, one.y_px, one.mask, width_px, height_px)
        left = 0 if inside is None else int(inside.mask.sum())
        if left < whole:
            what = "label reaches into the data bar: cut off" if left else "label lies in the data bar: left out"
            findings.append(Finding(what, name, fatal=False))
        if inside is None:
            continue
        parts = parts_of(inside.mask, inside.x_px, inside.y_px)
        if len(parts) > 1:
            findings.append(Finding("region in several parts: each part becomes a region", name, fatal=False))
        large = [part for part in parts if min(part[2].shape) >= SMALLEST_SIDE_PX]
        findings += [Finding("region one pixel wide or high: left out", name, fatal=False)] * (len(parts) - len(large))
        kept += [(class_id, *part) for part in large]
    kept.sort(key=lambda piece: -int(piece[3].sum()))
    unique = _without_repeats(kept)
    findings += [Finding("region labelled twice: taken once", name, fatal=False)] * (len(kept) - len(unique))
    return _regions(unique, classes), tuple(findings)


def _regions(pieces: Sequence[tuple[int, int, int, Mask]], classes: tuple[str, ...]) -> Regions:
    """Regions of (class, x, y, mask), in the form of a prediction with scores 1."""
    return Regions(
        boxes_px=np.array([(x, y, mask.shape[1], mask.shape[0]) for _, x, y, mask in pieces], np.int32).reshape(-1, 4),
        scores=np.ones(len(pieces), np.float32),
        class_ids=np.array([class_id for class_id, *_ in pieces], np.int32),
        masks=tuple(mask for *_, mask in pieces),
        class_names=classes,
    )


def _without_repeats(pieces: list[tuple[int, int, int, Mask]]) -> list[tuple[int, int, int, Mask]]:
    """The pieces, largest first, without those that nearly equal an earlier one; of two classes the first one counts."""
    kept: list[tuple[int, int, int, Mask]] = []
    areas: list[int] = []
    for piece in pieces:
        _, x, y, mask = piece
        area = int(mask.sum())
        same = False
        for (_, ox, oy, other), other_area in zip(reversed(kept), reversed(areas), strict=True):
            if area < SAME_IOU * other_area:
                break  # all earlier ones are larger still
            left, top = max(x, ox), max(y, oy)
            right, bottom = min(x + mask.shape[1], ox + other.shape[1]), min(y + mask.shape[0], oy + other.shape[0])
            if right <= left or bottom <= top:
                continue
            both = mask[top - y : bottom - y, left - x : right - x] & other[top - oy : bottom - oy, left - ox : right - ox]
            shared = int(both.sum())
            if shared >= SAME_IOU * (area + other_area - shared):
                same = True
                break
        if not same:
            kept.append(piece)
            areas.append(area)
    return kept


def _numbered(classes: tuple[str, ...]) -> str:
    return ", ".join(f"{number} {name}" for number, name in enumerate(classes))
