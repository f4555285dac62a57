"""An outbound channel and its rows of the outbox in; what it announces, says of verdicts and answers, on the broker out."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, TypeVar

from edge.config import MqttSettings
from edge.errors import in_words
from edge.journal import Message, Outbox, Outgoing
from edge.mqtt.connection import LARGEST_COMMAND, LONGEST_TOPIC, Received, is_topic
from edge.mqtt.content import Absent, Transient
from edge.mqtt.standing import StandingConnection
from edge.mqtt.threads import Connectivity
from edge.wire.channel import Channel, Publication

log = logging.getLogger(__name__)
T = TypeVar("T")

LONGEST_CLIENT_ID: Final = 23
"""MQTT 3.1.1, 3.1.3.1: so many letters and digits must every broker accept."""


class ChannelPublisher(StandingConnection):
    """Keeps one channel's own connection to the broker and empties the channel's rows of the outbox into it.

    What is said at each connect: first what the channel announces, then its rows, in order. At a clean end its last will
    is published before we disconnect, because the broker then forgets it.
    A channel that raises costs what it was asked for, and nothing else: it is logged, and told to `on_trouble`. Where
    `waits` raises, nothing waits; where `on_send` raises, the message is sent as it was.
    """

    def __init__(
        self,
        settings: MqttSettings,
        channel: Channel,
        outbox: Outbox,
        *,
        epoch: str,
        on_trouble: Callable[[str | None], None] = lambda _: None,
        device: Callable[[], str | None] = lambda: None,
        shortest_wait_s: float = 1.0,
        longest_wait_s: float = 30.0,
    ) -> None:
        """Prepare; nothing is done before `start`. Raises ValueError for a channel without a name.

        epoch: of the journal.
        on_trouble: gets what is wrong with the channel or its connection, for the status, and None when all is well. It is
            called in this publisher's thread at every change; it must neither block nor raise.
        device: why nothing comes from the microscope, None while all is well; asked in this publisher's thread, at each wake.
        """
        if not channel.name:
            raise ValueError(f"{channel!r} needs a name: rows without one are the contract's own")
        self._name, self._on_channel_trouble = channel.name, on_trouble
        self._trouble: str | None = None
        self._wrong: dict[str, str | None] = {}
        content = _ChannelContent(channel, self._report_trouble, device)
        self._channel_content = content
        super().__init__(
            settings,
            client_id(epoch, channel.name),
            content,
            outbox,
            connectivity=Connectivity(f"MQTT, channel {channel.name}", lambda _: self._report_trouble()),
            shortest_wait_s=shortest_wait_s,
            longest_wait_s=longest_wait_s,
            thread_name=f"publisher {channel.name}",
            on_trouble=self._held,
        )

    def _held(self, name: str, problem: str | None) -> None:
        self._wrong[name] = problem
        self._report_trouble()

    def _report_trouble(self) -> None:
        """In this publisher's thread. A defect is told before a lost connection, which may end by itself."""
        told = [*self._wrong.values(), self._channel_content.waiting_for, self.last_error]
        wrong = [*list(self._channel_content.defects.values())[:1], *filter(None, told)]
        trouble = f"channel {self._name}: {'; '.join(wrong)}" if wrong else None
        if trouble != self._trouble:
            self._trouble = trouble
            self._on_channel_trouble(trouble)


