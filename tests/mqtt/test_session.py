"""A session against real brokers and a real journal: what arrives, in which order, after which accidents; what is buried."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from edge.config import MqttSettings
from edge.errors import BrokerError, StateFullError
from edge.journal import Journal, Message, Outgoing
from edge.mqtt.backoff import Backoff
from edge.mqtt.connection import Connection, Received
from edge.mqtt.session import Absent, Memory, Session, Transient
from edge.mqtt.threads import Connectivity, ThreadSignals
from edge.wire.channel import Publication
from tests.fakes.brokers import FakeBroker, Listener, Mosquitto, Proxy, eventually, needs_mosquitto
from tests.mqtt.making import Publish, conclude, drained, seqs

pytestmark = [pytest.mark.broker, needs_mosquitto]


@pytest.mark.parametrize("protocol", [5, 311])
def test_every_verdict_arrives_once_and_in_order(protocol: int, journal: Journal, broker: Mosquitto, publish: Publish) -> None:
    expected = [conclude(journal, f"{n}.tif") for n in range(60)]
    with Listener(broker.port) as dashboard:
        publish(broker.port, protocol=protocol)
        eventually(drained(journal))
        eventually(lambda: len(seqs(dashboard)) >= len(expected))
        assert seqs(dashboard) == expected


@pytest.mark.parametrize("protocol", [5, 311])
def test_a_broker_killed_and_restarted_again_and_again_loses_nothing(
    protocol: int, journal: Journal, broker: Mosquitto, publish: Publish
) -> None:
    with Listener(broker.port) as dashboard:
        publisher = publish(broker.port, protocol=protocol)
        for round_ in range(3):
            for n in range(40):
                conclude(journal, f"{round_}-{n}.tif", filler=20_000)
                publisher.wake()
            heard = len(dashboard.heard)
            eventually(lambda heard=heard: len(dashboard.heard) > heard)  # type: ignore[misc]
            broker.kill()
            broker.start()
        eventually(drained(journal), 60)
        # What a killed broker had acknowledged and not yet delivered may be lost to its subscribers: ask for a replay.
        journal.outbox.replay(journal.epoch, 1, 120)
        publisher.wake()
        eventually(lambda: set(seqs(dashboard)) == set(range(1, 121)), 60)
        assert not journal.outbox.dead_letters()


def test_rows_in_flight_are_sent_again_in_order_after_a_lost_connection(
    journal: Journal, broker: Mosquitto, publish: Publish
) -> None:
    expected = [conclude(journal, f"{n}.tif") for n in range(50)]
    with Listener(broker.port) as dashboard, Proxy(broker.port, swallow_acknowledgements=True) as proxy:
        publish(proxy.port)
        eventually(lambda: len(seqs(dashboard)) >= 10)
        proxy.swallow_acknowledgements = False
        proxy.cut()
        eventually(drained(journal))
        eventually(lambda: len(set(seqs(dashboard))) == 50)
        assert list(dict.fromkeys(seqs(dashboard))) == expected


def test_an_outage_never_buries_a_message(journal: Journal, broker: Mosquitto, publish: Publish) -> None:
    conclude(journal, "a.tif")
    with Proxy(broker.port, swallow_acknowledgements=True) as proxy:
        publish(proxy.port)
        for _ in range(5):
            eventually(lambda: proxy.forwarded_publishes >= 2)
            proxy.refuse = True
            proxy.cut()
            eventually(lambda: proxy.refusals > 0)
            proxy.refusals = proxy.forwarded_publishes = 0
            proxy.refuse = False
        assert not journal.outbox.dead_letters()
        assert journal.outbox.unsent()[0].lost_connections == 0
        proxy.swallow_acknowledgements = False
        proxy.cut()
        eventually(drained(journal))


def test_a_full_disk_that_cannot_record_an_acknowledgement_is_outlived(
    journal: Journal, broker: Mosquitto, publish: Publish, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = threading.Event()
    acknowledge = journal.outbox.acknowledge
    tries: list[int] = []

    def when_there_is_room(ids: Any) -> None:
        tries.append(1)
        if full.is_set():
            raise StateFullError("the disk is full")
        acknowledge(ids)

    monkeypatch.setattr(journal.outbox, "acknowledge", when_there_is_room)
    full.set()
    conclude(journal, "a.tif")
    with Listener(broker.port) as dashboard:
        publisher = publish(broker.port)
        eventually(lambda: len(tries) >= 2)
        assert publisher.last_error == "the disk is full"
        full.clear()
        eventually(drained(journal))
        eventually(lambda: seqs(dashboard) == [1])
        eventually(lambda: publisher.last_error is None)  # said once it is written down


def test_the_keepalive_that_a_broker_demands_is_kept(tmp_path: Path, publish: Publish) -> None:
    with Mosquitto(tmp_path / "broker", "max_keepalive 10") as broker:
        publisher = publish(broker.port)
        eventually(lambda: publisher.connected)
        eventually(lambda: "k10" in broker.log())


def test_a_broker_that_can_lose_verdicts_is_not_used(journal: Journal, publish: Publish) -> None:
    conclude(journal, "a.tif")
    with FakeBroker(limits=bytes([0x24, 0])) as broker:
        publisher = publish(broker.port)
        assert "QoS 0 only" in eventually(lambda: publisher.last_error or "")
        assert broker.seqs == []


@pytest.mark.parametrize("limit", ["message_size_limit 10000", "max_packet_size 10000"])
def test_an_oversize_verdict_becomes_a_dead_letter_and_the_queue_goes_on(
    limit: str, journal: Journal, tmp_path: Path, publish: Publish
) -> None:
    for n, filler in enumerate((0, 50_000, 0)):
        conclude(journal, f"{n}.tif", filler=filler)
    with Mosquitto(tmp_path / "broker", limit) as broker, Listener(broker.port) as dashboard:
        publish(broker.port)
        eventually(drained(journal))
        eventually(lambda: set(seqs(dashboard)) == {1, 2, 3})
        assert [message.body["schema"] for message in dashboard.on("/failure")] == ["edge.tombstone/1"]
        assert [letter[0] for letter in journal.outbox.dead_letters()] == [2]


def test_a_message_that_kills_every_connection_is_buried_and_its_neighbours_are_not(
    journal: Journal, tmp_path: Path, publish: Publish
) -> None:
    for n, filler in enumerate((0, 0, 3_000_000, 0, 0)):
        conclude(journal, f"{n}.tif", filler=filler)
    with Mosquitto(tmp_path / "broker", "max_packet_size 10000") as broker, Listener(broker.port) as dashboard:
        publish(broker.port, protocol=311)  # which has no way to tell its limit: mosquitto closes the connection
        eventually(drained(journal))
        assert [letter[0] for letter in journal.outbox.dead_letters()] == [3]
        eventually(lambda: set(seqs(dashboard)) == {1, 2, 3, 4, 5})  # acknowledged before it is passed on
        assert [message.body["schema"] for message in dashboard.on("/failure")] == ["edge.tombstone/1"]


def test_a_message_that_is_never_acknowledged_is_buried_after_three_connections(
    journal: Journal, publish: Publish, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.mqtt.session.STALLED_S", 1.0)
    conclude(journal, "a.tif")
    with FakeBroker(reasons=[None, None, None]) as broker:
        publish(broker.port)
        eventually(drained(journal))
        assert broker.seqs == [1, 1, 1]
        assert [letter[0] for letter in journal.outbox.dead_letters()] == [1]


def test_a_full_quota_is_waited_for(journal: Journal, publish: Publish) -> None:
    conclude(journal, "a.tif")
    conclude(journal, "b.tif")
    with FakeBroker(reasons=[0x97]) as broker:
        publisher = publish(broker.port)
        eventually(lambda: "puts off" in (publisher.last_error or ""))
        eventually(drained(journal))
        assert broker.seqs in ([1, 2, 1], [1, 1, 2])  # the second may not have been sent when the first is put off
        assert not journal.outbox.dead_letters()


def test_no_more_is_in_flight_than_the_broker_allows(journal: Journal, publish: Publish) -> None:
    for n in range(30):
        conclude(journal, f"{n}.tif")
    with FakeBroker(limits=bytes([0x21, 0, 3])) as broker:
        publish(broker.port)
        eventually(drained(journal))
        assert broker.most_in_flight <= 3


class Bare:
    """The least that can be said on a connection: one word at its beginning, one at its end."""

    channel, keeps_will = "", False

    def connecting(self) -> Publication | None:
        return None

    def connect_sent(self) -> None:
        pass

    def leaves(self) -> str | None:
        return None

    def live_only(self, topics: str) -> bool:
        return False

    def subscriptions(self) -> Sequence[str]:
        return ()

    def kept(self) -> Sequence[str]:
        return ()

    def recalled(self, kept: Mapping[str, bytes]) -> str | None:
        return None

    def opening(self) -> Sequence[Transient]:
        return (Transient("greeting", Publication("greeting", b""), proves=True),)

    def changes(self) -> Sequence[Transient]:
        return ()

    def latest(self) -> Sequence[Transient]:
        return ()

    def periodic(self) -> Sequence[Publication]:
        return ()

    def topic(self, row: Outgoing) -> str:
        return f"bare/{row.topic}"

    def payload(self, row: Outgoing) -> bytes | Absent:
        return row.payload or b""

    def waits(self) -> bool:
        return False

    def on_send(self, publication: Publication) -> Publication:
        return publication

    def acknowledged(self, item: Transient) -> None:
        pass

    def refused(self, item: Transient) -> None:
        pass

    def bury(self, row: Outgoing, reason: str) -> Message | None:
        return None

    def on_message(self, received: Received) -> Sequence[Transient]:
        return ()

    def closing(self) -> Sequence[Transient]:
        return (Transient("farewell", Publication("farewell", b"")),)


Serve = Callable[..., None]


@pytest.fixture
def serve(journal: Journal) -> Serve:
    """Serves one connection in the test's own thread until it ends or is told to stop, without a publisher."""

    def run(port: int, signals: ThreadSignals, memory: Memory, content: Bare | None = None) -> None:
        connection = Connection(MqttSettings(host="127.0.0.1", port=port), "bare", None, memory.keepalive_s)
        try:
            Session(
                connection, content or Bare(), journal.outbox, memory, signals=signals, connectivity=Connectivity("bare")
            ).run()
        finally:
            connection.close()
            signals.close()

    return run


