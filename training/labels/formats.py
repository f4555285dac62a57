"""A label file of any of five kinds in, the pixels of every labelled region out; and regions in, YOLO-seg text out.

What counts as a region's pixels:

- YOLO-seg: the pixels under the polygon and under its line, as ultralytics itself fills it. A polygon that reaches its
  holes by a cut of zero width keeps them.
- LabelMe, COCO polygons: the pixels whose centre lies inside, (0, 0) being the top left corner of the top left pixel.
- COCO run lengths, PNG and NPY masks: the pixels themselves.

Nothing is repaired in silence: whatever is left out, cut off or divided is a `Finding`.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.errors import ConfigError
from edge.records import Mask, Regions

LabelKind = Literal["yolo", "labelme", "coco", "png", "npy"]
MaskRule = Literal["binary", "class", "instance"]
KINDS: Final[tuple[LabelKind, ...]] = ("yolo", "labelme", "coco", "png", "npy")
MASK_RULES: Final[tuple[MaskRule, ...]] = ("binary", "class", "instance")

SMALLEST_SIDE_PX: Final = 2  # a line one pixel wide has an outline without area
MOST_CLASS_NUMBER: Final = 999
SAME_IOU: Final = 0.9
MOST_CLASSES: Final = 8  # more values than this are hardly classes
CONNECTED: Final = 0.9
OUTSIDE_PX: Final = 1.0  # clicks on the border land this far beyond it

Points = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Finding:
    """Something about the data that a person should know. where: a file, or a place in one.  fatal: nothing can be prepared."""

    what: str
    where: str
    fatal: bool = True


@dataclass(frozen=True, slots=True, eq=False)
class Drawn:
    """One labelled region as its file has it; it may have holes and several parts.

    label: the class's name, or its number from 0.  x_px, y_px: where mask begins in the image.  mask: bool [h, w].
    """

    label: str | int
    x_px: int
    y_px: int
    mask: Mask


@dataclass(frozen=True, slots=True, eq=False)
class Sheet:
    """All that a label file says about one image."""

    drawn: tuple[Drawn, ...] = ()
    findings: tuple[Finding, ...] = ()

    def covered(self, width_px: int, height_px: int) -> Mask:
        """bool [height_px, width_px]: all labelled pixels."""
        canvas = np.zeros((height_px, width_px), np.bool_)
        for one in self.drawn:
            rows, columns = one.mask.shape
            canvas[one.y_px : one.y_px + rows, one.x_px : one.x_px + columns] |= one.mask
        return canvas


# --- text and JSON ---------------------------------------------------------------------------------------------------


def read_yolo(text: str, name: str, width_px: int, height_px: int) -> Sheet:
    """YOLO-seg: a line `class x y x y …` per region, coordinates as parts of the stored image's size, data bar included."""
    drawn: list[Drawn] = []
    findings: list[Finding] = []
    for number, line in enumerate(text.splitlines(), start=1):
        where = f"{name} line {number}"
        if not line.strip():
            continue
        try:
            values = np.array(line.split(), np.float64)
        except ValueError:
            findings.append(Finding("no YOLO-seg line (numbers only: class x y x y …)", where))
            continue
        if len(values) == 5:
            findings.append(Finding("a box where an outline is needed (YOLO-seg has at least three points)", where))
        elif len(values) < 7 or len(values) % 2 == 0:
            findings.append(Finding("no YOLO-seg line (a class and at least three points)", where))
        elif not np.isfinite(values).all() or not 0 <= values[0] <= MOST_CLASS_NUMBER or values[0] != int(values[0]):
            findings.append(Finding("no YOLO-seg line (a class number from 0, then numbers)", where))
        elif np.abs(values[1:]).max() > 2:
            findings.append(Finding("coordinates in pixels where YOLO-seg has parts of the image's size (0 to 1)", where))
        else:
            points = values[1:].reshape(-1, 2) * (width_px, height_px)
            findings += _outside(points, where, width_px, height_px)
            drawn += _fill_with_line(int(values[0]), points, width_px, height_px)
    return Sheet(tuple(drawn), tuple(findings))


