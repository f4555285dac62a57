"""Whether what is taught is judged on what it did not see, and refused where it does not help."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edge.inspection.features import FeatureMap
from edge.inspection.pixel_features import FILTERS
from edge.inspection.region_features import MEASURED
from edge.teach.examples import Examples
from edge.teach.fit import fit_pixels, fit_regions, folds_of

WIDTH = len(MEASURED) + 1


def example(seed: int, signal: float, count: int = 40) -> Examples:
    rng = np.random.default_rng(seed)
    right = rng.random(count) < 0.5
    rows = rng.normal(size=(count, WIDTH + 2)).astype(np.float32)
    rows[:, 3] += signal * right
    nothing = np.zeros((0, 0), np.float32)
    return Examples(
        sha256=f"{seed}",
        regions=rows,
        right=right,
        places=rng.random((count, 2)),
        scores=rng.random(count).astype(np.float32),
        pixels=nothing,
        corroded=np.zeros(0, np.bool_),
        pixel_places=np.zeros((0, 2)),
        found=np.zeros(0, np.bool_),
        classes=(),
        smallest_px=20,
        planes=(),
        features=FeatureMap(np.zeros((2, 8, 8), np.float32), 0.25, 0.25),
        image_shape=(32, 32),
    )


def test_what_tells_right_from_not_is_learnt_and_is_better_than_the_score() -> None:
    part = fit_regions([example(1, 4.0), example(2, 4.0)], channels=2)
    assert part is not None
    assert part.taught is not None
    assert (part.after["precision_at_recall_080"] or 0) > (part.before["precision_at_recall_080"] or 0) + 0.2


def test_marks_that_follow_no_rule_are_refused() -> None:
    examples = [replace(example(seed, 0.0), scores=example(seed, 0.0).right * 0.5 + np.float32(0.2)) for seed in range(2)]
    part = fit_regions(examples, channels=2)
    assert part is not None
    assert part.taught is None
    assert "no better" in part.why


def test_one_kind_of_regions_only_is_told() -> None:
    one = replace(example(1, 4.0), right=np.ones(40, np.bool_))
    part = fit_regions([one], channels=2)
    assert part is not None
    assert part.taught is None
    assert "0 not corrosion" in part.why


def test_without_marks_there_is_nothing() -> None:
    one = replace(example(1, 4.0), right=np.zeros(0, np.bool_), regions=np.zeros((0, WIDTH), np.float32))
    assert fit_regions([one], channels=2) is None
    assert fit_pixels([one], ("pit",)) is None


def test_images_are_left_out_whole_and_one_image_by_its_blocks() -> None:
    places = np.array([[0.1, 0.1], [0.9, 0.9], [0.9, 0.1]])
    assert folds_of([3, 0, 3], [places] * 3).tolist() == [0, 0, 0, 1, 1, 1]
    assert len(set(folds_of([3], [places]).tolist())) == 3


def brushed_example(seed: int, count: int) -> Examples:
    rng = np.random.default_rng(seed)
    corroded = np.arange(count) >= count // 2
    rows = rng.normal(size=(count, FILTERS + 2)).astype(np.float32)
    rows[:, 4] += 2.0 * corroded
    return replace(
        example(seed, 0.0),
        right=np.zeros(0, np.bool_),
        regions=np.zeros((0, WIDTH), np.float32),
        pixels=rows,
        corroded=corroded,
        pixel_places=rng.random((count, 2)),
        found=np.zeros(count, np.bool_),
        planes=tuple(rng.normal(size=(16, 16)).astype(np.float32) for _ in range(FILTERS)),
    )


def test_more_pixels_than_are_learnt_from_teach_the_same_and_are_all_told() -> None:
    many, few = [brushed_example(seed, 4000) for seed in range(3)], [brushed_example(seed, 1200) for seed in range(3)]
    of_many, of_few = fit_pixels(many, ("pit",)), fit_pixels(few, ("pit",))
    assert of_many is not None
    assert of_few is not None
    assert of_many.taught.reviewed == 12000
    assert of_few.taught.reviewed == 3600
    assert of_many.taught.filters.weights[4] == pytest.approx(of_few.taught.filters.weights[4], rel=0.15)
    assert of_many.taught == fit_pixels(many, ("pit",)).taught  # type: ignore[union-attr]  # pixels are marked, so neither is None


def test_struck_regions_that_go_and_accepted_ones_that_are_lost_are_counted() -> None:
    part = fit_regions([example(1, 4.0), example(2, 4.0)], 2, confidence=0.0)
    assert part is not None
    assert part.counts is not None
    assert part.counts["struck_gone"] == part.counts["accepted_lost"] == 0  # nothing is below a threshold of 0
    shown = fit_regions([example(1, 4.0), example(2, 4.0)], 2, confidence=0.5)
    assert shown is not None
    assert shown.counts is not None
    assert shown.counts["struck_gone"] > shown.counts["struck"] / 2
    assert shown.counts["accepted_lost"] < shown.counts["accepted"] / 4
