"""Both shipped models pass the gate in FP16, on shipped and on drawn micrographs, without a GPU."""

from __future__ import annotations

from typing import Any

import pytest

from edge.models.card import BUILTIN_FOLDER
from edge.samples import sample_micrographs
from tests.export.engines import MODELS

half_accuracy = pytest.importorskip("training.score.half_accuracy", reason="there is no torch", exc_type=ImportError)


@pytest.mark.parametrize(("name", "task"), MODELS)
def test_a_shipped_model_passes_the_gate_in_fp16(name: str, task: Any) -> None:
    images = [*sample_micrographs()[:1], *half_accuracy.drawn(3, (320, 256))]
    figures, overflows = half_accuracy.half_accuracy(BUILTIN_FOLDER / f"{name}.onnx", task, images)
    assert half_accuracy.refusal(figures) is None
    assert figures.images == len(images)
    assert not overflows


def test_the_command_says_whether_both_pass_and_what_is_not_imitated(capsys: pytest.CaptureFixture[str]) -> None:
    images = half_accuracy.drawn(1, (320, 256))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(half_accuracy, "sample_micrographs", lambda: images)
        assert half_accuracy.main(["--drawn", "0"]) == 0
    printed = capsys.readouterr().out
    assert "segment: passes" in printed
    assert "classify: passes" in printed
    assert "not imitated:" in printed
