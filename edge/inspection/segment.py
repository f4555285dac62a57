"""Stage 1: a grey image in, its corroded regions out (YOLOv8-seg; Aich et al. 2026, section 3.2).

An image is seen as a whole, letterboxed to the network's longest side, and, when it is much larger, also in native
tiles: the whole finds what no tile contains, the tiles find what the whole cannot resolve. Where the model's card says so,
an image without tiles is seen at half its scale too, for what is too large to be told at the network's own. Each view is
turned into masks before the next batch of views runs, so memory grows with what was found, not with the number of tiles.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any, TypeAlias, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.backends.crop import Crop, canvas, submit_on_crops
from edge.backends.masks import MaskingNetwork, Masks, PendingMasks
from edge.backends.network import Arrays, Network, Pending, require_numbers
from edge.errors import BackendError
from edge.inspection.features import FeatureMap, feature_map
from edge.inspection.merge import Box, Detection, merge, suppress
from edge.inspection.outlines import follow_edges, largest_piece
from edge.models.card import ModelCard
from edge.records import Grey, Mask, Regions

STRIDE = 32
PROTOTYPE_STRIDE = 4
VIEWS_A_BATCH = 4
COARSER = 2
"""How many times smaller the coarse view shows the whole."""
NEAR_BORDER_PX = 4
"""A mask that ends so close to its tile's border is taken to go on beyond it: a box regression is not exact."""


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """What the network sees of the image.

    crop: where, and at what size.  shape: rows and columns of the canvas, multiples of 32.  whole: False for a tile.
    coarse: whether it is the whole at half its scale.
    """

    grey: Grey
    crop: Crop
    shape: tuple[int, int]
    whole: bool
    coarse: bool = False

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


@dataclass(frozen=True, slots=True)
class SegmentTiming:
    """Milliseconds: the network with its letterboxing, and everything after it."""

    network_ms: float
    masks_ms: float


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """What one image came to. features: the network's, of the view of the whole image; None where nobody asked."""

    regions: Regions
    timing: SegmentTiming
    features: FeatureMap | None


