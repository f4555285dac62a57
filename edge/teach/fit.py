"""Examples of all reviewed images in; a verifier of regions and a classifier of pixels out, with how good each is.

Each is judged on what it did not see: by leaving images out, and where only one was reviewed by blocks of its area. What
does not help is left out of the adaptation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from edge.inspection.linear import Linear, probability
from edge.inspection.pixel_features import FILTERS
from edge.inspection.taught import pixel_logits, uncertainty
from edge.inspection.taught_file import TaughtPixels, TaughtRegions
from edge.teach.examples import Examples
from edge.teach.logistic import balanced, fit

LEAST_OF_EACH: Final = 3
"""Regions of either kind that a verifier needs."""
REGION_PENALTIES: Final = (3.0, 30.0)
"""On what is measured of a region, and on what the network sees there, which is more than there are reviews."""
PIXEL_PENALTY: Final = 3.0
PIXEL_WEIGHT: Final = 200.0
"""So many independent pixels an adaptation counts for: neighbours say the same."""
MOST_IN_ALL: Final = 4000
"""Pixels of all images together that are learnt from: time grows with them, and what is learnt hardly changes."""
BLOCKS: Final = 4
RECALL: Final = 0.8
MOST_FOLDS: Final = 10
UNCERTAIN_FACTOR, UNCERTAIN_LEAST, UNCERTAIN_MOST = 2.0, 0.25, 0.6
AREA_FACTOR: Final = 4.0
"""How much more or less of an image than of the reviewed ones may be called corroded, or not."""


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """One thing that was taught, and what it came to. taught: None where it does not help; why says it in words.

    counts: of the regions that were shown, the struck ones that go (`struck_gone` of `struck`) and the right ones that are
    lost (`accepted_lost` of `accepted`). Each is judged by what did not see it. None where no verifier came of it.
    """

    taught: Any
    before: dict[str, float | None]
    after: dict[str, float | None]
    why: str
    counts: dict[str, int] | None = None


def fit_regions(examples: Sequence[Examples], channels: int, confidence: float = 0.3) -> Part | None:
    """A verifier of regions; None where no region was reviewed. confidence: from which on a region is shown."""
    rows = np.concatenate([one.regions for one in examples if len(one.right)] or [np.zeros((0, 0), np.float32)])
    if not len(rows):
        return None
    right = np.concatenate([one.right for one in examples])
    scores = np.concatenate([one.scores for one in examples]).astype(np.float64)
    counts = int(np.count_nonzero(right)), int(np.count_nonzero(~right))
    if min(counts) < LEAST_OF_EACH:
        why = f"regions: {counts[0]} marked right and {counts[1]} not corrosion: at least {LEAST_OF_EACH} of each are needed"
        return Part(None, {}, {}, why)
    folds = folds_of([len(one.right) for one in examples], [one.places for one in examples])
    before = _of_ranking(scores, right, np.clip(scores, 1e-3, 1 - 1e-3))
    best: tuple[float, int, dict[str, float | None], NDArray[np.float64]] | None = None
    for used in dict.fromkeys((0, channels)):
        guessed = _left_out(rows[:, : rows.shape[1] - channels + used], right, folds, _penalty(rows.shape[1] - channels, used))
        after = _of_ranking(guessed, right, guessed)
        loss = float(after["log_loss"] or 0.0)
        if best is None or loss < best[0] - 0.01:
            best = (loss, used, after, guessed)
    assert best is not None
    _, used, after, guessed = best
    if not _better(before, after):
        return Part(None, before, after, "regions: what was marked tells right from not no better than the network's score")
    width = rows.shape[1] - channels + used
    verifier = fit(rows[:, :width], right, np.ones(len(rows)), _penalty(rows.shape[1] - channels, used))
    return Part(
        TaughtRegions(verifier=verifier, channels=used, reviewed=len(rows)),
        before,
        after,
        "",
        _counted(scores, guessed, right, confidence),
    )


def fit_pixels(examples: Sequence[Examples], class_names: Sequence[str]) -> Part | None:
    """A classifier of pixels; None where none are known."""
    having = [one for one in examples if len(one.corroded)]
    if not having:
        return None
    reviewed = sum(len(one.corroded) for one in having)
    having = [_thinned(one, MOST_IN_ALL / reviewed) for one in having]
    rows = np.concatenate([one.pixels for one in having])
    right = np.concatenate([one.corroded for one in having])
    if right.all() or not right.any():
        kind = "corroded" if right.any() else "background"
        return Part(None, {}, {}, f"pixels: only {kind} was marked: brush the other kind, too")
    folds = folds_of([len(one.corroded) for one in having], [one.pixel_places for one in having])
    found = np.concatenate([one.found for one in having])
    guessed = _left_out(rows, right, folds, PIXEL_PENALTY, PIXEL_WEIGHT)
    before, after = _of_pixels(found, right), _of_pixels(guessed > 0.5, right)
    if float(after["iou"] or 0.0) <= float(before["iou"] or 0.0) + 0.01:
        return Part(None, before, after, "pixels: what was brushed does not find more than the network does")
    linear = fit(rows, right, balanced(right, PIXEL_WEIGHT), PIXEL_PENALTY)
    filters = Linear(
        mean=linear.mean[:FILTERS], deviation=linear.deviation[:FILTERS], weights=linear.weights[:FILTERS], bias=0.0
    )
    scale = np.asarray(linear.weights[FILTERS:]) / np.asarray(linear.deviation[FILTERS:])
    bias = linear.bias - float(scale @ np.asarray(linear.mean[FILTERS:]))
    filters = filters.model_copy(update={"bias": bias})
    logits = [pixel_logits(filters, scale.tolist(), one.planes, one.features, one.image_shape) for one in having]
    doubt = max(uncertainty(one) for one in logits)
    areas = [float((one > 0).mean()) for one in logits]
    named = [name for one in having for name in one.classes if name in class_names]
    part = TaughtPixels(
        filters=filters,
        features=tuple(scale.tolist()),
        class_id=list(class_names).index(named[0]) if named else 0,
        least_area_px=max(4, min(round(min(one.smallest_px for one in having) / 3), 50)),
        most_uncertain=min(max(UNCERTAIN_FACTOR * doubt, UNCERTAIN_LEAST), UNCERTAIN_MOST),
        area_range=(min(areas) / AREA_FACTOR, min(max(areas) * AREA_FACTOR, 1 - (1 - max(areas)) / AREA_FACTOR)),
        reviewed=reviewed,
    )
    return Part(part, before, after, "")


def _thinned(one: Examples, part: float) -> Examples:
    """The examples with this part of their pixels, evenly chosen; they lie in order, background first."""
    count = len(one.corroded)
    if part >= 1:
        return one
    take = np.unique(np.linspace(0, count - 1, max(2, int(count * part))).astype(np.intp))
    return replace(
        one,
        pixels=one.pixels[take],
        corroded=one.corroded[take],
        pixel_places=one.pixel_places[take],
        found=one.found[take],
    )


def folds_of(counts: Sequence[int], places: Sequence[NDArray[np.float64]]) -> NDArray[np.intp]:
    """Which part each example is left out with: its image, or its block of the area where there is one image alone."""
    having = [index for index, count in enumerate(counts) if count]
    if len(having) > 1:
        return np.concatenate([np.full(counts[index], order % MOST_FOLDS) for order, index in enumerate(having)])
    cells = np.minimum((places[having[0]] * BLOCKS).astype(np.intp), BLOCKS - 1)
    return np.asarray(cells[:, 0] + BLOCKS * cells[:, 1], np.intp)


def _left_out(
    rows: NDArray[np.float32],
    right: NDArray[np.bool_],
    folds: NDArray[np.intp],
    penalty: NDArray[np.float64] | float,
    total: float | None = None,
) -> NDArray[np.float64]:
    """How probable each example is by a model that did not see its fold; one half where that saw one kind only."""
    found = np.full(len(rows), 0.5)
    for fold in np.unique(folds):
        seen = folds != fold
        if right[seen].any() and not right[seen].all():
            weights = np.ones(int(seen.sum())) if total is None else balanced(right[seen], total)
            found[~seen] = probability(fit(rows[seen], right[seen], weights, penalty).logits(rows[~seen]))
    return found


def _penalty(measured: int, channels: int) -> NDArray[np.float64]:
    return np.concatenate([np.full(measured, REGION_PENALTIES[0]), np.full(channels, REGION_PENALTIES[1])])


def _of_ranking(ranked: NDArray[np.float64], right: NDArray[np.bool_], said: NDArray[np.float64]) -> dict[str, float | None]:
    """How well a score tells right from not."""
    order = np.argsort(-ranked, kind="stable")
    hits = np.cumsum(right[order])
    precision = hits / np.arange(1, len(right) + 1)
    recall = hits / max(1, hits[-1])
    said = np.clip(said, 1e-3, 1 - 1e-3)
    loss = -float(np.mean(np.where(right, np.log(said), np.log(1 - said))))
    return {
        "average_precision": round(float(precision[right[order]].mean()), 4),
        "precision_at_recall_080": round(float(precision[recall >= RECALL].max()), 4),
        "log_loss": round(loss, 4),
    }


def _counted(
    scores: NDArray[np.float64], guessed: NDArray[np.float64], right: NDArray[np.bool_], confidence: float
) -> dict[str, int]:
    """What becomes of the regions that the network shows. See `Part`."""
    shown, gone = scores >= confidence, guessed < confidence
    struck, accepted = shown & ~right, shown & right
    return {
        "struck": int(struck.sum()),
        "struck_gone": int((struck & gone).sum()),
        "accepted": int(accepted.sum()),
        "accepted_lost": int((accepted & gone).sum()),
    }


def _better(before: dict[str, float | None], after: dict[str, float | None]) -> bool:
    """A better order, or as good an order with better probabilities."""
    gain = float(after["average_precision"] or 0.0) - float(before["average_precision"] or 0.0)
    return gain > 0.01


def _of_pixels(found: NDArray[np.bool_], right: NDArray[np.bool_]) -> dict[str, float | None]:
    """Of the marked pixels, both kinds counting alike."""
    hit, false = float(found[right].mean()), float(found[~right].mean())
    return {"iou": round(hit / (1 + false), 4), "recall": round(hit, 4), "false": round(false, 4)}
