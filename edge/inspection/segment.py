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

from edge.backends.crop import Crop, canvas, run_on_crops
from edge.backends.network import Arrays, Network, require_numbers
from edge.models.card import ModelCard
from edge.records import Grey, Mask, Regions

STRIDE = 32
PROTOTYPE_STRIDE = 4
VIEWS_A_BATCH = 4
NEAR_BORDER_PX = 4
"""A mask that ends so close to its tile's border is taken to go on beyond it: a box regression is not exact."""
SAME_COARSE = 0.4
"""IoU from which a mask of the whole and one of a tile are one region; the whole draws a small one several pixels wide."""
SAME_MASK = 0.5
"""IoU from which two masks of one view are one region, however little their boxes overlap."""
MOSTLY = 0.5
"""Part of a mask inside others from which it is contained in them or explained by them; IoU, inside what two tiles both
see, from which two cut pieces belong to one region."""
JOINED = -1
"""The view of a detection that was joined from several."""

Box = tuple[int, int, int, int]
"""x0, y0, x1, y1 in pixels of the image."""


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """What the network sees of the image.

    crop: where, and at what size.  shape: rows and columns of the canvas, multiples of 32.  whole: False for a tile.
    """

    grey: Grey
    crop: Crop
    shape: tuple[int, int]
    whole: bool

    @property
    def canvas(self) -> Grey:
        """The pixels: uint8 `shape`, drawn at each call."""
        return canvas(self.grey, self.crop, *self.shape)

    @property
    def x_px(self) -> int:
        """The view's left border in the image."""
        return self.crop.x_px

    @property
    def y_px(self) -> int:
        """The view's upper border in the image."""
        return self.crop.y_px

    @property
    def width_px(self) -> int:
        """Extent in the image."""
        return self.crop.width_px

    @property
    def height_px(self) -> int:
        """Extent in the image."""
        return self.crop.height_px

    @property
    def scale_x(self) -> float:
        """Network pixels per image pixel; sides are whole pixels, so it differs from `scale_y`."""
        return self.crop.columns / self.crop.width_px

    @property
    def scale_y(self) -> float:
        """Network pixels per image pixel."""
        return self.crop.rows / self.crop.height_px

    @property
    def extent(self) -> Box:
        """What the view shows of the image."""
        return self.x_px, self.y_px, self.x_px + self.width_px, self.y_px + self.height_px


@dataclass(frozen=True, slots=True, eq=False)
class Detection:
    """One mask found in one view, in image coordinates.

    seen: the view's extent.  cut_at: which of its tile's borders (left, top, right, bottom) it meets inside the image.
    """

    x_px: int
    y_px: int
    mask: Mask
    score: float
    class_id: int
    view: int
    seen: Box
    whole: bool
    cut_at: tuple[bool, bool, bool, bool]
    area_px: int

    @property
    def cut(self) -> bool:
        """Whether it may go on beyond its tile."""
        return any(self.cut_at)

    @property
    def box(self) -> Box:
        """The mask's bounds."""
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
            outputs = run_on_crops(self._network, grey, [view.crop for view in batch], *batch[0].shape)
            inferred = time.perf_counter()
            for row, view in enumerate(batch):
                one = {name: array[row] for name, array in outputs.items()}
                detections += decode(one, view, seen + row, grey.shape, self._confidence, self._iou)
            seen += len(batch)
            network_s += inferred - started
            masks_s += time.perf_counter() - inferred
        started = time.perf_counter()
        kept = merge(self._resolved(detections, grey.shape), self._iou) if seen > 1 else detections
        regions = self._regions(kept)
        masks_s += time.perf_counter() - started
        return regions, SegmentTiming(network_s * 1e3, masks_s * 1e3)

    def finest_scale(self, image_shape: tuple[int, ...]) -> float:
        """Network pixels per image pixel in the finest view of an image of this shape."""
        return 1.0 if is_tiled(image_shape, self.card, self._tile) else letterbox_scale(image_shape, self.card.input_px)

    def _resolved(self, detections: Sequence[Detection], image_shape: tuple[int, ...]) -> list[Detection]:
        """The detections of a tiled image, without those of the whole that only a tile can resolve."""
        shortest_px = (self.card.smallest_region_px or 0.0) / letterbox_scale(image_shape, self.card.input_px)
        least_px = np.pi / 4 * shortest_px**2
        return [detection for detection in detections if not detection.whole or detection.area_px >= least_px]

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


