"""One image's annotations of a COCO file in, the pixels of its regions out.

A polygon holds the pixels whose centre lies inside, (0, 0) being the top left corner of the top left pixel; run lengths are
the pixels themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from edge.records import Mask
from training.labels.image_labels import Finding, ImageLabels, LabelledRegion
from training.labels.pixels import by_value, fill, outside_findings, size_findings, united


def read_coco(
    image: dict[str, Any],
    annotations: Sequence[dict[str, Any]],
    names: dict[Any, str],
    name: str,
    width_px: int,
    height_px: int,
) -> ImageLabels:
    """The annotations of one image of a COCO file: polygons, and run lengths as numbers or as text.

    names: of the categories by id.  Several polygons of one annotation are added up: COCO's polygons have no holes.
    """
    findings = size_findings(image.get("width"), image.get("height"), name, width_px, height_px)
    drawn: list[LabelledRegion] = []
    for annotation in annotations:
        where = f"{name} annotation {annotation.get('id', '?')} of {image.get('file_name')}"
        category = annotation.get("category_id")
        if category not in names:
            findings.append(Finding(f"an unknown class: category_id {category}", where))
            continue
        try:
            piece, problems = _coco_pixels(annotation.get("segmentation"), names[category], where, width_px, height_px)
        except (TypeError, ValueError, KeyError, AttributeError) as error:
            findings.append(Finding(f"a damaged COCO segmentation ({error})", where))
            continue
        findings += problems
        drawn += [] if piece is None else [piece]
    return ImageLabels(tuple(drawn), tuple(findings))


def _coco_pixels(
    segmentation: Any, label: str, where: str, width_px: int, height_px: int
) -> tuple[LabelledRegion | None, list[Finding]]:
    if not segmentation:
        return None, [Finding("a box where an outline is needed (no segmentation)", where)]
    if isinstance(segmentation, dict):
        height, width = (int(side) for side in segmentation["size"])
        if (height, width) != (height_px, width_px):
            size = f"mask {width}x{height}, image {width_px}x{height_px}"
            return None, [Finding("a mask of another size than its image", f"{where} ({size})")]
        mask = run_lengths(segmentation["counts"], height, width)
        return next((LabelledRegion(label, x, y, part) for _, x, y, part in by_value(mask)), None), []
    pieces, findings = [], []
    for polygon in segmentation:
        points = np.array(polygon, np.float64).reshape(-1, 2)
        if len(points) < 3 or not np.isfinite(points).all():
            findings.append(Finding("an outline of fewer than three points", where))
            continue
        findings += outside_findings(points, where, width_px, height_px)
        piece = fill(label, points, width_px, height_px)
        pieces += [] if piece is None else [piece]
    return (united(pieces) if pieces else None), findings


def run_lengths(counts: Sequence[int] | str | bytes, height: int, width: int) -> Mask:
    """bool [height, width] of COCO's run lengths: column by column, background first.

    Text is COCO's own packing: characters from code 48 on carry 5 bits each, the low ones first, bit 32 says that more
    follow, bit 16 of the last one is the sign; from the fourth number on it is the difference to the one before the last.
    Raises ValueError when the runs do not fill the image.
    """
    runs = list(counts) if not isinstance(counts, str | bytes) else _unpacked(counts)
    if any(run < 0 for run in runs) or sum(runs) != height * width:
        raise ValueError(f"run lengths add up to {sum(runs)}, the image has {height * width} pixels")
    flat = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
    return np.ascontiguousarray(flat.reshape(width, height).T)


def _unpacked(text: str | bytes) -> list[int]:
    runs: list[int] = []
    value = shift = 0
    for code in text if isinstance(text, bytes) else text.encode("ascii"):
        bits = code - 48
        value |= (bits & 0x1F) << shift
        shift += 5
        if bits & 0x20:
            continue
        if bits & 0x10:
            value -= 1 << shift
        runs.append(value + (runs[-2] if len(runs) > 2 else 0))
        value = shift = 0
    if shift:
        raise ValueError("run lengths that end in the middle of a number")
    return runs
