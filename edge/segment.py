"""Stage 1: a grey image in, its corroded regions out (YOLOv8-seg; Aich et al. 2026, section 3.2).

An image is seen as a whole, letterboxed to the network's longest side, and, when it is much larger, also in native
tiles: the whole finds what no tile contains, the tiles find what the whole cannot resolve. Each view is turned into
masks before the next batch of views runs, so memory grows with what was found, not with the number of tiles.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.backends import Arrays, Network
from edge.model_card import ModelCard
from edge.records import Grey, Mask, Regions

STRIDE = 32
PROTOTYPE_STRIDE = 4
PADDING_GREY = 114
VIEWS_A_BATCH = 4
CONTAINED = 0.6
"""Part of the smaller mask inside the larger from which two detections of different views are taken for one region."""
EXPLAINED = 0.6
"""Part of a larger mask that smaller ones must cover together to replace it: a blob that the tiles resolved into pits."""


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """What the network sees of the image.

    canvas: uint8 [h, w], multiples of 32.  scale: network pixels per image pixel.  x_px, y_px: the view's origin in the image.
    width_px, height_px: extent in the image.  whole: False for a tile.
    """

    canvas: Grey
    scale: float
    x_px: int
    y_px: int
    width_px: int
    height_px: int
    whole: bool


@dataclass(frozen=True, slots=True, eq=False)
class Detection:
    """One mask found in one view, in image coordinates. cut: it touches a border of its tile that is none of the image."""

    x_px: int
    y_px: int
    mask: Mask
    score: float
    class_id: int
    view: int
    whole: bool
    cut: bool
    area_px: int

    @property
    def box(self) -> tuple[int, int, int, int]:
        """x0, y0, x1, y1."""
        height, width = self.mask.shape
        return self.x_px, self.y_px, self.x_px + width, self.y_px + height


@dataclass(frozen=True, slots=True)
class SegmentTiming:
    """Milliseconds: the network with its letterboxing, and everything after it."""

    network_ms: float
    masks_ms: float


class Segmenter:
    """The segmentation network with its card and thresholds.

    confidence: least score.  iou: boxes of one view that overlap more are one region.  tile: "auto" or "off".
    """

    def __init__(
        self, network: Network, card: ModelCard, *, confidence: float, iou: float, tile: str = "auto", max_regions: int = 2000
    ) -> None:
        self._network = network
        self.card = card
        self._confidence = confidence
        self._iou = iou
        self._tile = tile
        self._max_regions = max_regions

    def find(self, grey: Grey) -> tuple[Regions, SegmentTiming]:
        """Regions of a uint8 [H, W] image, largest first."""
        network_s = masks_s = 0.0
        detections: list[Detection] = []
        all_views = views(grey, self.card, tile=self._tile)
        seen = 0
        while True:
            started = time.perf_counter()
            batch = list(islice(all_views, VIEWS_A_BATCH))
            if not batch:
                break
            outputs = self._network.run(np.stack([view.canvas for view in batch])[:, None])
            inferred = time.perf_counter()
            for row, view in enumerate(batch):
                one = {name: array[row] for name, array in outputs.items()}
                detections += decode(one, view, seen + row, grey.shape, self._confidence, self._iou)
            seen += len(batch)
            network_s += inferred - started
            masks_s += time.perf_counter() - inferred
        started = time.perf_counter()
        kept = merge(detections, self._iou) if seen > 1 else detections
        regions = self._regions(kept)
        masks_s += time.perf_counter() - started
        return regions, SegmentTiming(network_s * 1e3, masks_s * 1e3)

    def finest_scale(self, image_shape: tuple[int, ...]) -> float:
        """Network pixels per image pixel in the finest view of an image of this shape."""
        return 1.0 if is_tiled(image_shape, self.card, self._tile) else letterbox_scale(image_shape, self.card.input_px)

    def _regions(self, found: Sequence[Detection]) -> Regions:
        ordered = sorted(found, key=lambda one: (-one.area_px, one.y_px, one.x_px))
        kept = ordered[: self._max_regions]
        return Regions(
            boxes_px=np.array([[d.x_px, d.y_px, d.mask.shape[1], d.mask.shape[0]] for d in kept], np.int32).reshape(-1, 4),
            scores=np.array([d.score for d in kept], np.float32),
            class_ids=np.array([d.class_id for d in kept], np.int32),
            masks=tuple(d.mask for d in kept),
            class_names=self.card.classes,
            truncated=len(ordered) > len(kept),
        )


def no_regions(class_names: tuple[str, ...] = ()) -> Regions:
    """Regions of an image in which nothing was found, or for which stage 1 was not run."""
    return Regions(np.empty((0, 4), np.int32), np.empty(0, np.float32), np.empty(0, np.int32), (), class_names)


def letterbox_scale(image_shape: tuple[int, ...], longest_px: int) -> float:
    """Network pixels per image pixel of the letterboxed image, at most 1: nothing is enlarged."""
    return min(1.0, longest_px / max(image_shape))


def letterbox(grey: Grey, longest_px: int) -> tuple[Grey, float]:
    """The image shrunk so that its longer side is at most `longest_px`, padded right and below to multiples of 32.

    Returns uint8 [h, w] and the scale.
    """
    height, width = grey.shape
    scale = letterbox_scale(grey.shape, longest_px)
    shrunk = grey
    if scale < 1.0:
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        shrunk = cast(Grey, cv2.resize(grey, size, interpolation=cv2.INTER_AREA))
    return _pad(shrunk, _round_up(shrunk.shape[0]), _round_up(shrunk.shape[1])), scale


def is_tiled(image_shape: tuple[int, ...], card: ModelCard, tile: str) -> bool:
    """Whether an image of this shape is seen in native tiles besides as a whole."""
    return tile != "off" and card.tile_above_px is not None and max(image_shape) > card.tile_above_px


def views(grey: Grey, card: ModelCard, tile: str = "auto") -> Iterator[View]:
    """The whole image and, where it is longer than the card's `tile_above_px`, its native tiles; all of one shape."""
    height, width = grey.shape
    canvas, scale = letterbox(grey, card.input_px)
    if not is_tiled(grey.shape, card, tile):
        yield View(canvas, scale, 0, 0, width, height, whole=True)
        return
    tile_height, tile_width = (min(card.input_px, _round_up(side)) for side in (height, width))
    yield View(_pad(canvas, tile_height, tile_width), scale, 0, 0, width, height, whole=True)
    for top in _starts(height, tile_height, card.tile_overlap_px):
        for left in _starts(width, tile_width, card.tile_overlap_px):
            part = grey[top : top + tile_height, left : left + tile_width]
            yield View(_pad(part, tile_height, tile_width), 1.0, left, top, part.shape[1], part.shape[0], whole=False)


