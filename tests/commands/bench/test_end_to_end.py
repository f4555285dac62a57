"""From the closed file to the broker, through the real daemon."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from edge.commands.bench.end_to_end import Arrival, _for_daemon
from edge.commands.cli import bench as command
from edge.config import load
from tests.commands.bench.conftest import SAMPLES, TINY
from tests.conftest import settings_for
from tests.fakes.brokers import needs_mosquitto


def test_the_networks_time_is_taken_off_but_not_what_is_drawn_for_them() -> None:
    arrival = Arrival("a.tif", 100.0, {"segment": 30.0, "classify": 50.0})
    assert arrival.beside_networks({"a.tif": 6.0}) == 26.0
    assert arrival.beside_networks({}) == 20.0


@needs_mosquitto
def test_the_way_to_the_broker_is_measured_with_the_real_daemon(tmp_path: Path) -> None:
    arguments = [str(SAMPLES[0]), *TINY, "--scenario", "single-stream", "--mqtt", "--json", str(tmp_path / "run.json")]
    assert command(arguments) == 0
    found = json.loads((tmp_path / "run.json").read_text())["mqtt"]
    assert found["reason"] is None
    assert (found["broker"], found["protocol"]) == ("mosquitto", "MQTT 5")
    assert found["n"] >= 1
    networks = found["stages"]["segment"]["mean"] + found["stages"]["classify"]["mean"]
    assert found["latency_ms"]["mean"] > networks > 0
    assert 0 < found["beside_networks_ms"]["mean"] < found["latency_ms"]["mean"]


def test_no_broker_is_a_sentence_and_no_failure(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from contextlib import contextmanager

    from edge.commands import demo
    from edge.errors import BrokerError

    @contextmanager
    def missing(_port: int) -> Any:
        raise BrokerError("the embedded broker does not start: pip install amqtt")
        yield

    monkeypatch.setattr("edge.commands.bench.end_to_end.PLACES", str(tmp_path))
    monkeypatch.setattr(demo, "embedded_broker", missing)
    arguments = [str(SAMPLES[0]), *TINY, "--scenario", "offline", "--mqtt", "--json", str(tmp_path / "run.json")]
    assert command(arguments) == 0
    assert "pip install amqtt" in json.loads((tmp_path / "run.json").read_text())["mqtt"]["reason"]


def test_the_daemon_is_measured_with_every_setting_that_decides_verdicts(tmp_path: Path) -> None:
    severe = {"area_fraction": 0.1, "class": 'a "pit"'}
    settings = settings_for(tmp_path / "x", inspect={"iou": 0.5}, severity={"rule": "limits", "severe": severe})
    configured = load(_for_daemon(settings, tmp_path, tmp_path / "watched", 1883, 5), {})
    assert configured.severity == settings.severity
    assert configured.inspection_sha256() == settings.inspection_sha256()