def letterbox(image_shape: tuple[int, ...], longest_px: int) -> Crop:
    """The whole image, shrunk so that its longer side is at most `longest_px`."""
    height, width = image_shape
    scale = letterbox_scale(image_shape, longest_px)
    return Crop(0, 0, width, height, max(1, round(width * scale)), max(1, round(height * scale)))


def is_tiled(image_shape: tuple[int, ...], card: ModelCard, tile: str) -> bool:
    """Whether an image of this shape is seen in native tiles besides as a whole."""
    return tile != "off" and card.tile_above_px is not None and max(image_shape) > card.tile_above_px


def views(grey: Grey, card: ModelCard, tile: str = "auto") -> Iterator[View]:
    """The whole image and, where it is longer than the card's `tile_above_px`, its native tiles; all of one shape."""
    height, width = grey.shape
    whole = letterbox(grey.shape, card.input_px)
    if not is_tiled(grey.shape, card, tile):
        yield View(grey, whole, (_round_up(whole.rows), _round_up(whole.columns)), whole=True)
        return
    shape = tile_height, tile_width = (min(card.input_px, _round_up(height)), min(card.input_px, _round_up(width)))
    yield View(grey, whole, shape, whole=True)
    for top in _starts(height, tile_height, card.tile_overlap_px):
        for left in _starts(width, tile_width, card.tile_overlap_px):
            columns, rows = min(tile_width, width - left), min(tile_height, height - top)
            yield View(grey, Crop(left, top, columns, rows, columns, rows), shape, whole=False)


def decode(
    outputs: Arrays, view: View, number: int, image_shape: tuple[int, ...], confidence: float, iou: float
) -> list[Detection]:
    """Detections of one view.

    outputs: boxes [K, 4] xyxy in network pixels, scores [K], classes [K], coefficients [K, 32], prototypes [32, h/4, w/4].
    One region has one class: suppression does not look at classes. It looks at boxes first, then at masks (`SAME_MASK`).
    Raises BackendError where what is used of the outputs is not a number; NaN would else count as nothing found.
    """
    require_numbers(outputs["scores"], "scores")
    candidates = np.flatnonzero(outputs["scores"] >= confidence)
    boxes = outputs["boxes"][candidates]
    require_numbers(boxes, "boxes")
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
                seen=view.extent,
                whole=view.whole,
                cut_at=_cut_at(x, y, mask, view, image_shape),
                area_px=int(np.count_nonzero(mask)),
            )
        )
    return _distinct(found)


def _distinct(ranked: Sequence[Detection]) -> list[Detection]:
    """Detections of one view, best first, without those that mask a region again."""
    gone: set[int] = set()
    for (first, second), shared in _overlaps(ranked, one_view=True).items():
        union = ranked[first].area_px + ranked[second].area_px - shared
        if not gone & {first, second} and shared > SAME_MASK * union:
            gone.add(second)
    return [detection for index, detection in enumerate(ranked) if index not in gone]


def merge(detections: Sequence[Detection], iou: float) -> list[Detection]:
    """One detection for each region that several views saw.

    Pieces that tile borders cut are joined, unless one tile has the region complete. Then, of two masks of one region
    the complete one stays, and of two complete ones the finer. A larger mask gives way when several complete ones of the
    tiles explain it; otherwise what lies in a larger mask goes.
    """
    order = sorted(_join_cut(detections), key=lambda d: (d.cut, d.whole, -d.score))
    pairs = _overlaps(order)
    gone: set[int] = set()
    for (first, second), shared in pairs.items():
        if not gone & {first, second} and _is_same(order[first], order[second], shared, iou):
            gone.add(second)
    gone |= _explained_by_parts(order, pairs, gone)
    for (first, second), shared in pairs.items():
        one, other = order[first], order[second]
        if not gone & {first, second} and shared > MOSTLY * min(one.area_px, other.area_px):
            gone.add(first if one.area_px < other.area_px else second)
    return [detection for index, detection in enumerate(order) if index not in gone]


