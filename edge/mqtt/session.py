"""One connection, what is to be said on it and the outbox in; rows that the broker has acknowledged, or buried ones, out.

A row leaves the outbox when the broker's PUBACK has come. After a lost connection all others are sent again, in order.
A row that its channel sends with QoS 0 gets no PUBACK: it leaves once it is written to the network whole. A connection that
is lost right after may take it along, and it is not sent again. A kill before the journal knows of it sends it twice.

What a broker refuses for good becomes a dead letter, in one of three ways:

1. MQTT 5 says so in the PUBACK (not authorized, topic name invalid, payload format invalid, packet too large), or gave
   its maximum packet size when we connected. "Quota exceeded" and the like are tried again later instead.
2. The broker drops the connection on receiving a poison message, as MQTT 3.1.1 brokers do; see below.
3. MQTT 3.1.1 cannot report a denied topic, and mosquitto acknowledges and drops what exceeds its
   `message_size_limit`: that loss cannot be seen from here. Use protocol 5.

A lost connection counts against a message only if all of this holds, so that no outage can bury a good one:

* The connection was proven: the broker had acknowledged our opening.
* The message was the only one in flight.
* It was the broker who closed, or it acknowledged nothing for `STALLED_S` (but our keepalive had not run out).
* The very next attempt to connect succeeded, and was proven too.

After a loss with several in flight they are sent one by one. Three losses that count, kept in the journal, and the
message is buried.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Final, Protocol

from edge.errors import BrokerError, StateError
from edge.journal import Message, Outbox, Outgoing
from edge.mqtt.backoff import Backoff
from edge.mqtt.connection import KEEPALIVE_S, NO_QOS_1, Accepted, Acknowledged, Closed, Connection, Event, Received, Subscribed
from edge.mqtt.threads import Connectivity, ThreadSignals
from edge.wire.channel import Publication

log = logging.getLogger(__name__)

STALLED_S: Final = 90.0
"""A broker that took a message whole and acknowledges nothing for so long is connected to anew."""
WINDOW: Final = 20
"""Most messages on the way without acknowledgement."""
LOST_BEFORE_BURIAL: Final = 3
"""So many connections must be lost with a message before it is buried."""
MOST_ANSWERS: Final = 100
"""What is heard is dropped while more answers than this wait to be sent."""

_REFUSED_FOR_GOOD: Final = frozenset({0x87, 0x90, 0x95, 0x99})
"""PUBACK reasons (MQTT 5.0, 3.4.2.1) that another try cannot change."""


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
    live_only: what the broker keeps is of no use to this listener.
    """

    channel: str
    live_only: bool

    def connecting(self) -> Publication | None:
        """Begin a new connection. What the broker is to publish when it dies, None for nothing."""
        ...

    def subscriptions(self) -> Sequence[str]:
        """The topics to listen to."""
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


@dataclass(slots=True)
class Memory:
    """What outlives a connection. It belongs to the publisher's thread.

    backoff: between connections.
    unrecorded: ids of rows that need not be sent again, which the journal does not know yet: acknowledged, written out
        with QoS 0, or without a picture for good. They are kept here so that no later connection sends them.
    keepalive_s: what we offer at the next connect.
    one_by_one_to: up to this id rows are sent singly, because some of them were in flight when a connection was lost.
    possible_poison: the row that was alone in flight when the last connection was lost, and why it was lost. The next
        connection confirms or clears it.
    """

    backoff: Backoff
    unrecorded: list[int] = field(default_factory=list)
    keepalive_s: int = KEEPALIVE_S
    one_by_one_to: int = 0
    possible_poison: tuple[Outgoing, str] | None = None


