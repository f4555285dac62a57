"""What the broker refuses by kind of message in; which kinds wait, and until when, out.

A broker's access control refuses topics, not messages. So what is refused is neither dropped nor given up: its kind waits,
for a second after the first refusal, then for a minute, and for twice as long each time up to an hour, and all else
flows. When its time is over one message of the kind is tried. The first that is taken ends it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from typing import Final

from edge.journal import Outgoing

FIRST_S: float = 1.0
SHORTEST_S: float = 60.0
BY_LOSS_S: float = 10.0
"""The first wait where connections were lost and nothing was said: a broker that restarts twice looks like that, too."""
LONGEST_S: float = 3600.0
_MOST_PROVEN: Final = 1000
"""A channel may have a topic for each message; what is forgotten here costs nothing but a try."""


@dataclass(slots=True)
class _Trouble:
    told: str
    refusals: int = 0
    until: float = 0.0
    victims: set[int] = field(default_factory=set)


def kind_of(row: Outgoing) -> str:
    """What is refused together: the first level of the contract's topics, the whole topic of another channel's."""
    return row.topic if row.channel else row.topic.partition("/")[0]


class Holding:
    """The kinds of one connection's messages that wait, for all its lives. It belongs to the publisher's thread.

    clock: seconds, rising.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._troubles: dict[str, _Trouble] = {}
        self._proven: dict[str, None] = {}

    def refused(self, kind: str, told: str, *, victim: int | None = None) -> None:
        """The broker does not take this kind. Refusals of what was in flight together count once.

        told: for people: which topic, and why.
        victim: the row, where the broker refused by ending the connection, which it may do for the row alone. Others of its
            kind are tried before it; and the kind waits at once, because each try costs a connection.
        """
        trouble = self._troubles.setdefault(kind, _Trouble(told))
        trouble.told = told
        if victim is not None:
            trouble.victims.add(victim)
            trouble.refusals = max(trouble.refusals, 1)
        if self._clock() < trouble.until:
            return
        trouble.refusals += 1
        longer_s = SHORTEST_S if victim is None else min(SHORTEST_S, BY_LOSS_S)
        wait_s = FIRST_S if trouble.refusals == 1 else min(LONGEST_S, longer_s * 2.0 ** min(trouble.refusals - 2, 20))
        trouble.until = self._clock() + wait_s

    def taken(self, kind: str) -> None:
        """The broker has acknowledged one of this kind."""
        self._troubles.pop(kind, None)
        if len(self._proven) < _MOST_PROVEN:
            self._proven[kind] = None

    def takes(self, kind: str) -> bool:
        """Whether the broker is known to take this kind, in this life of the process."""
        return kind in self._proven

    def doubt(self, kind: str) -> None:
        """What was known of it is forgotten."""
        self._proven.pop(kind, None)

    def waits(self, kind: str) -> bool:
        """Whether it was refused and not taken since."""
        return kind in self._troubles

    def shut(self, in_flight: Collection[str] = ()) -> frozenset[str]:
        """The kinds of which nothing is to be sent now. in_flight: of what was sent; of a kind on trial one is enough."""
        now = self._clock()
        return frozenset(kind for kind, one in self._troubles.items() if now < one.until or kind in in_flight)

    def in_turn(self, rows: Iterable[Outgoing]) -> list[Outgoing]:
        """`rows` in their order, behind them those that ended a connection while their kind waits."""
        if not self._troubles:
            return list(rows)
        victims = {row for trouble in self._troubles.values() for row in trouble.victims}
        return sorted(rows, key=lambda row: row.id in victims)

    def told(self) -> str | None:
        """What waits and why, for the status, from the second refusal on; None when nothing does."""
        told = [trouble.told for trouble in self._troubles.values() if trouble.refusals > 1]
        return "; ".join(told) if told else None
