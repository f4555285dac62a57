"""What is wrong with `[opcua]` is found before the service is started, and while it runs."""

from __future__ import annotations

import importlib.util
import socket
from pathlib import Path

import pytest

from edge import config
from edge.commands.doctor_opcua import look_at_opcua
from edge.journal import problems
from tests.fakes.brokers import free_port


def findings(tmp_path: Path, listen: str = "", **more: str) -> list[tuple[str, str]]:
    state = tmp_path / "state"
    state.mkdir(exist_ok=True)
    raw = {
        "watch": {"folder": str(tmp_path / "export")},
        "state": {"folder": str(state)},
        "opcua": {"listen": listen, **more},
    }
    return [(finding.level, finding.text) for finding in look_at_opcua(config.parse(raw, {}))]


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if it were installed: nothing of it is used here."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())


def test_where_nobody_wants_it_nothing_is_said(tmp_path: Path) -> None:
    assert findings(tmp_path) == []


def test_a_missing_library_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert findings(tmp_path, "127.0.0.1:4840") == [("problem", "asyncua is not installed")]


@pytest.mark.usefixtures("library")
def test_a_free_address_is_fine_and_a_taken_one_a_problem(tmp_path: Path) -> None:
    listen = f"127.0.0.1:{free_port()}"
    assert findings(tmp_path, listen) == [("ok", f"OPC UA clients of this machine read opc.tcp://{listen}/")]
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = f"127.0.0.1:{other.getsockname()[1]}"
        assert findings(tmp_path, taken) == [("problem", f"opcua.listen {taken} cannot be used: Address already in use")]


@pytest.mark.usefixtures("library")
def test_beyond_this_machine_it_is_noted_that_nothing_is_encrypted(tmp_path: Path) -> None:
    ((level, text),) = findings(tmp_path, f"0.0.0.0:{free_port()}")
    assert level == "note"
    assert "not encrypted" in text


@pytest.mark.usefixtures("library")
def test_a_certificate_must_be_readable(tmp_path: Path) -> None:
    here = tmp_path / "server.pem"
    here.write_text("x")
    listen = f"0.0.0.0:{free_port()}"
    assert findings(tmp_path, listen, cert_file=str(here), key_file=str(here))[0][0] == "ok"
    ((level, text),) = findings(tmp_path, listen, cert_file=str(here), key_file=str(tmp_path / "none.key"))
    assert level == "problem"
    assert "opcua.key_file" in text


@pytest.mark.usefixtures("library")
def test_a_service_that_runs_may_have_the_address(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    assert problems.write(tmp_path / "state", {}, {})
    told = problems.read(tmp_path / "state")
    assert told is not None
    with socket.create_server(("127.0.0.1", 0)) as ours:
        listen = f"127.0.0.1:{ours.getsockname()[1]}"
        assert findings(tmp_path, listen)[0][0] == ("ok" if told.alive else "problem")
    if told.alive:
        assert findings(tmp_path, listen) == [("problem", f"nothing answers at {listen}")]


def test_a_certificate_without_its_key_is_refused(tmp_path: Path) -> None:
    with pytest.raises(config.ConfigError, match="belong together"):
        findings(tmp_path, "127.0.0.1:4840", cert_file="x.pem")
