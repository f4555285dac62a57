"""One connection, what is to be said on it and the outbox in; rows that the broker has acknowledged, or buried ones, out.

A row leaves the outbox when the broker's PUBACK has come. After a lost connection all others are sent again, in order.
A row that its channel sends with QoS 0 gets no PUBACK. Behind it the broker is asked something that it must answer, and it
takes what comes on one connection in turn: with that answer the row leaves. After a lost connection it is sent again.

What a broker refuses for good becomes a dead letter, in one of three ways:

1. MQTT 5 says so in the PUBACK (topic name invalid, payload format invalid, packet too large), or gave its maximum packet
   size when we connected. "Quota exceeded" and the like are tried again later instead.
2. The broker drops the connection on receiving a poison message, as MQTT 3.1.1 brokers do; see below.
3. MQTT 3.1.1 cannot report a denied topic, and mosquitto acknowledges and drops what exceeds its
   `message_size_limit`: that loss cannot be seen from here. Use protocol 5.

What it denies (not authorized) is no fault of the message, and may be allowed tomorrow: its kind waits, see
`edge.mqtt.holding`. Brokers that drop the connection for it are found out by the second loss, where the kind was never taken.

A lost connection counts against a message only if all of this holds, so that no outage can bury a good one:

* The connection was proven: the broker had acknowledged our opening.
* The message was the only one in flight.
* It was the broker who closed, or it acknowledged nothing for `STALLED_S` (but our keepalive had not run out).
* The very next attempt to connect succeeded, and was proven too.
* No other client seems to use our id.

After a loss with several in flight they are sent one by one. Three losses that count, kept in the journal, and the
message is buried.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from typing import Final

from edge.errors import BrokerError
from edge.journal import Outbox, Outgoing
from edge.mqtt.connection import NO_QOS_1, Accepted, Acknowledged, Closed, Connection, Event, Received, Subscribed
from edge.mqtt.content import Absent, Content, Transient
from edge.mqtt.fates import DENIED, STALLED, Fates, denied
from edge.mqtt.holding import kind_of
from edge.mqtt.memory import MOST_ANSWERS, Memory
from edge.mqtt.recall import Recall
from edge.mqtt.rows import WINDOW, Rows
from edge.mqtt.threads import Connectivity, ThreadSignals
from edge.mqtt.unanswered import Unanswered
from edge.wire.channel import Publication
from edge.wire.labels import label_bytes

log = logging.getLogger(__name__)

__all__ = ["STALLED_S", "Absent", "Content", "Memory", "Session", "Transient"]

STALLED_S: Final = 90.0
"""A broker that took a message whole and acknowledges nothing for so long is connected to anew."""


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
        self._connection, self._content, self._memory = connection, content, memory
        self._signals, self._connectivity = signals, connectivity
        self._possible_poison = possible_poison
        self._limits: Accepted | None = None
        self._proven = False  # the broker answered to what we said first: it works
        self._proof_asked = False  # something that proves it is on its way
        self._row_is_due = False  # what was sent last was no row
        self._first_topic = ""
        self._recall: Recall | None = None  # what the broker keeps is being asked for; until then nothing is said
        self._rows = Rows(outbox, content.channel, memory.holding)
        self._fates = Fates(content, outbox, memory, self._rows, connectivity)
        self._look = True  # what is said beside rows may have changed
        self._sent: dict[int, Outgoing | Transient] = {}  # by mid, in the order they were sent
        self._unanswered = Unanswered(connection)
        self._transients: deque[Transient] = deque()
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
                    self._closed = Closed(f"{STALLED} {STALLED_S:.0f} s", by_peer=True)
                if self._closed is not None:
                    raise BrokerError(self._closed.why + ("" if self._proven else _hint(self._closed, self._first_topic)))
            self._say_goodbye()
        finally:
            self._leave()

    def _step(self, patience_s: float) -> None:
        """One round: send what may be sent, wait, act upon what happened."""
        if self._limits is not None and self._recalled():
            self._fill()
        events = self._connection.pump(self._signals.receiver, patience_s if self._recall is None else 0.05)
        if self._signals.take_wake() or not events:
            self._look_again()
        for event in events:
            self._act(event)
        self._unanswered.ask()
        self._fates.record()
        self._memory.rivals.stands()
        self._memory.tell_all()

    def _look_again(self) -> None:
        self._look = True
        self._rows.look()

    def _recalled(self) -> bool:
        """Whether all is known that must be known before anything is said."""
        if self._recall is None:
            return True
        if not self._recall.over():
            return False
        recall, self._recall = self._recall, None
        for topic, why in recall.refused.items():
            log.warning("the broker does not let us read %s (%s): whether this state is an old copy is not seen", topic, why)
        if (why_anew := self._content.recalled(recall.found)) is not None:
            self._closed = Closed(why_anew, by_peer=False)
            return False
        self._open()
        return True

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
            self._look = False
            shut, waiting = self._memory.holding.shut(), (*self._sent.values(), *self._transients)
            latest = (item for item in self._content.latest() if item.what not in shut)
            self._transients.extend(item for item in latest if item not in waiting)
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
        if self._fates.paused or self._content.waits():
            return None
        sent = [item for item in self._sent.values() if isinstance(item, Outgoing)]
        row = self._rows.next({*(row.id for row in sent), *self._memory.unrecorded}, {kind_of(row) for row in sent})
        if self._rows.ended:
            self._memory.one_by_one_to = 0
        return row

    def _send_row(self, row: Outgoing) -> None:
        payload = self._content.payload(row)
        if payload is Absent.SO_FAR:
            self._rows.pass_over(row)  # the outbox is looked at again when it is there
            return
        if payload is Absent.FOR_GOOD:
            self._memory.unrecorded.append(row.id)
            return
        message = self._last_look(Publication(self._content.topic(row), payload, retain=row.retain))
        if message is None:
            self._fates.bury(row, f"{len(payload)} bytes are more than the broker takes")
            return
        try:
            mid = self._connection.publish(message)
        except ValueError as error:
            self._fates.bury(row, f"MQTT has no such message: {error}")
        else:
            self._mark_sent(mid, row)
            if not message.qos:
                self._unanswered.sent(mid)

    def _last_look(self, message: Publication) -> Publication | None:
        """`message` as it is sent; None when the broker does not take it, which `on_send` need not count then."""
        assert self._limits is not None
        if _too_large(message, self._limits):
            return None
        message = self._content.on_send(message)
        return None if _too_large(message, self._limits) else message

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
            case Subscribed() if self._recall is not None and self._recall.answered(event):
                pass
            case Subscribed(topics, refused) if refused:
                self._connectivity.report(error=f"the broker refuses our subscription to {topics} ({refused})")
            case Received() if self._recall is not None and self._recall.takes(event):
                pass
            case Received():
                self._received(event)
            case Closed():
                self._closed = self._closed or event

    def _accepted(self, limits: Accepted) -> None:
        self._limits = limits
        for topics in self._content.subscriptions():
            self._connection.subscribe(topics, live_only=self._content.live_only(topics))
        self._memory.rivals.accepted()
        kept = self._content.kept()
        if kept:
            self._recall = Recall(self._connection, kept)
        else:
            self._open()

    def _open(self) -> None:
        self._connectivity.report(connected=True)
        opening = self._content.opening()
        self._proof_asked = any(item.proves for item in opening)
        self._transients.extend(opening)

    def _acknowledged(self, puback: Acknowledged) -> None:
        self._progress_at = time.monotonic()
        for mid in self._unanswered.settled_by(puback.mid):
            self._answered(mid, puback)

    def _answered(self, mid: int, puback: Acknowledged) -> None:
        item = self._sent.pop(mid, None)
        if isinstance(item, Transient):
            if item.proves:
                self._prove()
            if puback.reason in DENIED and not item.yields and not item.proves:
                self._memory.holding.refused(item.what, denied(item.message.topic, puback.text))
            elif puback.reason >= 0x80:
                self._refused(item, puback.text)
            else:
                self._memory.holding.taken(item.what)
                self._content.acknowledged(item)
        elif item is not None:
            self._fates.acknowledged(item, puback)

    def _prove(self) -> None:
        """The broker acknowledges: only now is it sure that the last connection was not lost in an outage."""
        if self._proven:
            return
        self._proven = True
        if self._memory.rivals.suspected:
            return  # neither come back at once, nor blame what was in flight
        self._memory.backoff.reset()
        if self._possible_poison is not None:
            self._fates.judge(*self._possible_poison)

    def _refused(self, item: Transient, why: str) -> None:
        self._connectivity.report(error=f"the broker refuses our {item.what}: {why}")
        self._content.refused(item)

    def _received(self, received: Received) -> None:
        if len(self._transients) > MOST_ANSWERS:
            if self._memory.flooded_at is None:  # one line for a flood
                log.warning("a message on %s is dropped: more than %d answers are waiting", received.topic, MOST_ANSWERS)
            self._memory.flooded_at = time.monotonic()
            return
        self._transients.extend(self._content.on_message(received))
        if self._closed is None and (why := self._content.leaves()) is not None:
            last = [item.message for item in self._content.closing()]  # what is in flight is sent again
            self._connection.say_and_leave(last, self._signals.receiver, with_will=self._content.keeps_will)
            self._closed = Closed(why, by_peer=False)
        self._look_again()  # a replay, for one, puts rows back, and a channel may wait no longer

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
            self._connection.disconnect(with_will=self._content.keeps_will)
        while self._closed is None and self._connection.busy and time.monotonic() < give_up_at:
            self._listen()

    def _listen(self) -> None:
        for event in self._connection.pump(self._signals.receiver, 0.05):
            self._act(event)
        self._unanswered.ask()
        self._signals.take_wake()
        self._fates.record()

    def _leave(self) -> None:
        """Remember what the next connection must know."""
        self._connectivity.report(connected=False, error=self._connectivity.last_error)
        rows = [item for item in self._sent.values() if isinstance(item, Outgoing)]
        closed, alone = self._closed, bool(rows) and len(self._sent) == 1
        taken_over, by_peer = closed is not None and closed.taken_over, closed is not None and closed.by_peer
        answered = self._proven or not self._first_topic  # else it may not take our first message
        by_broker = answered and by_peer and not alone
        self._memory.rivals.ended(taken_over=taken_over, closed_by_broker=by_broker)
        self._memory.tell_all()
        if self._proven and rows and not taken_over:
            self._memory.lost(rows, why=closed.why if closed is not None and alone and by_peer else None)


def _hint(closed: Closed, first_topic: str) -> str:
    return f" on our first message: may we publish to {first_topic}?" if first_topic and closed.by_peer else ""


def _too_large(message: Publication, limits: Accepted) -> bool:
    # Fixed header 5, topic 2 + n, packet id 2, properties (MQTT 5.0, 3.3); responses have a few bytes more.
    return len(message.payload) + len(message.topic.encode()) + 9 + label_bytes(message) > limits.largest_packet
