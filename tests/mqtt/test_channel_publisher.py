"""A channel beside the contract's publisher, against a real mosquitto: announced, mourned, answered, delivered, defective."""

from __future__ import annotations

import logging
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from edge.config import MqttSettings
from edge.journal import Journal, Message, Outgoing
from edge.mqtt import channel_publisher
from edge.mqtt.channel_publisher import ChannelPublisher
from edge.mqtt.publisher import StatusText
from edge.mqtt.publisher import client_id as contract_client_id
from edge.wire.channel import Numbered, Publication
from tests import ROOT
from tests.fakes.brokers import Listener, Mosquitto, Proxy, eventually, needs_mosquitto
from tests.mqtt.making import Publish, conclude, drained

pytestmark = [pytest.mark.broker, needs_mosquitto]

EPOCH = "11111111-2222-3333-4444-555555555555"


class Discovery:
    """A channel as home automation wants it: retained, outside the prefix, with a will of its own."""

    name = "discovery"

    def will(self) -> Publication | None:
        return Publication("homes/sem-01/availability", b"offline", retain=True)

    def announce(self) -> Sequence[Publication]:
        config = Publication("homes/sem-01/config", b"{}", retain=True)
        return (config, Publication("homes/sem-01/availability", b"online", retain=True))

    def on_verdict(self, numbered: Numbered) -> Sequence[Publication]:
        return ()

    def subscriptions(self) -> Sequence[str]:
        return ("homes/status",)

    def on_message(self, topic: str, payload: bytes) -> Sequence[Publication]:
        return (Publication("homes/answer", topic.encode() + b" " + payload, qos=0),)


class Silent(Discovery):
    """A channel that says nothing but its rows."""

    name = "silent"

    def will(self) -> Publication | None:
        return None

    def announce(self) -> Sequence[Publication]:
        return ()

    def subscriptions(self) -> Sequence[str]:
        return ()


