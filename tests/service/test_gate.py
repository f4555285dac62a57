"""A gate that runs beside the service, in a process that may die."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edge.inspection import parity
from edge.service import gate
from edge.service.inspector import Inspector
from tests.conftest import settings_for


def test_the_childs_outcome_is_that_of_the_gate_itself(tmp_path: Path) -> None:
    settings = settings_for(tmp_path, models={"backend": "onnxruntime"})
    assert gate.decided(settings, tmp_path) == parity.gated_precision(settings, tmp_path)


def test_a_model_that_is_not_there_leaves_float32(tmp_path: Path) -> None:
    settings = settings_for(tmp_path, models={"segmenter": str(tmp_path / "none.onnx")})
    found = gate.decided(settings, tmp_path)
    assert found is not None
    assert found[0] == "float32"


def test_a_gate_that_is_given_up_ends_its_process(tmp_path: Path) -> None:
    assert gate.decided(settings_for(tmp_path), tmp_path, lambda: True) is None


def die(*_: object) -> None:
    raise SystemExit(7)


def test_a_gate_whose_process_dies_costs_a_line_in_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(gate, "_work", die)
    assert gate.decided(settings_for(tmp_path), tmp_path) is None
    assert "killed the process (exit status 7): float32 stays" in caplog.text


@pytest.mark.parametrize(("found", "calls"), [(("bfloat16", "it agrees"), 1), (("float32", "it does not"), 0), (None, 0)])
def test_only_an_admitted_precision_has_the_models_opened_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, found: Any, calls: int
) -> None:
    monkeypatch.setattr(gate, "decided", lambda *_: found)
    passed: list[bool] = []
    gate.begin(settings_for(tmp_path), tmp_path, lambda: False, lambda: passed.append(True)).join()
    assert len(passed) == calls


def test_the_service_runs_in_float32_while_the_gate_is_undecided_and_asks_it_once(
    inspector: Inspector, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[Any] = []
    monkeypatch.setattr(parity, "is_undecided", lambda *_: True)
    monkeypatch.setattr(gate, "begin", lambda *arguments: begun.append(arguments) or "a thread")
    for _ in range(2):
        inspector._working_pipeline().close()
    assert inspector.shared.figures.runs_on is not None
    assert inspector.shared.figures.runs_on[1] == "float32"
    assert len(begun) == 1
    begun[0][3]()
    assert inspector.shared.models_wanted.is_set()
