"""Drawn scenes of both generators in, the weights that judge single regions out, with what they reach on other scenes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.inspection.measure import measure
from edge.inspection.region_severity import MEASURES, RegionWeights, region_measures
from edge.models.card import Training
from edge.records import SEVERITIES, SeverityLabel
from training.draw.relief import GENERATOR as RELIEF_GENERATOR
from training.draw.relief import render_relief
from training.draw.synthetic import GENERATOR, Scene, render
from training.learn.calibration import expected_calibration_error

LEARN_SCENES, TEST_SCENES = 700, 160  # of each generator
LEARN_SEEDS, TEST_SEEDS = (440_000, 740_000), (430_000, 730_000)
SIZES_PX = ((640, 480), (448, 336), (448, 336))
MOST = 32
DRAWS = 2000


@dataclass(frozen=True, slots=True, eq=False)
class Examples:
    """Measures float64 [R, M] and truth int64 [R], into `SEVERITIES`, of regions. scenes: int64 [R], whose they are."""

    measured: NDArray[np.float64]
    truth: NDArray[np.int64]
    scenes: NDArray[np.int64]


def examples(scenes: Iterable[Scene]) -> Examples:
    """The `MOST` largest true regions of each scene, measured as the edge does. Raises ValueError without regions."""
    rows, truths, numbers = [], [], []
    for number, scene in enumerate(scenes):
        if not len(scene.regions):
            continue
        found = measure(scene.regions, scene.grey.shape)
        part = region_measures(scene.grey, scene.regions, found.area_px, found.area_fraction, MOST)
        rows.append(part)
        truths += [SEVERITIES.index(label) for label in scene.region_severities[: len(part)]]
        numbers += [number] * len(part)
    if not rows:
        raise ValueError("no regions to learn from")
    return Examples(np.concatenate(rows), np.array(truths, np.int64), np.array(numbers, np.int64))


def drawn(count: int, seeds: Sequence[int], sizes_px: Sequence[tuple[int, int]]) -> Iterator[Scene]:
    """`count` scenes of each generator, sizes in turn."""
    for index in range(count):
        yield render(seeds[0] + index, sizes_px[index % len(sizes_px)])
        yield render_relief(seeds[1] + index, sizes_px[index % len(sizes_px)])


def fit(learnt: Examples, training: Training, version: str, scores: dict[str, Any] | None = None) -> RegionWeights:
    """A multinomial logistic regression on standardised measures."""
    from sklearn.linear_model import LogisticRegression

    means, deviations = learnt.measured.mean(axis=0), np.maximum(learnt.measured.std(axis=0), 1e-6)
    found = LogisticRegression(max_iter=1000).fit((learnt.measured - means) / deviations, learnt.truth)
    classes: tuple[SeverityLabel, ...] = tuple(SEVERITIES[int(index)] for index in found.classes_)
    short = [tuple(float(f"{value:.6g}") for value in row) for row in (means, deviations, found.intercept_)]
    return RegionWeights(
        schema="edge.regions/1",
        name="regions",
        version=version,
        classes=classes,
        measures=MEASURES,
        means=short[0],
        deviations=short[1],
        biases=short[2],
        weights=tuple(tuple(float(f"{value:.6g}") for value in row) for row in found.coef_),
        training=training,
        scores=scores or {},
        licence="Apache-2.0",
    )


def score(weights: RegionWeights, tested: Examples, measured_on: str, name: str) -> dict[str, dict[str, Any]]:
    """Accuracy with its 95 % interval, a bootstrap over scenes, and the calibration error, in the form of a card's scores."""
    probabilities = weights.probabilities(tested.measured)
    right = probabilities.argmax(axis=1) == tested.truth
    numbers = np.unique(tested.scenes)
    hits = np.array([right[tested.scenes == number].sum() for number in numbers])
    counts = np.array([(tested.scenes == number).sum() for number in numbers])
    draws = np.random.default_rng(0).integers(len(numbers), size=(DRAWS, len(numbers)))
    low, high = np.percentile(hits[draws].sum(axis=1) / counts[draws].sum(axis=1), (2.5, 97.5))
    values = {
        f"region_accuracy_{name}": right.mean(),
        f"region_accuracy_{name}_low_95": low,
        f"region_accuracy_{name}_high_95": high,
        f"region_calibration_error_{name}": expected_calibration_error(probabilities.max(axis=1), right),
    }
    how = f"true outlines against the degree that they were drawn with; bootstrap over scenes; {measured_on}"
    return {key: {"value": round(float(value), 4), "n": len(right), "how": how} for key, value in values.items()}


def make(out: Path, version: str, learn: int = LEARN_SCENES, test: int = TEST_SCENES, command: str = "") -> RegionWeights:
    """Draw, fit, score, and write the file `out`."""
    training = Training(
        data=f"{learn} scenes of each of two generators, versions {GENERATOR} and {RELIEF_GENERATOR}, seeds from "
        f"{LEARN_SEEDS[0]} and {LEARN_SEEDS[1]}; the {MOST} largest regions of each, true outlines",
        data_sha256=sha256(repr((GENERATOR, RELIEF_GENERATOR, LEARN_SEEDS, learn, SIZES_PX)).encode()).hexdigest(),
        initialised_from="none",
        epochs=1,
        images=2 * learn,
        seed=0,
        command=command,
    )
    weights = fit(examples(drawn(learn, LEARN_SEEDS, SIZES_PX)), training, version)
    scores: dict[str, dict[str, Any]] = {}
    for name, scenes, seed in (
        ("painted", (render(TEST_SEEDS[0] + index) for index in range(test)), TEST_SEEDS[0]),
        ("relief", (render_relief(TEST_SEEDS[1] + index) for index in range(test)), TEST_SEEDS[1]),
    ):
        scores |= score(weights, examples(scenes), f"{test} {name} scenes, seeds from {seed}", name)
    weights = weights.model_copy(update={"scores": scores})
    write(weights, out)
    return weights


def write(weights: RegionWeights, out: Path) -> None:
    """The file that `[models] regions` names."""
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(weights.model_dump_json(by_alias=True, indent=1) + "\n", encoding="utf-8")
