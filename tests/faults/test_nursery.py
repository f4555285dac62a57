"""A forked process is what a started one would be: its arguments, folder, log, signals, status and end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import psutil
import pytest

from tests.fakes.brokers import eventually
from tests.faults.nursery import NURSERY, Child, Nursery, can_start
from tests.faults.row import STAND_IN
from tests.service.running_daemon import COMMAND

TELL = """
import os, sys
print(sys.argv[1:], os.getcwd(), os.environ["SAID"], "edge.service.daemon" in sys.modules, flush=True)
if sys.argv[1] == "wait":
    import time
    while True:
        time.sleep(60)
sys.exit(int(sys.argv[1]))
"""

Started = Callable[..., tuple[Child, Path]]


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Started]:
    children: list[Child] = []

    def start(*arguments: str, nursery: Nursery = NURSERY) -> tuple[Child, Path]:
        script, log = tmp_path / "tell.py", tmp_path / "log"
        script.write_text(TELL)
        with log.open("ab") as stream:
            child = nursery.start(
                [sys.executable, str(script), *arguments], stdout=stream, env={**os.environ, "SAID": "hello"}, cwd=tmp_path
            )
        children.append(child)
        return child, log

    yield start
    for child in children:
        child.kill()


def test_it_has_what_it_was_given_and_tells_how_it_ended(started: Started, tmp_path: Path) -> None:
    child, log = started("7", "more")
    assert child.wait() == 7
    assert child.poll() == 7
    assert log.read_text() == f"['7', 'more'] {tmp_path} hello True\n"


@pytest.mark.parametrize(("end", "number"), [(Child.kill, signal.SIGKILL), (Child.terminate, signal.SIGTERM)])
def test_a_signal_ends_it_and_stands_in_its_status(end: Callable[[Child], None], number: int, started: Started) -> None:
    child, log = started("wait")
    eventually(lambda: log.exists() and "hello" in log.read_text(), 60)
    assert child.poll() is None
    with pytest.raises(subprocess.TimeoutExpired):
        child.wait(0.01)
    end(child)
    assert child.wait() == -number
    end(child)  # one that has ended is no other process


def test_its_children_end_with_it(started: Started) -> None:
    nursery = Nursery()
    child, log = started("wait", nursery=nursery)
    eventually(lambda: log.exists() and "hello" in log.read_text(), 60)
    nursery.close()
    assert child.wait() == -signal.SIGKILL
    eventually(lambda: not alive(child.pid), 60, "no process is left behind")


def alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.mark.parametrize(
    ("command", "can"),
    [(STAND_IN, True), (COMMAND, False), ([*STAND_IN, "--clock", "file"], False), (["nsenter", "--", *STAND_IN], False)],
)
def test_only_scripts_of_the_bench_are_forked(command: Sequence[str], can: bool) -> None:
    assert can_start(command) is can
