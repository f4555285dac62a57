"""What a real daemon says to a real broker in its first minute: the messages that ready-made files are tried on."""

from __future__ import annotations

import json
from collections.abc import Iterator

import numpy as np
import pytest

from tests import ROOT
from tests.fakes.brokers import MOSQUITTO, Heard, Listener, Mosquitto, eventually
from tests.sem.making import encoded
from tests.service.running_daemon import Service

DEVICE = {"site": "plant-1", "area": "lab", "id": "sem-01"}
PREFIX = "plant-1/lab/sem/sem-01"
SAMPLE = ROOT / "edge" / "samples" / "AN_120_21days_007.tif"
NOTHING_TO_SEE = encoded(np.full((240, 320), 128, np.uint8), ".png")


@pytest.fixture(scope="session")
def said(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Heard]]:
    """A verdict on a shipped micrograph, one that abstains, a failure, an answer, and what comes with them, in order."""
    if MOSQUITTO is None:
        pytest.skip("mosquitto is not installed (apt-get install mosquitto)")
    base = tmp_path_factory.mktemp("plant")
    with Mosquitto(base / "broker") as broker, Listener(broker.port, f"{PREFIX}/#") as listener:
        with Service(base, broker.port, device=DEVICE) as service:
            for number, (name, data) in enumerate(
                [(SAMPLE.name, SAMPLE.read_bytes()), ("blank.png", NOTHING_TO_SEE), ("broken.tif", SAMPLE.read_bytes()[:9000])]
            ):
                service.put(name, data)
                eventually(lambda seq=number + 1: f"(seq {seq})" in service.log_text(), 120, name)
                # A summary that waits is replaced by the next one: each is waited for. A failure has none.
                topic = "/failure" if name == "broken.tif" else "/summary"
                eventually(lambda name=name, on=topic: any(name.encode() in one.payload for one in listener.on(on)), 60, name)
            listener.say(f"{PREFIX}/command/info", json.dumps({"request_id": "shift-2/17"}))
            eventually(lambda: listener.on("/command/info/response"), 60)
            eventually(lambda: any("/overlay/" in message.topic for message in list(listener.heard)), 60)
            eventually(lambda: listener.on("/health"), 60)
            service.stop()
        eventually(lambda: any(one.body["state"] == "offline" for one in listener.on("/status")), 60)
        yield list(listener.heard)
