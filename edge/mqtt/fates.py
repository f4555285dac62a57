"""What the broker answers to rows in; what becomes of them in the outbox out: struck off, put off, kept waiting, or buried."""

from __future__ import annotations

import time
from typing import Final

from edge.errors import StateError
from edge.journal import Outbox, Outgoing
from edge.mqtt.backoff import Backoff
from edge.mqtt.connection import UNREADABLE, Acknowledged
from edge.mqtt.content import Content
from edge.mqtt.holding import kind_of
from edge.mqtt.memory import Memory
from edge.mqtt.rows import Rows
from edge.mqtt.threads import Connectivity

LOST_BEFORE_HOLDING: Final = 2
"""So many connections, where the broker was never seen to take a kind, and the kind waits instead."""
LOST_BEFORE_BURIAL: Final = 3
"""So many connections must be lost with a message before it is buried."""
DENIED: Final = frozenset({0x80, 0x83, 0x87})
"""PUBACK reasons (MQTT 5.0, 3.4.2.1) that are about the topic: not authorized, or a broker's own words for it."""
STALLED: Final = "the broker acknowledged nothing for"
"""So begins why a connection was given up that was not lost."""

_REFUSED_FOR_GOOD: Final = frozenset({0x90, 0x95, 0x99})
"""PUBACK reasons that another try cannot change."""


class Fates:
    """What becomes of one session's rows. It belongs to the session's thread."""

    def __init__(self, content: Content, outbox: Outbox, memory: Memory, rows: Rows, connectivity: Connectivity) -> None:
        """Touches nothing."""
        self._content, self._outbox, self._memory, self._rows = content, outbox, memory, rows
        self._connectivity = connectivity
        self._pause_until = 0.0  # the broker wants no more for now
        self._record_at = 0.0  # when the journal may be written to again
        self._quota = Backoff(1.0, 30.0)

    @property
    def paused(self) -> bool:
        """Whether no row may be sent for now."""
        return time.monotonic() < max(self._pause_until, self._record_at)

    def acknowledged(self, row: Outgoing, puback: Acknowledged) -> None:
        """The broker has answered: it took the row, denies its kind, refuses it for good, or puts it off."""
        if puback.reason < 0x80:
            self._memory.unrecorded.append(row.id)
            self._memory.holding.taken(kind_of(row))
            if time.monotonic() >= self._pause_until:
                self._quota.reset()
        elif puback.reason in DENIED:
            self._memory.holding.refused(kind_of(row), denied(self._kind_topic(row), puback.text))
        elif puback.reason in _REFUSED_FOR_GOOD:
            self.bury(row, f"the broker refused it: {puback.text}")
        else:
            wait_s = self._quota.next_s()
            self._connectivity.report(error=f"the broker puts off {row.topic} ({puback.text}); next try in {wait_s:.0f} s")
            self._pause_until = time.monotonic() + wait_s
            self._rows.start_over()
        if row.id >= self._memory.one_by_one_to:
            self._memory.one_by_one_to = 0

    def judge(self, row: Outgoing, why: str) -> None:
        """Another connection was lost with `row` alone in flight: was it the message, or does its kind have to wait?"""
        holding, kind = self._memory.holding, kind_of(row)
        losses = self._outbox.count_lost_connection(row.id)
        unproven = not holding.takes(kind) and not why.startswith((STALLED, UNREADABLE))
        if unproven and (losses >= LOST_BEFORE_HOLDING or holding.waits(kind)):
            holding.refused(kind, denied(self._kind_topic(row), why), victim=row.id)
        elif losses >= LOST_BEFORE_BURIAL:
            holding.doubt(kind)  # when the next one of its kind goes the same way, it was not the message
            self.bury(row, f"{LOST_BEFORE_BURIAL} connections died of it; the last time {why}")

    def _kind_topic(self, row: Outgoing) -> str:
        """The topic, or for the contract the filter, of a row's kind."""
        kind = kind_of(row)
        return self._content.topic(row).removesuffix(row.topic) + (kind if kind == row.topic else f"{kind}/+")

    def bury(self, row: Outgoing, reason: str) -> None:
        """Make a dead letter of a row; what takes its place may be refused too."""
        self._outbox.bury(row.id, reason, self._content.bury(row, reason))
        # After it is one: what shows the error counts the dead letters, in another thread perhaps.
        self._connectivity.report(error=f"seq {row.seq} ({row.topic}, {row.verdict_id}) is a dead letter: {reason}")
        self._rows.start_over()

    def record(self) -> None:
        """Write down what the broker has. When that is impossible (full disk), nothing more is sent meanwhile."""
        if not self._memory.unrecorded or time.monotonic() < self._record_at:
            return
        try:
            self._outbox.acknowledge(self._memory.unrecorded)
        except StateError as error:
            self._connectivity.report(error=str(error))
            self._record_at = time.monotonic() + 1.0
        else:
            self._memory.unrecorded.clear()
            self._all_well()

    def _all_well(self) -> None:
        if self._connectivity.last_error is not None and time.monotonic() >= self._pause_until:
            self._connectivity.report()


def denied(topic: str, why: str) -> str:
    """What is told of a kind of messages that waits."""
    return f"the broker lets us publish nothing to {topic} ({why}): it waits and is tried again; allow it in the broker's ACL"
