"""An image is inspected in a child that may die."""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge.config import Settings
from edge.records import Source
from edge.service import isolated
from tests.fakes.brokers import Listener, Mosquitto, eventually
from tests.sem.making import specimen, tiff
from tests.service.running_daemon import (
    PREFIX,
    Service,
    begun_but_not_finished,
    child_of,
    ended,
    png,
    verdicts,
)


def test_a_stop_is_no_death_of_the_suspect(tmp_path: Path, broker: Mosquitto) -> None:
    service = Service(tmp_path, broker.port)
    service.put("slow.png", png(1))
    begun_but_not_finished(service, "slow.png")
    with Listener(broker.port, f"{PREFIX}/#") as dashboard, service:
        child = eventually(lambda: child_of(service), 60, "a child that inspects")
        child.send_signal(signal.SIGTERM)
        child.send_signal(signal.SIGINT)
        eventually(lambda: verdicts(dashboard), 60)
        assert "killed the process" not in service.log_text()


def test_the_child_of_a_killed_daemon_does_not_go_on(tmp_path: Path, broker: Mosquitto) -> None:
    service = Service(tmp_path, broker.port)
    service.put("long.tif", tiff(np.stack([specimen(96, 128)] * 2000), photometric="minisblack"))
    begun_but_not_finished(service, "long.tif")
    with service:
        child = eventually(lambda: child_of(service), 60, "a child that inspects")
        eventually(lambda: child.num_threads() > 2, 60, "its models")
        service.kill()
        eventually(lambda: ended(child), 60)


def half_an_answer(sender: multiprocessing.connection.Connection, *_: object) -> None:
    os.write(sender.fileno(), b"\0\0\1\0half")
    os._exit(3)


def test_a_child_that_dies_in_the_middle_of_its_answer_has_died(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(isolated, "_work", half_an_answer)
    outcome = isolated.inspect_in_child(settings, Path("x.png"), Source("x.png", "x.png", None))
    assert outcome == isolated.Died("exit status 3")


def test_a_child_that_takes_too_long_is_ended(settings: Settings) -> None:
    outcome = isolated.inspect_in_child(settings, Path("x.png"), Source("x.png", "x.png", None), longest_s=0.0)
    assert isinstance(outcome, isolated.Died)
    assert multiprocessing.active_children() == []


def defective(sender: multiprocessing.connection.Connection, *arguments: Any) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RecursionError("maximum recursion depth exceeded")

    isolated.__dict__["read_file"] = broken
    isolated._work(sender, *arguments)


def test_a_defect_is_told_by_the_child_as_the_daemon_tells_it(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    outcome = isolated.answer_of(
        defective, (settings, Path("x.png"), Source("x.png", "x.png", None), False), "x", 60.0, lambda: False
    )
    assert isinstance(outcome, isolated.Refused)
    assert outcome.error.code == "internal"
    assert "maximum recursion depth" in str(outcome.error)
