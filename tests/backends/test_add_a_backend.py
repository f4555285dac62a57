"""docs/develop/add-a-backend.md suffices: its one file and its one row are a backend everywhere, with nothing else changed."""

from __future__ import annotations

import importlib
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from edge import backends
from edge.backends import table
from edge.commands import cli
from edge.config import parse
from edge.errors import ConfigError
from edge.inspection import parity
from edge.inspection.parity import gated_precision
from edge.inspection.pipeline import Pipeline
from edge.samples import sample_files
from tests import ROOT
from tests.backends import added
from tests.conftest import SOURCE, micrograph, pitted, settings_for


@pytest.fixture
def name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The page's backend, in place for one test."""
    row = added.row()
    monkeypatch.setattr(backends, "__path__", [*backends.__path__, str(added.file_in(tmp_path).parent)])
    monkeypatch.setitem(table.BACKENDS, row.name, row)
    yield row.name
    sys.modules.pop(row.module, None)


def test_every_test_that_takes_its_cases_from_the_table_passes_with_it(tmp_path: Path) -> None:
    asked = ["tests/backends/test_network.py", "tests/backends/test_table.py"]
    options = ["-q", "-p", "no:cacheprovider", "-p", "tests.backends.added", f"--basetemp={tmp_path / 'run'}"]
    chosen = ["-k", f"{added.row().name} or agree_in_float32"]
    command = [sys.executable, "-m", "pytest", *options, *chosen, *asked]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout[-4000:] + ran.stderr
    assert "skipped" not in ran.stdout
    assert int(ran.stdout.rpartition(" passed")[0].split()[-1]) > 15


@pytest.mark.parametrize("check", [("check",), ("format", "--check")], ids=" ".join)
def test_the_pages_file_passes_lint_where_it_belongs(check: tuple[str, ...]) -> None:
    pytest.importorskip("ruff")
    place = "edge/backends/" + added.row().module.rpartition(".")[2] + ".py"
    command = [sys.executable, "-m", "ruff", *check, "--stdin-filename", place, "-"]
    ran = subprocess.run(command, cwd=ROOT, input=added.code()[0], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_the_configuration_takes_its_name(name: str) -> None:
    assert parse({"watch": {"folder": "/a"}, "models": {"backend": name}}, {}).models.backend == name
    with pytest.raises(ConfigError, match=f"or '{name}'"):
        parse({"watch": {"folder": "/a"}, "models": {"backend": "another"}}, {})


def test_auto_still_means_what_it_meant(name: str) -> None:
    assert table.resolve("auto") != name
    assert table.installed()[-1] == name


def test_the_doctor_lists_it(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(parity, "sample_micrographs", lambda *_: [micrograph(pitted(320, 256))])
    assert cli.doctor(["--json"]) == 0
    found = json.loads(capsys.readouterr().out)["findings"]
    assert f"{name} is installed" in [finding["text"] for finding in found if finding["area"] == "backend"]


def test_a_command_inspects_a_shipped_image_with_it(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.inspect([str(sample_files()[0]), "--json", "--backend", name]) == 0
    model = json.loads(capsys.readouterr().out)["model"]
    assert (model["backend"], model["precision"], model["engine_sha256"]) == (name, "float32", None)


def test_the_benchmark_offers_it(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.bench(["--help"])
    assert re.search(rf"\b{name}\b", capsys.readouterr().out)


def test_a_pipeline_finds_with_it_what_onnxruntime_finds(name: str, tmp_path: Path) -> None:
    shown, found = micrograph(pitted(320, 256)), []
    for backend in (name, "onnxruntime"):
        settings = settings_for(tmp_path / "export", models={"backend": backend})
        assert gated_precision(settings, tmp_path) == ("float32", "float32 is the reference precision")
        with Pipeline(settings) as pipeline:
            found.append(pipeline.inspect(shown, SOURCE))
    ours, theirs = found
    assert ours.regions.boxes_px.tolist() == theirs.regions.boxes_px.tolist()
    assert ours.severity is not None
    assert theirs.severity is not None
    assert ours.severity.probabilities == pytest.approx(theirs.severity.probabilities, abs=1e-4)


def test_a_lower_precision_goes_through_the_gate_by_what_its_file_answers(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = replace(added.row(), precisions=("float32", "float8"))
    file = importlib.import_module(row.module)
    monkeypatch.setattr(file, "lower_precisions", lambda models: ["float8"], raising=False)
    monkeypatch.setattr(file, "fingerprint", lambda models, precision: [f"version 1, in {precision}"], raising=False)
    monkeypatch.setattr(table, "BACKENDS", {name: row})
    monkeypatch.setattr(parity, "sample_micrographs", lambda *_: [micrograph(pitted(320, 256))])
    settings = settings_for(tmp_path / "export", models={"backend": "auto"})
    assert gated_precision(settings, tmp_path, may_run=False)[0] == "float32"
    precision, why = gated_precision(settings, tmp_path)
    assert (precision, why.partition(" (")[0]) == ("float8", "float8 agrees with float32")
    assert "version 1, in float8" in json.loads((tmp_path / "parity-float8.json").read_text())["key"]
    assert gated_precision(settings, tmp_path, may_run=False) == (precision, why)
