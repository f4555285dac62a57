"""The real service with a server for its models: it goes away and comes back, and no image is lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.backends import table
from edge.models.card import BUILTIN_FOLDER
from tests.fakes.brokers import Listener, Mosquitto, eventually
from tests.fakes.v2_server import V2Server
from tests.service.running_daemon import PREFIX, Service, by_name, png, valid, verdicts

pytestmark = pytest.mark.broker
MODELS = (BUILTIN_FOLDER / "segmenter.onnx", BUILTIN_FOLDER / "classifier.onnx")


def reasons(listener: Listener) -> str:
    return " ".join(listener.on("/status")[-1].body["reasons"]) if listener.on("/status") else ""


@pytest.mark.parametrize("away", ["own", "wait"])
def test_a_server_that_goes_and_comes_costs_no_image(away: str, tmp_path: Path, broker: Mosquitto) -> None:
    server = V2Server(*MODELS).start()
    settings = {"url": server.url, "away": away, "patience_s": 0.5, "timeout_s": 30.0}
    with (
        Listener(broker.port, f"{PREFIX}/#") as dashboard,
        Service(tmp_path, broker.port, models={"backend": "kserve"}, kserve=settings) as service,
    ):
        for number in range(3):
            service.put(f"first-{number}.png", png(number))
        eventually(lambda: len(by_name(dashboard)) == 3, 120, "the first verdicts")
        assert {verdict["model"]["backend"] for verdict in verdicts(dashboard)} == {"kserve"}
        server.stop()
        for number in range(3):
            service.put(f"second-{number}.png", png(10 + number))
        eventually(lambda: "the inference server at" in reasons(dashboard), 60, "the reason")
        if away == "own":
            eventually(lambda: len(by_name(dashboard)) == 6, 120, "verdicts without the server")
            assert by_name(dashboard)["second-2.png"]["model"]["backend"] == table.resolve("auto")
        server.start()
        for number in range(3):
            service.put(f"third-{number}.png", png(20 + number))
        eventually(lambda: len(by_name(dashboard)) == 9, 120, "all verdicts")
        if away == "wait":
            assert {verdict["model"]["backend"] for verdict in verdicts(dashboard)} == {"kserve"}
            eventually(lambda: "the inference server at" not in reasons(dashboard), 60, "the reason is gone")
        assert all(valid(verdict) for verdict in verdicts(dashboard))
        assert [verdict["seq"] for verdict in verdicts(dashboard)] == list(range(1, 10))
        assert service.stop() == 0
    server.stop()


def test_a_service_that_waits_for_its_server_can_be_stopped(tmp_path: Path, broker: Mosquitto) -> None:
    with (
        Listener(broker.port, f"{PREFIX}/#") as dashboard,
        Service(
            tmp_path,
            broker.port,
            models={"backend": "kserve"},
            kserve={"url": "localhost:1", "away": "wait", "patience_s": 0.5},
        ) as service,
    ):
        service.put("waits.png", png(1))
        eventually(lambda: "the inference server at" in reasons(dashboard), 60, "the reason")
        assert service.stop() == 0
        assert not verdicts(dashboard)