Launched: TypeAlias = tuple[list[View], Pending | PendingMasks]
"""Views, and the run that they are in."""


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
        self._prepared: tuple[Grey, bool, Iterator[Launched]] | None = None

    def find(
        self, grey: Grey, *, beside: Callable[[], None] | None = None, ahead: Callable[[], None] | None = None
    ) -> tuple[Regions, SegmentTiming]:
        """Regions of a uint8 [H, W] image, largest first. beside, ahead: as for `look`."""
        found = self.look(grey, beside=beside, ahead=ahead)
        return found.regions, found.timing

    def prepare(self, grey: Grey, *, with_features: bool = False) -> None:
        """Launch the first views of the image that is looked at next: the network works while the host is at this one.

        An image that can be written to is left alone. What fails fails again, and is told, when the image's turn comes.
        """
        self._prepared = None
        if grey.flags.writeable:
            return
        launched = self._launched(grey, by_host=with_features)
        try:
            first = next(launched)
        except BackendError:
            return
        self._prepared = grey, with_features, chain([first], launched)

    def look(
        self,
        grey: Grey,
        *,
        with_features: bool = False,
        beside: Callable[[], None] | None = None,
        ahead: Callable[[], None] | None = None,
    ) -> Found:
        """Regions of a uint8 [H, W] image, largest first, and what the network sees around each place.

        beside: called once, when the first views are launched: a network that runs apart from the host works meanwhile.
        ahead: called once, when the last views are launched: the place to `prepare` the next image.
        """
        features: FeatureMap | None = None
        network_s = masks_s = 0.0
        detections: list[Detection] = []
        seen = 0
        launched = self._prepared_for(grey, with_features) or self._launched(grey, by_host=with_features)
        following = next(launched, None)
        while following is not None:
            started = time.perf_counter()
            batch, pending = following
            following = next(launched, None)  # it runs while the masks of this one are made
            if beside is not None:
                beside()
                beside = None
            if ahead is not None and following is None:
                ahead()
                ahead = None
            masks, outputs = self._collected(batch, pending)
            inferred = time.perf_counter()
            if with_features and features is None:  # the whole image is the first view
                features = feature_map(outputs, 0, batch[0].scale_x, batch[0].scale_y)
            for row, view in enumerate(batch):
                if masks is not None:
                    detections += placed(masks[row], view, seen + row, grey.shape)
                    continue
                one = {name: array[row] for name, array in outputs.items()}
                detections += decode(one, view, seen + row, grey.shape, self._confidence, self._iou)
            seen += len(batch)
            network_s += inferred - started
            masks_s += time.perf_counter() - inferred
        started = time.perf_counter()
        kept = merge(self._resolved(detections, grey.shape), self._iou) if seen > 1 else detections
        regions = self._regions(follow_edges(grey, kept) if self.card.edges_followed else kept)
        masks_s += time.perf_counter() - started
        return Found(regions, SegmentTiming(network_s * 1e3, masks_s * 1e3), features)

    def finest_scale(self, image_shape: tuple[int, ...]) -> float:
        """Network pixels per image pixel in the finest view of an image of this shape."""
        return 1.0 if is_tiled(image_shape, self.card, self._tile) else letterbox_scale(image_shape, self.card.input_px)

    def _prepared_for(self, grey: Grey, with_features: bool) -> Iterator[Launched] | None:
        """What `prepare` launched, if it was for this; whatever it was for, it counts no longer."""
        prepared, self._prepared = self._prepared, None
        return prepared[2] if prepared and prepared[0] is grey and prepared[1] == with_features else None

    def _launched(self, grey: Grey, *, by_host: bool) -> Iterator[Launched]:
        """Batches of views under way; of masks, where the network makes them and the host does not have to."""
        for batch in self._batches(grey):
            seen = [view.crop for view in batch], *batch[0].shape
            pending: Pending | PendingMasks | None = None
            if isinstance(self._network, MaskingNetwork) and not by_host:
                pending = self._network.submit_masks(grey, *seen, self._confidence, self._iou)
            yield batch, submit_on_crops(self._network, grey, *seen) if pending is None else pending

    def _collected(self, batch: Sequence[View], pending: Pending | PendingMasks) -> tuple[Sequence[Masks] | None, Arrays]:
        """The masks that the network made, or its outputs, of which the host makes them."""
        answer = pending.collect()
        if isinstance(answer, Mapping):
            return None, answer
        if answer is None:  # no room for so many
            crops = [view.crop for view in batch]
            return None, submit_on_crops(self._network, batch[0].grey, crops, *batch[0].shape).collect()
        return answer, {}

    def _batches(self, grey: Grey) -> Iterator[list[View]]:
        """All views in runs of `VIEWS_A_BATCH` of one shape."""
        all_views = views(grey, self.card, tile=self._tile)
        while batch := list(islice(all_views, VIEWS_A_BATCH)):
            yield batch
        if self.card.coarse_from_px is not None and not is_tiled(grey.shape, self.card, self._tile):
            yield [coarse_view(grey, self.card)]

    def _resolved(self, detections: Sequence[Detection], image_shape: tuple[int, ...]) -> list[Detection]:
        """Without what finer views resolve: small ones of a tiled image's whole, and those that the coarse view is not for."""
        scale = letterbox_scale(image_shape, self.card.input_px)
        shortest_px = (self.card.smallest_region_px or 0.0) / scale
        tiled = is_tiled(image_shape, self.card, self._tile)
        least_px = [0.0, np.pi / 4 * shortest_px**2 if tiled else 0.0]
        least_px.append(np.pi / 4 * ((self.card.coarse_from_px or 0.0) * COARSER / scale) ** 2)
        return [detection for detection in detections if detection.area_px >= least_px[detection.rank]]

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


def coarse_view(grey: Grey, card: ModelCard) -> View:
    """The whole image at half the scale of the whole."""
    height, width = grey.shape
    scale = letterbox_scale(grey.shape, card.input_px) / COARSER
    columns, rows = max(1, round(width * scale)), max(1, round(height * scale))
    return View(grey, Crop(0, 0, width, height, columns, rows), (_round_up(rows), _round_up(columns)), whole=True, coarse=True)


