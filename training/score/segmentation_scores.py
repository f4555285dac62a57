"""A segmenter and labelled images in, what it found in each and how that agrees with the labels out.

Everything is counted in network pixels, on the image as ultralytics' validator gives it to the network. The validator
itself supplies box and mask precision, recall and mAP; it compares masks at a quarter of that size, as it always does.
Numbers by size come from pycocotools on the same detections, with masks at the full size of the network's image.
"""

# torch and ultralytics are Any where they are not installed
# mypy: disallow-subclassing-any=False

from __future__ import annotations

import contextlib
import copy
import io
import logging
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, cast

import cv2
import numpy as np
from numpy.typing import NDArray
from torch import nn

from edge.config import InspectSettings
from training.data.dataset import LabelledImage
from training.labels.yolo import read_yolo
from training.learn.segmenter import BATCH, write_for_ultralytics

Mask = NDArray[np.bool_]
Index = NDArray[np.intp]

CONFIDENCE: Final = float(InspectSettings().confidence)  # what the edge reports by default
MOST_REGIONS: Final = 500  # found in one image; the densest images have about 450
RESOLVED_PX: Final = 16.0
DIAMETERS_PX: Final = (0.0, 8.0, 12.0, 16.0, 24.0, 32.0, 48.0, float("inf"))
LEAST_IOU: Final = 0.5
LEVELS: Final = 0x3C00 + 1  # float16 values in 0…1, whose bits are ordered as they are: a histogram without loss of rank


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
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
        return _union([rle for rle, c in zip(self.truth, self.truth_classes, strict=True) if class_id in (None, c)], self.at)

    def found_union(self, class_id: int | None = None) -> Mask:
        """bool [h, w]: pixels of regions found with at least `CONFIDENCE`, of one class or of any."""
        kept = (self.scores >= CONFIDENCE) & ((self.found_classes == class_id) | (class_id is None))
        return _union([rle for rle, keep in zip(self.found, kept, strict=True) if keep], self.at)


def quiet() -> None:
    """Keep ultralytics' own tables and bars out of the output."""
    from ultralytics.utils import LOGGER

    LOGGER.setLevel(logging.WARNING)


