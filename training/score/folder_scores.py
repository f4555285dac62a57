"""Scored images of a labelled folder in, the numbers of the whole with their intervals out: the content of `edge.score/1`."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from edge.records import SEVERITIES, Severity, SeverityLabel
from training.learn.calibration import wilson_interval
from training.score import coverage
from training.score.coverage import Promised
from training.score.evaluation import Number, finite
from training.score.field_scores import FieldScore
from training.score.intervals import Design
from training.score.perturb import Seen

DIAMETERS_PX: Final = (0.0, 8.0, 16.0, 32.0, 64.0, 128.0, float("inf"))
MUCH: Final = 0.05
"""Labelled fraction from which on an error is also given in parts of it."""
RULE: Final = "IoU of masks at least 0.5, one to one, whatever the class"
_Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class ScoredImage:
    """One page. true_severity: None where nothing says it.  field: None without labels, or where stage 1 was not asked.

    severity: what stage 2 said, None where it was not asked.  thresholds: what each simple threshold reached, by name.
    seen, views: as it is and turned by an operator, see `perturb`; none where that was not asked for.
    promised: the intervals that were given, with the truth of each.
    """

    name: str
    group: str
    true_severity: SeverityLabel | None
    field: FieldScore | None
    severity: Severity | None
    thresholds: Mapping[str, FieldScore] = dataclasses.field(default_factory=dict)
    seen: Seen | None = None
    views: Mapping[str, Seen] = dataclasses.field(default_factory=dict)
    promised: Mapping[str, Promised] = dataclasses.field(default_factory=dict)


HOW: Final = {
    "area_iou": "IoU of all found and all labelled pixels of an image, mean over images with labelled regions",
    "area_iou_of_all_pixels": "the same, pixels of all images together",
    "area_bias": "found less labelled part of the area, mean over images",
    "area_absolute_error": "found less labelled part of the area without sign, mean over images",
    "area_relative_bias": f"found less labelled area in parts of the labelled, images with at least {MUCH:.0%} labelled",
    "area_found": "found part of the area, mean over images",
    "area_labelled": "labelled part of the area, mean over images",
    "region_recall": f"labelled regions that are found, {RULE}",
    "region_precision": f"found regions that are labelled, {RULE}",
    "false_regions": f"found regions that are not labelled, a field of view, {RULE}",
    "outline_px": "distance between found and labelled outline in pixels, mean over pairs of regions",
    "outline_offset_px": "how far the found outline lies outside the labelled one in pixels, mean over pairs",
}


def numbers(fields: Sequence[FieldScore], groups: Sequence[str]) -> dict[str, Any]:
    """All of `HOW` over these images, with 95 % intervals from drawing images, and from drawing whole specimens.

    Without a specimen's interval where there is one specimen, without any where there is one image.
    """
    columns = _columns(fields)
    places = np.arange(len(fields))

    def measure(index: NDArray[np.intp]) -> Mapping[str, float]:
        return _measure({name: values[index] for name, values in columns.items()})

    by_image = Design((places,), tuple(map(str, places))).pooled(measure, HOW)
    by_specimen = Design((places,), tuple(groups)).pooled(measure, HOW)
    n = {
        "area_iou": int((columns["truth"] > 0).sum()),
        "area_relative_bias": int((columns["truth"] >= MUCH).sum()),
        "region_recall": int(columns["true"].sum()),
        "region_precision": int(columns["found"].sum()),
        "outline_px": int(columns["pairs"].sum()),
        "outline_offset_px": int(columns["pairs"].sum()),
    }
    return {
        name: {
            "value": _short(number.value),
            "n": n.get(name, len(fields)),
            "interval_95": _interval(number),
            "interval_95_specimens": _interval(by_specimen[name]),
            "how": HOW[name],
        }
        for name, number in by_image.items()
    }


def _columns(fields: Sequence[FieldScore]) -> dict[str, _Floats]:
    rows = [
        {
            "iou": np.nan if one.iou is None else one.iou,
            "both": one.both_px,
            "either": one.truth_px + one.found_px - one.both_px,
            "truth": one.truth_fraction,
            "error": one.found_fraction - one.truth_fraction,
            "true": len(one.true_hit),
            "true_right": one.true_hit.sum(),
            "found": len(one.found_hit),
            "found_right": one.found_hit.sum(),
            "pairs": len(one.outline_px),
            "outline": one.outline_px.sum(),
            "offset": one.offset_px.sum(),
        }
        for one in fields
    ]
    return {name: np.array([float(row[name]) for row in rows]) for name in rows[0]}


def _measure(of: Mapping[str, _Floats]) -> dict[str, float]:
    labelled, much = of["truth"] > 0, of["truth"] >= MUCH
    found = of["error"] + of["truth"]
    total = {name: float(values.sum()) for name, values in of.items()}
    return {
        "area_iou": _mean(of["iou"][labelled]),
        "area_iou_of_all_pixels": _ratio(total["both"], total["either"]),
        "area_bias": _mean(of["error"]),
        "area_absolute_error": _mean(np.abs(of["error"])),
        "area_relative_bias": _mean(of["error"][much] / of["truth"][much]),
        "area_found": _mean(found),
        "area_labelled": _mean(of["truth"]),
        "region_recall": _ratio(total["true_right"], total["true"]),
        "region_precision": _ratio(total["found_right"], total["found"]),
        "false_regions": _mean(of["found"] - of["found_right"]),
        "outline_px": _ratio(total["outline"], total["pairs"]),
        "outline_offset_px": _ratio(total["offset"], total["pairs"]),
    }


def worst(images: Sequence[ScoredImage]) -> dict[str, Any]:
    """The images with the least IoU, the most found area, and the largest error of the area."""
    scored = [(one.name, one.field) for one in images if one.field is not None]
    labelled = [(name, one.iou) for name, one in scored if one.iou is not None]
    errors = [(name, one.found_fraction - one.truth_fraction) for name, one in scored]
    chosen = {
        "area_iou": min(labelled, key=lambda pair: pair[1], default=None),
        "area_found": max(((name, one.found_fraction) for name, one in scored), key=lambda pair: pair[1], default=None),
        "area_error": max(errors, key=lambda pair: abs(pair[1]), default=None),
    }
    return {what: pair and {"image": pair[0], "value": _short(pair[1])} for what, pair in chosen.items()}


def by_size(fields: Sequence[FieldScore]) -> list[dict[str, Any]]:
    """Recall of labelled and precision of found regions in ranges of diameter, in pixels of the image."""
    true, found = (
        np.concatenate([getattr(one, name) for one in fields]) for name in ("true_diameters_px", "found_diameters_px")
    )
    true_hit, found_hit = (np.concatenate([getattr(one, name) for one in fields]) for name in ("true_hit", "found_hit"))
    rows = []
    for low, high in pairwise(DIAMETERS_PX):
        of_true, of_found = ((low <= side) & (side < high) for side in (true, found))
        rows.append(
            {
                "from_px": low,
                "below_px": finite(high),
                "labelled": int(of_true.sum()),
                "recall": _short(_mean(true_hit[of_true])),
                "found": int(of_found.sum()),
                "precision": _short(_mean(found_hit[of_found])),
            }
        )
    return rows


def severity(images: Sequence[ScoredImage]) -> dict[str, Any] | None:
    """What stage 2 said of the fields, and how often it was right where the severity is known; None where it was not asked.

    given: fields with a label.  abstained: without.  doubted: with a label and a reason to have a person look.
    """
    asked = [(one.true_severity, one.severity) for one in images if one.severity is not None]
    if not asked:
        return None
    given = [(true, said) for true, said in asked if said.label is not None]
    doubted = [said for _, said in given if said.needs_review]
    judged = [(true, said) for true, said in given if true is not None]
    answered = [true == said.answer.label for true, said in asked if true is not None]
    right = sum(true == said.label for true, said in judged)
    sure = [true == said.label for true, said in judged if not said.needs_review]
    labels = Counter(said.label for _, said in given)
    labels_sure = Counter(said.label for _, said in given if not said.needs_review)
    codes = Counter(reason.partition(":")[0] for _, said in asked for reason in said.reasons)
    return {
        "images": len(asked),
        "known": sum(true is not None for true, _ in asked),
        "given": len(given),
        "abstained": len(asked) - len(given),
        "abstained_part": _short(1 - len(given) / len(asked)),
        "doubted": len(doubted),
        "doubted_part": _short(_ratio(len(doubted), len(given))),
        "labels": {name: labels[name] for name in SEVERITIES},
        "labels_without_doubt": {name: labels_sure[name] for name in SEVERITIES},
        "reasons": dict(codes.most_common()),
        "accuracy": {
            "value": _short(_ratio(right, len(judged))),
            "n": len(judged),
            "interval_95": [_short(end) for end in wilson_interval(right, len(judged))] if judged else None,
            "how": "right labels of those given where the severity is known; Wilson's interval over images",
        },
        "accuracy_without_doubt": {"value": _short(_mean(np.array(sure, np.float64))), "n": len(sure)},
        "accuracy_of_answers": {
            "value": _short(_mean(np.array(answered, np.float64))),
            "n": len(answered),
            "how": "guesses of fields where it abstained counted too",
        },
        "confusion": {
            true: {str(said): sum(a == true and b.label == said for a, b in asked) for said in (*SEVERITIES, None)}
            for true in SEVERITIES
            if any(a == true for a, _ in asked)
        },
    }


def row(image: ScoredImage) -> dict[str, Any]:
    """One image's line in the JSON."""
    content: dict[str, Any] = {"image": image.name, "group": image.group}
    if image.field is not None:
        one = image.field
        content |= {
            "area_iou": _short(one.iou),
            "area_labelled": _short(one.truth_fraction),
            "area_found": _short(one.found_fraction),
            "labelled": len(one.true_hit),
            "found": len(one.found_hit),
            "right": int(one.true_hit.sum()),
            "false": one.false_regions,
            "thresholds": {name: _short(other.iou) for name, other in image.thresholds.items()},
            "intervals": coverage.row(image.promised),
        }
    if image.severity is not None:
        said = image.severity
        content["severity"] = {
            "true": image.true_severity,
            "label": said.label,
            "answer": said.answer.label,
            "confidence": _short(said.answer.confidence),
            "needs_review": said.needs_review,
            "reasons": [reason.partition(":")[0] for reason in said.reasons],
        }
    if image.views:
        content["views"] = {
            name: {"area": _short(seen.area_fraction), "label": seen.label, "answer": seen.answer, "found": seen.found}
            for name, seen in image.views.items()
        }
    return content


def _interval(number: Number) -> list[float | None] | None:
    return None if number.low_95 is None else [_short(number.low_95), _short(number.high_95)]


def _mean(values: NDArray[Any]) -> float:
    return float(values.mean()) if len(values) else float("nan")


def _ratio(some: float, of: float) -> float:
    return some / of if of else float("nan")


def _short(value: float | None) -> float | None:
    known = finite(value)
    return None if known is None else round(known, 4)
