"""A prepared data set and trained runs in, every number of the paper's Tables 5 to 9 and Figures 5 to 8 out.

Each image is judged by the one checkpoint of a run that did not learn from it or its coupon. A number is computed for each
fold; what is reported is the mean over the folds (section 3.4: four-fold cross-validation) with their standard deviation
and a 95 % interval that draws whole groups (coupons) of each fold with replacement, since images of one coupon are alike.
Numbers of the classifier are pooled over all images instead: a fold has too few of a class.
"""

from __future__ import annotations

import csv
import dataclasses
import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from itertools import pairwise
from pathlib import Path, PurePath
from typing import Any, Final, cast

import numpy as np
from numpy.typing import NDArray

from edge.config import SampleSettings
from edge.errors import ConfigError
from edge.records import SEVERITIES
from export.to_onnx import Checkpoint
from training.data.dataset import DataSet, Images, LabelledImage, open_data_set
from training.learn.calibration import expected_calibration_error, graph_of, verdicts, wilson_interval
from training.learn.classifier import load_fields
from training.score import explain
from training.score.evaluation import (
    CURVE_POINTS,
    ClassifierResult,
    Comparison,
    Condition,
    Curve,
    Evaluation,
    Example,
    HeatScores,
    ImageScore,
    Judge,
    Number,
    SegmenterResult,
    SizeRow,
    TimeCourse,
    Verdict,
    finite,
)
from training.score.segmentation_scores import (
    CONFIDENCE,
    LEAST_IOU,
    MOST_REGIONS,
    OFFICIAL,
    RESOLVED_PX,
    Seen,
    SizeScore,
    SizeScores,
    class_overlaps,
    iou,
    look,
    matched,
    official,
    pixel_curves,
    quiet,
    resolved_iou,
)

REPLICATES: Final = 300
SEED: Final = 0

Index = NDArray[np.intp]
Measure = Callable[[Index], Mapping[str, float]]


# --- the whole -------------------------------------------------------------------------------------------------------


def evaluate(
    data: Path,
    segmenters: Mapping[str, Path],
    classifiers: Mapping[str, Path],
    command: str,
    imgsz: int | None = None,
    truth: Path | None = None,
) -> Evaluation:
    """Score the runs, by name, against the labels and severities of the prepared data set in `data`.

    imgsz: longer side for the segmenters in network pixels; without it, that of their training.  truth: truth.json of a
    drawn data set, for the true corroded part of each image. Raises ConfigError, also when a checkpoint learnt from what
    it would have to judge, and ModelError.
    """
    data_set = open_data_set(data)
    if not data_set.prepared:
        raise ConfigError(f"{data} was not made by edge-train prepare, so nothing says what may be scored on")
    warnings: list[str] = []
    stage1 = [_segmenter(data_set, name, run, imgsz, warnings) for name, run in segmenters.items()]
    stage2 = [_classifier(data_set, name, run, warnings) for name, run in classifiers.items()]
    comparisons = [_compare_segmenters(one, other) for one in stage1 for other in stage1[stage1.index(one) + 1 :]]
    comparisons += [_compare_classifiers(one, other) for one in stage2 for other in stage2[stage2.index(one) + 1 :]]
    originals = [image for image in data_set.images if image.origin is None]
    return Evaluation(
        data=data.name,
        data_sha256=data_set.sha256,
        images=len(originals),
        groups=len({image.group for image in originals}),
        folds=data_set.folds,
        classes=data_set.classes,
        command=command,
        versions=_versions(),
        segmenters=tuple(stage1),
        classifiers=tuple(stage2),
        comparisons=tuple(comparison for comparison in comparisons if comparison is not None),
        time_course=_time_course(data_set, stage1[0], truth) if stage1 else None,
        warnings=tuple(warnings),
    )


