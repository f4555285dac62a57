"""The page's process is kept running, and whatever it does, the service goes on."""

from __future__ import annotations

import io
import json
import signal
import sys
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from edge.config import Settings
from edge.config_text import read
from edge.journal import Journal
from edge.service import page
from edge.service.page import PageKeeper
from edge.service.shared import Shared
from tests.fakes.brokers import eventually

GOOD = """
import os, sys
settings = sys.stdin.readline()
open({seen!r}, "a").write(str(os.getpid()) + " " + settings)
os.write(1, b".")
sys.stdin.read()
"""


@pytest.fixture
def keeper(settings: Settings, journal: Journal, shared: Shared, monkeypatch: pytest.MonkeyPatch) -> PageKeeper:
    monkeypatch.setattr(page, "FIRST_PAUSE_S", 0.05)
    return PageKeeper(settings, journal, shared)


@contextmanager
def kept(keeper: PageKeeper, program: str) -> Iterator[None]:
    keeper.command = (sys.executable, "-c", program)
    thread = threading.Thread(target=keeper.run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        keeper.shared.stopping.set()
        thread.join(30)
        assert not thread.is_alive()


def problems(keeper: PageKeeper) -> list[str]:
    return [text for text in keeper.shared.status.problems() if "page" in text]


def test_it_gets_the_settings_is_started_again_and_ends_with_the_service(keeper: PageKeeper, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    with kept(keeper, GOOD.format(seen=str(seen))):
        eventually(lambda: seen.exists() and seen.read_text().endswith("\n"), 60)
        pid, _, told = seen.read_text().partition(" ")
        assert read(json.loads(told)) == keeper.settings
        psutil.Process(int(pid)).send_signal(signal.SIGKILL)
        eventually(lambda: seen.read_text().count("\n") == 2, 60)
        eventually(lambda: problems(keeper) == [], 60)
        second = int(seen.read_text().splitlines()[1].partition(" ")[0])
    assert not psutil.pid_exists(second)


def test_why_it_does_not_start_is_a_reason(keeper: PageKeeper) -> None:
    with kept(keeper, "import sys; print('web.users_file: not there', file=sys.stderr); sys.exit(2)"):
        eventually(lambda: problems(keeper) == ["the live page does not run: web.users_file: not there"], 60)


def test_one_that_cannot_be_started_at_all_is_a_reason(keeper: PageKeeper) -> None:
    keeper.command = ("/nowhere/python",)
    thread = threading.Thread(target=keeper.run, daemon=True)
    thread.start()
    eventually(lambda: any("cannot be started" in text for text in problems(keeper)), 60)
    keeper.shared.stopping.set()
    thread.join(30)


def test_one_that_falls_silent_is_ended(keeper: PageKeeper, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(page, "SILENT_S", 0.3)
    program = "import os, signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); os.write(1, b'.'); time.sleep(600)"
    with kept(keeper, program):
        eventually(lambda: any("said nothing" in text for text in problems(keeper)), 60)


def test_one_that_starts_slowly_is_told_of_and_left_alone(
    keeper: PageKeeper, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(page, "SILENT_S", 0.3)
    go = tmp_path / "go"
    program = f"""
import os, time
while not os.path.exists({str(go)!r}):
    time.sleep(0.05)
while True:
    os.write(1, b".")
    time.sleep(0.05)
"""
    with kept(keeper, program):
        eventually(lambda: any("still starting" in text for text in problems(keeper)), 60)
        go.touch()
        eventually(lambda: problems(keeper) == [], 60)


def test_one_that_never_starts_is_ended(keeper: PageKeeper, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "STARTING_S", 0.3)
    with kept(keeper, "import time; time.sleep(600)"):
        eventually(lambda: any("said nothing" in text for text in problems(keeper)), 60)


def test_of_what_it_says_the_last_line_is_kept() -> None:
    last: deque[str] = deque(maxlen=1)
    page.tell(io.BytesIO(b"one\n\xff two\n\n" * 1000), last)
    assert list(last) == ["\\xff two"]


def test_it_has_nothing_to_tell_systemd_with(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC"):
        monkeypatch.setenv(name, "1")
    assert not {"NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC"} & set(page.environment())
    assert json.loads(json.dumps(page.environment()))["OMP_NUM_THREADS"] == "1"


def test_one_that_closes_its_output_and_goes_on_is_ended(keeper: PageKeeper, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "ENDED_S", 0.2)
    with kept(keeper, "import os, time; os.close(1); time.sleep(600)"):
        eventually(lambda: any("did not end" in text for text in problems(keeper)), 60)
