"""Why a service is degraded can be read beside its journal, also when its broker is gone."""

from __future__ import annotations

import json
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from edge.journal import problems
from tests import ROOT


def test_what_was_written_is_read_and_the_service_alive(tmp_path: Path) -> None:
    assert problems.read(tmp_path) is None
    assert problems.write(tmp_path, {"µ \udcff": "Do this."})
    told = problems.read(tmp_path)
    assert told is not None
    assert (told.alive, told.problems) == (True, {"µ \udcff": "Do this."})
    assert stat.S_IMODE((tmp_path / problems.FILE).stat().st_mode) == 0o600


def test_a_service_that_was_killed_is_not_alive_and_one_that_stopped_has_left_nothing(tmp_path: Path) -> None:
    script = (
        f"from pathlib import Path; from edge.journal import problems; problems.write(Path({str(tmp_path)!r}), {{'a': 'b.'}})"
    )
    subprocess.run([sys.executable, "-c", script], check=True, cwd=ROOT)
    told = problems.read(tmp_path)
    assert told is not None
    assert not told.alive
    problems.remove(tmp_path)
    problems.remove(tmp_path)
    assert problems.read(tmp_path) is None


def test_another_process_with_the_number_of_the_old_one_is_not_the_service(tmp_path: Path) -> None:
    problems.write(tmp_path, {})
    told = json.loads((tmp_path / problems.FILE).read_text())
    (tmp_path / problems.FILE).write_text(json.dumps({**told, "started_at": told["started_at"] - 100}))
    read = problems.read(tmp_path)
    assert read is not None
    assert not read.alive


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"pid": 1, "started_at": 1, "problems": []}', '{"pid": "x"}'])
def test_a_file_that_is_none_is_as_none(tmp_path: Path, text: str) -> None:
    (tmp_path / problems.FILE).write_text(text)
    assert problems.read(tmp_path) is None


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / problems.FILE).mkdir()
    assert not problems.write(tmp_path, {})
    assert not problems.write(tmp_path / "gone", {})