def decode(
    outputs: Arrays, view: View, number: int, image_shape: tuple[int, ...], confidence: float, iou: float
) -> list[Detection]:
    """Detections of one view.

    outputs: boxes [K, 4] xyxy in network pixels, scores [K], classes [K], coefficients [K, 32], prototypes [32, h/4, w/4].
    One region has one class: suppression does not look at classes.
    """
    candidates = np.flatnonzero(outputs["scores"] >= confidence)
    boxes = outputs["boxes"][candidates]
    scores = outputs["scores"][candidates]
    sizes = np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)
    kept = cv2.dnn.NMSBoxes(cast(Any, sizes.astype(np.float64)), cast(Any, scores), confidence, iou)
    prototypes = outputs["prototypes"]
    found = []
    for index in np.asarray(kept, np.intp).reshape(-1):
        coefficients = outputs["coefficients"][candidates[index]]
        placed = _mask_in_box(boxes[index], coefficients, prototypes, view, image_shape)
        if placed is None:
            continue
        x, y, mask = placed
        found.append(
            Detection(
                x_px=x,
                y_px=y,
                mask=mask,
                score=float(scores[index]),
                class_id=int(outputs["classes"][candidates[index]]),
                view=number,
                whole=view.whole,
                cut=not view.whole and _touches_inner_border(x, y, mask, view, image_shape),
                area_px=int(np.count_nonzero(mask)),
            )
        )
    return found


