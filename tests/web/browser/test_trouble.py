"""What a person sees when the page's process hangs, its port is taken, or the journal cannot be read; and that it passes."""

from __future__ import annotations

import shutil
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("starlette", reason="the extra web is not installed")
pytest.importorskip("uvicorn", reason="the extra web is not installed")

from tests.fakes.brokers import Listener, Mosquitto, eventually, needs_mosquitto
from tests.service.running_daemon import by_name, png
from tests.web.browser.alone import Alone
from tests.web.browser.conftest import Seen, Served, opened
from tests.web.browser.plain import Plain

pytestmark = [pytest.mark.slow, pytest.mark.broker, needs_mosquitto]


@pytest.fixture
def listener(broker: Mosquitto) -> Iterator[Listener]:
    with Listener(broker.port) as heard:
        yield heard


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[Alone]:
    with Alone(tmp_path / "one", 6) as served:
        yield served


def reasons(listener: Listener) -> str:
    return " ".join(text for message in listener.on("/status")[-1:] for text in message.body["reasons"])


def test_a_page_that_hangs_is_told_and_stops_no_inspection(service: Served, seen: Seen, listener: Listener) -> None:
    seen.enter("read")
    seen.says("#link", "live")
    page = service.page()
    page.send_signal(signal.SIGSTOP)
    service.put("meanwhile.png", png(1))
    eventually(lambda: "meanwhile.png" in by_name(listener), 120)
    seen.says("#link", "No link to the server")
    page.send_signal(signal.SIGCONT)
    seen.says("#link", "live")
    seen.says("#verdict", "meanwhile.png")


def test_a_port_that_is_taken_is_told_and_the_page_comes_when_it_is_free(
    tmp_path: Path, broker: Mosquitto, users: Path, listener: Listener, chromium: Any
) -> None:
    service = Served(tmp_path / "microscope", broker.port, users)
    with socket.create_server(("127.0.0.1", service.port)) as taken, service:
        service.put("a.png", png(1))
        eventually(lambda: "a.png" in by_name(listener), 120)
        eventually(lambda: "the live page does not run" in reasons(listener), 60)
        assert "in use" in reasons(listener)
        assert "served at" not in service.log_text()
        taken.close()
        eventually(lambda: "served at" in service.log_text(), 120)
        assert Plain(service.port).answers(), "what is logged is so"
        eventually(lambda: "the live page" not in reasons(listener), 60)
        with opened(chromium, service.address) as seen:
            seen.enter("read")
            seen.says("#verdict", "a.png")


def test_a_journal_that_cannot_be_read_is_told_in_words_and_passes(alone: Alone, chromium: Any) -> None:
    file, copy = alone.source.state / "journal.sqlite3", alone.source.state.parent / "copy"
    shutil.copyfile(file, copy)
    with opened(chromium, alone.address) as seen:
        seen.page.goto(seen.address)
        seen.page.wait_for_selector("#verdict")
        for damage, sentence in (
            (lambda: file.write_bytes(b"no database" * 1000), "is damaged"),
            (file.unlink, "there is no journal"),
            (lambda: (file.unlink(), file.mkdir()), "there is no journal"),
        ):
            damage()
            seen.says("[data-light=unsent]", sentence)
            assert seen.page.query_selector("#verdict") is not None, "what is known stays"
            seen.room("problems")
            seen.says("#problems", "Journal", sentence)
            for room in ("timeline", "fleet", "review", "now"):
                seen.room(room)
                eventually(lambda: len(seen.text("#room")) > 40, 60)
            if file.is_dir():
                file.rmdir()
            shutil.copyfile(copy, file)
            seen.page.wait_for_selector('[data-light=unsent]:not([data-state="unknown"])')
