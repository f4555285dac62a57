"""A channel beside the contract's publisher, against a real mosquitto: announced, mourned, answered, delivered, defective."""

from __future__ import annotations

import logging
import signal
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edge.errors import StateFullError
from edge.journal import Journal
from edge.mqtt import channel_publisher
from edge.mqtt.connection import LARGEST_COMMAND
from edge.mqtt.publisher import StatusText
from edge.mqtt.publisher import client_id as contract_client_id
from edge.wire.channel import Publication
from tests import ROOT
from tests.fakes.brokers import Listener, Mosquitto, Proxy, eventually, needs_mosquitto
from tests.mqtt.channels import EPOCH, Discovery, Open, RowsInMemory, Silent
from tests.mqtt.making import Publish, conclude, drained

pytestmark = [pytest.mark.broker, needs_mosquitto]


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
from tests.mqtt.channels import Discovery, RowsInMemory

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
        assert publisher.stop(30.0)
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


@pytest.mark.parametrize("protocol", [5, 311])
def test_a_message_beyond_the_limit_never_reaches_a_channel(protocol: int, broker: Mosquitto, open_channel: Open) -> None:
    with Listener(broker.port) as dashboard:
        open_channel(broker.port, Discovery(), protocol=protocol)
        eventually(lambda: dashboard.on("/availability"))
        dashboard.say("homes/status", b"x" * (LARGEST_COMMAND + 1))
        dashboard.say("homes/status", b"small")
        eventually(lambda: dashboard.on("homes/answer"))
        assert payloads(dashboard, "homes/answer") == [b"homes/status small"]


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


def test_a_dead_letter_is_one_when_it_is_told(broker: Mosquitto, open_channel: Open) -> None:
    rows, buried = RowsInMemory("silent"), list[int]()
    rows.add("a/#", b"1")

    def on_trouble(trouble: str | None) -> None:
        if "is a dead letter" in (trouble or ""):
            buried.append(len(rows.buried))

    open_channel(broker.port, Silent(), rows, on_trouble)
    eventually(lambda: buried)
    assert buried == [1]


# -------------------------------------------------------------------------------------------------- waits, and is looked at


class Counting(Discovery):
    """Numbers its messages from 0 at each connection, and sends them with QoS 0."""

    def will(self) -> Publication | None:
        self.count = 0
        return super().will()

    def on_send(self, publication: Publication) -> Publication:
        self.count += 1
        return replace(publication, payload=publication.payload + b" %d" % (self.count - 1), qos=0)


class Hosted(Counting):
    """Has nothing to say to nobody: rows wait until the host is there."""

    host_online = False

    def waits(self) -> bool:
        return not self.host_online

    def on_message(self, topic: str, payload: bytes) -> Sequence[Publication]:
        self.host_online = payload == b"online"
        return (Publication("homes/answer", b"host " + payload),)


def said(listener: Listener) -> list[str]:
    """All that was heard beside the host's own words."""
    heard = [message for message in list(listener.heard) if message.topic != "homes/status"]
    return [f"{message.topic.rpartition('/')[2]} {message.payload.decode()}" for message in heard]


@pytest.mark.parametrize("protocol", [5, 311])
def test_every_message_but_the_will_is_looked_at_in_the_order_of_the_connection(
    protocol: int, broker: Mosquitto, open_channel: Open
) -> None:
    rows = RowsInMemory("discovery")
    for n in "abc":
        rows.add("homes/row", n.encode())
    with Listener(broker.port) as dashboard:
        publisher = open_channel(broker.port, Counting(), rows, protocol=protocol)
        eventually(rows.empty)
        dashboard.say("homes/status", b"?")
        eventually(lambda: len(said(dashboard)) == 6)
        publisher.stop(30.0)
        expected = ["config {} 0", "availability online 1", "row a 2", "row b 3", "row c 4", "answer homes/status ? 5"]
        eventually(lambda: said(dashboard) == [*expected, "availability offline"])


def test_rows_wait_while_the_channel_wants_it_and_announcements_and_answers_do_not(
    broker: Mosquitto, open_channel: Open
) -> None:
    rows = RowsInMemory("discovery")
    rows.add("homes/row", b"a")
    expected = ["config {} 0", "availability online 1", "answer host offline 2"]
    with Listener(broker.port) as dashboard:
        publisher = open_channel(broker.port, Hosted(), rows)
        eventually(lambda: len(said(dashboard)) == 2)
        dashboard.say("homes/status", b"offline")
        rows.add("homes/row", b"b")
        publisher.wake()
        eventually(lambda: said(dashboard) == expected)
        dashboard.say("homes/status", b"online")
        expected += ["answer host online 3", "row a 4", "row b 5"]
        eventually(lambda: said(dashboard) == expected)
        eventually(rows.empty)
        dashboard.say("homes/status", b"offline")
        eventually(lambda: "answer host offline 6" in said(dashboard))
        rows.add("homes/row", b"c")
        publisher.wake()
        dashboard.say("homes/status", b"offline")
        eventually(lambda: said(dashboard) == [*expected, "answer host offline 6", "answer host offline 7"])
        assert not rows.empty()


