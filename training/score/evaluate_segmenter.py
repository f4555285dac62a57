"""A segmenter's run in, the numbers of the paper's Tables 5 to 7 and Figures 5 and 6 out."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

from edge.errors import ConfigError
from export.checkpoint import Checkpoint
from training.data.dataset import DataSet
from training.score import explain
from training.score.detect import CONFIDENCE, MOST_REGIONS, Detections, detect, quiet
from training.score.evaluation import CURVE_POINTS, Curve, ImageScore, Number, SegmenterResult, SizeRow, finite
from training.score.heat_scores import score_heat
from training.score.intervals import Design, Index, make_number, mean_of_known, places_of_folds
from training.score.judges import Assignment, assign_images
from training.score.segmentation_scores import (
    LEAST_IOU,
    OFFICIAL,
    RESOLVED_PX,
    SizeScore,
    SizeScores,
    class_overlaps,
    iou,
    matched,
    official,
    pixel_curves,
    resolved_iou,
)


def evaluate_segmenter(data_set: DataSet, name: str, run: Path, imgsz: int | None, warnings: list[str]) -> SegmenterResult:
    """Score one strategy's run; what should be known is added to `warnings`. Raises ConfigError and ModelError."""
    quiet()
    assignments = assign_images(data_set, name, run, "segmenter.pt", warnings)
    classes = assignments[0].checkpoint.classes
    side = imgsz or _training_side(assignments[0].checkpoint, name)
    networks = [assignment.checkpoint.network() for assignment in assignments]
    one_class = [
        detect(net, assignment.images, data_set.classes, side, one_class=True)
        for net, assignment in zip(networks, assignments, strict=True)
    ]
    seen = [one for part in one_class for one in part]
    design = _design(assignments, seen)
    by_class = sizes_by_class = None
    if classes == data_set.classes:
        with_classes = [
            one
            for network, assignment in zip(networks, assignments, strict=True)
            for one in detect(network, assignment.images, data_set.classes, side, one_class=False)
        ]
        by_class, sizes_by_class = _detection(with_classes, design, side, bins=False)
        by_class |= _class_iou(with_classes, design, data_set.classes)
    any_class, sizes = _detection(seen, design, side, bins=True)
    any_class |= _overlap(seen, design) | _pixels(seen, design)
    heats = [
        explain.segmenter_heat(network, one.canvas, CONFIDENCE)
        for network, part in zip(networks, one_class, strict=True)
        for one in part
    ]
    pictures = [
        (one.image.path.name, one.grey, _crop(heat, one.at), one.truth_union()) for one, heat in zip(seen, heats, strict=True)
    ]
    fold_of = [assignment.judge.fold for assignment in assignments for _ in assignment.images]
    return SegmenterResult(
        name=name,
        classes=classes,
        imgsz=side,
        judges=tuple(assignment.judge for assignment in assignments),
        any_class=any_class,
        by_class=by_class,
        sizes=sizes,
        sizes_by_class=sizes_by_class,
        curve=_curve(seen),
        heat=score_heat(pictures, design, "pytorch-grad-cam on all layers that the head reads, sum of the kept class logits"),
        images=tuple(_image_score(one, fold) for one, fold in zip(seen, fold_of, strict=True)),
    )


def _training_side(checkpoint: Checkpoint, name: str) -> int:
    """The side that the checkpoint's own scores were measured at, which is that of its training."""
    for score in checkpoint.scores.values():
        side = re.search(r"ultralytics val, (\d+) px", str(score.get("how")))
        if side:
            return int(side[1])
    raise ConfigError(f"{name}: the checkpoint does not say the size of the images it learnt from: give --imgsz")


def _design(assignments: Sequence[Assignment], seen: Sequence[Detections]) -> Design:
    folds = places_of_folds([len(assignment.images) for assignment in assignments])
    return Design(tuple(folds), tuple(one.image.group for one in seen))


def _crop(heat: NDArray[np.float32], at: tuple[int, int, int, int]) -> NDArray[np.float32]:
    top, left, height, width = at
    return heat[top : top + height, left : left + width]


def _detection(
    seen: Sequence[Detections], design: Design, side: int, *, bins: bool
) -> tuple[dict[str, Number], tuple[SizeRow, ...]]:
    """Tables 5 and 6: precision, recall and mAP of boxes and masks; and mAP by size."""
    numbers: dict[str, Number] = {}
    for title, kind in (("box", "tp"), ("mask", "tp_m")):
        at = "boxes" if kind == "tp" else "masks at a quarter of the network's size"

        def measure(images: Index, title: str = title, kind: str = kind) -> dict[str, float]:
            values = official([seen[index] for index in images], kind)
            return {f"{title}_{name}": value for name, value in values.items()}

        point = " at the confidence of the largest F1, IoU 0.5"
        how = {
            f"{title}_{name}": f"ultralytics val, {side} px, {at}{point if name in ('precision', 'recall') else ''}"
            for name in OFFICIAL
        }
        numbers |= design.over_folds(measure, how)
    scores = SizeScores(seen, bins=bins)
    by_fold = [scores.of(fold) for fold in design.folds]
    rows = tuple(_size_row(row) for row in zip(*by_fold, strict=True))
    how_coco = f"pycocotools COCOeval, masks at {side} px, at most {MOST_REGIONS} regions an image"
    wanted = {
        "mask_{}_full_size": (0, "every region"),
        "mask_{}_from_16px": (1, f"regions of {RESOLVED_PX:g} network px and more"),
    }
    for pattern, (place, which) in wanted.items():
        for key in ("map50", "map50_95"):
            values = [cast("float | None", getattr(row[place], key)) for row in by_fold]
            folds = [float("nan") if value is None else value for value in values]
            n = sum(len(fold) for fold in design.folds)
            text = f"{how_coco}, {which}, mean over folds"
            numbers[pattern.format(key)] = make_number(mean_of_known(folds), n, text, (), folds)
    return numbers, rows


