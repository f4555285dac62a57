"""A sink and its rows of the outbox in; rows delivered in order, each until it is taken or can never be, out."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Final

from edge.errors import StateError, in_words
from edge.journal import Outbox, Outgoing
from edge.mqtt.backoff import Backoff
from edge.sinks.sink import NotNowError, RefusedError, Sink

log = logging.getLogger(__name__)

TRIES: Final = 5
"""A row that is refused so often becomes a dead letter."""
LOOK_S: Final = 5.0
"""So often the outbox is looked at without a wake-up."""
LONGEST_ASKED_S: Final = 3600.0
"""Longer is not waited, whatever the other side asks for."""


class Delivery:
    """Empties one sink's rows of the outbox in a thread of its own. Safe to call from any thread.

    It never gives up: what cannot be delivered waits, is told to `on_trouble`, and is tried again after 1 to 60 s.
    A row that was given up while nothing at all was taken is tried once more when something is taken again: then it was
    the other side that was wrong.
    """

    def __init__(
        self,
        sink: Sink,
        outbox: Outbox,
        *,
        on_trouble: Callable[[str | None], None] = lambda _: None,
        shortest_wait_s: float = 1.0,
        longest_wait_s: float = 60.0,
    ) -> None:
        """Prepare; nothing is done before `start`.

        on_trouble: gets why nothing is delivered, for the status, and None when all is well. Called in this thread at every
            change; it must neither block nor raise.
        """
        self._sink, self._outbox, self._on_trouble = sink, outbox, on_trouble
        self._backoff = Backoff(shortest_wait_s, longest_wait_s)
        self._news, self._stopping = threading.Event(), threading.Event()
        self._give_up_at = 0.0
        self._trouble: str | None = None
        self._delivered: list[int] = []  # what the journal does not know yet
        self._may_revive = True
        self._busy_since: float | None = None
        self._thread = threading.Thread(target=self._run, name=f"delivery {sink.name}", daemon=True)

    def start(self) -> None:
        """Begin to deliver."""
        self._thread.start()

    def wake(self) -> None:
        """The outbox has something new."""
        self._news.set()

    def stop(self, timeout_s: float = 5.0) -> bool:
        """End after what is being delivered; True when that was within the time."""
        self.begin_stop(timeout_s)
        return self.stopped()

    def begin_stop(self, timeout_s: float) -> None:
        """Have it end within the time and return at once."""
        self._give_up_at = time.monotonic() + timeout_s
        self._stopping.set()
        self._news.set()

    def stopped(self) -> bool:
        """Wait for the end of what `begin_stop` began; False when its time is over before."""
        if self._thread.ident is not None:
            self._thread.join(max(0.0, self._give_up_at - time.monotonic()))
        return not self._thread.is_alive()

    @property
    def alive(self) -> bool:
        """Whether the thread runs; false only before `start`, after `stop`, or through a defect."""
        return self._thread.is_alive()

    @property
    def busy_s(self) -> float:
        """How long what is being delivered has been under way; 0 when nothing is."""
        since = self._busy_since
        return 0.0 if since is None else time.monotonic() - since

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._news.clear()
            wait_s = 0.0
            try:
                if not self._turn():
                    self._news.wait(LOOK_S)
                    continue
            except NotNowError as error:
                wait_s = min(error.wait_s, LONGEST_ASKED_S)
                self._tell(str(error))
            except StateError as error:
                self._tell(str(error))
            except Exception as error:  # a defect must neither end the thread nor stay unseen
                defect = in_words(error)
                if self._trouble is None or defect not in self._trouble:
                    log.exception("%s: delivering failed", self._sink.subject)
                self._tell(f"internal error: {defect}")
            else:
                continue
            self._stopping.wait(max(wait_s, self._backoff.next_s()))

    def _turn(self) -> bool:
        """Deliver the first rows; whether there were any."""
        self._record()
        rows = self._outbox.unsent(limit=self._sink.at_once, channel=self._sink.name)
        if not rows:
            self._tell(None)
            return False
        self._busy_since = time.monotonic()
        try:
            self._sink.deliver(rows)
        except RefusedError as error:
            self._refused(rows[0], str(error))
        finally:
            self._busy_since = None
        self._delivered += [row.id for row in rows]
        self._record()
        self._backoff.reset()
        self._tell(None)
        self._revive()
        return True

    def _record(self) -> None:
        """Have the journal know what was delivered, before anything else is."""
        if self._delivered:
            self._outbox.acknowledge(self._delivered)
            self._delivered.clear()

    def _refused(self, row: Outgoing, why: str) -> None:
        """Raises NotNowError always: the next try comes later, be it of this row or of the next one."""
        tries = self._outbox.count_lost_connection(row.id)
        if tries < TRIES:
            raise NotNowError(f"{why}; try {tries} of {TRIES}")
        log.warning("%s: seq %d (%s) is a dead letter: %s", self._sink.subject, row.seq, row.verdict_id, why)
        self._outbox.bury(row.id, f"{self._sink.subject}: {why}", None)
        self._may_revive = True
        raise NotNowError(why)

    def _revive(self) -> None:
        """What was given up may be wanted after all, now that something was taken."""
        if not self._may_revive:
            return
        self._may_revive = False
        if revived := self._outbox.revive(self._sink.name, TRIES):
            log.info("%s: %d dead letters are tried once more", self._sink.subject, revived)

    def _tell(self, why: str | None) -> None:
        trouble = None
        if why is not None:
            count = self._waiting()
            trouble = f"{self._sink.subject}: {why}"
            if count:
                trouble += "; 1 verdict waits" if count == 1 else f"; {count} verdicts wait"
        if trouble != self._trouble:
            self._trouble = trouble
            self._on_trouble(trouble)

    def _waiting(self) -> int:
        try:
            return self._outbox.waiting_in(self._sink.name)[0]
        except StateError:
            return 0