def test_a_session_is_served_without_a_publisher(journal: Journal, broker: Mosquitto, serve: Serve) -> None:
    conclude(journal, "a.tif")
    signals = ThreadSignals()
    with Listener(broker.port) as dashboard:
        stopper = threading.Thread(target=lambda: (eventually(drained(journal)), signals.stop(30.0)))
        stopper.start()
        serve(broker.port, signals, Memory(Backoff(1.0, 30.0)))
        stopper.join()
        eventually(lambda: [message.topic for message in dashboard.heard] == ["greeting", "bare/inspection", "farewell"])


def test_a_session_remembers_the_row_that_was_alone_when_the_broker_fell_silent(
    journal: Journal, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.mqtt.session.STALLED_S", 1.0)
    memory = Memory(Backoff(1.0, 30.0))
    conclude(journal, "a.tif")
    with FakeBroker(reasons=[None]) as fake, pytest.raises(BrokerError, match="acknowledged nothing"):
        serve(fake.port, ThreadSignals(), memory)
    assert memory.possible_poison is not None
    row, why = memory.possible_poison
    assert (row.seq, row.id) == (1, memory.one_by_one_to)
    assert "acknowledged nothing" in why


@pytest.mark.parametrize("yields", [False, True])
def test_rows_take_turns_with_answers_that_yield_and_follow_all_others(
    yields: bool, journal: Journal, broker: Mosquitto, serve: Serve
) -> None:
    class Flooded(Bare):
        said = False

        def latest(self) -> Sequence[Transient]:
            answers = (
                () if self.said else tuple(Transient(f"{n}", Publication("answer", b"%d" % n), yields=yields) for n in range(9))
            )
            self.said = True
            return answers

    conclude(journal, "a.tif")
    conclude(journal, "b.tif")
    signals = ThreadSignals()
    with Listener(broker.port) as dashboard:
        stopper = threading.Thread(target=lambda: (eventually(drained(journal)), signals.stop(30.0)))
        stopper.start()
        serve(broker.port, signals, Memory(Backoff(1.0, 30.0)), Flooded())
        stopper.join()
        eventually(lambda: dashboard.on("farewell"))
        places = [n for n, message in enumerate(dashboard.heard[1:]) if message.topic == "bare/inspection"]
        assert places == ([0, 2] if yields else [9, 10])
