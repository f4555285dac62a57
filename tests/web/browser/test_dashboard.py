"""`edge-dashboard` before a real broker, in a real browser: a restart in the middle, garbage, markup in a name, a flood."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import paho.mqtt.client as mqtt
import psutil
import pytest
from paho.mqtt.enums import CallbackAPIVersion

pytest.importorskip("starlette", reason="the extra web is not installed")
pytest.importorskip("uvicorn", reason="the extra web is not installed")

from tests import ROOT
from tests.fakes.brokers import Mosquitto, acknowledged, eventually, free_port, needs_mosquitto
from tests.service.running_daemon import png
from tests.web.browser.conftest import ROOMS, Seen, opened
from tests.web.browser.plain import Plain
from tests.web.documents import inspection
from tests.web.test_broker_source import GARBAGE
from tests.web.test_heard import failure, status

pytestmark = [pytest.mark.slow, pytest.mark.broker, needs_mosquitto]

COMMAND: Final = [sys.executable, "-c", "import sys; from edge.commands.dashboard import dashboard; sys.exit(dashboard())"]
ONE, TWO = "plant/lab/sem/one", "plant/lab/sem/two"
NASTY: Final = '<img src=x onerror="alert(1)"><b>"\'&\u202e.png'
FLOOD: Final = 5000
MORE_MIB: Final = 150
BASE: Final = inspection()


class Microscopes:
    """What microscopes publish, acknowledged by the broker before a test goes on."""

    def __init__(self, broker: Mosquitto) -> None:
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
        self._client.max_queued_messages_set(0)
        self._up = threading.Event()
        self._client.on_connect = lambda *_: self._up.set()
        self._client.reconnect_delay_set(1, 1)
        self._client.connect("127.0.0.1", broker.port)
        self._client.loop_start()
        assert self._up.wait(30)

    def say(self, *messages: tuple[str, bytes], retain: bool = False) -> None:
        """Messages, as (topic, payload)."""
        sent = [self._client.publish(topic, payload, 1, retain) for topic, payload in messages]
        for one in sent:
            acknowledged(one, 120)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


def verdict(seq: int, name: str = "", epoch: str = "11111111-1111-4111-8111-111111111111") -> bytes:
    """An inspection of now."""
    document = {**BASE, "image": dict(BASE["image"])}
    now = round(time.time() * 1000)
    document.update(inspection_id=f"00000000-0000-5000-8000-{seq:012}", seq=seq, epoch=epoch, ts_ms=now)
    document["image"].update(name=name or f"{seq}.tif", path=name or f"{seq}.tif")
    return json.dumps(document).encode()


@pytest.fixture
def microscopes(broker: Mosquitto) -> Iterator[Microscopes]:
    them = Microscopes(broker)
    yield them
    them.close()


@pytest.fixture
def dashboard(tmp_path: Path, broker: Mosquitto) -> Iterator[tuple[str, psutil.Process]]:
    """Its address, and its process."""
    port, log = free_port(), tmp_path / "dashboard.log"
    with log.open("wb") as stream:
        words = ["--broker", f"mqtt://127.0.0.1:{broker.port}", "--port", str(port)]
        process = subprocess.Popen([*COMMAND, *words], cwd=ROOT, stderr=stream, stdout=stream)
        try:
            eventually(lambda: Plain(port).answers(), 120, "the page answers")
            yield f"http://127.0.0.1:{port}/", psutil.Process(process.pid)
        finally:
            process.terminate()
            process.wait(60)
            print(said := log.read_text())
            assert "Traceback" not in said


@pytest.fixture
def seen(dashboard: tuple[str, psutil.Process], chromium: Any) -> Iterator[Seen]:
    with opened(chromium, dashboard[0]) as page:
        yield page


def test_it_outlives_a_broker_that_goes_in_the_middle(microscopes: Microscopes, broker: Mosquitto, seen: Seen) -> None:
    microscopes.say((f"{ONE}/status", status("online")), retain=True)
    microscopes.say((f"{ONE}/inspection", verdict(1)))
    seen.page.goto(f"{seen.address}#/now?device={ONE}")
    seen.says("#verdict", "1.tif")
    broker.kill()
    seen.page.wait_for_selector('[data-light=broker][data-state="unknown"], [data-light=broker][data-state="bad"]')
    assert "1.tif" in seen.text("#verdict"), "what is known stays"
    seen.room("problems")
    seen.says("#problems", "no connection to the broker")
    broker.start()
    seen.says("#problems", "Nothing is wrong")
    seen.room("now")
    # What is said before the page listens again is told by a gap, not by the page: so it is said until it is there.
    for seq in range(2, 60):
        microscopes.say((f"{ONE}/inspection", verdict(seq)))
        if f"{seq}.tif" in seen.text("#verdict"):
            break
        time.sleep(0.2)  # the pace of a microscope that is played
    seen.says("#verdict", f"{seq}.tif")


def test_garbage_and_markup_in_a_name_are_text_or_nothing(microscopes: Microscopes, seen: Seen) -> None:
    topics = ("status", "health", "summary", "inspection", "failure", "review", "overlay/x")
    microscopes.say((f"{ONE}/status", status("online", NASTY)), retain=True)
    microscopes.say((f"{ONE}/inspection", verdict(1, NASTY.replace("/", "_"))))
    microscopes.say((f"{ONE}/overlay/00000000-0000-5000-8000-{1:012}", png(1)))
    microscopes.say((f"{ONE}/failure", failure(2, error={"code": "<i>", "message": NASTY})))
    for payload in GARBAGE:
        microscopes.say(*((f"{device}/{kind}", payload) for kind in topics for device in (ONE, TWO)))
    for device in ("", f"?device={ONE}"):
        seen.page.goto(f"{seen.address}#/fleet{device}")
        for room in ROOMS:
            seen.room(room)
            eventually(lambda: len(seen.text("#room")) > 10, 60)
            seen.page.wait_for_timeout(800)
            assert seen.page.query_selector_all("img[src=x], #room b > b, #room i:not(.bar i)") == [], room
            assert seen.page.evaluate("() => document.documentElement.scrollWidth <= innerWidth"), room
    assert "onerror" in seen.text("#tiles")
    assert [tile.get_attribute("data-device") for tile in seen.page.query_selector_all("#tiles article")] == [ONE]


def test_a_flood_ends_with_the_newest_verdict_and_bounded_memory(
    microscopes: Microscopes, seen: Seen, dashboard: tuple[str, psutil.Process]
) -> None:
    microscopes.say((f"{ONE}/status", status("online")), retain=True)
    microscopes.say((f"{ONE}/inspection", verdict(1)))
    seen.page.goto(f"{seen.address}#/now?device={ONE}")
    seen.says("#verdict", "1.tif")
    before = dashboard[1].memory_info().rss
    microscopes.say(*((f"{ONE}/inspection", verdict(seq)) for seq in range(2, FLOOD + 1)))
    seen.says("#verdict", f"{FLOOD}.tif")
    for room in ROOMS[1:]:
        seen.room(room)
        eventually(lambda: len(seen.text("#room")) > 40, 60)
    seen.room("now")
    seen.says("#verdict", f"{FLOOD}.tif")
    assert len(seen.page.query_selector_all("#strip button")) == 24
    more = (dashboard[1].memory_info().rss - before) >> 20
    print(f"{more} MiB more")
    assert more < MORE_MIB
