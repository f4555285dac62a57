"""Both shipped models are made in one go, and not from what they are tested on."""

from __future__ import annotations

from pathlib import Path

import pytest

from training.draw.samples import SAMPLES, SIZE_PX


def test_no_scene_is_tested_on_that_was_trained_on() -> None:
    """A scene is its seed and its size: the same seed at another size draws another metal and other regions."""
    from training.learn import fields, make_models

    square = (make_models.SEGMENTER_SIDE_PX,) * 2
    rounds = [(square, one) for one in (*make_models.PAINTED_ROUNDS, *make_models.MIXED_ROUNDS)]
    rounds += [(make_models.CLASSIFIER_SIZE_PX, one) for one in make_models.CLASSIFIER_ROUNDS]
    trained = {(seed, size) for size, (images, first, *_) in rounds for seed in range(first, first + images)}
    first, last = make_models.TEST_SEED, make_models.TEST_SEED + make_models.TEST_IMAGES
    assert not trained & {(seed, make_models.TEST_SIZE_PX) for seed in range(first, last)}
    assert not trained & {(sample.seed, SIZE_PX) for sample in SAMPLES}
    assert max(seed for seed, _ in trained) < fields.SEED


@pytest.mark.slow
def test_make_models_goes_from_nothing_to_two_cards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("ultralytics")
    pytest.importorskip("timm")
    from edge.models.card import load_card
    from training.learn import make_models

    small = {
        "SEGMENTER_SIDE_PX": 96,
        "PAINTED_ROUNDS": ((18, 1, 1),),
        "MIXED_ROUNDS": ((18, 101, 1, 0, 4), (18, 151, 1, 0, 3)),
        "CLASSIFIER_SIZE_PX": (112, 96),
        "CLASSIFIER_ROUNDS": ((24, 201, 1, 1, 0.0, 0.0), (24, 301, 0, 1, 0.0, 1.0)),
        "CALIBRATION_FIELDS": 30,
        "COVERAGE_FIELDS": 20,
        "SURFACES": 4,
        "REGION_SCENES": 2,
        "TEST_IMAGES": 3,
    }
    for name, value in small.items():
        monkeypatch.setattr(make_models, name, value)
    places = ["--work", str(tmp_path / "work"), "--out", str(tmp_path / "models"), "--model-version", "9.9.9"]
    assert make_models.main(["--weights", "none", "--classifier-weights", "none", *places]) == 0
    segmenter = load_card(tmp_path / "models" / "segmenter.onnx", "segment")
    classifier = load_card(tmp_path / "models" / "classifier.onnx", "classify")
    begun = "averaged-1.pt, 1 epochs from segmenter.pt, 1 epochs from none"
    assert (segmenter.version, segmenter.training.initialised_from) == ("9.9.9", begun)
    assert {"mask_map50", "region_recall", "relief_region_recall"} <= set(segmenter.scores)
    assert {"conformal_coverage_low_95", "magnification_share_changes", "region_accuracy_weak"} <= set(classifier.scores)