class Session:
    """One connection's worth of publishing. It belongs to the thread that made it, with all it holds."""

    def __init__(
        self,
        connection: Connection,
        content: Content,
        outbox: Outbox,
        memory: Memory,
        *,
        signals: ThreadSignals,
        connectivity: Connectivity,
        possible_poison: tuple[Outgoing, str] | None = None,
    ) -> None:
        """Prepare; nothing is done before `run`.

        possible_poison: what `memory` held of it before this connection was tried.
        """
        self._connection, self._content, self._outbox, self._memory = connection, content, outbox, memory
        self._signals, self._connectivity = signals, connectivity
        self._possible_poison = possible_poison
        self._limits: Accepted | None = None
        self._proven = False  # the broker answered to what we said first: it works
        self._proof_asked = False  # something that proves it is on its way
        self._row_is_due = False  # what was sent last was no row
        self._first_topic = ""
        self._rows: deque[Outgoing] = deque()
        self._look = True  # the outbox may hold rows that we have not seen
        self._sent: dict[int, Outgoing | Transient] = {}  # by mid, in the order they were sent
        self._transients: deque[Transient] = deque()
        self._pause_until = 0.0  # the broker wants no more for now
        self._record_at = 0.0  # when the journal may be written to again
        self._quota = Backoff(1.0, 30.0)
        self._progress_at = time.monotonic()
        self._closed: Closed | None = None

    def run(self) -> None:
        """Serve until the connection ends (BrokerError) or the publisher is stopped."""
        try:
            while not self._signals.stopping.is_set():
                self._step(1.0)
                if self._connection.busy:
                    self._progress_at = time.monotonic()
                elif self._sent and time.monotonic() > self._progress_at + STALLED_S:
                    self._closed = Closed(f"the broker acknowledged nothing for {STALLED_S:.0f} s", by_peer=True)
                if self._closed is not None:
                    raise BrokerError(self._closed.why + self._hint(self._closed))
            self._say_goodbye()
        finally:
            self._leave()

    def _hint(self, closed: Closed) -> str:
        if self._proven or not self._first_topic or not closed.by_peer:
            return ""
        return f" on our first message: may we publish to {self._first_topic}?"

    def _step(self, patience_s: float) -> None:
        """One round: send what may be sent, wait, act upon what happened."""
        if self._limits is not None:
            self._fill()
        events = self._connection.pump(self._signals.receiver, patience_s)
        if self._signals.take_wake() or not events:
            self._look = True
        for event in events:
            self._act(event)
        self._record()

    # Sending

    def _fill(self) -> None:
        """Send while the window and the network take more. One message at a time is written, so memory stays small."""
        self._queue_transients()
        while not self._connection.busy and len(self._sent) < self._window() and self._closed is None:
            yields = not self._transients or (self._row_is_due and self._transients[0].yields)
            row = self._next_row() if self._proven and yields else None
            self._row_is_due = row is None
            if row is not None:
                self._send_row(row)
            elif self._transients:
                self._send_transient(self._transients.popleft())
            elif not self._proof_asked:
                self._proof_asked = True
                self._mark_sent(self._connection.check(), Transient("check", Publication("", b""), proves=True))
            else:
                return

    def _window(self) -> int:
        assert self._limits is not None
        return 1 if self._memory.one_by_one_to else min(WINDOW, self._limits.receive_maximum)

    def _queue_transients(self) -> None:
        self._transients.extend(self._content.changes())
        if not self._proven or self._memory.one_by_one_to:
            return  # nothing else may be in flight beside a row that may be a poison message
        if self._look:
            waiting = (*self._sent.values(), *self._transients)
            self._transients.extend(item for item in self._content.latest() if item not in waiting)
        if not self._connection.busy:
            for message in self._content.periodic():
                self._connection.publish(self._content.on_send(message))

    def _send_transient(self, item: Transient) -> None:
        message = self._last_look(item.message)
        if message is None:
            self._refused(item, "it is larger than the broker takes")
            return
        self._first_topic = self._first_topic or message.topic
        mid = self._connection.publish(message, correlation=item.correlation)
        if message.qos:
            self._mark_sent(mid, item)

    def _next_row(self) -> Outgoing | None:
        """The next row to send, None when there is none or it is not time."""
        if time.monotonic() < max(self._pause_until, self._record_at):
            return None
        if not self._rows and self._look:
            taken = {item.id for item in self._sent.values() if isinstance(item, Outgoing)} | {*self._memory.unrecorded}
            found = self._outbox.unsent(limit=WINDOW + len(taken), channel=self._content.channel)
            self._rows.extend(row for row in found if row.id not in taken)
            self._look = len(found) == WINDOW + len(taken)
            if not found:
                self._memory.one_by_one_to = 0
        return None if not self._rows or self._content.waits() else self._rows.popleft()

    def _send_row(self, row: Outgoing) -> None:
        payload = self._content.payload(row)
        if payload is Absent.SO_FAR:
            return  # the outbox is looked at again when it is there
        if payload is Absent.FOR_GOOD:
            self._memory.unrecorded.append(row.id)
            return
        message = self._last_look(Publication(self._content.topic(row), payload, retain=row.retain))
        if message is None:
            self._bury(row, f"{len(payload)} bytes are more than the broker takes")
            return
        try:
            mid = self._connection.publish(message)
        except ValueError as error:
            self._bury(row, f"MQTT has no such message: {error}")
        else:
            self._mark_sent(mid, row)  # with QoS 0 too: `Acknowledged` comes when it is written

    def _last_look(self, message: Publication) -> Publication | None:
        """`message` as it is sent; None when the broker does not take it, which `on_send` need not count then."""
        if self._too_large(message):
            return None
        message = self._content.on_send(message)
        return None if self._too_large(message) else message

    def _too_large(self, message: Publication) -> bool:
        assert self._limits is not None
        # Fixed header 5, topic 2 + n, packet id 2, properties 1 (MQTT 5.0, 3.3); responses have a few bytes more.
        return len(message.payload) + len(message.topic.encode()) + 10 > self._limits.largest_packet

    def _mark_sent(self, mid: int, item: Outgoing | Transient) -> None:
        if not self._sent:
            self._progress_at = time.monotonic()
        self._sent[mid] = item

    # Acting upon what happened

    def _act(self, event: Event) -> None:
        match event:
            case Accepted(qos_maximum=0):
                self._closed = Closed(NO_QOS_1, by_peer=False)
            case Accepted(keepalive_s=int(wanted)) if 0 < wanted < self._memory.keepalive_s:
                self._memory.keepalive_s = wanted  # MQTT 5.0, 3.2.2.3.14; paho can set it only before it connects
                self._closed = Closed(f"the broker wants to hear from us every {wanted} s: connecting anew", by_peer=False)
            case Accepted():
                self._accepted(event)
            case Acknowledged():
                self._acknowledged(event)
            case Subscribed(topics, refused) if refused:
                self._connectivity.report(error=f"the broker refuses our subscription to {topics} ({refused})")
            case Received():
                self._received(event)
            case Closed():
                self._closed = self._closed or event

    def _accepted(self, limits: Accepted) -> None:
        self._limits = limits
        self._connectivity.report(connected=True)
        for topics in self._content.subscriptions():
            self._connection.subscribe(topics, live_only=self._content.live_only)
        opening = self._content.opening()
        self._proof_asked = any(item.proves for item in opening)
        self._transients.extend(opening)

    def _acknowledged(self, puback: Acknowledged) -> None:
        item = self._sent.pop(puback.mid, None)
        self._progress_at = time.monotonic()
        if isinstance(item, Transient):
            if item.proves:
                self._prove()
            if puback.reason >= 0x80:
                self._refused(item, puback.text)
            else:
                self._content.acknowledged(item)
        elif item is not None:
            self._row_acknowledged(item, puback)

    def _row_acknowledged(self, row: Outgoing, puback: Acknowledged) -> None:
        if puback.reason < 0x80:
            self._memory.unrecorded.append(row.id)
            if time.monotonic() >= self._pause_until:
                self._quota.reset()
        elif puback.reason in _REFUSED_FOR_GOOD:
            self._bury(row, f"the broker refused it: {puback.text}")
        else:
            wait_s = self._quota.next_s()
            self._connectivity.report(error=f"the broker puts off {row.topic} ({puback.text}); next try in {wait_s:.0f} s")
            self._pause_until = time.monotonic() + wait_s
            self._start_over()
        if row.id >= self._memory.one_by_one_to:
            self._memory.one_by_one_to = 0

    def _prove(self) -> None:
        """The broker acknowledges: only now is it sure that the last connection was not lost in an outage."""
        if self._proven:
            return
        self._proven = True
        self._memory.backoff.reset()
        if self._possible_poison is not None:
            row, why = self._possible_poison
            if self._outbox.count_lost_connection(row.id) >= LOST_BEFORE_BURIAL:
                self._bury(row, f"{LOST_BEFORE_BURIAL} connections died of it; the last time {why}")

    def _refused(self, item: Transient, why: str) -> None:
        self._connectivity.report(error=f"the broker refuses our {item.what}: {why}")
        self._content.refused(item)

    def _bury(self, row: Outgoing, reason: str) -> None:
        """Make a dead letter of a row; what takes its place may be refused too."""
        self._outbox.bury(row.id, reason, self._content.bury(row, reason))
        # After it is one: what shows the error counts the dead letters, in another thread perhaps.
        self._connectivity.report(error=f"seq {row.seq} ({row.topic}, {row.verdict_id}) is a dead letter: {reason}")
        self._start_over()

    def _start_over(self) -> None:
        """Look at the outbox from its beginning; rows in flight are passed over."""
        self._rows.clear()
        self._look = True

    def _record(self) -> None:
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

    def _received(self, received: Received) -> None:
        if len(self._transients) > MOST_ANSWERS:
            log.warning("a message on %s is dropped: more than %d answers are waiting", received.topic, MOST_ANSWERS)
            return
        self._transients.extend(self._content.on_message(received))
        self._look = True  # a replay, for one, puts rows back, and a channel may wait no longer

    # Leaving

    def _say_goodbye(self) -> None:
        """Let what is in flight be acknowledged, then say the last words and disconnect, all before `give_up_at`."""
        give_up_at = self._signals.give_up_at
        waits_until = (time.monotonic() + give_up_at) / 2
        while self._sent and self._closed is None and time.monotonic() < waits_until:
            self._listen()
        if self._closed is None and self._limits is not None:
            last = {self._connection.publish(item.message): item for item in self._content.closing()}
            self._sent.update((mid, item) for mid, item in last.items() if item.message.qos)
            while last.keys() & self._sent.keys() and self._closed is None and time.monotonic() < give_up_at:
                self._listen()
            self._connection.disconnect()
        while self._closed is None and self._connection.busy and time.monotonic() < give_up_at:
            self._listen()

    def _listen(self) -> None:
        for event in self._connection.pump(self._signals.receiver, 0.05):
            self._act(event)
        self._signals.take_wake()
        self._record()

    def _leave(self) -> None:
        """Remember what the next connection must know."""
        self._connectivity.report(connected=False, error=self._connectivity.last_error)
        rows = [item for item in self._sent.values() if isinstance(item, Outgoing)]
        if not self._proven or not rows:
            return
        self._memory.one_by_one_to = max(self._memory.one_by_one_to, *(row.id for row in rows))
        if len(self._sent) == 1 and self._closed is not None and self._closed.by_peer:
            self._memory.possible_poison = rows[0], self._closed.why