def decode(
    outputs: Arrays, view: View, number: int, image_shape: tuple[int, ...], confidence: float, iou: float
) -> list[Detection]:
    """Detections of one view.

    outputs: boxes [K, 4] xyxy in network pixels, scores [K], classes [K], coefficients [K, 32], prototypes [32, h/4, w/4].
    One region has one class: suppression does not look at classes. It looks at boxes first, then at masks (`suppress`).
    Raises BackendError where what is used of the outputs is not a number; NaN would else count as nothing found.
    """
    require_numbers(outputs["scores"], "scores")
    candidates = np.flatnonzero(outputs["scores"] >= confidence)
    boxes = outputs["boxes"][candidates]
    require_numbers(boxes, "boxes")
    scores = outputs["scores"][candidates]
    sizes = np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)
    kept = cv2.dnn.NMSBoxes(cast(Any, sizes.astype(np.float64)), cast(Any, scores), confidence, iou)
    chosen = candidates[np.asarray(kept, np.intp).reshape(-1)]
    coefficients = outputs["coefficients"][chosen].astype(np.float32, copy=False)
    scores, classes = outputs["scores"][chosen].tolist(), outputs["classes"][chosen].tolist()
    prototypes = outputs["prototypes"]
    found = []
    for row, (box, under) in enumerate(_boxes(outputs["boxes"][chosen], view, prototypes.shape)):
        mask = _mask_in_box(box, under, coefficients[row], prototypes, view)
        if mask is not None:
            found.append(_detection(mask, box[0], box[1], scores[row], int(classes[row]), view, number, image_shape))
    return suppress([one for one in found if one is not None])


def _boxes(boxes: NDArray[np.float32], view: View, prototypes: tuple[int, ...]) -> Iterator[tuple[Box, Box]]:
    """The pixels of the view in each box, and the prototypes' pixels that speak for them; x0, y0, x1, y1 each.

    boxes: [N, 4] xyxy in network pixels. A pixel lies in the box when its centre does.
    """
    across, down = view.scale_x / PROTOTYPE_STRIDE, view.scale_y / PROTOTYPE_STRIDE
    sides = np.ceil(boxes / np.array([view.scale_x, view.scale_y] * 2) - 0.5)
    for x0, y0, x1, y1 in sides.astype(np.int64).tolist():
        box = max(x0, 0), max(y0, 0), min(x1, view.width_px), min(y1, view.height_px)
        left, top = max(int(box[0] * across) - 1, 0), max(int(box[1] * down) - 1, 0)
        right, bottom = min(int(box[2] * across) + 2, prototypes[2]), min(int(box[3] * down) + 2, prototypes[1])
        yield box, (left, top, right, bottom)


def placed(masks: Masks, view: View, number: int, image_shape: tuple[int, ...]) -> list[Detection]:
    """Detections of one view whose masks the network made: as `decode` makes them of its outputs."""
    found = []
    for index, (x0, y0, *_) in enumerate(masks.places.tolist()):
        score, class_id = float(masks.scores[index]), int(masks.classes[index])
        found.append(_detection(masks.mask(index), x0, y0, score, class_id, view, number, image_shape))
    return suppress([one for one in found if one is not None])


def _detection(
    mask: Mask, x0: int, y0: int, score: float, class_id: int, view: View, number: int, image_shape: tuple[int, ...]
) -> Detection | None:
    """The largest connected piece of a mask that begins at x0, y0 of the view; None when the image has nothing of it."""
    piece = largest_piece(mask.view(np.uint8)) if mask.size else None
    if piece is None:
        return None
    px, py, tight = piece
    x, y = x0 + px + view.x_px, y0 + py + view.y_px
    height, width = image_shape
    tight = tight[: height - y, : width - x]
    if not tight.any():
        return None
    return Detection(
        x_px=x,
        y_px=y,
        mask=tight,
        score=score,
        class_id=class_id,
        view=number,
        seen=view.extent,
        whole=view.whole,
        cut_at=_cut_at(x, y, tight, view, image_shape),
        area_px=int(np.count_nonzero(tight)),
        coarse=view.coarse,
        cell_px=PROTOTYPE_STRIDE / min(view.scale_x, view.scale_y),
    )


def _mask_in_box(
    box: Box,
    under: Box,
    coefficients: NDArray[np.float32],
    prototypes: NDArray[Any],
    view: View,
) -> Mask | None:
    """What one candidate's box holds, at image pixels: bool of the box's size; None when it holds no pixel.

    The mask logits are made only for the prototypes `under` the box and interpolated to image pixels; a logit above 0 is a
    probability above one half.
    """
    (x0, y0, x1, y1), (left, top, right, bottom) = box, under
    if x1 <= x0 or y1 <= y0:
        return None
    part = prototypes[:, top:bottom, left:right].reshape(len(coefficients), -1).astype(np.float32, copy=False)
    logits = (coefficients @ part).reshape(bottom - top, right - left)
    require_numbers(logits, "masks")
    # Pixel centres: image x + 0.5 lies at prototype coordinate (x + 0.5) * across - 0.5.
    across, down = view.scale_x / PROTOTYPE_STRIDE, view.scale_y / PROTOTYPE_STRIDE
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
    return np.asarray(full > 0)


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
