"""What is said on one connection beside the rows of the outbox: the interface between a session and who speaks on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Protocol

from edge.journal import Message, Outgoing
from edge.mqtt.connection import Received
from edge.wire.channel import Publication


@dataclass(frozen=True, slots=True)
class Transient:
    """A message that the outbox does not hold: it overtakes the rows and is not kept for a next connection.

    what: how the log calls it.  correlation: of the request that it answers.  seq: of the verdict that it is about, or 0.
    proves: its acknowledgement shows that the broker works, so that rows may follow.
    yields: rows and messages of its kind take turns, so that a flood of them holds no row up.
    """

    what: str
    message: Publication
    correlation: bytes | None = None
    seq: int = 0
    proves: bool = False
    yields: bool = False


class Absent(Enum):
    """Why a row's payload is not there."""

    SO_FAR = auto()
    FOR_GOOD = auto()


class Content(Protocol):
    """What is said on a connection beside the rows, how the rows are said, and what is done with what is heard.

    Called in the session's thread alone. Every method answers at once.

    channel: whose rows these are; empty for the contract's own.
    keeps_will: under MQTT 5 the broker publishes the will also when we say goodbye.
    """

    channel: str
    keeps_will: bool

    def connecting(self) -> Publication | None:
        """Begin a new connection. What the broker is to publish when it dies, None for nothing."""
        ...

    def connect_sent(self) -> None:
        """CONNECT is on its way, with that will in it."""
        ...

    def leaves(self) -> str | None:
        """Why to say goodbye and connect anew, None for staying; asked after each message."""
        ...

    def subscriptions(self) -> Sequence[str]:
        """The topics to listen to."""
        ...

    def live_only(self, topics: str) -> bool:
        """Whether what the broker keeps on this subscription is of no use to this listener."""
        ...

    def kept(self) -> Sequence[str]:
        """Topics on which the broker may keep what is to be known before anything is said; none for most."""
        ...

    def recalled(self, kept: Mapping[str, bytes]) -> str | None:
        """What it keeps on them, by topic. Why to connect anew before anything is said, None for going on."""
        ...

    def opening(self) -> Sequence[Transient]:
        """What is said first. Without one that `proves`, the broker is asked for another sign that it works."""
        ...

    def changes(self) -> Sequence[Transient]:
        """What of the opening is out of date and to be said anew; asked at every round."""
        ...

    def latest(self) -> Sequence[Transient]:
        """What is said beside new rows; asked whenever the outbox is looked at."""
        ...

    def periodic(self) -> Sequence[Publication]:
        """What is due by the clock, of QoS 0; asked at every round with an idle network."""
        ...

    def topic(self, row: Outgoing) -> str:
        """The whole topic of a row."""
        ...

    def payload(self, row: Outgoing) -> bytes | Absent:
        """What is sent for a row. One that is absent so far comes with a wake-up; one that is absent for good is passed."""
        ...

    def waits(self) -> bool:
        """Whether rows stay in the outbox for now; asked before each, and at every round."""
        ...

    def on_send(self, publication: Publication) -> Publication:
        """The last look at each message, in the order of the connection. Not called for what `closing` gives."""
        ...

    def acknowledged(self, item: Transient) -> None:
        """The broker has it."""
        ...

    def refused(self, item: Transient) -> None:
        """The broker does not take it."""
        ...

    def bury(self, row: Outgoing, reason: str) -> Message | None:
        """A row becomes a dead letter. What is to be sent in its place, None for nothing."""
        ...

    def on_message(self, received: Received) -> Sequence[Transient]:
        """What is said in answer to a message on one of the subscriptions."""
        ...

    def closing(self) -> Sequence[Transient]:
        """What is said before we disconnect."""
        ...
