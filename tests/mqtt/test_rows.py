"""The next row to send: in order, without what is in flight, absent or held."""

from __future__ import annotations

from typing import Any, cast

from edge.journal import Outbox, Outgoing
from edge.mqtt.holding import Holding
from edge.mqtt.rows import WINDOW, Rows


class Stored:
    """An outbox that counts how much is read of it."""

    def __init__(self, *topics: str) -> None:
        self.read = 0
        self.topics = list(topics)

    def unsent(self, limit: int = 100, channel: str = "", without: Any = ()) -> list[Outgoing]:
        wanted = [
            Outgoing(number, number, "v", "overlay", topic, None, "p", 0)
            for number, topic in enumerate(self.topics, 1)
            if topic.partition("/")[0] not in without
        ][:limit]
        self.read += len(wanted)
        return wanted


def rows_of(stored: Stored, holding: Holding | None = None) -> Rows:
    return Rows(cast(Outbox, stored), "", holding or Holding())


def taken(rows: Rows, number: int, *, passing: bool = False) -> list[int]:
    ids: list[int] = []
    while len(ids) < number and (row := rows.next(set() if passing else set(ids), ())) is not None:
        ids.append(row.id)
        if passing:
            rows.pass_over(row)
    return ids


def test_rows_come_in_order_and_once_until_they_are_looked_at_again() -> None:
    rows = rows_of(Stored(*["inspection"] * 50))
    assert taken(rows, 99) == list(range(1, 51))
    assert rows.next(set(range(1, 51)), ()) is None
    rows.look()
    assert rows.next({1, 2}, ()) is not None


def test_any_number_of_rows_that_cannot_be_sent_is_passed_in_few_reads() -> None:
    stored = Stored(*["overlay/x"] * 5000, "inspection")
    rows = rows_of(stored)
    assert taken(rows, 6000, passing=True)[-1] == 5001
    assert stored.read < 5 * 5001
    assert not rows.ended


def test_rows_of_a_kind_that_waits_are_not_read() -> None:
    now = [0.0]
    holding = Holding(lambda: now[0])
    stored = Stored(*["overlay/x"] * (3 * WINDOW), "inspection")
    rows = rows_of(stored, holding)
    holding.refused("overlay", "told")
    assert taken(rows, 9) == [3 * WINDOW + 1]
    assert stored.read <= 2
    now[0] = 1e6
    first = rows.next(set(), ())
    assert first is not None
    assert first.topic == "overlay/x"
    second = rows.next({first.id}, {"overlay"})
    assert second is not None
    assert second.topic == "inspection", "one of them is tried"


def test_an_empty_outbox_has_ended() -> None:
    rows = rows_of(Stored())
    assert rows.next(set(), ()) is None
    assert rows.ended
