"""Rows of one sink, in order: waited for, refused, given up and revived; the journal's own rows are the only memory."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from edge.errors import StateFullError
from edge.journal import Journal, Outgoing
from edge.sinks.delivery import TRIES, Delivery
from edge.sinks.sink import NotNowError, RefusedError
from edge.wire.channel import Numbered, Publication
from tests.fakes.brokers import eventually
from tests.sinks.making import conclude


class Store:
    """A sink that does what its test says. says: asked with each row's id; raises or takes it."""

    name, subject, at_once = "store", "store.folder /s", 1

    def __init__(self) -> None:
        self.taken: list[str] = []
        self.says: Callable[[str], None] = lambda _: None

    def on_verdict(self, numbered: Numbered) -> Sequence[Publication]:
        return (Publication("store", b"{}"),)

    def deliver(self, rows: Sequence[Outgoing]) -> None:
        for row in rows:
            self.says(row.verdict_id)
            self.taken.append(row.verdict_id)


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def troubles() -> list[str | None]:
    return []


@pytest.fixture
def delivery(journal: Journal, store: Store, troubles: list[str | None]) -> Iterator[Delivery]:
    made = Delivery(store, journal.outbox, on_trouble=troubles.append, shortest_wait_s=0.001, longest_wait_s=0.002)
    yield made
    assert made.stop(10)


def settled(journal: Journal) -> Callable[[], bool]:
    return lambda: journal.outbox.waiting_in("store")[0] == 0


def test_rows_are_delivered_in_order_and_leave_the_outbox(journal: Journal, store: Store, delivery: Delivery) -> None:
    ids = [conclude(journal, store, f"{number}.tif") for number in range(3)]
    delivery.start()
    eventually(settled(journal))
    conclude(journal, store, "late.tif")
    delivery.wake()
    eventually(settled(journal))
    assert store.taken[:3] == ids
    assert len(store.taken) == 4


def test_what_is_not_taken_now_waits_is_told_and_goes_on_by_itself(
    journal: Journal, store: Store, delivery: Delivery, troubles: list[str | None]
) -> None:
    away = threading.Event()
    away.set()

    def says(_: str) -> None:
        if away.is_set():
            raise NotNowError("it is away")

    store.says = says
    ids = [conclude(journal, store, f"{number}.tif") for number in range(2)]
    delivery.start()
    eventually(lambda: troubles == ["store.folder /s: it is away; 2 verdicts wait"])
    away.clear()
    eventually(lambda: troubles[-1] is None)
    eventually(lambda: store.taken == ids)  # the trouble is over with the first


def test_a_row_that_is_refused_again_and_again_is_a_dead_letter_and_holds_up_nothing(
    journal: Journal, store: Store, delivery: Delivery
) -> None:
    tried: list[str] = []
    poison = conclude(journal, store, "poison.tif")

    def says(identity: str) -> None:
        tried.append(identity)
        if identity == poison:
            raise RefusedError("HTTP 422")

    store.says = says
    good = [conclude(journal, store, f"{number}.tif") for number in range(2)]
    delivery.start()
    eventually(lambda: settled(journal)() and len(store.taken) == 2)
    eventually(lambda: tried.count(poison) == TRIES + 1, what="once more after something was taken")
    eventually(lambda: journal.outbox.dead_letter_count() == 1 and settled(journal)())
    (letter,) = journal.outbox.dead_letters()
    assert (letter.verdict_id, letter.reason) == (poison, "store.folder /s: HTTP 422")
    assert store.taken == good


def test_what_was_given_up_while_nothing_was_taken_comes_once_something_is(
    journal: Journal, store: Store, delivery: Delivery
) -> None:
    wrong = threading.Event()
    wrong.set()

    def says(_: str) -> None:
        if wrong.is_set():
            raise RefusedError("HTTP 403")

    store.says = says
    ids = [conclude(journal, store, f"{number}.tif") for number in range(3)]
    delivery.start()
    eventually(lambda: journal.outbox.dead_letter_count() == 3)
    wrong.clear()
    ids.append(conclude(journal, store, "after.tif"))
    delivery.wake()
    eventually(lambda: len(store.taken) == 4)
    eventually(lambda: journal.outbox.dead_letter_count() == 0 and settled(journal)())
    assert sorted(store.taken) == sorted(ids)


def test_a_count_of_refusals_outlives_the_process(journal: Journal, store: Store) -> None:
    def says(_: str) -> None:
        raise RefusedError("HTTP 400")

    store.says = says
    conclude(journal, store, "a.tif")
    first = Delivery(store, journal.outbox, shortest_wait_s=30, longest_wait_s=30)
    first.start()
    eventually(lambda: journal.outbox.unsent(channel="store")[0].lost_connections == 1)
    assert first.stop(10)
    second = Delivery(store, journal.outbox, shortest_wait_s=0.001, longest_wait_s=0.002)
    second.start()
    eventually(lambda: journal.outbox.dead_letter_count() == 1)
    assert second.stop(10)


def test_what_was_delivered_while_the_disk_was_full_is_not_delivered_again(
    journal: Journal, store: Store, delivery: Delivery, monkeypatch: pytest.MonkeyPatch
) -> None:
    acknowledge, full = journal.outbox.acknowledge, [True, True]

    def refusing(ids: Any) -> None:
        if full:
            full.pop()
            raise StateFullError("the disk that holds the state is full")
        acknowledge(ids)

    monkeypatch.setattr(journal.outbox, "acknowledge", refusing)
    identity = conclude(journal, store, "a.tif")
    delivery.start()
    eventually(settled(journal))
    assert store.taken == [identity]


def test_a_defect_neither_ends_the_thread_nor_stays_unseen(
    journal: Journal, store: Store, delivery: Delivery, troubles: list[str | None]
) -> None:
    broken = [True, True, True]

    def says(_: str) -> None:
        if broken:
            broken.pop()
            raise KeyError("oops")

    store.says = says
    conclude(journal, store, "a.tif")
    delivery.start()
    eventually(settled(journal))
    eventually(lambda: troubles[-1] is None)
    assert troubles[0] == "store.folder /s: internal error: KeyError('oops'); 1 verdict waits"
    assert delivery.alive


def test_how_long_it_hangs_can_be_asked(journal: Journal, store: Store, delivery: Delivery) -> None:
    go_on = threading.Event()

    def says(_: str) -> None:
        assert go_on.wait(60)

    store.says = says
    assert delivery.busy_s == 0
    conclude(journal, store, "a.tif")
    delivery.start()
    eventually(lambda: delivery.busy_s > 0.01)
    assert not delivery.stop(0.01)
    go_on.set()
    eventually(lambda: not delivery.alive)
