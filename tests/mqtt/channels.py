"""Channels, and rows of theirs without a journal, as the tests of this folder need them."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from edge.journal import Message, Outgoing
from edge.mqtt.channel_publisher import ChannelPublisher
from edge.wire.channel import Channel, Numbered, Publication

EPOCH = "11111111-2222-3333-4444-555555555555"

Open = Callable[..., ChannelPublisher]
"""Starts a publisher to a port for a channel, with its outbox and what is to hear of trouble; it ends with the test."""


class Discovery(Channel):
    """A channel as home automation wants it: retained, outside the prefix, with a will of its own."""

    name = "discovery"

    def will(self) -> Publication | None:
        return Publication("homes/sem-01/availability", b"offline", retain=True)

    def announce(self) -> Sequence[Publication]:
        config = Publication("homes/sem-01/config", b"{}", retain=True)
        return (config, Publication("homes/sem-01/availability", b"online", retain=True))

    def on_verdict(self, numbered: Numbered) -> Sequence[Publication]:
        return ()

    def subscriptions(self) -> Sequence[str]:
        return ("homes/status",)

    def on_message(self, topic: str, payload: bytes) -> Sequence[Publication]:
        return (Publication("homes/answer", topic.encode() + b" " + payload, qos=0),)


class Silent(Discovery):
    """A channel that says nothing but its rows."""

    name = "silent"

    def will(self) -> Publication | None:
        return None

    def announce(self) -> Sequence[Publication]:
        return ()

    def subscriptions(self) -> Sequence[str]:
        return ()


class RowsInMemory:
    """The outbox as a session uses it, for rows of channels. Filled by the test, emptied by the publisher's thread."""

    def __init__(self, channel: str) -> None:
        self._channel = channel
        self._lock = threading.Lock()
        self._rows: dict[int, Outgoing] = {}
        self._newest = 0
        self._lost: Counter[int] = Counter()
        self.buried: list[tuple[int, str, Message | None]] = []

    def add(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        with self._lock:
            self._newest += 1
            row = self._newest
            self._rows[row] = Outgoing(row, row, "v", "channel", topic, payload, None, 0, EPOCH, self._channel, retain)

    def empty(self) -> bool:
        return not self._rows

    def unsent(self, limit: int = 100, channel: str = "") -> list[Outgoing]:
        with self._lock:
            return [row for row in self._rows.values() if row.channel == channel][:limit]

    def acknowledge(self, ids: Iterable[int]) -> None:
        with self._lock:
            for row in ids:
                self._rows.pop(row, None)

    def count_lost_connection(self, row: int) -> int:
        self._lost[row] += 1
        return self._lost[row]

    def bury(self, row: int, reason: str, tombstone: Message | None) -> None:
        with self._lock:
            del self._rows[row]
            self.buried.append((row, reason, tombstone))
