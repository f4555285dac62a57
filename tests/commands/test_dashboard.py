from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from edge.commands.dashboard import broker_from, dashboard, page_parser, settings
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


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--broker-ws", "mqtt://x"], "--broker-ws"),
        (["--broker", "x:1883"], "mqtt://HOST"),
        (["--port", "0"], "--port"),
        (["--listen", "nonsense"], "--listen must be HOST:PORT"),
        (["--prefix", "a/b"], "SITE/AREA/sem/ID"),
        (["--users", "/absent/users"], "--users /absent/users cannot be read"),
        (["--tls-cert", "/absent/a", "--tls-key", "/absent/b"], "--tls-cert: /absent/a cannot be read"),
        (["--broker", "mqtts://x", "--ca-file", "/absent/ca"], "/absent/ca cannot be read"),
        (["--broker", "mqtt://ann@x", "--password-file", "/absent/p"], "/absent/p cannot be read"),
    ],
)
def test_what_can_never_work_ends_at_once_with_the_option_that_is_wrong(
    words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("uvicorn", reason="the extra web is not installed")
    assert dashboard(words) == 2
    assert sentence in capsys.readouterr().err


def test_it_listens_on_loopback_unless_told_otherwise() -> None:
    assert settings(page_parser().parse_args(["--broker", "mqtt://x", "--port", "9000"])).listen == "127.0.0.1:9000"


def test_the_broker_of_this_machine_needs_no_option() -> None:
    broker = broker_from(page_parser().parse_args([]))
    assert (broker.host, broker.port, broker.tls) == ("localhost", 1883, False)
    broker = broker_from(page_parser().parse_args(["--broker-ws", "wss://h/x"]))
    assert (broker.host, broker.port, broker.websocket) == ("h", 443, "/x")


def test_the_environment_may_hold_the_password_and_a_file_comes_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGE_DASHBOARD_PASSWORD", "of the environment")
    assert broker_from(page_parser().parse_args(["--broker", "mqtt://ann@x"])).password() == "of the environment"
    (tmp_path / "secret").write_text("of the file\n")
    words = ["--broker", "mqtt://ann@x", "--password-file", str(tmp_path / "secret")]
    assert broker_from(page_parser().parse_args(words)).password() == "of the file"


@needs_mosquitto
@pytest.mark.skipif(sys.platform == "win32", reason="there are no pseudo-terminals")
def test_the_terminal_is_asked_for_the_password_which_is_nowhere_to_be_seen(tmp_path: Path) -> None:
    pytest.importorskip("uvicorn", reason="the extra web is not installed")
    passwords, port = tmp_path / "passwords", free_port()
    subprocess.run(["mosquitto_passwd", "-b", "-c", str(passwords), "ann", "typed by hand"], check=True, capture_output=True)
    passwords.chmod(0o644)
    ours, theirs = os.openpty()
    seen = b""

    def read(words: bytes) -> None:
        nonlocal seen
        while words not in seen:
            assert select.select([ours], [], [], 60.0)[0], seen
            seen += os.read(ours, 1000)

    with Mosquitto(tmp_path / "broker", "allow_anonymous false", f"password_file {passwords}") as broker:
        words = ["--broker", f"mqtt://ann@127.0.0.1:{broker.port}", "--port", str(port)]
        terminal: Any = {"stdin": theirs, "stdout": theirs, "stderr": theirs}
        process = subprocess.Popen([*COMMAND, *words], cwd=ROOT, start_new_session=True, **terminal)
        try:
            read(b"password of ann")
            os.write(ours, b"typed by hand\n")
            read(b"connected to the broker")
            command = Path(f"/proc/{process.pid}/cmdline").read_bytes() if Path("/proc/self").exists() else b""
            assert b"typed by hand" not in seen + command
        finally:
            process.terminate()
            process.wait(60)
            os.close(ours)
            os.close(theirs)


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
            eventually(lambda: (got(f"/api/now?device={ONE}") or {}).get("row"), what="a verdict")
            session = got("/api/session")
            assert (session["mode"], session["may"]) == ("broker", ["read"])
            assert got(f"/api/inspection/f1?device={ONE}")["failure"]["failure_id"] == "f1"
        finally:
            process.terminate()
            process.wait(60)
