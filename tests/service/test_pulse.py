"""What a container's health check sees."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from edge.service import pulse
from tests.fakes.brokers import Mosquitto, eventually, needs_mosquitto
from tests.service.running_daemon import COMMAND, Service


def test_without_the_variable_nothing_is_written_and_the_answer_says_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(pulse.VARIABLE, raising=False)
    pulse.beat()
    assert pulse.alive() == (False, pulse.alive()[1])
    assert pulse.VARIABLE in pulse.alive()[1]


def test_who_spoke_lately_is_alive_and_who_did_not_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(pulse.VARIABLE, str(tmp_path / "pulse"))
    assert not pulse.alive()[0]
    pulse.beat()
    assert pulse.alive()[0]
    now = pulse._now()
    monkeypatch.setattr(pulse, "_now", lambda: now + pulse.SILENT_S + 2)
    assert not pulse.alive()[0]
    monkeypatch.setattr(pulse, "_now", lambda: now - 1000)  # the machine was started anew
    assert not pulse.alive()[0]
    (tmp_path / "pulse").write_text("")
    assert not pulse.alive()[0]


def test_a_full_or_missing_place_does_not_stop_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(pulse.VARIABLE, "/nowhere/pulse")
    pulse.beat()
    assert not pulse.alive()[0]


@pytest.mark.broker
@needs_mosquitto
def test_the_command_says_of_a_running_daemon_that_it_is_alive(tmp_path: Path, broker: Mosquitto) -> None:
    surroundings = {pulse.VARIABLE: str(tmp_path / "pulse")}

    def status(service: Service) -> int:
        command = [*COMMAND, "--config", str(service.config), "--alive"]
        return subprocess.run(command, capture_output=True, env={**os.environ, **surroundings}, check=False).returncode

    service = Service(tmp_path, broker.port)
    with service:
        service.kill()
        service.start(surroundings)
        assert service.process is not None
        eventually(lambda: status(service) == 0, 120, service.log_text())
        service.process.send_signal(signal.SIGTERM)
        service.process.wait(60)
    (tmp_path / "pulse").write_text("0\n")
    assert status(service) == 1
