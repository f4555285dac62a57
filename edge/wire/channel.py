"""A verdict in, what one outbound channel says of it out: the interface of every wire format beside the contract's JSON.

A channel is one connection to the broker with everything that is said on it. A format that needs retained announcements,
topics outside the prefix or a will of its own is another row of `edge.wire.table`; how to write one stands in
docs/develop/add-a-wire-format.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from edge.records import Failure, Inspection


@dataclass(frozen=True, slots=True)
class Publication:
    """One MQTT message as the broker gets it.

    topic: the whole topic.  retain: the broker keeps the last one.
    qos: 0 or 1. What is sent with 0 beside the journal's rows is never sent again: it may be lost with its connection.
    content_type, user_properties: sent under MQTT 5 alone. JSON and pictures need no content type: their first bytes tell it.
        Neither is stored with a verdict's message: set them in `on_send`.
    """

    topic: str
    payload: bytes
    qos: int = 1
    retain: bool = False
    content_type: str = ""
    user_properties: tuple[tuple[str, str], ...] = ()


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

    A format inherits from this and writes what differs: all but `name` and `on_verdict` has an answer here.
    The methods are called in the thread of the connection, and only there; `on_verdict` in the one that stores verdicts.
    An exception is logged and costs what was asked for: where `waits` fails nothing waits, and what `on_send` fails on is
    sent as it was. The status tells it too, but for `on_verdict`.

    name: short, lower case; stands in the journal beside each message, in the log and in the MQTT client id.
    keeps_will: under MQTT 5, whether the broker publishes the will also when we say goodbye.
    """

    name: str
    keeps_will: bool = False

    def on_verdict(self, numbered: Numbered) -> Sequence[Publication]:
        """What is said of one verdict. Stored in the verdict's own transaction, sent in order, at least once.

        Asked again when that transaction fails, and long before the message is sent, perhaps in an earlier life of the
        daemon: the answer depends on nothing but `numbered`. Its QoS is 1; `on_send` can lower it.
        """
        ...

    def recall(self, summary: bytes) -> None:
        """The newest `…/summary` that the journal holds, before anything else is asked; not called where there is none."""
        return

    def will(self) -> Publication | None:
        """What the broker is to publish when the connection dies; asked once before each try to connect.

        We publish the same ourselves before we disconnect, because the broker then forgets it.
        """
        return None

    def on_connect(self) -> None:
        """CONNECT is on its way, with the last will in it. Not called where the broker could not be reached."""
        return

    def subscriptions(self) -> Sequence[str]:
        """Topics to listen to, subscribed at each connection."""
        return ()

    def announce(self) -> Sequence[Publication]:
        """What is said first at each connection, before any verdict: births, discovery. Not kept when the broker is away."""
        return ()

    def on_message(self, topic: str, payload: bytes) -> Sequence[Publication]:
        """What is said in answer to a message on one of the `subscriptions`, to a retained one too."""
        return ()

    def on_device(self, problem: str | None) -> Sequence[Publication]:
        """What is said when nothing can come from the microscope any more, and when it is back (None).

        Told while connected alone. A channel that begins hears nothing where all is well.
        """
        return ()

    def waits(self) -> bool | str:
        """Whether verdicts must stay in the journal for now; asked before each is sent. A text says why, in the status too.

        For a format whose receiver must be there first. What `announce` and `on_message` give is sent all the same.
        """
        return False

    def leaves(self) -> str | None:
        """Why to say the last will, disconnect and connect anew; None for staying. Asked after each `on_message`."""
        return None

    def on_send(self, publication: Publication) -> Publication:
        """`publication` as it is sent: the last look at each message, in the very order of the connection.

        For a format that counts its messages, or sends its verdicts with QoS 0. Called for all but the will, once each
        time that the message is handed to the broker: a message that is sent again is seen again. A verdict's message
        that is made QoS 0 here is done with when the broker has answered to what it was asked behind it.
        """
        return publication