def test_a_row_of_qos_0_is_never_sent_again_though_the_journal_cannot_be_written(broker: Mosquitto, open_channel: Open) -> None:
    class Full(RowsInMemory):
        full = True

        def acknowledge(self, ids: Iterable[int]) -> None:
            if self.full:
                raise StateFullError("the disk is full")
            super().acknowledge(ids)

    rows = Full("discovery")
    rows.add("homes/row", b"a")
    with Listener(broker.port) as dashboard, Proxy(broker.port) as proxy:
        publisher = open_channel(proxy.port, Counting(), rows)
        eventually(lambda: "row a 2" in said(dashboard))
        eventually(lambda: publisher.last_error == "the disk is full")
        proxy.cut()
        eventually(lambda: said(dashboard).count("availability online 1") == 2)
        rows.full = False
        rows.add("homes/row", b"b")
        publisher.wake()
        eventually(rows.empty)
        eventually(lambda: "row b 2" in said(dashboard))
        assert [line for line in said(dashboard) if line.startswith("row")] == ["row a 2", "row b 2"]


def test_rows_of_qos_0_arrive_all_through_lost_connections(broker: Mosquitto, open_channel: Open) -> None:
    rows = RowsInMemory("discovery")
    with Listener(broker.port, "homes/row") as dashboard, Proxy(broker.port) as proxy:
        publisher = open_channel(proxy.port, Counting(), rows)
        for n in range(300):
            rows.add("homes/row", b"%d" % n)
            publisher.wake()
            if n % 50 == 25:
                eventually(lambda n=n: len(dashboard.heard) > n - 25)  # type: ignore[misc]
                proxy.cut()
        eventually(rows.empty)
        eventually(lambda: len({message.payload.split()[0] for message in list(dashboard.heard)}) == 300)
        assert list(dict.fromkeys(int(message.payload.split()[0]) for message in dashboard.heard)) == list(range(300))


def test_a_row_of_qos_0_that_no_connection_takes_whole_is_buried(tmp_path: Path, open_channel: Open) -> None:
    rows = RowsInMemory("discovery")
    for payload in (b"a", bytes(30_000_000), b"c"):
        rows.add("homes/row", payload)
    with Mosquitto(tmp_path / "strict", "max_packet_size 10000") as strict, Listener(strict.port) as dashboard:
        open_channel(strict.port, Counting(), rows, protocol=311)
        eventually(rows.empty)
        # The first may come twice: the connection can end before the broker has answered behind it.
        told = eventually(
            lambda: [line for line in said(dashboard) if line.startswith("row")][-1:] == ["row c 2"] and said(dashboard)
        )
        assert list(dict.fromkeys(line for line in told if line.startswith("row"))) == ["row a 2", "row c 2"]
        assert [row for row, _, _ in rows.buried] == [2]


def test_a_row_of_qos_0_that_a_lost_connection_took_along_is_sent_again(broker: Mosquitto, open_channel: Open) -> None:
    """Written is not arrived: the proxy takes it, and the broker never gets it."""
    rows = RowsInMemory("discovery")
    with Listener(broker.port) as dashboard, Proxy(broker.port) as proxy:
        publisher = open_channel(proxy.port, Counting(), rows)
        eventually(lambda: len(said(dashboard)) == 2)
        proxy.deaf = True
        rows.add("homes/row", b"a")
        publisher.wake()
        eventually(lambda: proxy.unheard)
        assert not rows.empty()
        proxy.deaf = False
        proxy.cut()
        eventually(rows.empty)
        eventually(lambda: "row a 2" in said(dashboard))


# ------------------------------------------------------------------------------------------------------------- defective


@pytest.mark.parametrize("method", ["will", "announce", "subscriptions", "on_message", "waits", "on_send"])
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
        publisher_of_channel = open_channel(broker.port, channel, rows, on_trouble)
        if method == "on_message":
            eventually(lambda: dashboard.on("/availability"))
            dashboard.say("homes/status", b"")
        if method == "waits":
            rows.add("a/c", b"0")
            publisher_of_channel.wake()
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


@pytest.mark.parametrize("method", ["waits", "on_send"])
def test_a_defect_in_what_is_asked_for_each_row_is_logged_once_and_holds_up_no_row(
    method: str, broker: Mosquitto, open_channel: Open, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: Any) -> Any:
        raise KeyError("a defect")

    channel, rows = Silent(), RowsInMemory("silent")
    setattr(channel, method, broken)
    for n in range(5):
        rows.add("a/b", str(n).encode())
    with caplog.at_level(logging.ERROR), Listener(broker.port) as dashboard:
        open_channel(broker.port, channel, rows)
        eventually(lambda: payloads(dashboard, "a/b") == [b"0", b"1", b"2", b"3", b"4"])
        eventually(rows.empty)
    assert caplog.text.count("Traceback") == 1


@pytest.mark.parametrize(
    "seen",
    [None, Publication("a/b", b"2", qos=2), Publication("a/+", b"2"), Publication("a/b", "2")],  # type: ignore[arg-type]
)
def test_a_message_that_on_send_makes_impossible_is_sent_as_it_was(seen: Any, broker: Mosquitto, open_channel: Open) -> None:
    channel, rows, troubles = Silent(), RowsInMemory("silent"), list[str | None]()
    channel.on_send = lambda _: seen  # type: ignore[method-assign]
    rows.add("a/b", b"1")
    with Listener(broker.port) as dashboard:
        open_channel(broker.port, channel, rows, troubles.append)
        eventually(lambda: payloads(dashboard, "a/b") == [b"1"])
        eventually(rows.empty)
    assert "on_send failed" in (troubles[-1] or "")


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