class RowsInMemory:
    """The outbox as a session uses it, for rows of channels. Filled by the test, emptied by the publisher's thread."""

    def __init__(self, channel: str) -> None:
        self._channel = channel
        self._lock = threading.Lock()
        self._rows: dict[int, Outgoing] = {}
        self._newest = 0
        self._lost: Counter[int] = Counter()
        self.buried: list[tuple[int, str, Message | None]] = []

    def add(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        with self._lock:
            self._newest += 1
            row = self._newest
            self._rows[row] = Outgoing(row, row, "v", "channel", topic, payload, None, 0, EPOCH, self._channel, retain)

    def empty(self) -> bool:
        return not self._rows

    def unsent(self, limit: int = 100, channel: str = "") -> list[Outgoing]:
        with self._lock:
            return [row for row in self._rows.values() if row.channel == channel][:limit]

    def acknowledge(self, ids: Iterable[int]) -> None:
        with self._lock:
            for row in ids:
                self._rows.pop(row, None)

    def count_lost_connection(self, row: int) -> int:
        self._lost[row] += 1
        return self._lost[row]

    def bury(self, row: int, reason: str, tombstone: Message | None) -> None:
        with self._lock:
            del self._rows[row]
            self.buried.append((row, reason, tombstone))


Open = Callable[..., ChannelPublisher]


@pytest.fixture
def open_channel() -> Iterator[Open]:
    """Starts publishers of channels that end with the test."""
    started: list[ChannelPublisher] = []

    def start(port: int, channel: Any, outbox: Any = None, on_trouble: Any = None, protocol: int = 5) -> ChannelPublisher:
        publisher = ChannelPublisher(
            MqttSettings(host="127.0.0.1", port=port, protocol=protocol),
            channel,
            outbox or RowsInMemory(channel.name),
            epoch=EPOCH,
            on_trouble=on_trouble or (lambda _: None),
            shortest_wait_s=0.05,
            longest_wait_s=0.2,
        )
        publisher.start()
        started.append(publisher)
        return publisher

    yield start
    for publisher in started:
        publisher.stop(5.0)


def payloads(listener: Listener, topic: str) -> list[bytes]:
    return [message.payload for message in listener.on(topic)]


# ------------------------------------------------------------------------------------------------- announced and mourned


@pytest.mark.parametrize("protocol", [5, 311])
def test_a_late_subscriber_sees_what_was_announced_outside_the_prefix(
    protocol: int, broker: Mosquitto, open_channel: Open
) -> None:
    publisher = open_channel(broker.port, Discovery(), protocol=protocol)
    eventually(lambda: publisher.connected)
    with Listener(broker.port) as first:
        eventually(lambda: first.on("homes/sem-01/availability"))
    with Listener(broker.port, client_id="late") as late:
        config = eventually(lambda: late.on("homes/sem-01/config"))[0]
        assert (config.payload, config.retained) == (b"{}", True)


def test_a_channel_announces_itself_again_at_each_connect(broker: Mosquitto, open_channel: Open) -> None:
    with Listener(broker.port) as dashboard, Proxy(broker.port) as proxy:
        open_channel(proxy.port, Discovery())
        for times in (1, 2, 3):
            eventually(lambda times=times: len(dashboard.on("homes/sem-01/config")) == times)  # type: ignore[misc]
            eventually(lambda: payloads(dashboard, "/availability")[-1:] == [b"online"])
            proxy.cut()
    assert payloads(dashboard, "/availability")[:4] == [b"online", b"offline", b"online", b"offline"]


CHANNEL_PROCESS = """
import sys, time
from edge.config import MqttSettings
from edge.mqtt.channel_publisher import ChannelPublisher
from tests.mqtt.test_channel_publisher import Discovery, RowsInMemory

settings, channel = MqttSettings(host="127.0.0.1", port=int(sys.argv[1])), Discovery()
ChannelPublisher(settings, channel, RowsInMemory("discovery"), epoch="e").start()
time.sleep(600)
"""


def test_the_broker_publishes_the_channels_own_will_when_the_process_is_killed(broker: Mosquitto) -> None:
    process = subprocess.Popen([sys.executable, "-c", CHANNEL_PROCESS, str(broker.port)], cwd=ROOT)
    try:
        with Listener(broker.port) as dashboard:
            eventually(lambda: payloads(dashboard, "/availability") == [b"online"])
            process.send_signal(signal.SIGKILL)
            eventually(lambda: payloads(dashboard, "/availability") == [b"online", b"offline"])
        with Listener(broker.port, client_id="late") as late:
            eventually(lambda: [(m.payload, m.retained) for m in late.on("/availability")] == [(b"offline", True)])
    finally:
        process.kill()
        process.wait()


def test_a_clean_end_publishes_the_will_too(broker: Mosquitto, open_channel: Open) -> None:
    with Listener(broker.port) as dashboard:
        publisher = open_channel(broker.port, Discovery())
        eventually(lambda: payloads(dashboard, "/availability") == [b"online"])
        assert publisher.stop(5.0)
        eventually(lambda: payloads(dashboard, "/availability") == [b"online", b"offline"])


def test_the_will_is_asked_for_anew_before_each_connection(broker: Mosquitto, open_channel: Open) -> None:
    class Counting(Discovery):
        lives = 0

        def will(self) -> Publication | None:
            self.lives += 1
            return Publication("homes/death", str(self.lives).encode())

    with Listener(broker.port) as dashboard, Proxy(broker.port) as proxy:
        open_channel(proxy.port, Counting())
        for life in (1, 2):
            eventually(lambda life=life: len(dashboard.on("/config")) == life)  # type: ignore[misc]
            proxy.cut()
            eventually(lambda life=life: len(dashboard.on("homes/death")) == life)  # type: ignore[misc]
        assert payloads(dashboard, "homes/death") == [b"1", b"2"]


# ------------------------------------------------------------------------------------------------------------- delivered


def test_a_message_on_a_subscription_is_answered(broker: Mosquitto, open_channel: Open) -> None:
    with Listener(broker.port) as dashboard:
        open_channel(broker.port, Discovery())
        eventually(lambda: dashboard.on("/availability"))
        dashboard.say("homes/status", b"online")
        assert eventually(lambda: payloads(dashboard, "homes/answer")) == [b"homes/status online"]


def test_verdict_messages_arrive_in_order_through_a_restart_of_the_broker(broker: Mosquitto, open_channel: Open) -> None:
    rows = RowsInMemory("discovery")
    for n in range(40):
        rows.add("homes/sem-01/state", str(n).encode(), retain=True)
    with Listener(broker.port) as dashboard, Proxy(broker.port, swallow_acknowledgements=True) as proxy:
        publisher = open_channel(proxy.port, Discovery(), rows)
        eventually(lambda: len(dashboard.on("/state")) >= 10)
        broker.stop()
        proxy.swallow_acknowledgements = False
        broker.start()
        for n in range(40, 60):
            rows.add("homes/sem-01/state", str(n).encode(), retain=True)
            publisher.wake()
        eventually(rows.empty)
        eventually(lambda: len(set(payloads(dashboard, "/state"))) == 60)
        assert list(dict.fromkeys(payloads(dashboard, "/state"))) == [str(n).encode() for n in range(60)]
    with Listener(broker.port, client_id="late") as late:
        eventually(lambda: [(m.payload, m.retained) for m in late.on("/state")] == [(b"59", True)])


@pytest.mark.parametrize("protocol", [5, 311])
def test_a_channel_that_announces_nothing_gets_its_rows_out(protocol: int, broker: Mosquitto, open_channel: Open) -> None:
    rows = RowsInMemory("silent")
    rows.add("a/b", b"1")
    with Listener(broker.port) as dashboard:
        open_channel(broker.port, Silent(), rows, protocol=protocol)
        eventually(lambda: payloads(dashboard, "a/b") == [b"1"])
        eventually(rows.empty)


def test_rows_of_other_channels_are_left_alone(broker: Mosquitto, open_channel: Open) -> None:
    rows = RowsInMemory("another")
    rows.add("a/b", b"1")
    with Listener(broker.port) as dashboard:
        publisher = open_channel(broker.port, Discovery(), rows)
        eventually(lambda: dashboard.on("/availability"))
        publisher.wake()
        dashboard.say("homes/status", b"")
        eventually(lambda: dashboard.on("homes/answer"))
        assert not dashboard.on("a/b")


def test_a_row_that_mqtt_cannot_carry_is_buried_without_a_tombstone(broker: Mosquitto, open_channel: Open) -> None:
    rows = RowsInMemory("discovery")
    rows.add("a/#", b"1")
    rows.add("a/b", b"2")
    with Listener(broker.port) as dashboard:
        open_channel(broker.port, Discovery(), rows)
        eventually(lambda: payloads(dashboard, "a/b") == [b"2"])
        eventually(rows.empty)
        assert [(row, tombstone) for row, _, tombstone in rows.buried] == [(1, None)]


def test_a_poison_message_of_a_silent_channel_is_buried(tmp_path: Path, open_channel: Open) -> None:
    rows = RowsInMemory("silent")
    for payload in (b"1", bytes(3_000_000), b"3"):
        rows.add("a/b", payload)
    with Mosquitto(tmp_path / "strict", "max_packet_size 10000") as strict, Listener(strict.port) as dashboard:
        open_channel(strict.port, Silent(), rows, protocol=311)
        eventually(rows.empty)
        eventually(lambda: set(payloads(dashboard, "a/b")) == {b"1", b"3"})
        assert [row for row, _, _ in rows.buried] == [2]


# ------------------------------------------------------------------------------------------------------------- defective


@pytest.mark.parametrize("method", ["will", "announce", "subscriptions", "on_message"])
def test_a_defect_is_logged_and_told_and_stops_neither_the_channel_nor_the_contract(
    method: str,
    journal: Journal,
    broker: Mosquitto,
    publish: Publish,
    open_channel: Open,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def broken(*_: Any) -> Any:
        raise KeyError("a defect")

    channel = Discovery()
    setattr(channel, method, broken)
    rows = RowsInMemory("discovery")
    troubles: list[str | None] = [None]
    publisher = publish(
        broker.port, status=lambda: StatusText("degraded" if troubles[-1] else "online", tuple(filter(None, troubles[-1:])))
    )

    def on_trouble(trouble: str | None) -> None:
        troubles.append(trouble)
        publisher.refresh_status()

    with caplog.at_level(logging.ERROR), Listener(broker.port) as dashboard:
        open_channel(broker.port, channel, rows, on_trouble)
        if method == "on_message":
            eventually(lambda: dashboard.on("/availability"))
            dashboard.say("homes/status", b"")
        told = f"channel discovery: {method} failed: KeyError('a defect')"
        eventually(lambda: [m for m in dashboard.on("sem-01/status") if m.body["reasons"] == [told]])
        rows.add("a/b", b"1")
        conclude(journal, "a.tif")
        publisher.wake()
        eventually(lambda: dashboard.on("/inspection") and dashboard.on("a/b"))
        eventually(drained(journal))
        assert publisher.connected
        assert troubles[-1] == told
    assert "Traceback" in caplog.text


def test_a_defect_that_is_over_is_told_no_more(broker: Mosquitto, open_channel: Open) -> None:
    class Broken(Discovery):
        def on_message(self, topic: str, payload: bytes) -> Sequence[Publication]:
            return (Publication(payload.decode(), b""),)

    troubles: list[str | None] = []
    with Listener(broker.port) as dashboard:
        open_channel(broker.port, Broken(), on_trouble=troubles.append)
        eventually(lambda: dashboard.on("/availability"))
        dashboard.say("homes/status", b"a/+")
        eventually(lambda: troubles and "is no topic to publish to" in (troubles[-1] or ""))
        dashboard.say("homes/status", b"a/b")
        eventually(lambda: dashboard.on("a/b") and troubles[-1] is None)


@pytest.mark.parametrize("topics", ["", "a/#/b", "a+/b", "a#", "\0"])
def test_a_subscription_that_no_broker_grants_is_a_defect_of_the_channel(
    topics: str, broker: Mosquitto, open_channel: Open
) -> None:
    channel = Discovery()
    channel.subscriptions = lambda: (topics,)  # type: ignore[method-assign]
    troubles: list[str | None] = []
    publisher = open_channel(broker.port, channel, on_trouble=troubles.append)
    eventually(lambda: troubles and "is no topic filter" in (troubles[-1] or ""))
    eventually(lambda: publisher.connected)


def test_a_broker_that_is_away_is_told(open_channel: Open, broker: Mosquitto) -> None:
    broker.stop()
    troubles: list[str | None] = []
    open_channel(broker.port, Discovery(), on_trouble=troubles.append)
    eventually(lambda: troubles and (troubles[-1] or "").startswith("channel discovery: cannot reach"))
    broker.start()
    eventually(lambda: troubles[-1] is None)


# ------------------------------------------------------------------------------------------------------------ client ids


def test_each_channel_has_a_client_id_of_its_own_that_every_broker_accepts() -> None:
    names = ("discovery", "discovery2", "s-p_a r", "é", "x" * 50)
    ids = [contract_client_id(EPOCH), *(channel_publisher.client_id(EPOCH, name) for name in names)]
    assert len(set(ids)) == len(ids)
    assert all(len(each) == 23 and each.isascii() and each.isalnum() for each in ids)
    assert "discover" in ids[1]


def test_a_channel_without_a_name_is_refused(open_channel: Open) -> None:
    channel = Discovery()
    channel.name = ""
    with pytest.raises(ValueError, match="needs a name"):
        open_channel(1, channel)
