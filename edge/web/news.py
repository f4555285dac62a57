"""What happened in, the same for all who listen out: a bounded row of events, each with a number."""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import Final

from edge.web.source import Event, Facts

KEPT: Final = 500
AT_ONCE: Final = 20
"""More verdicts at once are one `reload`: who looks at a page reads none of them singly."""


class News:
    """Thread-safe."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._events: deque[Event] = deque(maxlen=KEPT)
        self._number = time.time_ns() // 1000  # rises over restarts, so that a browser that comes back is behind

    def add(self, *said: tuple[str, Facts]) -> None:
        """Events, as (kind, what is said)."""
        if len(said) > AT_ONCE:
            said = (("reload", {}),)
        with self._changed:
            for kind, facts in said:
                self._number += 1
                self._events.append(Event(self._number, kind, facts))
            self._changed.notify_all()

    def after(self, number: int, timeout_s: float) -> list[Event]:
        """Those behind a number, waiting for the first; a `reload` where some are forgotten; empty when none came in time."""
        with self._changed:
            self._changed.wait_for(lambda: self._number > number, timeout_s)
            events = [event for event in self._events if event.number > number]
            if events and events[0].number > number + 1:
                return [Event(self._number, "reload", {})]
            return events

    @property
    def last(self) -> int:
        """The number of the newest one."""
        with self._changed:
            return self._number