class _ChannelContent:
    """The `Content` of a channel's connection, for all its lives. It belongs to the publisher's thread.

    waiting_for: what the channel waits for, where it says so.
    defects: by the channel's method, what it raised when it was last called; none for those that worked.
    """

    def __init__(self, channel: Channel, on_defect: Callable[[], None], device: Callable[[], str | None]) -> None:
        self.channel, self.keeps_will = channel.name, bool(channel.keeps_will)
        self.defects: dict[str, str] = {}
        self.waiting_for: str | None = None
        self._channel, self._on_defect, self._device = channel, on_defect, device
        self._told_of_device: str | None = None
        self._will: Publication | None = None

    def connecting(self) -> Publication | None:
        self._will = self._asked("will", self._checked_will, None)
        return self._will

    def connect_sent(self) -> None:
        self._asked("on_connect", self._channel.on_connect, None)

    def leaves(self) -> str | None:
        return self._asked("leaves", self._channel.leaves, None)

    def subscriptions(self) -> Sequence[str]:
        return self._asked("subscriptions", lambda: tuple(map(_checked_filter, self._channel.subscriptions())), ())

    def live_only(self, topics: str) -> bool:
        return False

    def kept(self) -> Sequence[str]:
        return ()

    def recalled(self, kept: Mapping[str, bytes]) -> str | None:
        return None

    def opening(self) -> Sequence[Transient]:
        return self._transients("announce", self._channel.announce)

    def changes(self) -> Sequence[Transient]:
        problem = self._device()
        if problem == self._told_of_device:
            return ()
        self._told_of_device = problem
        return self._transients("on_device", lambda: self._channel.on_device(problem))

    def latest(self) -> Sequence[Transient]:
        return ()

    def periodic(self) -> Sequence[Publication]:
        return ()

    def topic(self, row: Outgoing) -> str:
        return row.topic

    def payload(self, row: Outgoing) -> bytes | Absent:
        return row.payload or b""

    def waits(self) -> bool:
        nothing: bool | str = False
        waits = self._asked("waits", self._channel.waits, nothing)
        reason = waits if isinstance(waits, str) and waits else None
        if reason != self.waiting_for:
            self.waiting_for = reason
            self._on_defect()
        return bool(waits)

    def on_send(self, publication: Publication) -> Publication:
        try:
            _checked(publication)
        except ValueError:
            return publication  # a row that is buried next: the channel must not count it
        return self._asked("on_send", lambda: _checked(self._channel.on_send(publication)), publication)

    def acknowledged(self, item: Transient) -> None:
        pass

    def refused(self, item: Transient) -> None:
        pass

    def bury(self, row: Outgoing, reason: str) -> Message | None:
        return None

    def on_message(self, received: Received) -> Sequence[Transient]:
        if len(received.payload) > LARGEST_COMMAND:
            size = len(received.payload)
            log.warning("a message on %s is dropped: %d bytes, more than %d", received.topic, size, LARGEST_COMMAND)
            return ()
        return self._transients("on_message", lambda: self._channel.on_message(received.topic, received.payload))

    def closing(self) -> Sequence[Transient]:
        return () if self._will is None else (Transient("last will", self._will),)

    def _transients(self, method: str, ask: Callable[[], Iterable[Publication]]) -> Sequence[Transient]:
        nothing: tuple[Publication, ...] = ()
        messages = self._asked(method, lambda: tuple(map(_checked, ask())), nothing)
        return tuple(Transient(f"message on {message.topic}", message) for message in messages)

    def _checked_will(self) -> Publication | None:
        will = self._channel.will()
        return None if will is None else _checked(will)

    def _asked(self, method: str, ask: Callable[[], T], otherwise: T) -> T:
        """What the channel answers; `otherwise` when it raises, which is noted until the same method works again."""
        try:
            answer = ask()
        except Exception as error:  # another's code: it may cost the channel what was asked for, and nothing else
            defect = f"{method} failed: {in_words(error)}"
            if self.defects.get(method) != defect:  # what is asked for each row fills no log
                log.exception("channel %s: %s failed", self.channel, method)
                self.defects[method] = defect
                self._on_defect()
            return otherwise
        if self.defects.pop(method, None) is not None:
            self._on_defect()
        return answer


def client_id(epoch: str, channel: str) -> str:
    """The MQTT client id of one channel of one journal, the same at every connect, at most 23 letters and digits.

    The channel's name is cut for people to read; the digest tells apart what was cut alike.
    """
    name = "".join(letter for letter in channel if letter.isascii() and letter.isalnum())[:8]
    digest = hashlib.sha256(f"{epoch} {channel}".encode()).hexdigest()
    return f"edge{name}{digest}"[:LONGEST_CLIENT_ID]


def _checked(message: Publication) -> Publication:
    """Raises ValueError or TypeError for what MQTT cannot carry, here where the channel is known that said it."""
    topic = message.topic
    if not is_topic(topic):
        raise ValueError(f"{topic[:100]!r} is no topic to publish to: 1 to {LONGEST_TOPIC} bytes without +, # and NUL")
    if message.qos not in (0, 1):
        raise ValueError(f"QoS {message.qos} of {topic}: only 0 and 1 are spoken here")
    if not isinstance(message.payload, bytes | bytearray):
        raise TypeError(f"the payload of {topic} is {type(message.payload).__name__}: bytes are sent")
    return message


def _checked_filter(topics: str) -> str:
    """Raises ValueError for what no broker can be asked for (MQTT 5.0, 4.7.1)."""
    *above, last = topics.split("/")
    misplaced = any(("+" in level and level != "+") or "#" in level for level in (*above, "" if last == "#" else last))
    if not topics or "\0" in topics or misplaced or len(topics.encode()) > LONGEST_TOPIC:
        raise ValueError(f"{topics[:100]!r} is no topic filter: + and # stand for a whole level, # for the last ones")
    return topics
