"""One connection's end in, what the next one must know of it out."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from edge.journal import Outgoing
from edge.mqtt.backoff import Backoff
from edge.mqtt.connection import KEEPALIVE_S
from edge.mqtt.holding import Holding
from edge.mqtt.rivals import Rivals

MOST_ANSWERS: Final = 100
"""What is heard is dropped while more answers than this wait to be sent."""
FLOOD_S: Final = 60.0
"""So long after the last one was dropped it is told."""


@dataclass(slots=True)
class Memory:
    """What outlives a connection. It belongs to the publisher's thread.

    backoff: between connections.
    unrecorded: ids of rows that need not be sent again, which the journal does not know yet: acknowledged, or without a
        picture for good. They are kept here so that no later connection sends them.
    keepalive_s: what we offer at the next connect.
    one_by_one_to: up to this id rows are sent singly, because some of them were in flight when a connection was lost.
    possible_poison: the row that was alone in flight when the last connection was lost, and why it was lost. The next
        connection confirms or clears it.
    holding: the kinds of messages that the broker does not take.
    rivals: whether another client uses our id.
    tell: gets what is wrong beside the connection itself, by name, and None when it is over.
    flooded_at: when a message was dropped because too many answers waited; monotonic seconds.
    """

    backoff: Backoff
    unrecorded: list[int] = field(default_factory=list)
    keepalive_s: int = KEEPALIVE_S
    one_by_one_to: int = 0
    possible_poison: tuple[Outgoing, str] | None = None
    holding: Holding = field(default_factory=Holding)
    rivals: Rivals = field(default_factory=lambda: Rivals(lambda: "of ours"))
    tell: Callable[[str, str | None], None] = lambda _name, _problem: None
    flooded_at: float | None = None

    def tell_all(self) -> None:
        """Tell what is wrong now; cheap where nothing is."""
        if self.flooded_at is not None and time.monotonic() - self.flooded_at > FLOOD_S:
            self.flooded_at = None
        flood = f"more comes in than is answered: what comes beyond {MOST_ANSWERS} waiting answers is dropped; who sends it?"
        self.tell("denied", self.holding.told())
        self.tell("rival", self.rivals.told())
        self.tell("flood", None if self.flooded_at is None else flood)

    def lost(self, rows: Sequence[Outgoing], *, why: str | None) -> None:
        """These were in flight when a connection ended. why: where one was alone, and the broker closed; else None."""
        self.one_by_one_to = max(self.one_by_one_to, *(row.id for row in rows))
        if why is not None:
            self.possible_poison = rows[0], why