def read_labelme(content: dict[str, Any], name: str, width_px: int, height_px: int) -> Sheet:
    """LabelMe: polygons, rectangles, circles and masks; shapes of one label and group_id are one region."""
    findings = _size_findings(content.get("imageWidth"), content.get("imageHeight"), name, width_px, height_px)
    joined: dict[tuple[str, Any], list[Drawn]] = {}
    for index, shape in enumerate(content.get("shapes") or []):
        label = str(shape.get("label"))
        where = f"{name} shape {index + 1} ({label})"
        try:
            piece, problems = _labelme_shape(shape, label, where, width_px, height_px)
        except (TypeError, ValueError, KeyError, IndexError, AttributeError, binascii.Error, cv2.error) as error:
            findings.append(Finding(f"a damaged LabelMe shape ({type(error).__name__})", where))
            continue
        findings += problems
        group = shape.get("group_id")
        key = (label, ("alone", index) if group is None else group)
        if piece is not None:
            joined.setdefault(key, []).append(piece)
    return Sheet(tuple(_united(pieces) for pieces in joined.values()), tuple(findings))


def _labelme_shape(
    shape: dict[str, Any], label: str, where: str, width_px: int, height_px: int
) -> tuple[Drawn | None, list[Finding]]:
    kind = shape.get("shape_type") or "polygon"
    points = np.array(shape["points"], np.float64).reshape(-1, 2)
    if not np.isfinite(points).all():
        raise ValueError("points that are no numbers")
    if kind == "mask":
        pixels = cv2.imdecode(np.frombuffer(base64.b64decode(shape["mask"]), np.uint8), cv2.IMREAD_GRAYSCALE)
        if pixels is None:
            raise ValueError("a mask that is no PNG")
        x, y = (int(value) for value in np.round(points[0]))
        return _cut(label, x, y, pixels > 0, width_px, height_px), _outside(points, where, width_px, height_px)
    if kind == "circle":
        centre, radius = points[0], float(np.hypot(*(points[1] - points[0])))
        angles = np.linspace(0, 2 * np.pi, 720, endpoint=False)
        points = centre + radius * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    elif kind == "rectangle" and len(points) == 2:
        (left, top), (right, bottom) = points
        points = np.array([(left, top), (right, top), (right, bottom), (left, bottom)])
    elif kind not in ("polygon", "rectangle"):
        return None, [Finding(f"a LabelMe shape of type {kind}, which is no region (draw a polygon, or remove it)", where)]
    if len(points) < 3:
        return None, [Finding("an outline of fewer than three points", where)]
    return _fill(label, points, width_px, height_px), _outside(points, where, width_px, height_px)


def read_coco(
    image: dict[str, Any],
    annotations: Sequence[dict[str, Any]],
    names: dict[Any, str],
    name: str,
    width_px: int,
    height_px: int,
) -> Sheet:
    """The annotations of one image of a COCO file: polygons, and run lengths as numbers or as text.

    names: of the categories by id.  Several polygons of one annotation are added up: COCO's polygons have no holes.
    """
    findings = _size_findings(image.get("width"), image.get("height"), name, width_px, height_px)
    drawn: list[Drawn] = []
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
    return Sheet(tuple(drawn), tuple(findings))


def _coco_pixels(
    segmentation: Any, label: str, where: str, width_px: int, height_px: int
) -> tuple[Drawn | None, list[Finding]]:
    if not segmentation:
        return None, [Finding("a box where an outline is needed (no segmentation)", where)]
    if isinstance(segmentation, dict):
        height, width = (int(side) for side in segmentation["size"])
        if (height, width) != (height_px, width_px):
            size = f"mask {width}x{height}, image {width_px}x{height_px}"
            return None, [Finding("a mask of another size than its image", f"{where} ({size})")]
        mask = run_lengths(segmentation["counts"], height, width)
        return next((Drawn(label, x, y, part) for _, x, y, part in _by_value(mask)), None), []
    pieces, findings = [], []
    for polygon in segmentation:
        points = np.array(polygon, np.float64).reshape(-1, 2)
        if len(points) < 3 or not np.isfinite(points).all():
            findings.append(Finding("an outline of fewer than three points", where))
            continue
        findings += _outside(points, where, width_px, height_px)
        piece = _fill(label, points, width_px, height_px)
        pieces += [] if piece is None else [piece]
    return (_united(pieces) if pieces else None), findings


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


# --- masks -----------------------------------------------------------------------------------------------------------


