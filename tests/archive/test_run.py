"""`edge-archive inspect` on Ray itself: ended at any moment it goes on, and every file has one row."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

pytest.importorskip("ray")
pytest.importorskip("pyarrow")

from edge.archive import run as run_module
from edge.archive import tables
from edge.archive.run import TRIES, _begin, batches_of
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


def family(process: subprocess.Popen[str], named: str = "") -> list[psutil.Process]:
    """The run's processes whose command line begins with this, its own with all of them."""
    own = psutil.Process(process.pid)
    found = []
    for one in [own, *own.children(recursive=True)]:
        with contextlib.suppress(psutil.Error):
            if not named or named in " ".join(one.cmdline()[:1]):
                found.append(one)
    return found


def until_a_part(process: subprocess.Popen[str], out: Path) -> None:
    while process.poll() is None and not tables.parts(out):
        time.sleep(0.05)
    assert process.poll() is None


def require_each_once(out: Path, paths: list[str]) -> None:
    rows = list(tables.rows(out, ("path", "inspection_id")))
    assert sorted(row["path"] for row in rows) == sorted(paths)
    assert len({row["inspection_id"] for row in rows}) == len(paths)


def test_a_run_of_which_every_process_is_killed_goes_on_and_repeats_nothing(tmp_path: Path) -> None:
    paths = images(tmp_path / "in", 70)
    process = begin(tmp_path / "in", tmp_path / "out", "--workers", "1")
    until_a_part(process, tmp_path / "out")
    status, said = run(tmp_path / "in", tmp_path / "out")
    assert status == 2
    assert "another edge-archive inspect" in said
    for one in family(process):
        one.kill()
    process.communicate()
    before = {part.name: part.stat().st_mtime_ns for part in tables.parts(tmp_path / "out")}
    status, said = run(tmp_path / "in", tmp_path / "out", "--workers", "1")
    assert status == 1, "one file is no image"
    require_each_once(tmp_path / "out", paths)
    assert {part.name: part.stat().st_mtime_ns for part in tables.parts(tmp_path / "out") if part.name in before} == before
    assert "71 files" in said
    status, said = run(tmp_path / "in", tmp_path / "out")
    assert (status, "0 inspected now" in said) == (0, True)
    assert len(read_folder(tmp_path / "out").inspections) == 70


def test_a_worker_that_is_killed_is_replaced(tmp_path: Path) -> None:
    paths = images(tmp_path / "in", 70)
    process = begin(tmp_path / "in", tmp_path / "out", "--workers", "1")
    until_a_part(process, tmp_path / "out")
    killed = family(process, "ray::MapWorker")
    assert killed
    for one in killed:
        one.kill()
    _, said = process.communicate()
    print(said)
    assert process.returncode == 1
    require_each_once(tmp_path / "out", paths)


def test_a_folder_that_is_none_is_said(tmp_path: Path) -> None:
    status, said = run(tmp_path / "none", tmp_path / "out")
    assert status == 2
    assert "is no folder" in said


def test_damaged_results_are_a_sentence(tmp_path: Path) -> None:
    images(tmp_path / "in", 1)
    run(tmp_path / "in", tmp_path / "out")
    tables.parts(tmp_path / "out")[0].write_bytes(b"")
    with pytest.raises(ConfigError):
        tables.done(tmp_path / "out")
    status, said = run(tmp_path / "in", tmp_path / "out")
    assert status == 2
    assert "remove it" in said


@pytest.mark.parametrize(("files", "workers", "sizes"), [(71, 2, {16, 7}), (40_000, 2, {128, 64}), (3, 8, {3})])
def test_batches_are_large_where_there_are_many_files(files: int, workers: int, sizes: set[int]) -> None:
    batches = batches_of([f"{number}.png" for number in range(files)], workers)
    assert {len(batch) for batch in batches} == sizes
    assert sum(map(len, batches)) == files


def test_a_cluster_that_does_not_answer_is_said_with_what_to_try(monkeypatch: pytest.MonkeyPatch) -> None:
    def init(**_: object) -> None:
        tries.append(1)
        raise ConnectionError("no answer")

    tries: list[int] = []
    ended: list[int] = []
    monkeypatch.delenv("RAY_AUTH_MODE", raising=False)
    monkeypatch.setattr(run_module, "_end_what_was_started", lambda: ended.append(1))
    ray = SimpleNamespace(init=init, shutdown=lambda: None)
    with pytest.raises(ConfigError, match=r"no Ray at box:6379 .*RAY_AUTH_MODE=token"):
        _begin(ray, "box:6379", {})
    with pytest.raises(ConfigError, match="less busy"):
        _begin(ray, None, {})
    assert len(tries) == len(ended) == 1 + TRIES
