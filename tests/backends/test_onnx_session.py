"""ONNX Runtime: what to install where it is missing, and that small images are spread over the cores."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from edge.backends import onnx_session
from edge.backends.onnx_session import OnnxSession
from edge.errors import BackendError
from edge.models.card import BUILTIN_FOLDER
from tests.conftest import pitted


def test_a_machine_without_onnxruntime_is_advised_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(BackendError, match="pip install onnxruntime"):
        OnnxSession(BUILTIN_FOLDER / "classifier.onnx")


@pytest.mark.parametrize("cores", [1, 2])
def test_crops_get_the_same_numbers_on_one_core_and_on_two(monkeypatch: pytest.MonkeyPatch, cores: int) -> None:
    crops = np.stack([pitted(224, 224, seed) for seed in range(3)])[:, None]
    with OnnxSession(BUILTIN_FOLDER / "classifier.onnx") as usual:
        wanted = usual.run(crops)
    monkeypatch.setattr(onnx_session, "cores", lambda: cores)
    with OnnxSession(BUILTIN_FOLDER / "classifier.onnx") as session:
        found = session.run(crops)
    assert all(np.allclose(found[name], wanted[name], atol=1e-3) for name in wanted)
