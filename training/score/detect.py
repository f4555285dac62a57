"""A segmenter and labelled images in, what it found in each beside the labels out.

Everything is in network pixels, on the image as ultralytics' validator gives it to the network.
"""

# torch and ultralytics are Any where they are not installed
# mypy: disallow-subclassing-any=False

from __future__ import annotations

import copy
import logging
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

import cv2
import numpy as np
from numpy.typing import NDArray
from torch import nn

from edge.config import InspectSettings
from training.data.dataset import LabelledImage
from training.labels.yolo import read_yolo
from training.learn.segmenter_data import BATCH, write_for_ultralytics

Mask = NDArray[np.bool_]
CONFIDENCE: Final = float(InspectSettings().confidence)  # what the edge reports by default
MOST_REGIONS: Final = 500  # found in one image; the densest images have about 450
LEVELS: Final = 0x3C00 + 1  # float16 values in 0…1, whose bits are ordered as they are: a histogram without loss of rank


@dataclass(frozen=True, slots=True, eq=False)
class Detections:
    """One image, its labels and what one network found in it, at the network's size h × w.

    canvas: uint8 [H, W], what the network saw, with padding.  at: top, left, h, w of the image in it.
    truth, found: COCO run-length masks.  truth_classes, found_classes: int64.  scores: float64 [D], all above 0.001.
    levels: int64 [2, LEVELS], pixels without and with labelled corrosion by their score (the largest of score times mask
    probability over all regions found, 0 where there is none).
    official: ultralytics' own matches: tp, tp_m [D, 10], conf, pred_cls [D], target_cls [T].
    """

    image: LabelledImage
    canvas: NDArray[np.uint8]
    at: tuple[int, int, int, int]
    truth: tuple[dict[str, Any], ...]
    truth_classes: NDArray[np.int64]
    found: tuple[dict[str, Any], ...]
    found_classes: NDArray[np.int64]
    scores: NDArray[np.float64]
    levels: NDArray[np.int64]
    official: dict[str, NDArray[Any]]

    @property
    def grey(self) -> NDArray[np.uint8]:
        """uint8 [h, w]: the image without padding."""
        return _inside(self.canvas, self.at)

    def truth_union(self, class_id: int | None = None) -> Mask:
        """bool [h, w]: labelled pixels, of one class or of any."""
        return union([rle for rle, c in zip(self.truth, self.truth_classes, strict=True) if class_id in (None, c)], self.at)

    def found_union(self, class_id: int | None = None) -> Mask:
        """bool [h, w]: pixels of regions found with at least `CONFIDENCE`, of one class or of any."""
        kept = (self.scores >= CONFIDENCE) & ((self.found_classes == class_id) | (class_id is None))
        return union([rle for rle, keep in zip(self.found, kept, strict=True) if keep], self.at)


def quiet() -> None:
    """Keep ultralytics' own tables and bars out of the output."""
    from ultralytics.utils import LOGGER

    LOGGER.setLevel(logging.WARNING)


def detect(
    network: nn.Module,
    images: Sequence[LabelledImage],
    classes: tuple[str, ...],
    imgsz: int,
    *,
    one_class: bool,
) -> list[Detections]:
    """What `network` finds in `images`, in their order.

    classes: of the labels.  one_class: every region is corrosion and nothing more, in labels and results; needed where the
    network's classes are not those of the labels.  imgsz: longer side in network pixels.
    """
    by_stem = {image.path.stem: image for image in images}
    found: dict[str, Detections] = {}
    network = copy.deepcopy(network).eval()
    with tempfile.TemporaryDirectory() as folder:
        description = write_for_ultralytics(Path(folder) / "data", classes, imgsz, train=tuple(images), val=tuple(images))
        arguments = {
            "data": str(description),
            "imgsz": imgsz,
            "batch": BATCH,
            "device": "cpu",
            "workers": 0,
            "verbose": False,
            "plots": False,
            "rect": True,
            "single_cls": one_class,
            "max_det": MOST_REGIONS,
            "project": folder,
            "name": "scores",
            "exist_ok": True,
            "model": "segmenter",
            "task": "segment",
            "mode": "val",
        }
        if len(cast(Any, network).names) == len(classes):
            cast(Any, network).names = dict(enumerate(classes))
        _recording_validator(arguments, by_stem, found)(model=network)
    return [found[image.path.stem] for image in images]


def _recording_validator(
    arguments: dict[str, Any], by_stem: Mapping[str, LabelledImage], found: dict[str, Detections]
) -> Callable[..., Any]:
    """ultralytics' validator, which also puts what it was shown of each image into `found`, by the image's stem."""
    from ultralytics.models.yolo.segment import SegmentationValidator
    from ultralytics.utils import ops

    class Validator(SegmentationValidator):
        def init_metrics(self, model: Any) -> None:
            super().init_metrics(model)
            self.pieces: list[tuple[NDArray[np.float32], NDArray[np.float32]]] = []

            def process(prototypes: Any, coefficients: Any, boxes: Any, shape: Any) -> Any:
                self.pieces.append((prototypes.float().cpu().numpy(), coefficients.float().cpu().numpy()))
                return ops.process_mask(prototypes, coefficients, boxes, shape)

            self.process = process

        def update_metrics(self, preds: Any, batch: Any) -> None:
            super().update_metrics(preds, batch)
            stats = self.metrics.stats
            for row, (pred, pieces) in enumerate(zip(preds, self.pieces, strict=True)):
                number = len(stats["conf"]) - len(preds) + row
                matches = {name: stats[name][number] for name in ("tp", "tp_m", "conf", "pred_cls", "target_cls")}
                stem = Path(batch["im_file"][row]).stem
                found[stem] = _detections(by_stem[stem], batch, row, pred, pieces, matches, arguments["single_cls"])
            self.pieces.clear()

    return cast(Callable[..., Any], Validator(args=arguments))


