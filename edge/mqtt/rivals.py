"""How connections end in, the suspicion that another client uses our id out.

A broker lets one client of an id in: a second one takes its place, and is replaced in turn when the first connects anew. MQTT 5
says so to the one that goes (reason 0x8E). Under 3.1.1 the connection is just closed, shortly after it was made, time
and again.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

SHORT_S: Final = 10.0
"""A connection that the broker closes so soon is a sign."""
SIGNS: Final = 3
"""So many in a row are told."""
LONG_S: Final = 60.0
"""A connection that stands so long ends the suspicion."""


class Rivals:
    """Counts signs over all lives of a connection. It belongs to the publisher's thread. clock: seconds, rising."""

    def __init__(self, client_id: Callable[[], str], clock: Callable[[], float] = time.monotonic) -> None:
        self._client_id, self._clock = client_id, clock
        self._accepted_at: float | None = None
        self._signs = 0

    def accepted(self) -> None:
        """The broker has taken us in."""
        self._accepted_at = self._clock()

    def stands(self) -> None:
        """The connection is still there."""
        if self._signs and self._accepted_at is not None and self._clock() - self._accepted_at > LONG_S:
            self._signs = 0

    def ended(self, *, taken_over: bool, closed_by_broker: bool) -> None:
        """The connection has ended. closed_by_broker: and nothing that we sent may have been the reason."""
        accepted_at, self._accepted_at = self._accepted_at, None
        if taken_over:
            self._signs = SIGNS
        elif accepted_at is not None and closed_by_broker and self._clock() - accepted_at < SHORT_S:
            self._signs += 1

    @property
    def suspected(self) -> bool:
        """Whether another client seems to be there."""
        return self._signs >= SIGNS

    def told(self) -> str | None:
        """The suspicion in words, for the status; None while there is none."""
        if not self.suspected:
            return None
        return (
            f"another client may use the MQTT client id {self._client_id()}, and each takes the other's place at the broker:"
            " a cloned disk, or a second daemon on a copy of this state? Give each a state.folder and a device of its own"
        )
