"""`edge-archive inspect` on Ray itself: ended at any moment it goes on, and every file has one row."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("ray")
pytest.importorskip("pyarrow")

from edge.archive import tables
from edge.errors import ConfigError
from edge.report.reading import read_folder
from tests import ROOT
from tests.archive.making import images

COMMAND = [sys.executable, "-c", "import sys; from edge.commands.archive import archive; sys.exit(archive())", "inspect"]


def begin(source: Path, out: Path, *arguments: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "EDGE_MODELS__BACKEND": "onnxruntime", "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
    return subprocess.Popen(
        [*COMMAND, str(source), "--out", str(out), *arguments], env=environment, stderr=subprocess.PIPE, text=True
    )


def run(source: Path, out: Path, *arguments: str) -> tuple[int, str]:
    process = begin(source, out, *arguments)
    _, said = process.communicate()
    print(said)
    return process.returncode, said


def found(out: Path) -> list[str]:
    return sorted(row["path"] for row in tables.rows(out, ("path",)))


def test_a_run_that_is_killed_goes_on_and_repeats_nothing(tmp_path: Path) -> None:
    paths = images(tmp_path / "in", 70)
    process = begin(tmp_path / "in", tmp_path / "out")
    while process.poll() is None and not tables.parts(tmp_path / "out"):
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    before = {part.name: part.stat().st_mtime_ns for part in tables.parts(tmp_path / "out")}
    assert before
    status, said = run(tmp_path / "in", tmp_path / "out")
    assert status == 1, "one file is no image"
    assert found(tmp_path / "out") == sorted(paths)
    assert {part.name: part.stat().st_mtime_ns for part in tables.parts(tmp_path / "out") if part.name in before} == before
    assert "71 files" in said
    ids = [row["inspection_id"] for row in tables.rows(tmp_path / "out", ("inspection_id",))]
    assert len(set(ids)) == len(paths)
    status, said = run(tmp_path / "in", tmp_path / "out")
    assert (status, "0 inspected now" in said) == (0, True)
    assert len(read_folder(tmp_path / "out").inspections) == 70


def test_a_worker_that_is_killed_is_replaced(tmp_path: Path) -> None:
    paths = images(tmp_path / "in", 70)
    process = begin(tmp_path / "in", tmp_path / "out")
    while process.poll() is None and not tables.parts(tmp_path / "out"):
        time.sleep(0.05)
    subprocess.run(["pkill", "-KILL", "-f", "ray::MapWorker"], check=False)
    _, said = process.communicate()
    print(said)
    assert process.returncode == 1
    assert found(tmp_path / "out") == sorted(paths)


def test_a_folder_that_is_none_is_said(tmp_path: Path) -> None:
    status, said = run(tmp_path / "none", tmp_path / "out")
    assert status == 2
    assert "is no folder" in said


def test_damaged_results_are_a_sentence(tmp_path: Path) -> None:
    images(tmp_path / "in", 1)
    run(tmp_path / "in", tmp_path / "out")
    tables.parts(tmp_path / "out")[0].write_bytes(b"")
    with pytest.raises(ConfigError):
        tables.done_paths(tmp_path / "out")
    status, said = run(tmp_path / "in", tmp_path / "out")
    assert status == 2
    assert "remove it" in said