def _detections(
    image: LabelledImage,
    batch: Any,
    row: int,
    prediction: Any,
    pieces: tuple[NDArray[np.float32], NDArray[np.float32]],
    matches: dict[str, NDArray[Any]],
    one_class: bool,
) -> Detections:
    """One image of ultralytics' batch. pieces: prototypes and mask coefficients.  matches: see `Detections.official`."""
    canvas = (batch["img"][row, 0] * 255).round().cpu().numpy().astype(np.uint8)
    (gain, _), (left, top) = batch["ratio_pad"][row]
    height, width = (round(float(side) * float(gain)) for side in batch["ori_shape"][row])
    at = (round(top - 0.1), round(left - 0.1), height, width)
    scores = prediction["conf"].cpu().numpy().astype(np.float64)
    found, pixel_scores = _Masks(*pieces, prediction["bboxes"].cpu().numpy(), at).encode(scores)
    truth, truth_classes = _labels(image, height, width)
    return Detections(
        image=image,
        canvas=canvas,
        at=at,
        truth=truth,
        truth_classes=truth_classes * (not one_class),
        found=found,
        found_classes=prediction["cls"].cpu().numpy().astype(np.int64) * (not one_class),
        scores=scores,
        levels=_levels(pixel_scores, union(truth, at)),
        official=matches,
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Masks:
    """Mask coefficients [D, 32], prototypes [32, H/4, W/4] and boxes xyxy [D, 4] of one canvas; at: the image in it."""

    prototypes: NDArray[np.float32]
    coefficients: NDArray[np.float32]
    boxes: NDArray[np.float32]
    at: tuple[int, int, int, int]

    def encode(self, scores: NDArray[np.float64]) -> tuple[tuple[dict[str, Any], ...], NDArray[np.float32]]:
        """Run-length masks, and the pixel scores float32 [h, w]."""
        from pycocotools import mask as coco_mask

        top, left, height, width = self.at
        pixel_scores = np.zeros((height, width), np.float32)
        plane = np.zeros((height, width), np.uint8, order="F")
        found = []
        for number, score in enumerate(scores):
            x, y, logits = self._logits(number)
            place = slice(y - top, y - top + logits.shape[0]), slice(x - left, x - left + logits.shape[1])
            plane[place] = logits > 0
            probability = (score / (1 + np.exp(-np.clip(logits, -30, 30)))).astype(np.float32)
            pixel_scores[place] = np.maximum(pixel_scores[place], probability)
            found.append(coco_mask.encode(plane))
            plane[place] = 0
        return tuple(found), pixel_scores

    def _logits(self, number: int) -> tuple[int, int, NDArray[np.float32]]:
        """x, y on the canvas and the mask logits inside box and image, interpolated as ultralytics does."""
        top, left, height, width = self.at
        sides = np.ceil(self.boxes[number]).astype(int)
        x0, x1 = (int(side) for side in np.clip(sides[::2], left, left + width))
        y0, y1 = (int(side) for side in np.clip(sides[1::2], top, top + height))
        if x1 <= x0 or y1 <= y0:
            return x0, y0, np.empty((0, 0), np.float32)
        first_row, first_column = max(y0 // 4 - 1, 0), max(x0 // 4 - 1, 0)
        part = self.prototypes[:, first_row : y1 // 4 + 2, first_column : x1 // 4 + 2]
        logits = np.tensordot(self.coefficients[number], part, axes=1)
        # pixel centres: x + 0.5 on the canvas lies at (x + 0.5) / 4 - 0.5 of the prototypes
        shift = (x0 + 0.5) / 4 - 0.5 - first_column, (y0 + 0.5) / 4 - 0.5 - first_row
        to_prototypes = np.array([[0.25, 0, shift[0]], [0, 0.25, shift[1]]])
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        size = (x1 - x0, y1 - y0)
        full = cv2.warpAffine(logits, to_prototypes, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
        return x0, y0, np.asarray(full, np.float32)


def _labels(image: LabelledImage, height: int, width: int) -> tuple[tuple[dict[str, Any], ...], NDArray[np.int64]]:
    """Run-length masks and classes of the labelled regions that have a pixel at this size."""
    from pycocotools import mask as coco_mask

    path = image.path.parent.parent / "labels" / f"{image.path.stem}.txt"
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    masks, classes = [], []
    for drawn in read_yolo(text, path.name, width, height).regions:
        plane = np.zeros((height, width), np.uint8, order="F")
        rows, columns = drawn.mask.shape
        plane[drawn.y_px : drawn.y_px + rows, drawn.x_px : drawn.x_px + columns] = drawn.mask
        masks.append(coco_mask.encode(plane))
        classes.append(int(drawn.label))
    return tuple(masks), np.array(classes, np.int64)


def _inside(canvas: NDArray[np.uint8], at: tuple[int, int, int, int]) -> NDArray[np.uint8]:
    top, left, height, width = at
    return canvas[top : top + height, left : left + width]


def union(masks: Sequence[dict[str, Any]], at: tuple[int, int, int, int]) -> Mask:
    """bool [h, w]: the pixels of any of these run-length masks; at: the image in its canvas."""
    from pycocotools import mask as coco_mask

    if not masks:
        return np.zeros(at[2:], np.bool_)
    return cast(Mask, coco_mask.decode(coco_mask.merge(list(masks))).astype(np.bool_))


def _levels(pixel_scores: NDArray[np.float32], truth: Mask) -> NDArray[np.int64]:
    bits = np.clip(pixel_scores, 0, 1).astype(np.float16).view(np.uint16)
    return np.stack([np.bincount(bits[truth == side], minlength=LEVELS) for side in (False, True)]).astype(np.int64)
