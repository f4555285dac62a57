"""What `edge-train evaluate` found, as values and as JSON; whoever writes or reads it needs no torch."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

SCHEMA: Final = "training.evaluation/1"
CURVE_POINTS: Final = 200


@dataclass(frozen=True, slots=True)
class Number:
    """One result, 0…1 unless `how` says otherwise; None where it is not defined.

    n: what it was measured on, images unless `how` says otherwise.  low_95, high_95: None where groups are too few.
    folds: the value in each fold.  spread: their standard deviation (n - 1), None for one fold.
    """

    value: float | None
    n: int
    how: str
    low_95: float | None = None
    high_95: float | None = None
    spread: float | None = None
    folds: tuple[float | None, ...] = ()


Numbers = Mapping[str, Number]


@dataclass(frozen=True, slots=True)
class Judge:
    """A checkpoint, and the part of the data that it judges. file: below its run's folder.  fold: None for the test part."""

    file: str
    fold: int | None
    images: int
    initialised_from: str
    epochs: int
    learnt_from: str
    command: str


@dataclass(frozen=True, slots=True, eq=False)
class Example:
    """A heat map to look at. which: best, median or worst.  grey: uint8, heat: float32, truth: bool, all [h, w]."""

    which: str
    image: str
    iou: float
    grey: NDArray[np.uint8]
    heat: NDArray[np.float32]
    truth: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class HeatScores:
    """Grad-CAM IoU over the images with labelled regions. images: name and IoU.

    mean: at the threshold `explain.THRESHOLD`.  by_threshold: mean at others.  everywhere: mean IoU of a map that is hot
    all over, which knows nothing.
    """

    mean: Number
    best: float | None
    worst: float | None
    by_threshold: Mapping[str, float | None]
    everywhere: float | None
    images: tuple[tuple[str, float], ...]
    examples: tuple[Example, ...]


@dataclass(frozen=True, slots=True)
class SizeRow:
    """Numbers of one range of diameters in network pixels: means over the folds that have such regions."""

    from_px: float
    below_px: float | None
    regions: int
    map50: float | None
    map50_95: float | None
    recall50: float | None


@dataclass(frozen=True, slots=True)
class Curve:
    """Pixels of all folds together, at most `CURVE_POINTS` points."""

    false_rate: tuple[float, ...]
    true_rate: tuple[float, ...]
    precision: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class ImageScore:
    """One image as its judge saw it. *_fraction: corroded part of the image."""

    image: str
    group: str
    fold: int | None
    regions: int
    found: int
    iou: float
    roc_auc: float | None
    labelled_fraction: float
    measured_fraction: float


@dataclass(frozen=True, slots=True)
class SegmenterResult:
    """One strategy. any_class: labels and results without classes; by_class: None where the classes are not the labels'.

    sizes: without classes.
    """

    name: str
    classes: tuple[str, ...]
    imgsz: int
    judges: tuple[Judge, ...]
    any_class: Numbers
    by_class: Numbers | None
    sizes: tuple[SizeRow, ...]
    sizes_by_class: tuple[SizeRow, ...] | None
    curve: Curve
    heat: HeatScores
    images: tuple[ImageScore, ...]


@dataclass(frozen=True, slots=True)
class Verdict:
    """One image as its judge saw it. probability: of the severity that it decided on."""

    image: str
    group: str
    fold: int | None
    severity: str
    predicted: str = field(metadata={"json": "said"})  # the key of schema training.evaluation/1
    probability: float