def look(
    network: nn.Module,
    images: Sequence[LabelledImage],
    classes: tuple[str, ...],
    imgsz: int,
    *,
    one_class: bool,
) -> list[Seen]:
    """What `network` finds in `images`, in their order.

    classes: of the labels.  one_class: every region is corrosion and nothing more, in labels and results; needed where the
    network's classes are not those of the labels.  imgsz: longer side in network pixels.
    """
    from ultralytics.models.yolo.segment import SegmentationValidator
    from ultralytics.utils import ops

    seen: dict[str, Seen] = {}
    by_stem = {image.path.stem: image for image in images}

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
            for row, (pred, (prototypes, coefficients)) in enumerate(zip(preds, self.pieces, strict=True)):
                number = len(stats["conf"]) - len(preds) + row
                stem = Path(batch["im_file"][row]).stem
                canvas = (batch["img"][row, 0] * 255).round().cpu().numpy().astype(np.uint8)
                (gain, _), (left, top) = batch["ratio_pad"][row]
                height, width = (round(float(side) * float(gain)) for side in batch["ori_shape"][row])
                at = (round(top - 0.1), round(left - 0.1), height, width)
                masks = _Masks(prototypes, coefficients, pred["bboxes"].cpu().numpy(), at)
                scores = pred["conf"].cpu().numpy().astype(np.float64)
                found, pixel_scores = masks.encode(scores)
                truth, truth_classes = _labels(by_stem[stem], height, width)
                seen[stem] = Seen(
                    image=by_stem[stem],
                    canvas=canvas,
                    at=at,
                    truth=truth,
                    truth_classes=truth_classes * (not one_class),
                    found=found,
                    found_classes=pred["cls"].cpu().numpy().astype(np.int64) * (not one_class),
                    scores=scores,
                    levels=_levels(pixel_scores, _union(truth, at)),
                    official={name: stats[name][number] for name in ("tp", "tp_m", "conf", "pred_cls", "target_cls")},
                )
            self.pieces.clear()

    network = copy.deepcopy(network).eval()
    with tempfile.TemporaryDirectory() as folder:
        description = write_for_ultralytics(Path(folder) / "data", classes, imgsz, train=tuple(images), val=tuple(images))
        validator = Validator(
            args={
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
        )
        if len(cast(Any, network).names) == len(classes):
            cast(Any, network).names = dict(enumerate(classes))
        validator(model=network)
    return [seen[image.path.stem] for image in images]


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
        sheet = np.zeros((height, width), np.uint8, order="F")
        found = []
        for number, score in enumerate(scores):
            x, y, logits = self._logits(number)
            place = slice(y - top, y - top + logits.shape[0]), slice(x - left, x - left + logits.shape[1])
            sheet[place] = logits > 0
            probability = (score / (1 + np.exp(-np.clip(logits, -30, 30)))).astype(np.float32)
            pixel_scores[place] = np.maximum(pixel_scores[place], probability)
            found.append(coco_mask.encode(sheet))
            sheet[place] = 0
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
        sheet = np.zeros((height, width), np.uint8, order="F")
        rows, columns = drawn.mask.shape
        sheet[drawn.y_px : drawn.y_px + rows, drawn.x_px : drawn.x_px + columns] = drawn.mask
        masks.append(coco_mask.encode(sheet))
        classes.append(int(drawn.label))
    return tuple(masks), np.array(classes, np.int64)


def _inside(canvas: NDArray[np.uint8], at: tuple[int, int, int, int]) -> NDArray[np.uint8]:
    top, left, height, width = at
    return canvas[top : top + height, left : left + width]


def _union(masks: Sequence[dict[str, Any]], at: tuple[int, int, int, int]) -> Mask:
    from pycocotools import mask as coco_mask

    if not masks:
        return np.zeros(at[2:], np.bool_)
    return cast(Mask, coco_mask.decode(coco_mask.merge(list(masks))).astype(np.bool_))


def _levels(pixel_scores: NDArray[np.float32], truth: Mask) -> NDArray[np.int64]:
    bits = np.clip(pixel_scores, 0, 1).astype(np.float16).view(np.uint16)
    return np.stack([np.bincount(bits[truth == side], minlength=LEVELS) for side in (False, True)]).astype(np.int64)


# --- ultralytics' numbers --------------------------------------------------------------------------------------------

OFFICIAL: Final = ("precision", "recall", "map50", "map50_95")


def official(seen: Sequence[Seen], kind: str) -> dict[str, float]:
    """`OFFICIAL` of boxes (kind "tp") or masks ("tp_m") over these images, by the function that ultralytics val uses.

    Precision and recall are those at the confidence with the largest F1. NaN where nothing is labelled.
    """
    from ultralytics.utils.metrics import ap_per_class

    names = (kind, "conf", "pred_cls", "target_cls")
    parts = [np.concatenate([one.official[name] for one in seen]) for name in names]
    if not len(parts[3]):
        return dict.fromkeys(OFFICIAL, float("nan"))
    _, _, precision, recall, _, ap, *_ = ap_per_class(*parts)
    values = (precision.mean(), recall.mean(), ap[:, 0].mean(), ap.mean())
    return dict(zip(OFFICIAL, (float(value) for value in values), strict=True))


# --- overlap of pixels -----------------------------------------------------------------------------------------------


def iou(one: Mask, other: Mask) -> float:
    """Of two masks; 1 where both are empty."""
    either = np.count_nonzero(one | other)
    return float(np.count_nonzero(one & other) / either) if either else 1.0


def resolved_iou(seen: Seen, least_px: float = RESOLVED_PX) -> float:
    """Of the found and the labelled pixels of an image, without those of smaller regions, which are neither right nor wrong."""
    found = [rle for rle, score in zip(seen.found, seen.scores, strict=True) if score >= CONFIDENCE]
    sides = (seen.truth, found)
    small = [rle for side in sides for rle, size in zip(side, diameters_px(side), strict=True) if size < least_px]
    counted = ~_union(small, seen.at)
    return iou(seen.truth_union() & counted, seen.found_union() & counted)


def class_overlaps(seen: Seen, classes: int) -> NDArray[np.int64]:
    """int64 [1 + classes, 2]: shared and covered pixels of the ground (row 0) and of each class."""
    sides = [(~seen.truth_union(), ~seen.found_union())]
    sides += [(seen.truth_union(number), seen.found_union(number)) for number in range(classes)]
    return np.array([[np.count_nonzero(a & b), np.count_nonzero(a | b)] for a, b in sides], np.int64)


def matched(seen: Seen) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """For each labelled region: its diameter in network pixels, and its IoU with the found region assigned to it.

    Found regions have at least `CONFIDENCE`; pairs are assigned one to one so that the sum of IoU is largest
    (Kuhn 1955), whatever their classes; an IoU below `LEAST_IOU` counts as not found: 0.
    """
    from pycocotools import mask as coco_mask
    from scipy.optimize import linear_sum_assignment

    diameters = diameters_px(seen.truth)
    overlaps = np.zeros(len(seen.truth))
    found = [rle for rle, score in zip(seen.found, seen.scores, strict=True) if score >= CONFIDENCE]
    if found and seen.truth:
        pairs = coco_mask.iou(found, list(seen.truth), [0] * len(seen.truth))
        rows, columns = linear_sum_assignment(pairs, maximize=True)
        overlaps[columns] = pairs[rows, columns]
    return diameters, np.where(overlaps >= LEAST_IOU, overlaps, 0.0)


def diameters_px(masks: Sequence[dict[str, Any]]) -> NDArray[np.float64]:
    """Diameters of discs of the masks' areas."""
    from pycocotools import mask as coco_mask

    areas = coco_mask.area(list(masks)) if masks else np.empty(0)
    return cast(NDArray[np.float64], np.sqrt(4 / np.pi * np.asarray(areas, np.float64)))


# --- pixel curves ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class Curves:
    """ROC and precision-recall of pixels, a point for each score that occurs, highest first. All float64.

    pr_auc: the average precision.  Areas are NaN where pixels of one kind are missing.
    """

    false_rate: NDArray[np.float64]
    true_rate: NDArray[np.float64]
    precision: NDArray[np.float64]
    roc_auc: float
    pr_auc: float


def pixel_curves(levels: NDArray[np.int64]) -> Curves:
    """From counts int64 [2, LEVELS] of pixels without and with corrosion.

    As scikit-learn's roc_auc_score and average_precision_score on the pixels, which a test compares; they would have to
    sort millions of pixels for each replicate of an interval.
    """
    used = np.flatnonzero(levels.sum(axis=0))[::-1]
    wrong, right = np.cumsum(levels[:, used], axis=1).astype(np.float64)
    if not len(used) or not wrong[-1] or not right[-1]:
        empty = np.empty(0)
        return Curves(empty, empty, empty, float("nan"), float("nan"))
    false_rate, true_rate, precision = wrong / wrong[-1], right / right[-1], right / (right + wrong)
    average = float(np.sum(np.diff(true_rate, prepend=0.0) * precision))
    steps = np.diff(false_rate, prepend=0.0)
    area = float(np.sum(steps * (true_rate - np.diff(true_rate, prepend=0.0) / 2)))
    return Curves(false_rate, true_rate, precision, area, average)


# --- mAP by size -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SizeScore:
    """Average precision of masks for labelled regions of one range of diameters, in network pixels.

    Labelled regions of other sizes are ignored, and so are found ones of other sizes that match none: they are no errors.
    from_px, below_px: of the diameter.  regions: labelled ones.  map50, map50_95: None without regions.
    recall50: part found with at least `CONFIDENCE` and IoU `LEAST_IOU`, whatever the class.
    """

    from_px: float
    below_px: float
    regions: int
    map50: float | None
    map50_95: float | None
    recall50: float | None


class SizeScores:
    """pycocotools' COCOeval over images, asked for any of them and any range of diameters."""

    def __init__(self, seen: Sequence[Seen], *, bins: bool = True) -> None:
        """bins: also the ranges of `DIAMETERS_PX`, which take most of the time."""
        from pycocotools.cocoeval import COCOeval

        self._matched = [matched(one) for one in seen]
        edges = pairwise(DIAMETERS_PX) if bins else ()
        self.ranges: tuple[tuple[float, float], ...] = ((0.0, np.inf), (RESOLVED_PX, np.inf), *edges)
        truth, found = (_coco(seen, side) for side in ("truth", "found"))
        self._evaluation = COCOeval(truth, found, "segm")
        parameters = self._evaluation.params
        parameters.maxDets = [MOST_REGIONS]
        # COCOeval's ranges hold both ends; areas are whole pixels
        parameters.areaRng = [[np.pi / 4 * low**2, np.pi / 4 * min(high, 1e5) ** 2 - 1e-6] for low, high in self.ranges]
        parameters.areaRngLbl = [str(number) for number in range(len(self.ranges))]
        with contextlib.redirect_stdout(io.StringIO()):
            self._evaluation.evaluate()

    def of(self, images: Index) -> tuple[SizeScore, ...]:
        """Scores of these images for every range: all sizes, `RESOLVED_PX` and above, then the bins."""
        parameters = copy.deepcopy(self._evaluation.params)
        parameters.imgIds = [int(index) + 1 for index in images]
        with contextlib.redirect_stdout(io.StringIO()):
            self._evaluation.accumulate(parameters)
        precision = self._evaluation.eval["precision"]  # [IoU, recall, class, size, 1]
        diameters = np.concatenate([self._matched[index][0] for index in images])
        overlaps = np.concatenate([self._matched[index][1] for index in images])
        rows = []
        for number, (low, high) in enumerate(self.ranges):
            of_size = (diameters >= low) & (diameters < high)
            values = precision[:, :, :, number, 0]
            rows.append(
                SizeScore(
                    low,
                    high,
                    regions=int(of_size.sum()),
                    map50=_mean(values[0]),
                    map50_95=_mean(values),
                    recall50=float((overlaps[of_size] > 0).mean()) if of_size.any() else None,
                )
            )
        return tuple(rows)


def _mean(values: NDArray[np.float64]) -> float | None:
    """Without the -1 of classes that have no labelled region."""
    known = values[values > -1]
    return float(known.mean()) if known.size else None


def _coco(seen: Sequence[Seen], side: str) -> Any:
    from pycocotools import mask as coco_mask
    from pycocotools.coco import COCO

    annotations: list[dict[str, Any]] = []
    for number, one in enumerate(seen, start=1):
        masks = one.truth if side == "truth" else one.found
        classes = one.truth_classes if side == "truth" else one.found_classes
        scores = np.ones(len(masks)) if side == "truth" else one.scores
        annotations += [
            {
                "id": len(annotations) + offset,  # pycocotools takes an id of 0 for no match
                "image_id": number,
                "category_id": int(class_id) + 1,
                "segmentation": mask,
                "area": float(coco_mask.area(mask)),
                "bbox": coco_mask.toBbox(mask).tolist(),
                "iscrowd": 0,
                "score": float(score),
            }
            for offset, (mask, class_id, score) in enumerate(zip(masks, classes, scores, strict=True), start=1)
        ]
    known = sorted({int(class_id) + 1 for one in seen for class_id in (*one.truth_classes, *one.found_classes)})
    coco = COCO()
    coco.dataset = {
        "images": [{"id": n, "height": one.at[2], "width": one.at[3]} for n, one in enumerate(seen, start=1)],
        "categories": [{"id": number, "name": str(number)} for number in known],
        "annotations": annotations,
    }
    with contextlib.redirect_stdout(io.StringIO()):
        coco.createIndex()
    return coco
