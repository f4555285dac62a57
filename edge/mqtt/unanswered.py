"""Rows that were sent with QoS 0 in, those of them that the broker certainly has out."""

from __future__ import annotations

from collections.abc import Sequence

from edge.mqtt.connection import Connection


class Unanswered:
    """What gets no PUBACK, on one connection. It belongs to the session's thread.

    A broker takes what comes on one connection in turn. So it is asked something behind what was written, and with the
    answer all of that has arrived. There is one question at a time, for as many messages as were written meanwhile.
    """

    def __init__(self, connection: Connection) -> None:
        """Asks nothing yet."""
        self._connection = connection
        self._sent: set[int] = set()
        self._written: list[int] = []
        self._asked: dict[int, list[int]] = {}  # by mid of the question

    def sent(self, mid: int) -> None:
        """A message of QoS 0 was handed to the network."""
        self._sent.add(mid)

    def ask(self) -> None:
        """Ask behind what is written, unless an answer is still to come."""
        if self._written and not self._asked:
            self._asked[self._connection.check()], self._written = self._written, []

    def settled_by(self, mid: int) -> Sequence[int]:
        """Which messages an `Acknowledged` settles: itself for most, none where it says no more than that it is written."""
        if mid in self._sent:
            self._sent.discard(mid)
            self._written.append(mid)
            return ()
        return self._asked.pop(mid, [mid])
