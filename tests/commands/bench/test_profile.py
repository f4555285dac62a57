"""Layers of both networks, in the document and in the table."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edge.commands.bench import profile
from edge.commands.bench.scenarios import Bench, with_backend
from edge.commands.cli import bench as command
from tests.commands.bench.conftest import SAMPLES, TINY, settings


def test_the_layers_of_both_networks_are_told_on_request(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [str(SAMPLES[0]), *TINY, "--scenario", "single-stream", "--profile", "--json", str(tmp_path / "run.json")]
    assert command(arguments) == 0
    (found,) = json.loads((tmp_path / "run.json").read_text())["profile"]
    assert (found["backend"], found["reason"]) == ("onnxruntime", None)
    assert set(found["stages"]) == {"segment", "classify"}
    for stage in found["stages"].values():
        shares = [layer["share"] for layer in stage["layers"]]
        assert shares == sorted(shares, reverse=True)
        assert sum(shares) == pytest.approx(1.0, abs=0.01)
    table = capsys.readouterr().out
    assert "layers of segment, onnxruntime float32, input 1×1×" in table


def test_a_backend_that_tells_no_layers_is_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    with Bench(with_backend(settings(), "onnxruntime"), "float32") as bench:
        bench.inspect(SAMPLES[0])
        monkeypatch.setattr("edge.backends.table.Backend.layers", lambda *_: None)
        found = profile.profile(bench)
    assert found == {"backend": "onnxruntime", "reason": "onnxruntime does not tell its layers here", "stages": {}}
