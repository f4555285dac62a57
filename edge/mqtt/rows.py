"""The outbox and what the broker refuses in, the next row to send out."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection
from typing import Any, Final

from edge.journal import Outbox, Outgoing
from edge.mqtt.holding import Holding

WINDOW: Final = 20
"""Most messages on the way without acknowledgement."""


class Rows:
    """Rows of one channel, in the order of the outbox. They belong to one session.

    ended: the outbox was read to its end, and nothing was left to send.
    """

    def __init__(self, outbox: Outbox, channel: str, holding: Holding) -> None:
        """Reads nothing yet."""
        self.ended = False
        self._outbox, self._channel, self._holding = outbox, channel, holding
        self._ready: deque[Outgoing] = deque()
        self._passed: set[int] = set()
        self._shut: frozenset[str] = frozenset()
        self._stale = True

    def look(self) -> None:
        """The outbox may hold rows that were not seen, and what was passed over may be ready."""
        self._stale = True
        self._passed.clear()

    def start_over(self) -> None:
        """Read the outbox from its beginning."""
        self._ready.clear()
        self.look()

    def pass_over(self, row: Outgoing) -> None:
        """It cannot be sent for now; it is seen again after the next `look`."""
        self._passed.add(row.id)

    def next(self, taken: Collection[int], kinds_in_flight: Collection[str]) -> Outgoing | None:
        """The next row, None when there is none. taken: ids of those in flight, or done with."""
        shut = self._holding.shut(kinds_in_flight)
        if shut != self._shut:
            self._shut = shut
            self.start_over()
        if not self._ready and self._stale:
            self._read(taken)
        return self._ready.popleft() if self._ready else None

    def _read(self, taken: Collection[int]) -> None:
        # Twice what is passed over, so that ten thousand of them are passed in a few reads.
        limit = WINDOW + len(taken) + 2 * len(self._passed)
        without: dict[str, Any] = {"without": self._shut} if self._shut else {}
        found = self._outbox.unsent(limit=limit, channel=self._channel, **without)
        ready = [row for row in found if row.id not in taken and row.id not in self._passed]
        self._ready.extend(self._holding.in_turn(ready))
        self._stale = len(found) == limit
        self.ended = not found
