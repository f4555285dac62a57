"""The doctor asks the inference server what a box would ask it, and says what is wrong in the words of the status."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edge import config
from edge.backends import table
from edge.commands.doctor_kserve import look_at_server
from edge.commands.finding import Finding
from edge.models.card import BUILTIN_FOLDER
from tests.fakes.v2_server import V2Server

SEGMENTER, CLASSIFIER = BUILTIN_FOLDER / "segmenter.onnx", BUILTIN_FOLDER / "classifier.onnx"


def found(folder: Path, backend: str = "kserve", inspect: dict[str, Any] | None = None, **server: Any) -> list[Finding]:
    sections = {"models": {"backend": backend}, "kserve": server, "inspect": inspect or {}}
    return list(look_at_server(config.parse({"watch": {"folder": str(folder)}, **sections}, {})))


def test_a_server_that_serves_both_models_is_well(tmp_path: Path) -> None:
    with V2Server(SEGMENTER, CLASSIFIER) as server:
        both = found(tmp_path, url=server.url)
        assert len(found(tmp_path, inspect={"stages": "segment"}, url=server.url)) == 1
    assert [one.level for one in both] == ["ok", "ok"]
    assert "serves segmenter.onnx in float32" in both[0].text


def test_a_model_that_it_does_not_serve_is_a_problem(tmp_path: Path) -> None:
    with V2Server(SEGMENTER) as server:
        _, classifier = found(tmp_path, url=server.url)
    assert (classifier.level, "it serves no classifier-" in classifier.text) == ("problem", True)
    assert "edge-export triton" in classifier.cure


def test_a_server_that_does_not_answer_is_a_problem_at_once(tmp_path: Path) -> None:
    away = found(tmp_path, url="localhost:1", patience_s=3600.0)
    assert [one.level for one in away] == ["problem", "problem"]
    assert "nobody listens there" in away[0].text


def test_what_lacks_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert found(tmp_path, backend="auto") == []
    assert "kserve.url" in found(tmp_path)[0].cure
    monkeypatch.setattr(table, "find_spec", lambda name: None)
    assert "sem-corrosion-edge[kserve]" in found(tmp_path, url="localhost:1")[0].cure
