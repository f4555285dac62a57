"""One run at a time writes to a folder."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from edge.archive import turn
from edge.archive.turn import Turn
from edge.errors import ConfigError
from tests import ROOT

HOLDING = """
import sys
from pathlib import Path
from edge.archive.turn import Turn
with Turn(Path(sys.argv[1])) as turn:
    print(turn.word, flush=True)
    sys.stdin.read()
"""


def test_a_second_run_is_refused_and_may_after_the_first(tmp_path: Path) -> None:
    with Turn(tmp_path) as first:
        with pytest.raises(ConfigError, match="another edge-archive inspect"):
            Turn(tmp_path)
        assert turn.is_turn(tmp_path, first.word)
    with Turn(tmp_path):
        assert not turn.is_turn(tmp_path, first.word)


def test_a_run_that_was_killed_holds_nothing(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLDING, str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        word = process.stdout.readline().strip()
        with pytest.raises(ConfigError):
            Turn(tmp_path)
        assert turn.is_turn(tmp_path, word)
        process.send_signal(signal.SIGKILL)
        process.wait()
        with Turn(tmp_path):
            pass