def merge(detections: Sequence[Detection], iou: float) -> list[Detection]:
    """One detection for each region that several views saw.

    Two masks of different views are one region when they overlap by more than `iou`, or when the smaller lies in the
    larger. The finer, complete one stays; a larger one stays unless smaller ones explain it. Pieces that tile borders
    cut, and that no other view completes, are joined.
    """
    order = sorted(detections, key=lambda d: (d.cut, d.whole, -d.score))
    pairs = _overlaps(order)
    gone = _explained_by_parts(order, pairs, iou)
    for (first, second), shared in sorted(pairs.items()):
        if first in gone or second in gone:
            continue
        one, other = order[first], order[second]
        if shared > iou * (one.area_px + other.area_px - shared):
            gone.add(second)
        elif shared > CONTAINED * min(one.area_px, other.area_px):
            small, large = (first, second) if one.area_px <= other.area_px else (second, first)
            gone.add(large if order[large].cut and not order[small].cut else small)
    return _join_cut([detection for index, detection in enumerate(order) if index not in gone])


def _explained_by_parts(order: Sequence[Detection], pairs: dict[tuple[int, int], int], iou: float) -> set[int]:
    """Indices of detections that two or more smaller, complete ones of other views cover for the most part."""
    covered: dict[int, list[int]] = {}
    for (first, second), shared in pairs.items():
        small, large = sorted((first, second), key=lambda index: order[index].area_px)
        same = shared > iou * (order[small].area_px + order[large].area_px - shared)
        if not same and not order[small].cut and shared > CONTAINED * order[small].area_px:
            covered.setdefault(large, []).append(shared)
    return {large for large, parts in covered.items() if len(parts) > 1 and sum(parts) > EXPLAINED * order[large].area_px}


def _overlaps(detections: Sequence[Detection]) -> dict[tuple[int, int], int]:
    """Shared pixels of every two detections of different views whose masks meet, keyed by (lower index, higher index)."""
    boxes = np.array([detection.box for detection in detections])
    numbers = np.array([detection.view for detection in detections])
    shared: dict[tuple[int, int], int] = {}
    for index in range(len(detections) - 1):
        rest = boxes[index + 1 :]
        meets = (
            (rest[:, 0] < boxes[index, 2])
            & (rest[:, 2] > boxes[index, 0])
            & (rest[:, 1] < boxes[index, 3])
            & (rest[:, 3] > boxes[index, 1])
            & (numbers[index + 1 :] != numbers[index])
        )
        for other in np.flatnonzero(meets) + index + 1:
            if count := _shared_px(detections[index], detections[other]):
                shared[index, int(other)] = count
    return shared


def _shared_px(one: Detection, other: Detection) -> int:
    left, top = max(one.x_px, other.x_px), max(one.y_px, other.y_px)
    right, bottom = min(one.box[2], other.box[2]), min(one.box[3], other.box[3])
    first = one.mask[top - one.y_px : bottom - one.y_px, left - one.x_px : right - one.x_px]
    second = other.mask[top - other.y_px : bottom - other.y_px, left - other.x_px : right - other.x_px]
    return int(np.count_nonzero(first & second))


def _join_cut(detections: list[Detection]) -> list[Detection]:
    """Cut pieces of different tiles that share pixels, joined into one detection each."""
    joined = [detection for detection in detections if not detection.cut]
    pieces = [detection for detection in detections if detection.cut]
    while pieces:
        current = pieces.pop()
        while True:
            touching = [piece for piece in pieces if piece.class_id == current.class_id and _meets(current, piece)]
            if not touching:
                break
            pieces = [piece for piece in pieces if all(piece is not one for one in touching)]
            for piece in touching:
                current = _united(current, piece)
        joined.append(current)
    return joined


def _meets(one: Detection, other: Detection) -> bool:
    a, b = one.box, other.box
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3] and _shared_px(one, other) > 0


def _united(one: Detection, other: Detection) -> Detection:
    left, top = min(one.x_px, other.x_px), min(one.y_px, other.y_px)
    right, bottom = max(one.box[2], other.box[2]), max(one.box[3], other.box[3])
    mask = np.zeros((bottom - top, right - left), np.bool_)
    for part in (one, other):
        height, width = part.mask.shape
        mask[part.y_px - top : part.y_px - top + height, part.x_px - left : part.x_px - left + width] |= part.mask
    return replace(
        one, x_px=left, y_px=top, mask=mask, score=max(one.score, other.score), view=-1, area_px=int(np.count_nonzero(mask))
    )


