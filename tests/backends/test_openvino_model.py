"""OpenVINO: which precisions it offers, and what the parity gate learns from this backend."""

from __future__ import annotations

import sys

import pytest

from edge.backends import openvino_model
from edge.backends.openvino_model import OpenVinoModel, fingerprint, lower_precisions
from edge.backends.table import BACKENDS
from edge.errors import BackendError
from edge.models.card import BUILTIN_FOLDER

CLASSIFIER = BUILTIN_FOLDER / "classifier.onnx"
SEGMENTER = BUILTIN_FOLDER / "segmenter.onnx"


@pytest.mark.parametrize(("bfloat16", "expected"), [(True, ["bfloat16"]), (False, [])])
def test_what_runs_faster_depends_on_the_processor(
    monkeypatch: pytest.MonkeyPatch, bfloat16: bool, expected: list[str]
) -> None:
    monkeypatch.setattr(openvino_model, "has_bfloat16", lambda: bfloat16)
    assert lower_precisions([SEGMENTER, CLASSIFIER]) == expected


def test_the_fingerprint_is_the_librarys_version() -> None:
    openvino = pytest.importorskip("openvino")
    assert fingerprint([SEGMENTER, CLASSIFIER], "bfloat16") == [openvino.__version__]


@pytest.mark.parametrize("precision", ["int8", "float16"])
def test_a_precision_that_it_does_not_run_is_refused(precision: str) -> None:
    for opened in (OpenVinoModel, BACKENDS["openvino"].open):
        with pytest.raises(BackendError, match=f"float32 or bfloat16 here, not in {precision}"):
            opened(CLASSIFIER, precision)


def test_a_machine_without_openvino_is_advised_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    assert not openvino_model.has_bfloat16()
    with pytest.raises(BackendError, match=r"pip install 'sem-corrosion-edge\[openvino\]'"):
        OpenVinoModel(CLASSIFIER)