@dataclass(frozen=True, slots=True)
class ClassifierResult:
    """One architecture. confusion: counts, a row for each true severity, in the order of `SEVERITIES`."""

    name: str
    architecture: str
    judges: tuple[Judge, ...]
    numbers: Numbers
    confusion: tuple[tuple[int, ...], ...]
    heat: HeatScores
    images: tuple[Verdict, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """The first of two on the same images, less the second.

    only_one, only_other: images that only one of two classifiers has right.  mcnemar_p: exact, two-sided (McNemar 1947).
    """

    what: str
    one: str
    other: str
    difference: Number
    initialised_from: tuple[str, str]
    only_one: int | None = None
    only_other: int | None = None
    mcnemar_p: float | None = None


@dataclass(frozen=True, slots=True)
class Condition:
    """Mean corroded part of the images of one annealing and exposure. true: as drawn; None without truth.

    measured: with the first segmenter.  deviation: of measured over the images (n - 1); None for one image.
    """

    annealing_min: float
    exposure_h: float
    images: int
    measured: float
    deviation: float | None
    labelled: float
    true: float | None


@dataclass(frozen=True, slots=True)
class TimeCourse:
    """How the corroded part grows. error, absolute_error: measured less the truth (of the labels without one), per image."""

    segmenter: str
    conditions: tuple[Condition, ...]
    reference: str
    error: Number
    absolute_error: Number


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Everything that `edge-train evaluate` found."""

    data: str
    data_sha256: str
    images: int
    groups: int
    folds: int
    classes: tuple[str, ...]
    command: str
    versions: Mapping[str, str]
    segmenters: tuple[SegmenterResult, ...]
    classifiers: tuple[ClassifierResult, ...]
    comparisons: tuple[Comparison, ...]
    time_course: TimeCourse | None
    warnings: tuple[str, ...]

    def as_json(self) -> str:
        """The file evaluation.json; pictures are left out, and what is not a number is null."""
        return json.dumps({"schema": SCHEMA, **_plain(self)}, indent=1, ensure_ascii=False) + "\n"


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        named = {one.metadata.get("json", one.name): getattr(value, one.name) for one in dataclasses.fields(value)}
        return {name: _plain(part) for name, part in named.items() if not isinstance(part, np.ndarray)}
    if isinstance(value, Mapping):
        return {str(name): _plain(part) for name, part in value.items()}
    if isinstance(value, (tuple, list)):
        return [_plain(part) for part in value]
    return finite(value) if isinstance(value, float) else value


def finite(value: float | None) -> float | None:
    """The value to six digits after the point; None for what is no number."""
    return round(float(value), 6) if value is not None and math.isfinite(value) else None


# --- in a terminal ---------------------------------------------------------------------------------------------------


def describe(evaluation: Evaluation) -> str:
    """The numbers that are asked for first, in per cent, a line each."""
    lines = []
    for one in evaluation.segmenters:
        for title, numbers in (("", one.by_class), (" without classes", one.any_class)):
            if numbers is not None:
                found = {**one.any_class, **numbers}
                lines += [_line(f"{one.name}{title}", words, found[name]) for name, words in _SEGMENTER.items()]
        lines.append(_line(one.name, "Grad-CAM IoU", one.heat.mean))
    for two in evaluation.classifiers:
        lines += [_line(two.name, words, two.numbers[name]) for name, words in _CLASSIFIER.items()]
    lines += [_line(f"{one.one} - {one.other}", one.what.replace("_", " "), one.difference) for one in evaluation.comparisons]
    return "\n".join(lines)


_SEGMENTER: Final = {
    "mean_iou": "mean IoU",
    "mean_iou_from_16px": "mean IoU, 16 px and more",
    "box_map50": "box mAP50",
    "mask_map50": "mask mAP50",
    "mask_map50_95": "mask mAP50-95",
    "mask_map50_from_16px": "mask mAP50, 16 px and more",
    "mask_map50_95_from_16px": "mask mAP50-95, 16 px and more",
    "roc_auc": "ROC AUC of pixels",
}
_CLASSIFIER: Final = {"accuracy": "accuracy", "macro_f1": "F1", "expected_calibration_error": "calibration error"}


def _line(name: str, words: str, number: Number) -> str:
    if number.value is None:
        return f"{name:<28} {words:<28}     -"
    text = f"{name:<28} {words:<28} {100 * number.value:5.1f}"
    if number.low_95 is not None and number.high_95 is not None:
        text += f"  [{100 * number.low_95:.1f}, {100 * number.high_95:.1f}]"
    return f"{text}  n = {number.n}"
