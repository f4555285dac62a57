from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from edge.commands.dashboard import dashboard, page_parser, settings
from edge.errors import ConfigError
from edge.web import users
from tests import ROOT
from tests.fakes.brokers import Mosquitto, eventually, free_port, needs_mosquitto
from tests.web.test_broker_source import ONE, publish
from tests.web.test_heard import failure, status

COMMAND = [sys.executable, "-c", "import sys; from edge.commands.dashboard import dashboard; sys.exit(dashboard())"]


def test_a_user_is_written_changed_and_removed(tmp_path: Path) -> None:
    file, secret = tmp_path / "users", tmp_path / "secret"
    secret.write_text("long enough\n")
    assert dashboard(["user", str(file), "ann", "review", "--password-file", str(secret)]) == 0
    assert file.stat().st_mode & 0o777 == 0o600
    assert users.verified(users.load(file), "ann", "long enough") is not None
    assert dashboard(["user", str(file), "ann", "command", "--password-file", str(secret)]) == 0
    assert users.load(file)["ann"].role == "command"
    assert dashboard(["user", str(file), "ann", "--remove"]) == 0
    assert users.load(file) == {}
    assert dashboard(["user", str(file), "ann", "--remove"]) == 2


def test_a_short_password_is_refused_and_nothing_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "secret").write_text("short")
    assert dashboard(["user", str(tmp_path / "users"), "ann", "read", "--password-file", str(tmp_path / "secret")]) == 2
    assert "at least" in capsys.readouterr().err
    assert not (tmp_path / "users").exists()


def test_without_a_terminal_nobody_is_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert dashboard(["user", str(tmp_path / "users"), "ann", "read"]) == 2
    assert "--password-file" in capsys.readouterr().err


def test_a_password_in_the_address_is_refused_and_not_repeated(capsys: pytest.CaptureFixture[str]) -> None:
    assert dashboard(["--broker", "mqtt://ann:topsecret@localhost"]) == 2
    said = capsys.readouterr().err
    assert "--password-file" in said
    assert "topsecret" not in said


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--listen", "0.0.0.0:8080"], "--behind-proxy"),
        (["--listen", "0.0.0.0:8080", "--behind-proxy"], "--users"),
        (["--tls-cert", "a.pem"], "belong together"),
    ],
)
def test_beyond_loopback_it_needs_tls_and_users(words: list[str], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        settings(page_parser().parse_args(["--broker", "mqtt://x", *words]))


def test_it_listens_on_loopback_unless_told_otherwise() -> None:
    assert settings(page_parser().parse_args(["--broker", "mqtt://x", "--port", "9000"])).listen == "127.0.0.1:9000"


@needs_mosquitto
def test_it_serves_what_a_broker_tells(tmp_path: Path) -> None:
    pytest.importorskip("uvicorn", reason="the extra web is not installed")
    port = free_port()

    def got(path: str) -> Any:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=20) as answer:
                return json.load(answer)
        except OSError:
            return None

    with Mosquitto(tmp_path / "broker") as broker, (tmp_path / "log").open("wb") as log:
        publish(broker, f"{ONE}/status", status("online"), retain=True)
        words = ["--broker", f"mqtt://127.0.0.1:{broker.port}", "--port", str(port)]
        process = subprocess.Popen([*COMMAND, *words], cwd=ROOT, stderr=log, stdout=log)
        try:
            eventually(lambda: got("/api/fleet"), 60.0, what=(tmp_path / "log").read_text())
            publish(broker, f"{ONE}/failure", failure(1))
            eventually(lambda: got(f"/api/now?device={ONE}")["row"], what="a verdict")
            session = got("/api/session")
            assert (session["mode"], session["may"]) == ("broker", ["read"])
            assert got(f"/api/inspection/f1?device={ONE}")["failure"]["failure_id"] == "f1"
        finally:
            process.terminate()
            process.wait(20)
