"""The fleet's page in a browser: what is wrong with its broker stands there, and goes when it is right."""

from __future__ import annotations

import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest

from edge.config import WebSettings
from edge.web.broker import broker_of
from edge.web.broker_source import BrokerSource
from tests.fakes.brokers import Listener, Mosquitto, free_port, needs_mosquitto
from tests.web.browser.conftest import opened
from tests.web.test_broker_source import ONE
from tests.web.test_heard import status

pytestmark = [pytest.mark.slow, pytest.mark.broker, needs_mosquitto]


def test_a_wrong_password_stands_where_the_microscopes_would_and_goes_with_a_right_one(tmp_path: Path, chromium: Any) -> None:
    pytest.importorskip("uvicorn", reason="the extra web is not installed")
    from edge.web.serve import serve

    passwords, secret, port = tmp_path / "passwords", tmp_path / "secret", free_port()
    subprocess.run(["mosquitto_passwd", "-b", "-c", str(passwords), "ann", "the right one"], check=True, capture_output=True)
    passwords.chmod(0o644)
    secret.write_text("a wrong one")
    until, beats = threading.Event(), threading.Event()
    with Mosquitto(tmp_path / "broker", "allow_anonymous false", f"password_file {passwords}") as broker:
        address = broker_of(f"mqtt://ann@127.0.0.1:{broker.port}", password_file=str(secret))
        with BrokerSource(address) as source:
            web = WebSettings(listen=f"127.0.0.1:{port}")
            named: Any = {"version": "1", "until": until, "beat": beats.set}
            thread = threading.Thread(target=serve, args=(source, web), kwargs=named)
            thread.start()
            try:
                assert beats.wait(60)
                with opened(chromium, f"http://127.0.0.1:{port}/") as seen:
                    seen.page.goto(seen.address)
                    seen.says("#fleet-why", "does not let the user 'ann' in", "--password-file")
                    assert "a wrong one" not in seen.page.content()
                    secret.write_text("the right one")
                    with Listener(broker.port, username="ann", password="the right one") as microscope:
                        microscope.say(f"{ONE}/status", status("online"), retain=True)
                    seen.page.wait_for_selector("#fleet-why", state="detached", timeout=120_000)
                    seen.says("main", "one")
            finally:
                until.set()
                thread.join(60)