def load_mask(path: Path) -> NDArray[np.int64]:
    """Values [H, W] of a PNG or TIFF mask, or [H, W] or [N, H, W] of an NPY mask. Raises ConfigError."""
    if path.suffix.lower() == ".npy":
        try:
            values: NDArray[Any] = np.load(path, allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise ConfigError(f"no NPY mask of numbers ({error})") from error
        if values.ndim not in (2, 3) or values.dtype.kind not in "bui":
            raise ConfigError(f"an NPY mask must be bool or integer [H, W] or [N, H, W], not {values.dtype} {values.shape}")
        if values.size and (values.min() < 0 or values.max() > np.iinfo(np.int32).max):
            raise ConfigError("a mask with negative or very large values")
        return values.astype(np.int64)
    read = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if read is None:
        raise ConfigError("no image that can be decoded")
    if read.ndim == 3:
        if (read[..., :3] != read[..., :1]).any():
            raise ConfigError("a coloured mask: save it with one channel whose values are class numbers or region numbers")
        read = read[..., 0]
    if read.dtype.kind != "u":
        raise ConfigError(f"a mask of {read.dtype}, where whole numbers are needed")
    return read.astype(np.int64)


def mask_rule(masks: Iterable[NDArray[np.int64]], class_count: int) -> MaskRule:
    """What the values of all masks of a data set mean, when nobody says so.

    class_count: of the classes that have names. Where there are several: class numbers from 1. Else, where there is one
    value besides 0 in all masks together: binary. Else, where there are many values and nearly every one is connected:
    instances. Raises ConfigError where this does not decide: few values may be either.
    """
    if class_count > 1:
        return "class"
    values: set[int] = set()
    regions = connected = planes = flat = 0
    for mask in masks:
        planes += mask.ndim == 3
        flat += mask.ndim == 2
        for value, _, _, part in _by_value(mask) if mask.ndim == 2 else ():
            values.add(value)
            regions += 1
            connected += len(_parts(part)) == 1
    if planes and not flat:
        return "instance"
    if len(values) <= 1:
        return "binary"
    if len(values) > MOST_CLASSES and connected >= CONNECTED * regions:
        return "instance"
    shown = ", ".join(map(str, sorted(values)[:8])) + (", …" if len(values) > 8 else "")
    raise ConfigError(
        f"the masks hold the values {shown}: say what they mean, class numbers by --classes NAME NAME … in the order of the "
        "values from 1, numbers of regions by --mask-rule instance, or nothing but corroded by --mask-rule binary"
    )


def read_mask(values: NDArray[np.int64], rule: MaskRule, name: str, width_px: int, height_px: int, shown_px: int) -> Sheet:
    """Regions of a mask. Its rows are those of the stored image, or the `shown_px` that are left without the data bar.

    binary: each connected part of what is not 0.  class: each connected part of value v is a region of class v - 1.
    instance: each value is one region of class 0.  [N, H, W]: a region a plane.
    """
    rows, columns = values.shape[-2:]
    if columns != width_px or rows not in (height_px, shown_px):
        size = f"mask {columns}x{rows}, image {width_px}x{height_px}"
        return Sheet(findings=(Finding("a mask of another size than its image", f"{name} ({size})"),))
    drawn: list[Drawn] = []
    if values.ndim == 3:
        drawn += [Drawn(0, x, y, mask) for plane in values for _, x, y, mask in _by_value(plane != 0)]
    elif rule == "instance":
        drawn += [Drawn(0, x, y, mask) for _, x, y, mask in _by_value(values)]
    else:
        for value, x, y, mask in _by_value(values != 0 if rule == "binary" else values):
            drawn += [Drawn(value - 1, *part) for part in _parts(mask, x, y)]
    return Sheet(tuple(drawn))


# --- regions ---------------------------------------------------------------------------------------------------------


def make_regions(
    drawn: Iterable[Drawn], classes: tuple[str, ...], width_px: int, height_px: int, name: str
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
        inside = _cut(one.label, one.x_px, one.y_px, one.mask, width_px, height_px)
        left = 0 if inside is None else int(inside.mask.sum())
        if left < whole:
            what = "label reaches into the data bar: cut off" if left else "label lies in the data bar: left out"
            findings.append(Finding(what, name, fatal=False))
        if inside is None:
            continue
        parts = _parts(inside.mask, inside.x_px, inside.y_px)
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


def yolo_text(regions: Regions, width_px: int, height_px: int) -> str:
    """YOLO-seg text of regions; filled as ultralytics fills it, each line gives the very pixels back, holes included."""
    lines = []
    for (x, y, _, _), class_id, mask in zip(regions.boxes_px, regions.class_ids, regions.masks, strict=True):
        # The centres of the outermost pixels, so that the polygon neither grows nor shifts.
        points = (outline(mask) + np.array([x, y]) + 0.5) / (width_px, height_px)
        lines.append(f"{int(class_id)} " + " ".join(f"{value:.6f}" for value in points.ravel()))
    return "".join(f"{line}\n" for line in lines)


def outline(mask: Mask) -> NDArray[np.int64]:
    """int64 [M, 2], x and y of one closed polygon whose filling is the connected `mask`, holes and all.

    A level cut of zero width leads from each hole's leftmost point, inside the region, to what lies left of it.
    """
    contours, hierarchy = cv2.findContours(mask.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    rings = [contour.reshape(-1, 2).astype(np.int64) for contour in contours]
    is_hole = np.asarray(hierarchy).reshape(-1, 4)[:, 3] >= 0
    line = next(ring for ring, hole in zip(rings, is_hole, strict=True) if not hole)
    reached = np.zeros(mask.shape, np.bool_)
    reached[line[:, 1], line[:, 0]] = True
    # From left to right: where a cut leaves the region lies a hole that begins further left, or the outside.
    for ring in sorted(
        (ring for ring, hole in zip(rings, is_hole, strict=True) if hole), key=lambda ring: int(ring[:, 0].min())
    ):
        begin = int(ring[:, 0].argmin())
        ring = np.roll(ring, -begin, axis=0)
        x, y = ring[0]
        while not reached[y, x]:
            x -= 1
        at = int(np.flatnonzero((line[:, 0] == x) & (line[:, 1] == y))[0])
        line = np.concatenate([line[: at + 1], ring, ring[:1], line[at:]])
        reached[ring[:, 1], ring[:, 0]] = True
    return _without_straight(line)


def _without_straight(line: NDArray[np.int64]) -> NDArray[np.int64]:
    """The polygon without repeated points and points in the middle of a straight run; at least three points."""
    line = line[(line != np.roll(line, 1, axis=0)).any(axis=1)] if len(line) > 3 else line
    before, after = line - np.roll(line, 1, axis=0), np.roll(line, -1, axis=0) - line
    straight = (before[:, 0] * after[:, 1] == before[:, 1] * after[:, 0]) & ((before * after).sum(axis=1) > 0)
    kept: NDArray[np.int64] = line[~straight]
    while len(kept) < 3:
        kept = np.concatenate([kept, kept[-1:] if len(kept) else line[:1]])
    return kept


# --- pixels ----------------------------------------------------------------------------------------------------------


def _fill(label: str | int, points: Points, width_px: int, height_px: int) -> Drawn | None:
    """Pixels whose centre lies inside the polygon (even-odd rule); None when there are none in the image."""
    x0, y0 = (max(0, int(value)) for value in np.floor(points.min(axis=0)))
    x1, y1 = (min(side, int(value)) for side, value in zip((width_px, height_px), np.ceil(points.max(axis=0)), strict=True))
    if x1 <= x0 or y1 <= y0:
        return None
    crossings = np.zeros((y1 - y0, x1 - x0 + 1), np.int32)
    local = points - (x0, y0)
    for (ax, ay), (bx, by) in zip(local, np.roll(local, -1, axis=0), strict=True):
        low, high = sorted((ay, by))
        rows = np.arange(max(0, int(np.ceil(low - 0.5))), min(y1 - y0, int(np.ceil(high - 0.5))))
        if len(rows):
            xs = ax + (rows + 0.5 - ay) * (bx - ax) / (by - ay)
            np.add.at(crossings, (rows, np.clip(np.ceil(xs - 0.5), 0, x1 - x0).astype(np.intp)), 1)
    mask = np.cumsum(crossings, axis=1)[:, :-1] % 2 == 1
    return _cut(label, x0, y0, mask, width_px, height_px)


def _fill_with_line(label: int, points: Points, width_px: int, height_px: int) -> list[Drawn]:
    """Pixels under the polygon and its line, corners brought to the pixels they lie in; empty outside the image."""
    corners = np.floor(points).astype(np.int64)
    first = corners.min(axis=0)
    width, height = (int(side) for side in corners.max(axis=0) - first + 1)
    canvas = np.zeros((height, width), np.uint8)
    cv2.fillPoly(canvas, [(corners - first).astype(np.int32)], (1,))
    piece = _cut(label, int(first[0]), int(first[1]), canvas > 0, width_px, height_px)
    return [] if piece is None else [piece]


def _cut(label: str | int, x: int, y: int, mask: Mask, width_px: int, height_px: int) -> Drawn | None:
    """What of the mask lies in the image, in its tight bounds; None for nothing."""
    inside = mask[max(0, -y) : max(0, height_px - y), max(0, -x) : max(0, width_px - x)]
    if not inside.any():
        return None
    rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    tight = inside[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return Drawn(label, max(x, 0) + int(columns[0]), max(y, 0) + int(rows[0]), np.ascontiguousarray(tight))


def _united(pieces: Sequence[Drawn]) -> Drawn:
    if len(pieces) == 1:
        return pieces[0]
    x0, y0 = min(piece.x_px for piece in pieces), min(piece.y_px for piece in pieces)
    x1 = max(piece.x_px + piece.mask.shape[1] for piece in pieces)
    y1 = max(piece.y_px + piece.mask.shape[0] for piece in pieces)
    mask = np.zeros((y1 - y0, x1 - x0), np.bool_)
    for piece in pieces:
        rows, columns = piece.mask.shape
        top, left = piece.y_px - y0, piece.x_px - x0
        mask[top : top + rows, left : left + columns] |= piece.mask
    return Drawn(pieces[0].label, x0, y0, mask)


def _parts(mask: Mask, x: int = 0, y: int = 0) -> list[tuple[int, int, Mask]]:
    """x, y and the tight mask of each 8-connected part."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    parts = []
    for label in range(1, count):
        left, top, width, height = (int(value) for value in stats[label, :4])
        part = labels[top : top + height, left : left + width] == label
        parts.append((x + left, y + top, np.ascontiguousarray(part)))
    return parts


def _by_value(values: NDArray[Any]) -> Iterator[tuple[int, int, int, Mask]]:
    """value, x, y and the tight mask of each value besides 0."""
    ys, xs = np.nonzero(values)
    found = values[ys, xs].astype(np.int64)
    order = np.argsort(found, kind="stable")
    ys, xs, found = ys[order], xs[order], found[order]
    starts = np.flatnonzero(np.diff(found, prepend=-1))
    for start, stop in zip(starts, [*starts[1:], len(found)][: len(starts)], strict=True):
        rows, columns = ys[start:stop], xs[start:stop]
        x, y = int(columns.min()), int(rows.min())
        mask = np.zeros((int(rows.max()) - y + 1, int(columns.max()) - x + 1), np.bool_)
        mask[rows - y, columns - x] = True
        yield int(found[start]), x, y, mask


def _outside(points: Points, where: str, width_px: int, height_px: int) -> list[Finding]:
    beyond = np.maximum(-points, points - (width_px, height_px)).max(axis=1)
    if (beyond <= OUTSIDE_PX).all():
        return []
    low, high = points.min(axis=0), points.max(axis=0)
    if high[0] <= 0 or high[1] <= 0 or low[0] >= width_px or low[1] >= height_px:
        return [Finding("an outline that lies outside its image", where)]
    return [Finding("outline reaches out of the image: cut off", where, fatal=False)]


def _size_findings(width: Any, height: Any, name: str, width_px: int, height_px: int) -> list[Finding]:
    if width is None or height is None or (int(width), int(height)) == (width_px, height_px):
        return []
    size = f"labels {width}x{height}, image {width_px}x{height_px}"
    return [Finding("labels made for an image of another size", f"{name} ({size})")]


def _numbered(classes: tuple[str, ...]) -> str:
    return ", ".join(f"{number} {name}" for number, name in enumerate(classes))


def load_json(path: Path) -> Any:
    """The content of a JSON file. Raises ConfigError."""
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path.name} is no JSON that can be read ({error})") from error
