"""A verdict in, what one sink keeps of it and where that goes out: the interface of what needs no broker.

A sink's rows wait in the outbox under its name, as those of a channel do, and make the same promise.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from edge.journal import Outgoing
from edge.wire.channel import Numbered, Publication


class NotNowError(Exception):
    """Nothing can be delivered for now. The text says why.  wait_s: at least so long, where the other side says so."""

    def __init__(self, why: str, wait_s: float = 0.0) -> None:
        super().__init__(why)
        self.wait_s = wait_s


class RefusedError(Exception):
    """The other side does not want this one row. The text says why."""


class Sink(Protocol):
    """Where verdicts go. Opening it touches nothing, so that no verdict misses its row because something is away.

    name: short, lower case; stands in the journal beside each row.
    subject: what people call it: its setting and where it leads.
    at_once: so many rows are delivered together at most.
    """

    name: str
    subject: str
    at_once: int

    def on_verdict(self, numbered: Numbered) -> Sequence[Publication]:
        """What is stored of one verdict, in its own transaction; see `Channel.on_verdict`. Called in the recorder's thread."""
        ...

    def deliver(self, rows: Sequence[Outgoing]) -> None:
        """Have all of `rows` delivered, in order, also where some of them were before. Called in the sink's own thread.

        Raises NotNowError; RefusedError only where `at_once` is 1.
        """
        ...
