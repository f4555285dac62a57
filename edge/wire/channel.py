"""A verdict in, what one outbound channel says of it out: the interface of every wire format, and the table of them.

A channel is one connection to the broker with everything that is said on it. The plain JSON of the contract is the
first; a format that needs retained announcements, topics outside the prefix or a will of its own is another row.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from edge.config import Settings
from edge.records import Failure, Inspection


@dataclass(frozen=True, slots=True)
class Publication:
    """One MQTT message as the broker gets it. topic: the whole topic.  qos: 0 or 1.  retain: the broker keeps the last one."""

    topic: str
    payload: bytes
    qos: int = 1
    retain: bool = False


@dataclass(frozen=True, slots=True)
class Numbered:
    """A verdict with the number that the journal gave it, the same however often it is sent.

    verdict_id: of the inspection or failure.  epoch, seq: its place in the order of verdicts.
    """

    verdict: Inspection | Failure
    verdict_id: str
    epoch: str
    seq: int


class Channel(Protocol):
    """What is said on one connection. Encoding alone: it opens nothing, and every method answers at once.

    name: short, lower case; stands in the journal beside each message, in the log and in the MQTT client id.
    """

    name: str

    def will(self) -> Publication | None:
        """What the broker is to publish when the connection dies; asked before each connection."""
        ...

    def announce(self) -> Sequence[Publication]:
        """What is said first at each connection, before any verdict: births, discovery. Not kept when the broker is away."""
        ...

    def on_verdict(self, numbered: Numbered) -> Sequence[Publication]:
        """What is said of one verdict. Stored in the verdict's own transaction, sent in order, at least once."""
        ...

    def subscriptions(self) -> Sequence[str]:
        """Topics to listen to, subscribed at each connection."""
        ...

    def on_message(self, topic: str, payload: bytes) -> Sequence[Publication]:
        """What is said in answer to a message on one of the `subscriptions`. Any exception is logged and answers nothing."""
        ...


@dataclass(frozen=True, slots=True)
class ChannelRow:
    """One wire format. wanted: whether the settings ask for it.  open: the channel for one life of the daemon."""

    name: str
    wanted: Callable[[Settings], bool]
    open: Callable[[Settings], Channel]


CHANNELS: Final[tuple[ChannelRow, ...]] = ()
"""Every format beside the contract's JSON, which is always there; see docs/develop/add-a-wire-format.md."""
