"""Messages of QoS 0: out when the broker answered to what was asked behind them, one question at a time."""

from __future__ import annotations

from typing import cast

from edge.mqtt.connection import Connection
from edge.mqtt.unanswered import Unanswered


class Asked:
    """A connection that counts the questions; their ids are 100, 101, …"""

    count = 0

    def check(self) -> int:
        self.count += 1
        return 99 + self.count


def opened() -> tuple[Asked, Unanswered]:
    connection = Asked()
    return connection, Unanswered(cast(Connection, connection))


def test_what_is_written_is_not_out_before_the_answer() -> None:
    connection, unanswered = opened()
    for mid in (1, 2):
        unanswered.sent(mid)
    assert list(unanswered.settled_by(1)) == []
    unanswered.ask()
    assert list(unanswered.settled_by(2)) == []
    unanswered.ask()
    assert connection.count == 1
    assert list(unanswered.settled_by(100)) == [1]
    unanswered.ask()
    assert list(unanswered.settled_by(101)) == [2]


def test_nothing_is_asked_where_nothing_is_written() -> None:
    connection, unanswered = opened()
    unanswered.sent(1)
    unanswered.ask()
    assert connection.count == 0


def test_what_has_an_answer_of_its_own_settles_itself() -> None:
    _, unanswered = opened()
    assert list(unanswered.settled_by(7)) == [7]