def _versions() -> dict[str, str]:
    found = {}
    for name in ("sem-corrosion-edge", "torch", "ultralytics", "timm", "pycocotools", "grad-cam", "scikit-learn"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


# --- which checkpoint judges what ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class _Seat:
    """A checkpoint and the images that it is to judge."""

    checkpoint: Checkpoint
    images: Images
    judge: Judge


def _seats(data_set: DataSet, name: str, run: Path, file: str, warnings: list[str]) -> list[_Seat]:
    """The checkpoints of a run and the images that each did not learn from. Raises ConfigError."""
    folds = [fold for fold in range(data_set.folds) if (run / f"fold{fold}" / file).is_file()]
    if folds:
        missing = [str(fold) for fold in range(data_set.folds) if fold not in folds]
        if missing:
            warnings.append(f"{name}: no checkpoint of fold {', '.join(missing)} yet, so their images are not scored")
        places: list[tuple[int | None, Path, Images]] = [(fold, run / f"fold{fold}", data_set.fold(fold)[1]) for fold in folds]
    elif (run / file).is_file():
        places = [(None, run, data_set.parts()[2])]
    else:
        raise ConfigError(f"no {file} in {run} or {run / 'fold0'}: train with edge-train {file.removesuffix('.pt')} --fold all")
    seats = []
    for fold, folder, images in places:
        checkpoint = Checkpoint.load(folder / file)
        _require_unseen(data_set, name, folder, images, checkpoint, warnings)
        facts = checkpoint.training
        judge = Judge(
            file=str((folder / file).relative_to(run)),
            fold=fold,
            images=len(images),
            initialised_from=facts.initialised_from,
            epochs=facts.epochs,
            learnt_from=facts.data,
            command=facts.command,
        )
        seats.append(_Seat(checkpoint, images, judge))
    return seats


def _require_unseen(
    data_set: DataSet, name: str, folder: Path, images: Images, checkpoint: Checkpoint, warnings: list[str]
) -> None:
    """Refuse a checkpoint that learnt from an image of these, a copy of one, or another image of the same group.

    The list of what a segmenter learnt from lies beside it. Without one, equal hashes mean equal labels and folds.
    """
    listed = folder / "segmenter-data" / "train.txt"
    if listed.is_file() and checkpoint.task == "segment":
        learnt = {PurePath(line.strip()).stem for line in listed.read_text(encoding="utf-8").splitlines() if line.strip()}
        group_of = {image.path.stem: image.group for image in data_set.images}
        known = {group_of[stem] for stem in learnt if stem in group_of}
        seen = sorted(image.path.name for image in images if image.group in known)
        if seen:
            raise ConfigError(
                f"{name}: {folder} learnt from {seen[0]} or its group, as from {len(seen)} of the {len(images)} images that it "
                "would have to judge: prepare both label sets with the same --seed, --folds and --test"
            )
        if not known:
            warnings.append(f"{name}: none of the images that {folder.name} learnt from is in the data set, by their names")
    elif checkpoint.training.data_sha256 != data_set.sha256:
        warnings.append(
            f"{name}: {folder.name} was trained on other data or labels, and nothing says from which images: "
            "it may have learnt from those that it judges"
        )


def _folds_of(counts: Sequence[int]) -> list[Index]:
    """The places of each fold's images in the row of all."""
    ends = np.cumsum([0, *counts])
    return [np.arange(start, end) for start, end in pairwise(ends)]


# --- numbers with intervals ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class _Design:
    """The images of each fold, by place, and each image's group: how replicates are drawn."""

    folds: tuple[Index, ...]
    groups: tuple[str, ...]

    def replicates(self) -> list[list[Index]]:
        """`REPLICATES` times the images of each fold, its groups drawn with replacement; none for a fold of one group."""
        rng = np.random.default_rng(SEED)
        members = [self._members(fold) for fold in self.folds]
        if not members or min(len(groups) for groups in members) < 2:
            return []
        return [
            [np.concatenate([groups[at] for at in rng.integers(len(groups), size=len(groups))]) for groups in members]
            for _ in range(REPLICATES)
        ]

    def _members(self, fold: Index) -> list[Index]:
        by_group: dict[str, list[int]] = {}
        for index in fold.tolist():
            by_group.setdefault(self.groups[index], []).append(index)
        return [np.array(places, np.intp) for places in by_group.values()]

    def over_folds(self, measure: Measure, how: Mapping[str, str], *, interval: bool = True) -> dict[str, Number]:
        """Means over the folds."""
        values = [measure(fold) for fold in self.folds]
        drawn = [[measure(fold) for fold in folds] for folds in self.replicates()] if interval else []
        n = sum(len(fold) for fold in self.folds)
        numbers = {}
        for name, text in how.items():
            folds = [float(value[name]) for value in values]
            means = [_mean([float(value[name]) for value in replicate]) for replicate in drawn]
            numbers[name] = _number(_mean(folds), n, f"{text}, mean over folds", means, folds)
        return numbers

    def pooled(self, measure: Measure, how: Mapping[str, str]) -> dict[str, Number]:
        """Over the images of all folds together."""
        whole = np.concatenate(self.folds)
        value = measure(whole)
        drawn = [measure(np.concatenate(folds)) for folds in self.replicates()]
        folds = [measure(fold) for fold in self.folds]
        return {
            name: _number(
                value[name],
                len(whole),
                f"{text}, all folds together",
                [float(replicate[name]) for replicate in drawn],
                [float(fold[name]) for fold in folds],
            )
            for name, text in how.items()
        }


def _number(value: float, n: int, how: str, drawn: Sequence[float], folds: Sequence[float]) -> Number:
    known = [one for one in drawn if math.isfinite(one)]
    low, high = np.percentile(known, (2.5, 97.5)) if known else (None, None)
    defined = [one for one in folds if math.isfinite(one)]
    return Number(
        value=finite(value),
        n=n,
        how=how,
        low_95=finite(low),
        high_95=finite(high),
        spread=finite(float(np.std(defined, ddof=1))) if len(defined) > 1 else None,
        folds=tuple(finite(one) for one in folds),
    )


def _mean(values: Sequence[float]) -> float:
    known = [value for value in values if math.isfinite(value)]
    return float(np.mean(known)) if known else float("nan")


# --- stage 1 ---------------------------------------------------------------------------------------------------------


def _segmenter(data_set: DataSet, name: str, run: Path, imgsz: int | None, warnings: list[str]) -> SegmenterResult:
    quiet()
    seats = _seats(data_set, name, run, "segmenter.pt", warnings)
    classes = seats[0].checkpoint.classes
    side = imgsz or _training_side(seats[0].checkpoint, name)
    networks = [seat.checkpoint.network() for seat in seats]
    one_class = [
        look(net, seat.images, data_set.classes, side, one_class=True) for net, seat in zip(networks, seats, strict=True)
    ]
    seen = [one for part in one_class for one in part]
    design = _design(seats, seen)
    by_class = sizes_by_class = None
    if classes == data_set.classes:
        with_classes = [
            one
            for network, seat in zip(networks, seats, strict=True)
            for one in look(network, seat.images, data_set.classes, side, one_class=False)
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
    fold_of = [seat.judge.fold for seat in seats for _ in seat.images]
    return SegmenterResult(
        name=name,
        classes=classes,
        imgsz=side,
        judges=tuple(seat.judge for seat in seats),
        any_class=any_class,
        by_class=by_class,
        sizes=sizes,
        sizes_by_class=sizes_by_class,
        curve=_curve(seen),
        heat=_heat_scores(pictures, design, "pytorch-grad-cam on all layers that the head reads, sum of the kept class logits"),
        images=tuple(_image_score(one, fold) for one, fold in zip(seen, fold_of, strict=True)),
    )


def _training_side(checkpoint: Checkpoint, name: str) -> int:
    """The side that the checkpoint's own scores were measured at, which is that of its training."""
    for score in checkpoint.scores.values():
        side = re.search(r"ultralytics val, (\d+) px", str(score.get("how")))
        if side:
            return int(side[1])
    raise ConfigError(f"{name}: the checkpoint does not say the size of the images it learnt from: give --imgsz")


def _design(seats: Sequence[_Seat], seen: Sequence[Seen]) -> _Design:
    folds = _folds_of([len(seat.images) for seat in seats])
    return _Design(tuple(folds), tuple(one.image.group for one in seen))


def _crop(heat: NDArray[np.float32], at: tuple[int, int, int, int]) -> NDArray[np.float32]:
    top, left, height, width = at
    return heat[top : top + height, left : left + width]


def _detection(
    seen: Sequence[Seen], design: _Design, side: int, *, bins: bool
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
            numbers[pattern.format(key)] = _number(_mean(folds), n, text, (), folds)
    return numbers, rows


def _size_row(folds: Sequence[SizeScore]) -> SizeRow:
    def mean(name: str) -> float | None:
        return finite(_mean([value for one in folds if (value := getattr(one, name)) is not None]))

    first = folds[0]
    regions = sum(one.regions for one in folds)
    return SizeRow(first.from_px, finite(first.below_px), regions, mean("map50"), mean("map50_95"), mean("recall50"))


def _overlap(seen: Sequence[Seen], design: _Design) -> dict[str, Number]:
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
            "ground_and_corrosion_iou": _mean(ratios),
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


def _class_iou(seen: Sequence[Seen], design: _Design, classes: tuple[str, ...]) -> dict[str, Number]:
    counts = np.array([class_overlaps(one, len(classes)) for one in seen])

    def measure(images: Index) -> dict[str, float]:
        sums = counts[images].sum(axis=0)[1:].astype(np.float64)
        return {"class_iou": _mean([shared / covered for shared, covered in sums if covered])}

    how = f"mean over the classes, without ground, of their pixel IoU over all pixels, confidence {CONFIDENCE}"
    return design.over_folds(measure, {"class_iou": how})


def _pixels(seen: Sequence[Seen], design: _Design) -> dict[str, Number]:
    """Table 7: areas under the pixel curves, and their distribution over the images."""
    single = np.array([pixel_curves(one.levels).roc_auc for one in seen])

    def measure(images: Index) -> dict[str, float]:
        curves = pixel_curves(cast(NDArray[np.int64], np.sum([seen[index].levels for index in images], axis=0)))
        return {"roc_auc": curves.roc_auc, "pr_auc": curves.pr_auc, "image_auc_mean": _mean(single[images].tolist())}

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


def _curve(seen: Sequence[Seen]) -> Curve:
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


def _image_score(seen: Seen, fold: int | None) -> ImageScore:
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


Picture = tuple[str, NDArray[np.uint8], NDArray[np.float32], NDArray[np.bool_]]


def _heat_scores(pictures: Sequence[Picture], design: _Design, how: str) -> HeatScores:
    """Table 8 and Figure 7. pictures: name, grey, heat map and labelled pixels of each image."""
    overlaps = {
        threshold: np.array([explain.heat_iou(heat, truth, threshold) for _, _, heat, truth in pictures])
        for threshold in explain.THRESHOLDS
    }
    values = overlaps[explain.THRESHOLD]
    text = f"{how}; heat at {explain.THRESHOLD:.0%} of its maximum against labelled pixels, images with regions"
    number = design.over_folds(lambda images: {"iou": _mean(values[images].tolist())}, {"iou": text})["iou"]
    order = [int(index) for index in np.argsort(-values) if math.isfinite(values[index])]
    chosen = {"best": order[:1], "median": order[len(order) // 2 :][:1], "worst": order[-1:]}
    return HeatScores(
        mean=dataclasses.replace(number, n=len(order)),
        best=finite(values[order[0]]) if order else None,
        worst=finite(values[order[-1]]) if order else None,
        by_threshold={f"{threshold:g}": finite(_mean(found.tolist())) for threshold, found in overlaps.items()},
        everywhere=finite(_mean([float(truth.mean()) for _, _, _, truth in pictures if truth.any()])),
        images=tuple((pictures[index][0], round(float(values[index]), 4)) for index in order),
        examples=tuple(
            Example(which, pictures[index][0], float(values[index]), *pictures[index][1:])
            for which, places in chosen.items()
            for index in places
        ),
    )


# --- stage 2 ---------------------------------------------------------------------------------------------------------


def _classifier(data_set: DataSet, name: str, run: Path, warnings: list[str]) -> ClassifierResult:
    seats = _seats(data_set, name, run, "classifier.pt", warnings)
    judged: list[Verdict] = []
    probabilities: list[NDArray[np.float64]] = []
    pictures: list[Picture] = []
    counts = []
    for seat in seats:
        known = tuple(image for image in seat.images if image.severity is not None)
        fields, labels = load_fields(known)
        graph = graph_of(seat.checkpoint)
        said = verdicts(graph, seat.checkpoint.calibration, fields)
        for image, field, label, row in zip(known, fields, labels, said.probabilities, strict=True):
            best = int(row.argmax())
            verdict = Verdict(
                image.path.name, image.group, seat.judge.fold, SEVERITIES[label], SEVERITIES[best], round(float(row[best]), 4)
            )
            judged.append(verdict)
            truth = explain.field_truth(_labelled(image), field.shape[0])
            pictures.append((image.path.name, field, explain.classifier_heat(graph, field), truth))
        probabilities.append(said.probabilities)
        counts.append(len(known))
    design = _Design(tuple(_folds_of(counts)), tuple(verdict.group for verdict in judged))
    actual = np.array([SEVERITIES.index(cast(Any, verdict.severity)) for verdict in judged], np.intp)
    rows = np.concatenate(probabilities)
    said_labels = rows.argmax(axis=1)
    confusion = np.zeros((len(SEVERITIES), len(SEVERITIES)), int)
    np.add.at(confusion, (actual, said_labels), 1)
    return ClassifierResult(
        name=name,
        architecture=seats[0].checkpoint.architecture,
        judges=tuple(seat.judge for seat in seats),
        numbers=_severity_numbers(actual, rows, design),
        confusion=tuple(tuple(int(count) for count in row) for row in confusion),
        heat=_heat_scores(pictures, design, "the graph's cam of the severity decided on, which is Grad-CAM"),
        images=tuple(judged),
    )


def _labelled(image: LabelledImage) -> NDArray[np.bool_]:
    """Labelled pixels of an image at its own size."""
    import cv2

    from training.labels.yolo import read_yolo

    grey = cv2.imread(str(image.path), cv2.IMREAD_GRAYSCALE)
    if grey is None:
        raise ConfigError(f"cannot decode {image.path}")
    path = image.path.parent.parent / "labels" / f"{image.path.stem}.txt"
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    height, width = grey.shape
    return read_yolo(text, path.name, width, height).covered(width, height)


def _severity_numbers(truth: NDArray[np.intp], probabilities: NDArray[np.float64], design: _Design) -> dict[str, Number]:
    """Table 9 and section 5: accuracy, precision, recall, F1 and calibration error."""
    from sklearn.metrics import precision_recall_fscore_support

    said = probabilities.argmax(axis=1)
    right, confidence = said == truth, probabilities.max(axis=1)

    def measure(images: Index) -> dict[str, float]:
        values = {"accuracy": float(right[images].mean())}
        values["expected_calibration_error"] = expected_calibration_error(confidence[images], right[images])
        for average in ("macro", "weighted"):
            scores = precision_recall_fscore_support(truth[images], said[images], average=average, zero_division=0.0)
            values |= {f"{average}_{name}": float(score) for name, score in zip(_AVERAGED, scores, strict=False)}
        return values

    how = {"accuracy": "images whose severity is right", "expected_calibration_error": "10 bins of equal width"}
    how |= {f"macro_{name}": "scikit-learn, mean over the severities" for name in _AVERAGED}
    how |= {f"weighted_{name}": "scikit-learn, mean over the severities weighted by their images" for name in _AVERAGED}
    numbers = design.pooled(measure, how)
    low, high = wilson_interval(int(right.sum()), len(right))
    accuracy = numbers["accuracy"]
    numbers["accuracy_groups"] = dataclasses.replace(accuracy, how=f"{accuracy.how}; interval by drawing groups")
    numbers["accuracy"] = dataclasses.replace(
        accuracy,
        low_95=finite(low),
        high_95=finite(high),
        how=f"{accuracy.how}; interval of Wilson 1927, images as independent",
    )
    return numbers


_AVERAGED: Final = ("precision", "recall", "f1")


# --- two of a kind ---------------------------------------------------------------------------------------------------


def _compare_segmenters(one: SegmenterResult, other: SegmenterResult) -> Comparison | None:
    values = {score.image: score.iou for score in other.images}
    shared = [score for score in one.images if score.image in values]
    if not shared:
        return None
    differences = np.array([score.iou - values[score.image] for score in shared])
    number = _paired(differences, [(score.fold, score.group) for score in shared], "mean_iou of the same images, difference")
    return Comparison("mean_iou", one.name, other.name, number, _origins(one.judges, other.judges))


def _compare_classifiers(one: ClassifierResult, other: ClassifierResult) -> Comparison | None:
    from scipy.stats import binomtest

    rights = {verdict.image: verdict.said == verdict.severity for verdict in other.images}
    shared = [verdict for verdict in one.images if verdict.image in rights]
    if not shared:
        return None
    pairs = [(verdict.said == verdict.severity, rights[verdict.image]) for verdict in shared]
    only_one, only_other = pairs.count((True, False)), pairs.count((False, True))
    differences = np.array([float(a) - float(b) for a, b in pairs])
    places = [(verdict.fold, verdict.group) for verdict in shared]
    return Comparison(
        "accuracy",
        one.name,
        other.name,
        _paired(differences, places, "accuracy on the same images, difference"),
        _origins(one.judges, other.judges),
        only_one,
        only_other,
        float(binomtest(only_one, only_one + only_other).pvalue) if only_one + only_other else 1.0,
    )


def _paired(differences: NDArray[np.float64], places: Sequence[tuple[int | None, str]], how: str) -> Number:
    """places: fold and group of each image."""
    folds = dict.fromkeys(fold for fold, _ in places)
    indices = tuple(np.array([i for i, (fold, _) in enumerate(places) if fold == one], np.intp) for one in folds)
    design = _Design(indices, tuple(group for _, group in places))
    return design.pooled(lambda images: {"value": float(differences[images].mean())}, {"value": how})["value"]


def _origins(one: Sequence[Judge], other: Sequence[Judge]) -> tuple[str, str]:
    texts = [" / ".join(dict.fromkeys(judge.initialised_from for judge in judges)) for judges in (one, other)]
    return texts[0], texts[1]


# --- the time course -------------------------------------------------------------------------------------------------


def _time_course(data_set: DataSet, segmenter: SegmenterResult, truth: Path | None) -> TimeCourse | None:
    """Corroded part against exposure and annealing; None where no image says both."""
    conditions = _conditions(data_set)
    true = _true_fractions(truth) if truth is not None else {}
    by_condition: dict[tuple[float, float], list[ImageScore]] = {}
    for score in segmenter.images:
        condition = conditions.get(score.image)
        if condition is not None:
            by_condition.setdefault(condition, []).append(score)
    if not by_condition:
        return None
    rows = []
    for (annealing, exposure), scores in sorted(by_condition.items()):
        measured = [score.measured_fraction for score in scores]
        drawn = [true[stem] for score in scores if (stem := PurePath(score.image).stem) in true]
        rows.append(
            Condition(
                annealing_min=annealing,
                exposure_h=exposure,
                images=len(scores),
                measured=float(np.mean(measured)),
                deviation=float(np.std(measured, ddof=1)) if len(measured) > 1 else None,
                labelled=float(np.mean([score.labelled_fraction for score in scores])),
                true=float(np.mean(drawn)) if drawn else None,
            )
        )
    known = [score for score in segmenter.images if not true or PurePath(score.image).stem in true]
    if not known:
        raise ConfigError(f"{truth} names none of the images")
    errors = np.array([s.measured_fraction - true.get(PurePath(s.image).stem, s.labelled_fraction) for s in known])
    places = [(score.fold, score.group) for score in known]
    reference = "drawn" if true else "labelled"
    return TimeCourse(
        segmenter.name,
        tuple(rows),
        reference,
        _paired(errors, places, f"measured less {reference} part of the image"),
        _paired(np.abs(errors), places, f"measured less {reference} part of the image, without sign"),
    )


def _conditions(data_set: DataSet) -> dict[str, tuple[float, float]]:
    """Annealing in minutes and exposure in hours of each image that tells both, in samples.csv or in its name."""
    rows: dict[str, dict[str, str]] = {}
    table = data_set.folder / "samples.csv"
    if table.is_file():
        with table.open(newline="", encoding="utf-8") as stream:
            rows = {row["image"]: row for row in csv.DictReader(stream)}
    pattern = SampleSettings()
    found = {}
    for image in data_set.images:
        row, fields = rows.get(image.path.name, {}), pattern.fields(image.path.name)
        values = [row.get(name) or fields.get(name) for name in ("annealing_min", "exposure_h")]
        if None not in values:
            found[image.path.name] = (float(cast(Any, values[0])), float(cast(Any, values[1])))
    return found


def _true_fractions(path: Path) -> dict[str, float]:
    """By the names' stems. Raises ConfigError."""
    try:
        content = json.loads(path.read_bytes())
        return {PurePath(image["image"]).stem: float(image["drawn_fraction"]) for image in content["images"]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{path} is not a truth.json of edge-train synthesize ({error})") from error
