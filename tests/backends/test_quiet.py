"""Libraries are imported without what reports to their makers, and a user's own imports stay as they are."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest

from edge.backends import quiet


def test_what_openvino_reports_with_cannot_be_imported_meanwhile() -> None:
    with quiet.without_openvino_telemetry(), pytest.raises(ImportError):
        __import__(quiet.TELEMETRY)


def test_a_users_own_telemetry_is_the_same_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    own = ModuleType(quiet.TELEMETRY)
    monkeypatch.setitem(sys.modules, quiet.TELEMETRY, own)
    with pytest.raises(ImportError), quiet.without_openvino_telemetry():
        __import__(quiet.TELEMETRY)
    assert sys.modules[quiet.TELEMETRY] is own


def test_what_was_not_imported_can_be_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, quiet.TELEMETRY, raising=False)
    with quiet.without_openvino_telemetry():
        pass
    assert quiet.TELEMETRY not in sys.modules


def test_onnx_runtime_is_told_to_report_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ORT_DISABLE_TELEMETRY", raising=False)
    quiet.silence_onnxruntime()
    assert quiet.os.environ["ORT_DISABLE_TELEMETRY"] == "1"


def test_what_a_user_has_set_for_onnx_runtime_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORT_DISABLE_TELEMETRY", "0")
    quiet.silence_onnxruntime()
    assert quiet.os.environ["ORT_DISABLE_TELEMETRY"] == "0"
