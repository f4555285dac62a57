"""A classifier's run in, the numbers of the paper's Table 9 and Figure 8 out."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
from numpy.typing import NDArray

from edge.errors import ConfigError
from edge.records import SEVERITIES
from training.data.dataset import DataSet, LabelledImage
from training.learn.calibration import expected_calibration_error, graph_of, verdicts, wilson_interval
from training.learn.classifier_data import load_fields
from training.score import explain
from training.score.evaluation import ClassifierResult, Number, Verdict, finite
from training.score.heat_scores import Picture, score_heat
from training.score.intervals import Design, Index, places_of_folds
from training.score.judges import assign_images

_AVERAGED: Final = ("precision", "recall", "f1")


def evaluate_classifier(data_set: DataSet, name: str, run: Path, warnings: list[str]) -> ClassifierResult:
    """Score one architecture's run; what should be known is added to `warnings`. Raises ConfigError and ModelError."""
    assignments = assign_images(data_set, name, run, "classifier.pt", warnings)
    judged: list[Verdict] = []
    probabilities: list[NDArray[np.float64]] = []
    pictures: list[Picture] = []
    counts = []
    for assignment in assignments:
        known = tuple(image for image in assignment.images if image.severity is not None)
        fields, labels = load_fields(known)
        graph = graph_of(assignment.checkpoint)
        judgement = verdicts(graph, assignment.checkpoint.calibration, fields)
        for image, field, label, row in zip(known, fields, labels, judgement.probabilities, strict=True):
            best = int(row.argmax())
            verdict = Verdict(
                image.path.name,
                image.group,
                assignment.judge.fold,
                SEVERITIES[label],
                SEVERITIES[best],
                round(float(row[best]), 4),
            )
            judged.append(verdict)
            truth = explain.field_truth(_labelled_pixels(image), field.shape[0])
            pictures.append((image.path.name, field, explain.classifier_heat(graph, field), truth))
        probabilities.append(judgement.probabilities)
        counts.append(len(known))
    design = Design(tuple(places_of_folds(counts)), tuple(verdict.group for verdict in judged))
    actual = np.array([SEVERITIES.index(cast(Any, verdict.severity)) for verdict in judged], np.intp)
    rows = np.concatenate(probabilities)
    predicted = rows.argmax(axis=1)
    confusion = np.zeros((len(SEVERITIES), len(SEVERITIES)), int)
    np.add.at(confusion, (actual, predicted), 1)
    return ClassifierResult(
        name=name,
        architecture=assignments[0].checkpoint.architecture,
        judges=tuple(assignment.judge for assignment in assignments),
        numbers=_severity_numbers(actual, rows, design),
        confusion=tuple(tuple(int(count) for count in row) for row in confusion),
        heat=score_heat(pictures, design, "the graph's cam of the severity decided on, which is Grad-CAM"),
        images=tuple(judged),
    )


def _labelled_pixels(image: LabelledImage) -> NDArray[np.bool_]:
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


def _severity_numbers(truth: NDArray[np.intp], probabilities: NDArray[np.float64], design: Design) -> dict[str, Number]:
    """Table 9 and section 5: accuracy, precision, recall, F1 and calibration error."""
    from sklearn.metrics import precision_recall_fscore_support

    predicted = probabilities.argmax(axis=1)
    right, confidence = predicted == truth, probabilities.max(axis=1)

    def measure(images: Index) -> dict[str, float]:
        values = {"accuracy": float(right[images].mean())}
        values["expected_calibration_error"] = expected_calibration_error(confidence[images], right[images])
        for average in ("macro", "weighted"):
            scores = precision_recall_fscore_support(truth[images], predicted[images], average=average, zero_division=0.0)
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