def _is_same(one: Detection, other: Detection, shared: int, iou: float) -> bool:
    """Whether a mask and one that ranks after it are the same region."""
    least = SAME_COARSE if other.whole and not one.cut else iou
    return shared > least * (one.area_px + other.area_px - shared)


def _explained_by_parts(order: Sequence[Detection], pairs: dict[tuple[int, int], int], gone: set[int]) -> set[int]:
    """Indices of detections that two or more complete ones of tiles cover for the most part.

    A part lies in what it explains, except that the whole is too coarse for that.
    """
    covered: dict[int, list[int]] = {}
    for (first, second), shared in pairs.items():
        small, large = sorted((first, second), key=lambda index: (order[index].whole, order[index].area_px))
        part = order[small]
        if gone & {first, second} or part.cut or part.whole:
            continue
        if order[large].whole or shared > MOSTLY * part.area_px:
            covered.setdefault(large, []).append(shared)
    return {large for large, parts in covered.items() if len(parts) > 1 and sum(parts) > MOSTLY * order[large].area_px}


def _overlaps(detections: Sequence[Detection], one_view: bool = False) -> dict[tuple[int, int], int]:
    """Shared pixels of every two detections whose masks meet, by (lower index, higher index), in order.

    Two detections of different views count, or all where there is `one_view` alone.
    """
    shared: dict[tuple[int, int], int] = {}
    for first, second in _boxes_that_meet(detections):
        apart = one_view or detections[first].view != detections[second].view
        if apart and (count := _shared_px(detections[first], detections[second])):
            shared[first, second] = count
    return shared


def _boxes_that_meet(detections: Sequence[Detection]) -> list[tuple[int, int]]:
    """Lower and higher index of every two, in order.

    From left to right: a box can only meet those that begin before it ends, which are few of the thousands in a large image.
    """
    boxes = np.array([detection.box for detection in detections]).reshape(-1, 4)
    order = np.argsort(boxes[:, 0], kind="stable")
    left, top, right, bottom = boxes[order].T
    ends = np.searchsorted(left, right)
    pairs = []
    for place, end in enumerate(ends):
        rest = slice(place + 1, end)
        meets = (top[rest] < bottom[place]) & (bottom[rest] > top[place])
        index = int(order[place])
        pairs += [(min(index, other), max(index, other)) for other in order[rest][meets].tolist()]
    return sorted(pairs)


def _shared_px(one: Detection, other: Detection) -> int:
    a, b = one.box, other.box
    common = max(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), min(a[3], b[3])
    return int(np.count_nonzero(_part(one, common) & _part(other, common)))


def _part(detection: Detection, box: Box) -> Mask:
    """The detection's mask where it lies in `box`."""
    left, top, right, bottom = box
    x, y = detection.x_px, detection.y_px
    return detection.mask[max(top - y, 0) : max(bottom - y, 0), max(left - x, 0) : max(right - x, 0)]


def _join_cut(detections: Sequence[Detection]) -> list[Detection]:
    """The detections, with the cut pieces of one region joined into one, and without pieces of what one tile has complete."""
    tiles = [detection for detection in detections if not detection.whole]
    pairs = _overlaps(tiles)
    gone = set()
    for (first, second), shared in pairs.items():
        for piece, complete in ((first, second), (second, first)):
            if tiles[piece].cut and not tiles[complete].cut and shared > MOSTLY * tiles[piece].area_px:
                gone.add(piece)
    partners: dict[int, list[int]] = {index: [] for index in range(len(tiles)) if index not in gone}
    for (first, second), shared in pairs.items():
        if not gone & {first, second} and _is_one_cut_region(tiles[first], tiles[second], shared):
            partners[first].append(second)
            partners[second].append(first)
    joined = [detection for detection in detections if detection.whole]
    while partners:
        linked: dict[int, list[int]] = {}
        reached = [next(iter(partners))]
        while reached:
            index = reached.pop()
            if index in partners:
                linked[index] = partners.pop(index)
                reached += linked[index]
        joined.append(_united([(tiles[index], [tiles[other] for other in others]) for index, others in linked.items()]))
    return joined


def _is_one_cut_region(one: Detection, other: Detection, shared: int) -> bool:
    """Whether two cut pieces agree where both tiles look."""
    if not one.cut or not other.cut:
        return False
    both = np.count_nonzero(_part(one, other.seen)) + np.count_nonzero(_part(other, one.seen))
    return shared > MOSTLY * (int(both) - shared)


