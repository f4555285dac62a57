"""Weights for single regions: learnt from found regions whose degree is known, beside the verdict on their field."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edge.inspection.region_severity import MEASURES, RegionWeights
from edge.models.card import Training
from tests.training.learn.test_field_records import records
from training.learn.field_records import Records
from training.learn.region_weights import examples, fit, score

pytest.importorskip("sklearn")

TRAINING = Training(data="drawn", data_sha256="0" * 64, initialised_from="none", epochs=1, images=40, seed=0, command="")
SURE = np.array([[0.9, 0.05, 0.05], [0.05, 0.9, 0.05], [0.05, 0.05, 0.9]])


def with_regions(fields: int, seed: int = 0) -> tuple[Records, np.ndarray]:
    """Fields of rising severity; every third region is darker and one degree further, if there is one."""
    rng = np.random.default_rng(seed)
    verdicts = np.arange(fields) % 3
    further = np.arange(32) % 3 == 0
    truths = np.minimum(verdicts[:, None] + further, 2)
    truths[:, 20:] = -1
    rows = rng.normal(0, 0.3, (fields, 32, len(MEASURES) - 2))
    rows[:, further, MEASURES.index("mean_contrast")] -= 3
    rows[:, 20:] = np.nan
    kept = records(["painted"] * fields, list(range(fields)))
    return replace(kept, regions=rows.astype(np.float32), region_truths=truths), SURE[verdicts]


def test_regions_are_judged_better_than_by_their_fields_verdict() -> None:
    weights = fit(examples(*with_regions(60)), TRAINING, "1")
    found = {name: one["value"] for name, one in score(weights, examples(*with_regions(30, 1)), "30 fields", "x").items()}
    assert found["region_accuracy_of_field_x"] < 0.8
    assert found["region_accuracy_x"] > 0.9
    assert 0 < found["region_gain_x_low_95"] < found["region_gain_x_high_95"]
    assert RegionWeights.model_validate_json(weights.model_dump_json(by_alias=True)) == weights


def test_only_regions_of_the_drawing_teach() -> None:
    learnt = examples(*with_regions(6))
    assert learnt.measured.shape == (6 * 20, len(MEASURES))
    assert np.isfinite(learnt.measured).all()
    assert sorted(set(learnt.fields.tolist())) == list(range(6))


def test_no_regions_teach_nothing() -> None:
    with pytest.raises(ValueError, match="no regions"):
        examples(records(["painted"], [1]), SURE[:1])
