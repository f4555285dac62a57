"""What a segmenter found in labelled images in, how that agrees with the labels out.

Everything is counted in network pixels. Ultralytics' own function supplies box and mask precision, recall and mAP; it
compares masks at a quarter of the network's size, as it always does. Numbers by size come from pycocotools on the same
detections, with masks at the full size of the network's image.
"""

from __future__ import annotations

import contextlib
import copy
import io
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final, cast

import numpy as np
from numpy.typing import NDArray

from training.score.detect import CONFIDENCE, MOST_REGIONS, Detections, Mask, union

Index = NDArray[np.intp]
RESOLVED_PX: Final = 16.0
DIAMETERS_PX: Final = (0.0, 8.0, 12.0, 16.0, 24.0, 32.0, 48.0, float("inf"))
LEAST_IOU: Final = 0.5
OFFICIAL: Final = ("precision", "recall", "map50", "map50_95")


def official(seen: Sequence[Detections], kind: str) -> dict[str, float]:
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


def iou(one: Mask, other: Mask) -> float:
    """Of two masks; 1 where both are empty."""
    either = np.count_nonzero(one | other)
    return float(np.count_nonzero(one & other) / either) if either else 1.0


def resolved_iou(seen: Detections, least_px: float = RESOLVED_PX) -> float:
    """Of the found and the labelled pixels of an image, without those of smaller regions, which are neither right nor wrong."""
    found = [rle for rle, score in zip(seen.found, seen.scores, strict=True) if score >= CONFIDENCE]
    sides = (seen.truth, found)
    small = [rle for side in sides for rle, size in zip(side, diameters_px(side), strict=True) if size < least_px]
    counted = ~union(small, seen.at)
    return iou(seen.truth_union() & counted, seen.found_union() & counted)


def class_overlaps(seen: Detections, classes: int) -> NDArray[np.int64]:
    """int64 [1 + classes, 2]: shared and covered pixels of the ground (row 0) and of each class."""
    sides = [(~seen.truth_union(), ~seen.found_union())]
    sides += [(seen.truth_union(number), seen.found_union(number)) for number in range(classes)]
    return np.array([[np.count_nonzero(a & b), np.count_nonzero(a | b)] for a, b in sides], np.int64)


def matched(seen: Detections) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
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

    def __init__(self, seen: Sequence[Detections], *, bins: bool = True) -> None:
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


def _coco(seen: Sequence[Detections], side: str) -> Any:
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
