"""A prepared data set and trained runs in, every number of the paper's Tables 5 to 9 and Figures 5 to 8 out.

Each image is judged by the one checkpoint of a run that did not learn from it or its coupon. A number is computed for each
fold; what is reported is the mean over the folds (section 3.4: four-fold cross-validation) with their standard deviation
and a 95 % interval that draws whole groups (coupons) of each fold with replacement, since images of one coupon are alike.
Numbers of the classifier are pooled over all images instead: a fold has too few of a class.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from edge.errors import ConfigError
from training.data.dataset import open_data_set
from training.score.compare_runs import compare_classifiers, compare_segmenters
from training.score.evaluate_classifier import evaluate_classifier
from training.score.evaluate_segmenter import evaluate_segmenter
from training.score.evaluation import Evaluation
from training.score.time_course import measure_time_course


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
    stage1 = [evaluate_segmenter(data_set.outlined(), name, run, imgsz, warnings) for name, run in segmenters.items()]
    stage2 = [evaluate_classifier(data_set, name, run, warnings) for name, run in classifiers.items()]
    comparisons = [compare_segmenters(one, other) for one in stage1 for other in stage1[stage1.index(one) + 1 :]]
    comparisons += [compare_classifiers(one, other) for one in stage2 for other in stage2[stage2.index(one) + 1 :]]
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
        time_course=measure_time_course(data_set.outlined(), stage1[0], truth) if stage1 else None,
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
