"""Prediction sets hold the truth as often as asked; what was not like the training images is out of domain."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edge.inspection.classify import domain_distance
from edge.models.card import Calibration
from tests.training.conftest import SIDE, flat
from training.learn import calibration


def noisy_fields(count: int, seed: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Fields whose severity the grey tells only roughly."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(3, size=count)
    return flat(np.clip(np.array([42, 127, 212])[labels] + rng.normal(0, 45, count), 0, 255)), labels


def test_the_quantile_counts_one_more_than_there_are() -> None:
    assert calibration.cautious_quantile(np.arange(1.0, 10.0), 0.9) == 9
    assert calibration.cautious_quantile(np.arange(1.0, 100.0), 0.9) == 90


def test_too_few_values_have_no_quantile() -> None:
    assert calibration.cautious_quantile(np.arange(8.0), 0.9) == np.inf


def test_a_quantile_with_confidence_covers_in_nearly_every_repetition() -> None:
    rng = np.random.default_rng(0)
    limits = np.array([calibration.cautious_quantile(rng.random(200), 0.9, 0.95) for _ in range(2000)])
    assert 0.95 <= (limits >= 0.9).mean() < 0.98
    assert calibration.cautious_quantile(np.arange(28.0), 0.9, 0.95) == np.inf
    assert calibration.cautious_quantile(np.arange(29.0), 0.9, 0.95) == 28


def test_with_too_few_fields_every_prediction_set_holds_all_labels(brightness_judge: Any) -> None:
    few = calibration.calibrate(brightness_judge, flat(np.array([40, 120, 210])), np.array([0, 1, 2]))
    assert few.conformal_quantile == 1
    assert calibration.verdicts(brightness_judge, few, flat(np.array([0, 255]))).kept.all()


def test_prediction_sets_hold_the_truth_as_often_as_asked(brightness_judge: Any) -> None:
    fitted = calibration.calibrate(brightness_judge, *noisy_fields(4000, 0))
    measured = calibration.conformal_coverage(brightness_judge, fitted, *noisy_fields(8000, 1))
    assert measured.n == 8000
    assert 0.88 <= measured.low_95 < measured.coverage < measured.high_95 <= 0.92
    assert 1 < measured.mean_set_size < 2


def test_a_prediction_set_is_never_empty(brightness_judge: Any) -> None:
    judged = calibration.verdicts(brightness_judge, Calibration(conformal_quantile=0.0), noisy_fields(50, 2)[0])
    assert (judged.kept.sum(axis=1) == 1).all()


def test_coverage_counts_fields_in_domain_alone(brightness_judge: Any) -> None:
    rng = np.random.default_rng(0)
    near = rng.normal(100, 10, (300, 2)).astype(np.float32)
    fitted = Calibration(conformal_quantile=0.5, domain=calibration.domain_statistics(near, near))
    fields, labels = flat(np.array([100, 250])), np.array([1, 0])
    assert calibration.verdicts(brightness_judge, fitted, fields).in_domain.tolist() == [False, False]
    assert calibration.conformal_coverage(brightness_judge, fitted, fields, labels).n == 0


def test_a_proof_needs_enough_fields_on_both_sides() -> None:
    assert calibration.chance_of_proof(1000, 1500, 0.88, confidence=None) < 0.7
    assert calibration.chance_of_proof(1500, 2000, 0.88) > 0.95


def test_temperature_undoes_overconfidence() -> None:
    logits = np.array([[8.0, 0, 0]] * 10)
    assert calibration.softmax(logits, 4.0)[0, 0] < calibration.softmax(logits)[0, 0]


def test_calibration_error_is_nothing_where_confidence_is_the_accuracy() -> None:
    error = calibration.expected_calibration_error(np.array([0.9] * 10), np.array([True] * 9 + [False]))
    assert error == pytest.approx(0, abs=1e-9)


def test_fifteen_right_of_sixteen_prove_little() -> None:
    low, high = calibration.wilson_interval(15, 16)
    assert (round(low, 2), round(high, 2)) == (0.72, 0.99)


def test_embeddings_far_from_the_training_images_are_out_of_domain() -> None:
    rng = np.random.default_rng(0)
    mixing = rng.normal(size=(20, 128))
    near = (rng.normal(size=(500, 20)) @ mixing + 0.1 * rng.normal(size=(500, 128))).astype(np.float32)
    statistics = calibration.domain_statistics(near[:300], near[300:400])
    assert (domain_distance(near[400:], statistics) <= statistics.threshold).mean() > 0.9
    far = (10 * rng.normal(size=(20, 128))).astype(np.float32)
    assert (domain_distance(far, statistics) > statistics.threshold).all()


def test_drawn_fields_differ_from_seed_to_seed_and_come_back() -> None:
    fields, labels = calibration.drawn_fields(7, 2, (96, 96), SIDE)
    again, _ = calibration.drawn_fields(8, 1, (96, 96), SIDE)
    assert fields.shape == (2, SIDE, SIDE)
    assert labels.shape == (2,)
    assert (fields[1] == again[0]).all()
    assert (fields[0] != fields[1]).any()
