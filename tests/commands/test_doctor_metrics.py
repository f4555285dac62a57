"""What is wrong with `[metrics]` is found before the service is started, and while it runs."""

from __future__ import annotations

import importlib.util
import os
import socket
from pathlib import Path

import pytest

from edge import config
from edge.commands.doctor_metrics import look_at_metrics
from edge.journal import problems
from tests.fakes.brokers import free_port


def findings(tmp_path: Path, listen: str = "") -> list[tuple[str, str]]:
    state = tmp_path / "state"
    state.mkdir(exist_ok=True)
    raw = {"watch": {"folder": str(tmp_path / "export")}, "state": {"folder": str(state)}, "metrics": {"prometheus": listen}}
    return [(finding.level, finding.text) for finding in look_at_metrics(config.parse(raw, {}))]


def test_where_nobody_scrapes_nothing_is_said(tmp_path: Path) -> None:
    assert findings(tmp_path) == []


def test_a_free_address_is_fine_and_a_taken_one_a_problem(tmp_path: Path) -> None:
    pytest.importorskip("prometheus_client")
    listen = f"127.0.0.1:{free_port()}"
    assert findings(tmp_path, listen) == [("ok", f"Prometheus scrapes http://{listen}/metrics")]
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = f"127.0.0.1:{other.getsockname()[1]}"
        ((level, text),) = findings(tmp_path, taken)
        assert (level, text) == ("problem", f"metrics.prometheus {taken} cannot be used: Address already in use")


def test_an_address_of_another_machine_is_a_problem(tmp_path: Path) -> None:
    pytest.importorskip("prometheus_client")
    ((level, text),) = findings(tmp_path, "192.0.2.1:9464")
    assert level == "problem"
    assert "cannot be used" in text


def test_a_missing_library_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert findings(tmp_path, "127.0.0.1:9464") == [("problem", "prometheus-client is not installed")]


def test_a_service_that_runs_may_have_the_address(tmp_path: Path) -> None:
    pytest.importorskip("prometheus_client")
    (tmp_path / "state").mkdir()
    assert problems.write(tmp_path / "state", {}, {})
    told = problems.read(tmp_path / "state")
    assert told is not None
    assert told.pid == os.getpid()
    with socket.create_server(("127.0.0.1", 0)) as ours:
        listen = f"127.0.0.1:{ours.getsockname()[1]}"
        expected = "ok" if told.alive else "problem"
        assert findings(tmp_path, listen)[0][0] == expected
    if told.alive:
        assert findings(tmp_path, listen) == [("problem", f"nothing answers at {listen}")]