def _size_row(folds: Sequence[SizeScore]) -> SizeRow:
    def mean(name: str) -> float | None:
        return finite(mean_of_known([value for one in folds if (value := getattr(one, name)) is not None]))

    first = folds[0]
    regions = sum(one.regions for one in folds)
    return SizeRow(first.from_px, finite(first.below_px), regions, mean("map50"), mean("map50_95"), mean("recall50"))


def _overlap(seen: Sequence[Detections], design: Design) -> dict[str, Number]:
    """Table 5's mean IoU, and what else is called so."""
    unions = np.array([iou(one.truth_union(), one.found_union()) for one in seen])
    resolved = np.array([resolved_iou(one) for one in seen])
    overlaps = [matched(one)[1] for one in seen]
    counts = np.array([class_overlaps(one, 0).sum(axis=0) for one in seen])  # of the ground
    corroded = np.array(
        [
            [np.count_nonzero(a & b), np.count_nonzero(a | b)]
            for a, b in ((one.truth_union(), one.found_union()) for one in seen)
        ]
    )

    def measure(images: Index) -> dict[str, float]:
        found = np.concatenate([overlaps[index] for index in images])
        pixel_sums = np.stack([counts[images].sum(axis=0), corroded[images].sum(axis=0)]).astype(np.float64)
        ratios = [shared / covered for shared, covered in pixel_sums if covered]
        return {
            "mean_iou": float(unions[images].mean()),
            "mean_iou_from_16px": float(resolved[images].mean()),
            "matched_iou": float(found[found > 0].mean()) if (found > 0).any() else float("nan"),
            "ground_and_corrosion_iou": mean_of_known(ratios),
        }

    at = f"confidence {CONFIDENCE}"
    return design.over_folds(
        measure,
        {
            "mean_iou": f"pixel IoU of all found against all labelled regions of an image, {at}, mean over images",
            "mean_iou_from_16px": f"the same without the pixels of smaller regions, labelled or found; {at}, mean over images",
            "matched_iou": f"IoU of the masks of found regions assigned to labelled ones, {at}, IoU {LEAST_IOU} or more; "
            "regions that are missed or wrong do not count",
            "ground_and_corrosion_iou": f"mean of the pixel IoU of ground and of corrosion over all pixels, {at}",
        },
    )


def _class_iou(seen: Sequence[Detections], design: Design, classes: tuple[str, ...]) -> dict[str, Number]:
    counts = np.array([class_overlaps(one, len(classes)) for one in seen])

    def measure(images: Index) -> dict[str, float]:
        sums = counts[images].sum(axis=0)[1:].astype(np.float64)
        return {"class_iou": mean_of_known([shared / covered for shared, covered in sums if covered])}

    how = f"mean over the classes, without ground, of their pixel IoU over all pixels, confidence {CONFIDENCE}"
    return design.over_folds(measure, {"class_iou": how})


def _pixels(seen: Sequence[Detections], design: Design) -> dict[str, Number]:
    """Table 7: areas under the pixel curves, and their distribution over the images."""
    single = np.array([pixel_curves(one.levels).roc_auc for one in seen])

    def measure(images: Index) -> dict[str, float]:
        curves = pixel_curves(cast(NDArray[np.int64], np.sum([seen[index].levels for index in images], axis=0)))
        return {"roc_auc": curves.roc_auc, "pr_auc": curves.pr_auc, "image_auc_mean": mean_of_known(single[images].tolist())}

    score = "pixel score: largest of region score times mask probability"
    numbers = design.over_folds(
        measure,
        {
            "roc_auc": f"all pixels of a fold, {score}",
            "pr_auc": f"average precision, all pixels of a fold, {score}",
            "image_auc_mean": f"ROC AUC of each image that has corrosion, {score}",
        },
    )
    known = single[np.isfinite(single)]
    for name, value in (("image_auc_min", known.min(initial=1.0)), ("image_auc_max", known.max(initial=0.0))):
        value = float(value) if len(known) else float("nan")
        numbers[name] = Number(finite(value), len(known), f"{name[-3:]} of the images' ROC AUC")
    return numbers


def _curve(seen: Sequence[Detections]) -> Curve:
    curves = pixel_curves(cast(NDArray[np.int64], np.sum([one.levels for one in seen], axis=0)))
    count = len(curves.true_rate)
    if not count:
        return Curve((), (), ())
    # evenly along the curve, not along the scores: most pixels have scores near 0
    length = np.cumsum(np.hypot(np.diff(curves.false_rate, prepend=0.0), np.diff(curves.true_rate, prepend=0.0)))
    chosen = np.unique(np.searchsorted(length, np.linspace(length[0], length[-1], CURVE_POINTS)).clip(0, count - 1))
    lists = (curves.false_rate[chosen], curves.true_rate[chosen], curves.precision[chosen])
    rows = [tuple(round(float(value), 5) for value in values) for values in lists]
    return Curve(*rows)


def _image_score(seen: Detections, fold: int | None) -> ImageScore:
    truth, found = seen.truth_union(), seen.found_union()
    return ImageScore(
        image=seen.image.path.name,
        group=seen.image.group,
        fold=fold,
        regions=len(seen.truth),
        found=int((seen.scores >= CONFIDENCE).sum()),
        iou=iou(truth, found),
        roc_auc=finite(pixel_curves(seen.levels).roc_auc),
        labelled_fraction=float(truth.mean()),
        measured_fraction=float(found.mean()),
    )
