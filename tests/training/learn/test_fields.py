"""From inspected fields to two cards."""

from __future__ import annotations

import numpy as np

from edge.models.card import BUILTIN_FOLDER, load_card
from training.learn.field_fits import FOREIGN
from training.learn.field_records import Records
from training.learn.fields import fitted
from training.score.grown import FRACTIONS

NAMES = (*(name for name in FOREIGN if name != "texture"), "log_area", "area of pit")


def inspected(n: int, seed: int) -> Records:
    """Fields as they could have been inspected: severity by area, foreign ones with twice as much of everything."""
    rng = np.random.default_rng(seed)
    grown = len(FRACTIONS)
    kinds = np.array(["painted", "relief"] * (n // 2) + ["foreign"] * 40 + ["held_out"] * 10 + ["grown"] * grown)
    foreign = np.isin(kinds, ("foreign", "held_out"))
    numbers = rng.normal(0, 0.1, (len(kinds), len(NAMES))) + np.where(foreign[:, None], 1.2, 0.4)
    true = np.abs(rng.normal(0.4, 0.1, len(kinds)))
    true[kinds == "grown"] = np.sqrt(FRACTIONS)
    severities = np.where(foreign, -1, np.digitize(true, (0.35, 0.45)))
    for name in ("area", "largest", "regions"):
        numbers[~foreign, NAMES.index(name)] = true[~foreign] + rng.normal(0, 0.02, int((~foreign).sum()))
    numbers[:, NAMES.index("log_area")] = np.log(np.square(numbers[:, NAMES.index("area")]) + 0.003)
    logits = np.stack([-8 * (true - centre) ** 2 for centre in (0.25, 0.4, 0.55)], axis=1)
    return Records(
        names=NAMES,
        numbers=numbers,
        logits=logits,
        embeddings=rng.normal(0, 1, (len(kinds), 40)).astype(np.float32),
        truths=np.where(foreign[:, None], np.nan, np.stack([np.square(true)] * 3, axis=1)),
        severities=severities.astype(np.int64),
        regions=rng.normal(0, 1, (len(kinds), 32, 8)).astype(np.float32),
        region_truths=np.repeat(severities.astype(np.int64)[:, None], 32, axis=1),
        kinds=kinds,
        whats=np.where(kinds == "grown", 1, np.arange(len(kinds)) // 2),
        views=np.array([""] * len(kinds)),
        groups=np.array(["x"] * len(kinds)),
    )


def test_the_cards_say_what_they_were_fitted_with_and_the_figures_what_it_is_worth() -> None:
    segmenter, classifier = (
        load_card(BUILTIN_FOLDER / "segmenter.onnx", "segment"),
        load_card(BUILTIN_FOLDER / "classifier.onnx", "classify"),
    )
    found = fitted(inspected(1600, 0), segmenter, classifier)
    of_segmenter, of_classifier, figures = found.segmenter, found.classifier, found.figures
    field, intervals = of_classifier.calibration.field, of_segmenter.calibration.intervals
    assert field is not None
    assert intervals is not None
    assert field.fitted_with == intervals.fitted_with
    assert field.fitted_with.segmenter_sha256 == segmenter.sha256
    assert of_classifier.sha256 == classifier.sha256
    assert figures["severity"]["painted"]["accuracy"] > 0.85
    assert figures["abstaining"]["foreign, held out"]["null"] > 0.9
    assert figures["abstaining"]["painted"]["null"] < 0.1
    assert 0.85 < figures["intervals"]["area"]["both"]["coverage"] < 0.96
    assert figures["grown"]["grown"]["falls"] <= 0.2
    assert found.regions.scores["region_accuracy_painted"]["value"] >= figures["severity"]["painted"]["accuracy"] - 0.05
