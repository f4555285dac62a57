"""What becomes of rows that a broker does not take: those of mosquitto's own refusals are in test_publisher.py."""

from __future__ import annotations

import pytest

from edge.journal import Journal
from tests.fakes.brokers import FakeBroker, eventually
from tests.mqtt.making import PREFIX, Publish, conclude, drained


def test_a_topic_that_ends_the_connection_is_found_out_and_held_after_the_second_loss(
    journal: Journal, publish: Publish
) -> None:
    told: dict[str, str | None] = {}
    for n in range(8):
        conclude(journal, f"{n}.tif", picture=b"drawn")
    with FakeBroker(drops="/overlay/") as broker:
        publisher = publish(broker.port, on_trouble=told.__setitem__)
        assert f"{PREFIX}/overlay/+" in eventually(lambda: told.get("denied"))
        eventually(lambda: [row.role for row in journal.outbox.unsent()] == ["overlay"] * 8)
        assert set(broker.seqs) == set(range(1, 9))
        assert broker.connections <= 5
        assert publisher.connected
        assert not journal.outbox.dead_letters()
        assert told.get("rival") is None


def test_what_ended_connections_comes_once_the_broker_takes_its_kind(
    journal: Journal, publish: Publish, quick_holding: None
) -> None:
    told: dict[str, str | None] = {}
    for n in range(4):
        conclude(journal, f"{n}.tif")
    with FakeBroker(drops="/inspection") as broker:
        publish(broker.port, on_trouble=told.__setitem__)
        eventually(lambda: told.get("denied"))
        broker.drops = ""
        eventually(drained(journal))
        assert set(broker.seqs) == {1, 2, 3, 4}
        eventually(lambda: told["denied"] is None)
        assert not journal.outbox.dead_letters()


@pytest.mark.parametrize("reason", [0x80, 0x83, 0x87])
def test_a_refusal_of_the_topic_keeps_the_message(reason: int, journal: Journal, publish: Publish) -> None:
    conclude(journal, "a.tif")
    with FakeBroker(reasons=[reason]) as broker:
        publish(broker.port)
        eventually(drained(journal))
        assert broker.seqs == [1, 1]
        assert not journal.outbox.dead_letters()


@pytest.mark.parametrize("reasons", [[0x90], [0x99], [0x95] * 3])  # paho cannot read the last one
def test_a_refusal_of_the_message_makes_it_a_dead_letter(reasons: list[int | None], journal: Journal, publish: Publish) -> None:
    conclude(journal, "a.tif")
    with FakeBroker(reasons=reasons) as broker:
        publish(broker.port)
        eventually(drained(journal))
        assert [letter.seq for letter in journal.outbox.dead_letters()] == [1]