def _united(pieces: Sequence[tuple[Detection, Sequence[Detection]]]) -> Detection:
    """One detection of pieces, each given with those that continue it; of the largest's class.

    It is complete when every border that cuts a piece is crossed by another one.
    """
    if len(pieces) == 1:
        return pieces[0][0]
    x0, y0 = (min(piece.box[side] for piece, _ in pieces) for side in (0, 1))
    x1, y1 = (max(piece.box[side] for piece, _ in pieces) for side in (2, 3))
    mask = np.zeros((y1 - y0, x1 - x0), np.bool_)
    open_at = [False] * 4
    for piece, others in pieces:
        left, top, right, bottom = piece.box
        mask[top - y0 : bottom - y0, left - x0 : right - x0] |= piece.mask
        for side, outwards in enumerate((-1, -1, 1, 1)):
            crossed = any(outwards * (other.seen[side] - piece.seen[side]) > 0 for other in others)
            open_at[side] |= piece.cut_at[side] and not crossed
    return replace(
        max((piece for piece, _ in pieces), key=lambda piece: piece.area_px),
        x_px=x0,
        y_px=y0,
        mask=mask,
        score=max(piece.score for piece, _ in pieces),
        view=JOINED,
        cut_at=(open_at[0], open_at[1], open_at[2], open_at[3]),
        area_px=int(np.count_nonzero(mask)),
    )


def _mask_in_box(
    box: NDArray[np.float32],
    coefficients: NDArray[np.float32],
    prototypes: NDArray[np.float32],
    view: View,
    image_shape: tuple[int, ...],
) -> tuple[int, int, Mask] | None:
    """x, y and the mask of one candidate's largest connected piece in image coordinates; None when it is empty.

    A pixel lies in the box when its centre does. The mask logits are made only for the prototypes under the box and
    interpolated to image pixels; a logit above 0 is a probability above one half.
    """
    scales = np.array([view.scale_x, view.scale_y])
    x0, y0 = (max(int(side), 0) for side in np.ceil(box[:2] / scales - 0.5))
    x1, y1 = (int(side) for side in np.ceil(box[2:] / scales - 0.5))
    x1, y1 = min(x1, view.width_px), min(y1, view.height_px)
    if x1 <= x0 or y1 <= y0:
        return None
    _, rows, columns = prototypes.shape
    across, down = (float(scale) / PROTOTYPE_STRIDE for scale in scales)
    left, top = max(int(x0 * across) - 1, 0), max(int(y0 * down) - 1, 0)
    right, bottom = min(int(x1 * across) + 2, columns), min(int(y1 * down) + 2, rows)
    part = prototypes[:, top:bottom, left:right].astype(np.float32, copy=False)
    logits = np.tensordot(coefficients.astype(np.float32, copy=False), part, axes=1)
    require_numbers(logits, "masks")
    # Pixel centres: image x + 0.5 lies at prototype coordinate (x + 0.5) * across - 0.5.
    to_prototypes = np.array(
        [[across, 0, (x0 + 0.5) * across - 0.5 - left], [0, down, (y0 + 0.5) * down - 0.5 - top]], np.float64
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


def _cut_at(x: int, y: int, mask: Mask, view: View, image_shape: tuple[int, ...]) -> tuple[bool, bool, bool, bool]:
    """Whether a mask at x, y of the image reaches the view's left, top, right and bottom border inside the image."""
    (rows, columns), (height, width) = mask.shape, image_shape
    left, top, right, bottom = view.extent
    return (
        left > 0 and x - left <= NEAR_BORDER_PX,
        top > 0 and y - top <= NEAR_BORDER_PX,
        right < width and right - (x + columns) <= NEAR_BORDER_PX,
        bottom < height and bottom - (y + rows) <= NEAR_BORDER_PX,
    )


def _starts(length: int, tile: int, overlap: int) -> list[int]:
    """Evenly spaced starts of tiles that cover `length` with at least `overlap` between neighbours."""
    if length <= tile:
        return [0]
    count = -(-(length - overlap) // (tile - overlap))
    return [round(position) for position in np.linspace(0, length - tile, count)]


def _round_up(side: int) -> int:
    return -(-side // STRIDE) * STRIDE
