"""What a segmenter found in each image in, the corroded part against exposure and annealing out."""

from __future__ import annotations

import csv
import json
from pathlib import Path, PurePath
from typing import Any, cast

import numpy as np

from edge.config import SampleSettings
from edge.errors import ConfigError
from training.data.dataset import DataSet
from training.score.compare_runs import paired_difference
from training.score.evaluation import Condition, ImageScore, SegmenterResult, TimeCourse


def measure_time_course(data_set: DataSet, segmenter: SegmenterResult, truth: Path | None) -> TimeCourse | None:
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
        paired_difference(errors, places, f"measured less {reference} part of the image"),
        paired_difference(np.abs(errors), places, f"measured less {reference} part of the image, without sign"),
    )


def _conditions(data_set: DataSet) -> dict[str, tuple[float, float]]:
    """Annealing in minutes and exposure in hours of each image for which samples.csv or its name gives both."""
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