def _mask_in_box(
    box: NDArray[np.float32],
    coefficients: NDArray[np.float32],
    prototypes: NDArray[np.float32],
    view: View,
    image_shape: tuple[int, ...],
) -> tuple[int, int, Mask] | None:
    """x, y and the mask of one candidate's largest connected piece in image coordinates; None when it is empty.

    The mask logits are made only for the prototypes under the box and interpolated to image pixels; a logit above 0 is
    a probability above one half.
    """
    x0 = max(int(np.floor(box[0] / view.scale)), 0)
    y0 = max(int(np.floor(box[1] / view.scale)), 0)
    x1 = min(int(np.ceil(box[2] / view.scale)), view.width_px)
    y1 = min(int(np.ceil(box[3] / view.scale)), view.height_px)
    if x1 <= x0 or y1 <= y0:
        return None
    _, rows, columns = prototypes.shape
    ratio = view.scale / PROTOTYPE_STRIDE
    left, top = max(int(x0 * ratio) - 1, 0), max(int(y0 * ratio) - 1, 0)
    right, bottom = min(int(x1 * ratio) + 2, columns), min(int(y1 * ratio) + 2, rows)
    part = prototypes[:, top:bottom, left:right].astype(np.float32, copy=False)
    logits = np.tensordot(coefficients.astype(np.float32, copy=False), part, axes=1)
    # Pixel centres: image x + 0.5 lies at prototype coordinate (x + 0.5) * ratio - 0.5.
    to_prototypes = np.array(
        [[ratio, 0, (x0 + 0.5) * ratio - 0.5 - left], [0, ratio, (y0 + 0.5) * ratio - 0.5 - top]], np.float64
    )
    full = cv2.warpAffine(
        logits,
        to_prototypes,
        (x1 - x0, y1 - y0),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    piece = _largest_piece((full > 0).astype(np.uint8))
    if piece is None:
        return None
    px, py, mask = piece
    x, y = x0 + px + view.x_px, y0 + py + view.y_px
    height, width = image_shape
    mask = mask[: height - y, : width - x]
    return (x, y, mask) if mask.any() else None


def _largest_piece(mask: NDArray[np.uint8]) -> tuple[int, int, Mask] | None:
    """x, y and the tight mask of the largest 8-connected piece of a 0/1 mask; None when there is none."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    if count < 2:
        return None
    label = 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())
    x, y, width, height = (int(value) for value in stats[label, :4])
    return x, y, np.ascontiguousarray(labels[y : y + height, x : x + width] == label)


def _touches_inner_border(x: int, y: int, mask: Mask, view: View, image_shape: tuple[int, ...]) -> bool:
    height, width = mask.shape
    image_height, image_width = image_shape
    near = 2
    return (
        (view.x_px > 0 and x - view.x_px <= near)
        or (view.y_px > 0 and y - view.y_px <= near)
        or (view.x_px + view.width_px < image_width and view.x_px + view.width_px - (x + width) <= near)
        or (view.y_px + view.height_px < image_height and view.y_px + view.height_px - (y + height) <= near)
    )


def _starts(length: int, tile: int, overlap: int) -> list[int]:
    """Evenly spaced starts of tiles that cover `length` with at least `overlap` between neighbours."""
    if length <= tile:
        return [0]
    count = -(-(length - overlap) // (tile - overlap))
    return [round(position) for position in np.linspace(0, length - tile, count)]


def _pad(grey: Grey, height: int, width: int) -> Grey:
    missing_rows, missing_columns = height - grey.shape[0], width - grey.shape[1]
    if not missing_rows and not missing_columns:
        return np.ascontiguousarray(grey)
    padded = cv2.copyMakeBorder(grey, 0, missing_rows, 0, missing_columns, cv2.BORDER_CONSTANT, value=PADDING_GREY)
    return cast(Grey, padded)


def _round_up(side: int) -> int:
    return -(-side // STRIDE) * STRIDE
