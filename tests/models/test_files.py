"""The shipped models keep the contract; none of it needs torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge.models.card import BUILTIN_FOLDER, card_path, load_card
from tests.export.checkpoints import noise

# --- the shipped files, without torch --------------------------------------------------------------------------------


def run_shipped(name: str, image: Any) -> dict[str, Any]:
    onnxruntime = pytest.importorskip("onnxruntime")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(BUILTIN_FOLDER / name), sess_options=options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, {"image": image}), strict=True))


@pytest.mark.parametrize(("height", "width"), [(32, 32), (64, 416)])
def test_the_shipped_segmenter_keeps_the_contract(height: int, width: int) -> None:
    found = run_shipped("segmenter.onnx", noise(2, height, width))
    count = min(1024, height * width * 21 // 1024)
    assert {name: values.shape for name, values in found.items()} == {
        "boxes": (2, count, 4),
        "scores": (2, count),
        "classes": (2, count),
        "coefficients": (2, count, 32),
        "prototypes": (2, 32, height // 4, width // 4),
    }
    assert found["classes"].dtype in (np.int32, np.int64)
    assert found["boxes"].dtype == found["scores"].dtype == np.float32


def test_the_shipped_classifier_keeps_the_contract() -> None:
    found = run_shipped("classifier.onnx", noise(2, 224, 224))
    assert {name: values.shape for name, values in found.items()} == {
        "logits": (2, 3),
        "cam": (2, 3, 7, 7),
        "embedding": (2, 160),
    }


def test_the_shipped_classifiers_map_explains_its_logits_up_to_a_constant() -> None:
    found = run_shipped("classifier.onnx", noise(2, 224, 224))
    bias = found["logits"] - found["cam"].mean(axis=(2, 3))
    np.testing.assert_allclose(bias[0], bias[1], atol=1e-3)


@pytest.mark.parametrize(("name", "task"), [("segmenter", "segment"), ("classifier", "classify")])
def test_the_shipped_cards_are_valid_and_describe_their_files(name: str, task: Any) -> None:
    card = load_card(BUILTIN_FOLDER / f"{name}.onnx", task)
    assert all({"value", "n", "how"} <= set(score) for score in card.scores.values())
    assert str(Path.home()) not in card_path(BUILTIN_FOLDER / f"{name}.onnx").read_text(encoding="utf-8")


def test_the_shipped_models_are_small_enough_for_a_repository() -> None:
    assert sum(path.stat().st_size for path in BUILTIN_FOLDER.iterdir()) < 40e6
