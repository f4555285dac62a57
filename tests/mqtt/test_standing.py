"""A connection that stands: it comes, is made anew after every end, and goes when it is told to."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from edge.config import MqttSettings
from edge.journal import Journal
from edge.mqtt.publisher import Publisher, StatusText, client_id
from tests.fakes.brokers import FakeBroker, Listener, Mosquitto, Proxy, eventually, free_port, needs_mosquitto
from tests.mqtt.making import DEVICE, PREFIX, Publish, conclude, drained, seqs

pytestmark = [pytest.mark.broker, needs_mosquitto]


def test_a_new_verdict_is_sent_when_the_publisher_is_woken(journal: Journal, broker: Mosquitto, publish: Publish) -> None:
    publisher = publish(broker.port)
    eventually(lambda: publisher.connected)
    with Listener(broker.port) as dashboard:
        conclude(journal, "late.tif")
        publisher.wake()
        eventually(lambda: seqs(dashboard) == [1])


def test_a_broker_that_comes_late_gets_everything(journal: Journal, tmp_path: Path, publish: Publish) -> None:
    port = free_port()
    conclude(journal, "a.tif")
    publisher = publish(port)
    eventually(lambda: publisher.last_error or "")
    assert "cannot reach" in (publisher.last_error or "")
    with Mosquitto(tmp_path / "broker", port=port), Listener(port) as dashboard:
        eventually(lambda: seqs(dashboard) == [1])
        assert publisher.last_error is None


def test_a_defect_is_logged_and_the_connection_is_rebuilt(
    journal: Journal, broker: Mosquitto, publish: Publish, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    unsent, calls = journal.outbox.unsent, []

    def broken_at_first(limit: int = 100, channel: str = "") -> Any:
        calls.append(1)
        if len(calls) < 3:
            raise RuntimeError("a defect")
        return unsent(limit, channel)

    monkeypatch.setattr(journal.outbox, "unsent", broken_at_first)
    conclude(journal, "a.tif")
    with caplog.at_level(logging.ERROR):
        publisher = publish(broker.port)
        eventually(drained(journal))
    assert publisher.alive
    assert "a defect" in caplog.text
    assert "Traceback" in caplog.text


def test_a_half_open_connection_does_not_leave_an_offline_status_behind(broker: Mosquitto, publish: Publish) -> None:
    with Listener(broker.port) as dashboard, Proxy(broker.port) as proxy:
        publisher = publish(proxy.port)
        eventually(lambda: dashboard.on("/status"))
        since = publisher.since
        proxy.lose()  # the broker still believes in the old connection, and holds its last will
        eventually(lambda: publisher.connected and publisher.since > since)
        eventually(lambda: "already connected" in broker.log(), what="the broker closes the old connection")
        eventually(lambda: [message.body["state"] for message in dashboard.on("/status")] == ["online", "offline", "online"])


def test_connections_that_are_told_to_stop_together_end_together(journal: Journal, publish: Publish) -> None:
    conclude(journal, "a.tif")
    with FakeBroker(reasons=[None] * 9) as broker:
        publishers = [publish(broker.port) for _ in range(3)]
        eventually(lambda: len(broker.seqs) == 3)  # each waits for an acknowledgement for half of its time
        began = time.monotonic()
        for publisher in publishers:
            publisher.begin_stop(6.0)
        stopped = [publisher.stopped() for publisher in publishers]
        assert all(stopped)
        assert 3.0 <= time.monotonic() - began < 6.0


def test_stopping_without_a_broker_is_quick_and_complete(publish: Publish) -> None:
    publisher = publish(free_port())
    assert publisher.stop(5.0)


def test_waking_a_publisher_that_is_stopped_or_not_started_is_harmless(journal: Journal) -> None:
    publisher = Publisher(
        MqttSettings(),
        PREFIX,
        journal,
        device=DEVICE,
        status=lambda: StatusText("online"),
        health=lambda: b"{}",
        on_command=lambda name, body: None,
    )
    for _ in range(100_000):
        publisher.wake()
    assert publisher.stop(0.1)
    publisher.wake()


def rival(port: int, protocol: int, client_id: str) -> mqtt.Client:
    """Another client with our id, that comes back whenever it is replaced."""
    version = mqtt.MQTTv5 if protocol == 5 else mqtt.MQTTv311
    client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id, protocol=version)
    client.reconnect_delay_set(1, 1)
    client.connect("127.0.0.1", port)
    client.loop_start()
    return client


@pytest.mark.parametrize("protocol", [5, 311])
def test_another_client_with_our_id_is_named_and_blames_no_message(
    protocol: int, journal: Journal, broker: Mosquitto, publish: Publish
) -> None:
    told: dict[str, str | None] = {}
    publisher = publish(broker.port, protocol=protocol, on_trouble=told.__setitem__)
    eventually(lambda: publisher.connected)
    other = rival(broker.port, protocol, client_id(journal.epoch))
    try:
        assert client_id(journal.epoch) in eventually(lambda: told.get("rival"), 60)
        assert "cloned disk" in (told["rival"] or "")
        conclude(journal, "a.tif")
        publisher.wake()
        eventually(drained(journal), 60)
        assert not journal.outbox.dead_letters()
    finally:
        other.disconnect()
        other.loop_stop()


def test_a_broker_that_says_another_client_took_our_place_is_believed_at_once(journal: Journal, publish: Publish) -> None:
    told: dict[str, str | None] = {}
    conclude(journal, "a.tif")
    with FakeBroker(reasons=[None]) as broker:
        publisher = publish(broker.port, on_trouble=told.__setitem__)
        eventually(lambda: broker.seqs == [1])
        broker.take_over()
        assert client_id(journal.epoch) in eventually(lambda: told.get("rival"))
        eventually(lambda: "taken over" in (publisher.last_error or ""))
        eventually(drained(journal))
        assert not journal.outbox.dead_letters()
