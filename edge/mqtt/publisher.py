"""The journal's outbox in, acknowledged MQTT messages out, over one connection that one thread owns.

The only file that knows paho. What it relies on and works around:

* paho is driven by its external loop (`loop_read`, `loop_write`, `loop_misc`), so that every callback runs in our
  thread. Callbacks only note down what happened; it is acted upon after paho has returned.
* Every connection gets a new client object: a reused one keeps its old last will and its own queue of unsent messages,
  which would be sent beside ours, twice.
* A row leaves the outbox when the broker's PUBACK has come. After a lost connection all others are sent again, in order.

What a broker refuses for good becomes a dead letter, in one of three ways:

1. MQTT 5 says so in the PUBACK (not authorized, topic name invalid, payload format invalid, packet too large), or gave
   its maximum packet size when we connected. "Quota exceeded" and the like are tried again later instead.
2. The broker drops the connection on receiving the message, as MQTT 3.1.1 brokers do. Such a death counts against a
   message only if all of this holds, so that no outage can bury a good one: the broker had acknowledged our status on
   that connection; the message was the only one in flight; it was the broker who closed, or it acknowledged nothing for
   `STALLED_S` (but our keepalive had not run out); and the very next attempt to connect succeeded up to an
   acknowledged status. After a death with several in flight they are sent one by one. Three such deaths, counted
   in the journal, and the message is buried.
3. MQTT 3.1.1 cannot report a denied topic, and mosquitto acknowledges and drops what exceeds its
   `message_size_limit`: that loss cannot be seen from here. Use protocol 5.
"""

from __future__ import annotations

import logging
import random
import selectors
import socket
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, Final, Literal

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from edge.config import DeviceSettings, MqttSettings
from edge.errors import BrokerError, ConfigError, EdgeError, StateError
from edge.journal import Journal, Message, Outgoing
from edge.wire.command import decode_command, encode_response
from edge.wire.failure import encode_tombstone, is_tombstone
from edge.wire.status import encode_status

log = logging.getLogger(__name__)

KEEPALIVE_S: Final = 60
"""A broker gives up after one and a half of it without a whole packet: so long may the largest picture take to send."""
LOST_S: Final = 20
"""What the other side's network does not confirm for so long ends the connection (where the kernel can do that)."""
CONNECT_S: Final = 3.0
"""Longest wait for the network connection, and again for the TLS handshake."""
ANSWER_S: Final = 10.0
"""Longest wait for the broker's answer to CONNECT."""
STALLED_S: Final = 90.0
"""A broker that took a message whole and acknowledges nothing for so long is connected to anew."""
HEALTH_S: Final = 10.0
WINDOW: Final = 20
"""Most messages on the way without acknowledgement."""
DEATHS: Final = 3
"""So many connections must die of a message before it is buried."""
LARGEST_PACKET: Final = 268_435_455
"""MQTT 5.0, 1.5.5: the largest remaining length."""
LARGEST_COMMAND: Final = 64 * 1024

_REFUSED_FOR_GOOD: Final = frozenset({0x87, 0x90, 0x95, 0x99})
"""PUBACK reasons (MQTT 5.0, 3.4.2.1) that another try cannot change."""
_KEEPALIVE_TIMEOUT: Final = 0x8D

_NO_QOS_1: Final = "the broker offers QoS 0 only, which may lose verdicts: use another"
_NO_ANSWER: Final = "the broker accepted the connection but does not answer: is it MQTT, and mqtt.tls right?"


@dataclass(frozen=True, slots=True)
class StatusText:
    """What the daemon knows of its own state; the connection adds the rest of an `edge.status/1`."""

    state: Literal["online", "degraded"]
    reasons: tuple[str, ...] = ()
    last_seq: int = 0
    dead_letters: int = 0


class Backoff:
    """How long to wait before the next try: doubling from `shortest_s` to `longest_s`, the upper half of it by chance.

    Chance keeps a hundred microscopes from coming back to a restarted broker at the same moment.
    """

    def __init__(self, shortest_s: float, longest_s: float, chance: Callable[[], float] = random.random) -> None:
        self._shortest_s, self._longest_s, self._chance = shortest_s, longest_s, chance
        self._tries = 0

    def next_s(self) -> float:
        """Seconds to wait now; rises with every call."""
        ceiling = min(self._longest_s, self._shortest_s * 2.0 ** min(self._tries, 30))
        self._tries += 1
        return ceiling * (0.5 + 0.5 * self._chance())

    def reset(self) -> None:
        """It worked: start from the shortest wait again."""
        self._tries = 0


# ---------------------------------------------------------------------------------------------- what a connection tells


@dataclass(frozen=True, slots=True)
class _Accepted:
    """The broker took us in; its limits are those of MQTT 5's CONNACK."""

    receive_maximum: int
    largest_packet: int
    qos_maximum: int
    keepalive_s: int | None


@dataclass(frozen=True, slots=True)
class _Acknowledged:
    """A PUBACK. reason: MQTT 5's code, 0 under 3.1.1."""

    mid: int
    reason: int
    text: str


@dataclass(frozen=True, slots=True)
class _Subscribed:
    refused: str | None


@dataclass(frozen=True, slots=True)
class _Asked:
    """A message on one of the command topics."""

    topic: str
    payload: bytes
    retained: bool
    response_topic: str | None
    correlation: bytes | None


@dataclass(frozen=True, slots=True)
class _Closed:
    """The connection ended. by_peer: the other side closed it, as far as can be told from here."""

    why: str
    by_peer: bool


_Event = _Accepted | _Acknowledged | _Subscribed | _Asked | _Closed


class _PromptHandshake(ssl.SSLSocket):
    """A TLS socket that gives up on a silent peer after CONNECT_S; paho would wait as long as the keepalive."""

    def do_handshake(self, block: bool = False) -> None:
        self.settimeout(CONNECT_S)
        try:
            super().do_handshake(block)
        except OSError:
            self.close()  # paho forgets it
            raise


class _Connection:
    """One MQTT connection from CONNECT to its end: a paho client that is never used twice."""

    def __init__(self, settings: MqttSettings, client_id: str, will: tuple[str, bytes] | None, keepalive_s: int) -> None:
        """Connect, send CONNECT. Raises BrokerError saying what failed and which settings to look at."""
        self._events: list[_Event] = []
        self._v5 = settings.protocol == 5
        where = f"{settings.host}:{settings.port}"
        client = mqtt.Client(
            CallbackAPIVersion.VERSION2,
            client_id,
            clean_session=None if self._v5 else True,
            protocol=MQTTProtocolVersion.MQTTv5 if self._v5 else MQTTProtocolVersion.MQTTv311,
            reconnect_on_failure=False,
        )
        self._client = client
        client.suppress_exceptions = False
        client.connect_timeout = CONNECT_S
        client.max_inflight_messages_set(65_535)  # we keep the window; paho's own would hold messages back unseen
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_publish = self._on_publish
        client.on_message = self._on_message
        client.on_subscribe = self._on_subscribe
        if will is not None:
            client.will_set(*will, qos=1, retain=True)
        properties = None
        if self._v5:
            properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
            properties.MaximumPacketSize = LARGEST_COMMAND
        try:
            if settings.username:
                client.username_pw_set(settings.username, settings.password())
            if settings.tls:
                client.tls_set_context(_tls(settings))
            client.connect(
                settings.host,
                settings.port,
                keepalive_s,
                clean_start=True if self._v5 else mqtt.MQTT_CLEAN_START_FIRST_ONLY,
                properties=properties,
            )
        except ConfigError as error:
            raise BrokerError(str(error)) from error
        except ssl.SSLCertVerificationError as error:
            why = f"the certificate of {where} is not trusted ({error.verify_message}): see mqtt.ca_file and mqtt.host"
            raise BrokerError(why) from error
        except ssl.SSLError as error:
            raise BrokerError(f"no TLS with {where} ({error}): see mqtt.tls, mqtt.port and mqtt.cert_file") from error
        except (OSError, UnicodeError) as error:  # UnicodeError: a host name that no DNS label can hold
            why = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise BrokerError(f"cannot reach {where}: {why}") from error
        self._selector = selectors.DefaultSelector()
        peer = client.socket()
        if isinstance(peer, socket.socket):
            peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if hasattr(socket, "TCP_USER_TIMEOUT"):
                peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, LOST_S * 1000)

    def pump(self, wake: socket.socket, timeout_s: float) -> list[_Event]:
        """Wait for the network, `wake` or the timeout; do what is to be done; tell what happened."""
        peer = self._client.socket()
        if peer is not None and not self._events:
            wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if self._client.want_write() else 0)
            pending = isinstance(peer, ssl.SSLSocket) and peer.pending() > 0
            self._watch(peer, wanted)
            self._watch(wake, selectors.EVENT_READ)
            ready = {key.fileobj: what for key, what in self._selector.select(0 if pending else timeout_s)}
            if pending or ready.get(peer, 0) & selectors.EVENT_READ:
                self._read()
            if ready.get(peer, 0) & selectors.EVENT_WRITE:
                self._client.loop_write()
            self._client.loop_misc()
        elif not self._events:
            self._events.append(_Closed("the connection was lost", by_peer=True))
        events, self._events = self._events, []
        return events

    def publish(
        self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False, correlation: bytes | None = None
    ) -> int:
        """Hand a message to the network; the id that its `_Acknowledged` will bear. `busy` until it is all written."""
        properties = None
        if correlation is not None:
            properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
            properties.CorrelationData = correlation
        return self._client.publish(topic, payload, qos, retain, properties).mid

    def subscribe(self, topics: str) -> None:
        """Ask for messages; answered by `_Subscribed`."""
        self._client.subscribe(topics, 1)

    @property
    def busy(self) -> bool:
        """Whether something handed over has not been written to the network yet."""
        return self._client.want_write()

    def disconnect(self) -> None:
        """Say goodbye: the broker forgets the last will. The connection ends with `_Closed`."""
        self._client.disconnect()

    def close(self) -> None:
        """Drop the connection if it still stands."""
        self._selector.close()
        peer = self._client.socket()
        if peer is not None:
            peer.close()

    def _read(self) -> None:
        try:
            self._client.loop_read()
        except Exception as error:
            # paho raises on what it cannot parse. mosquitto 2.0 answers a message beyond its message_size_limit with a
            # PUBACK "packet too large", which is no reason that MQTT 5.0, 3.4.2.1 lists, so paho has no name for it.
            log.warning("the broker's answer cannot be read", exc_info=error)
            self._events.append(_Closed(f"the broker gave an answer that cannot be read ({error})", by_peer=True))

    def _watch(self, what: Any, wanted: int) -> None:
        known = self._selector.get_map().get(what)
        if known is None:
            self._selector.register(what, wanted)
        elif known.events != wanted:
            self._selector.modify(what, wanted)

    def _on_connect(self, _client: Any, _data: Any, _flags: Any, reason: ReasonCode, properties: Properties | None) -> None:
        if reason.is_failure:
            hint = ": see mqtt.username and mqtt.password_file" if reason.value in (0x86, 0x87, 0x8C) else ""
            hint = ": see mqtt.protocol" if reason.value in (0x01, 0x84) else hint
            self._events.append(_Closed(f"the broker refused the connection ({reason}){hint}", by_peer=True))
            return
        self._events.append(
            _Accepted(
                getattr(properties, "ReceiveMaximum", 65_535),
                getattr(properties, "MaximumPacketSize", LARGEST_PACKET),
                getattr(properties, "MaximumQoS", 2),
                getattr(properties, "ServerKeepAlive", None),
            )
        )

    def _on_disconnect(self, _client: Any, _data: Any, flags: Any, reason: ReasonCode, _properties: Any) -> None:
        if flags.is_disconnect_packet_from_server:
            said = f" ({reason})" if reason.is_failure else ""
            self._events.append(_Closed(f"the broker closed the connection{said}", by_peer=True))
        elif reason.value == _KEEPALIVE_TIMEOUT:
            self._events.append(_Closed("the broker does not answer any more", by_peer=False))
        elif reason.is_failure:
            self._events.append(_Closed("the connection was lost", by_peer=True))
        else:
            self._events.append(_Closed("disconnected", by_peer=False))

    def _on_publish(self, _client: Any, _data: Any, mid: int, reason: ReasonCode, _properties: Any) -> None:
        self._events.append(_Acknowledged(mid, reason.value, str(reason)))

    def _on_subscribe(self, _client: Any, _data: Any, _mid: int, reasons: list[ReasonCode], _properties: Any) -> None:
        refused = [str(reason) for reason in reasons if reason.is_failure]
        self._events.append(_Subscribed(refused[0] if refused else None))

    def _on_message(self, _client: Any, _data: Any, message: mqtt.MQTTMessage) -> None:
        properties = message.properties
        self._events.append(
            _Asked(
                message.topic,
                bytes(message.payload),
                message.retain,
                getattr(properties, "ResponseTopic", None),
                getattr(properties, "CorrelationData", None),
            )
        )


def _tls(settings: MqttSettings) -> ssl.SSLContext:
    """Read the certificates now, so that renewed ones are taken at the next connect."""
    try:
        context = ssl.create_default_context(cafile=settings.ca_file or None)
        if settings.cert_file:
            context.load_cert_chain(settings.cert_file, settings.key_file)
    except (OSError, ssl.SSLError) as error:
        names = ", ".join(filter(None, (settings.ca_file, settings.cert_file, settings.key_file)))
        raise BrokerError(f"mqtt certificates ({names}) cannot be used: {error}") from error
    context.sslsocket_class = _PromptHandshake
    return context


def probe(settings: MqttSettings, prefix: str) -> None:
    """Connect as the daemon would, see whether commands may be subscribed to, and leave again without a trace.

    Takes at most some seconds. Raises BrokerError with what to look at. Whether the broker lets us publish cannot be
    found out without publishing.
    """
    deadline = time.monotonic() + ANSWER_S
    connection = _Connection(settings, f"edgeprobe{random.getrandbits(56):014x}", None, KEEPALIVE_S)
    never, waker = socket.socketpair()
    try:
        while time.monotonic() < deadline:
            for event in connection.pump(never, 0.2):
                match event:
                    case _Accepted(qos_maximum=0):
                        raise BrokerError(_NO_QOS_1)
                    case _Accepted():
                        connection.subscribe(f"{prefix}/command/+")
                    case _Subscribed(None):
                        connection.disconnect()
                        return
                    case _Subscribed(refused):
                        raise BrokerError(f"the broker refuses our subscription to commands ({refused})")
                    case _Closed(why):
                        raise BrokerError(why)
        raise BrokerError(_NO_ANSWER)
    finally:
        connection.close()
        never.close()
        waker.close()


# ------------------------------------------------------------------------------------------------------- the publisher


@dataclass(frozen=True, slots=True)
class _Control:
    """A message that does not come from the outbox: it overtakes the rows and is not kept for a next connection."""

    what: Literal["status", "summary", "response"]
    topic: str
    payload: bytes
    retain: bool
    correlation: bytes | None = None
    seq: int = 0


@dataclass(slots=True)
class _Memory:
    """What outlives a connection.

    unrecorded: ids that the broker acknowledged and the journal does not know of yet.
    one_by_one_to: up to this id rows are sent singly, because some of them were in flight when a connection died.
    suspect: the row that was alone in flight when the last connection died, and of what, until the next connection
        confirms or clears it.
    """

    unrecorded: list[int]
    keepalive_s: int = KEEPALIVE_S
    one_by_one_to: int = 0
    suspect: tuple[Outgoing, str] | None = None


class Publisher:
    """Keeps one connection to the broker and empties the journal's outbox into it.

    Safe to call from any thread. It never gives up: whatever goes wrong is logged, shown in `last_error`, and
    tried again after 1 to 30 s.
    """

    def __init__(
        self,
        settings: MqttSettings,
        prefix: str,
        journal: Journal,
        *,
        device: DeviceSettings,
        status: Callable[[], StatusText],
        health: Callable[[], bytes],
        on_command: Callable[[str, dict[str, Any]], Mapping[str, Any] | None],
        being_drawn: Callable[[str], bool] = lambda _: False,
        shortest_wait_s: float = 1.0,
        longest_wait_s: float = 30.0,
    ) -> None:
        """Prepare; nothing is done before `start`.

        status, health: called in the publisher's thread whenever they are to be sent; they must not block.
        on_command: gets the name and the checked fields of a command, in the publisher's thread, and must not block;
            what it returns is the answer's `result`, an `EdgeError` or ValueError it raises the answer's `error`.
        being_drawn: whether the picture of this name will come, followed by a `wake`; an overlay whose picture is neither
            there nor drawn is not sent.
        """
        self.being_drawn = being_drawn
        self.settings, self.prefix, self.journal, self.device = settings, prefix, journal, device
        self.status, self.health, self.on_command = status, health, on_command
        self.stopping = threading.Event()
        self.give_up_at = 0.0
        self.wake_receiver, self._wake_sender = socket.socketpair()
        self.wake_receiver.setblocking(False)
        self._wake_sender.setblocking(False)
        self.status_stale = threading.Event()
        self.backoff = Backoff(shortest_wait_s, longest_wait_s)
        self.memory = _Memory([])
        self._client_id = _client_id(journal.epoch)
        self._state: tuple[bool, datetime, str | None] = (False, _now(), None)
        self._thread = threading.Thread(target=self._run, name="publisher", daemon=True)

    def start(self) -> None:
        """Begin to connect and publish."""
        self._thread.start()

    def wake(self) -> None:
        """The outbox has something new."""
        with suppress(OSError):  # already awake, or already stopped
            self._wake_sender.send(b"!")

    def refresh_status(self) -> None:
        """What `status` returns has changed."""
        self.status_stale.set()
        self.wake()

    def stop(self, timeout_s: float = 5.0) -> bool:
        """Wait for what is in flight, say offline, disconnect; True when all that was done within the time."""
        self.give_up_at = time.monotonic() + timeout_s
        self.stopping.set()
        self.wake()
        if self._thread.ident is not None:
            self._thread.join(timeout_s)
        if self._thread.is_alive():
            return False
        self.wake_receiver.close()
        self._wake_sender.close()
        return True

    @property
    def alive(self) -> bool:
        """Whether the thread runs; false only before `start`, after `stop`, or through a defect."""
        return self._thread.is_alive()

    @property
    def connected(self) -> bool:
        """Whether the broker has taken us in and the connection stands."""
        return self._state[0]

    @property
    def since(self) -> datetime:
        """When `connected` last changed, in UTC."""
        return self._state[1]

    @property
    def last_error(self) -> str | None:
        """Why there is no connection, or what the broker refused last; None when all is well."""
        return self._state[2]

    def report(self, *, connected: bool | None = None, error: str | None = None) -> None:
        """Set what the properties above tell."""
        was, since, _ = self._state
        now = was if connected is None else connected
        if error is not None and error != self._state[2]:
            log.warning("MQTT: %s", error)
        self._state = (now, since if now == was else _now(), error)

    def topic(self, below: str) -> str:
        """The full name of a topic."""
        return f"{self.prefix}/{below}"

    def status_payload(self, connected_at: datetime, offline: Literal["connection lost", "stopped"] | None = None) -> bytes:
        """An `edge.status/1` of this moment."""
        text = self.status()
        return encode_status(
            state=text.state if offline is None else "offline",
            reasons=text.reasons if offline is None else (offline,),
            connected_at=connected_at,
            epoch=self.journal.epoch,
            last_seq=text.last_seq,
            dead_letters=text.dead_letters,
            device=self.device,
            at=_now(),
        )

    def _run(self) -> None:
        while not self.stopping.is_set():
            try:
                self._connect_and_serve()
            except (BrokerError, StateError) as error:
                self.report(connected=False, error=str(error))
            except Exception as error:  # a defect must neither end the thread nor stay unseen
                log.exception("publishing failed; connecting anew")
                self.report(connected=False, error=f"internal error: {error!r}")
            if not self.stopping.is_set():
                self.stopping.wait(self.backoff.next_s())

    def _connect_and_serve(self) -> None:
        suspect, self.memory.suspect = self.memory.suspect, None
        connecting_at = _now()
        will = (self.topic("status"), self.status_payload(connecting_at, "connection lost"))
        connection = _Connection(self.settings, self._client_id, will, self.memory.keepalive_s)
        try:
            _Session(self, connection, connecting_at, suspect).run()
        finally:
            connection.close()


class _Session:
    """One connection's worth of publishing."""

    def __init__(
        self, publisher: Publisher, connection: _Connection, connected_at: datetime, suspect: tuple[Outgoing, str] | None
    ) -> None:
        self._publisher, self._connection, self._connected_at = publisher, connection, connected_at
        self._journal, self._memory = publisher.journal, publisher.memory
        self._suspect = suspect
        self._limits: _Accepted | None = None
        self._proven = False  # the status of this connection was acknowledged: the broker works
        self._rows: deque[Outgoing] = deque()
        self._look = True  # the outbox may hold rows that we have not seen
        self._sent: dict[int, Outgoing | _Control] = {}  # by mid, in the order they were sent
        self._control: deque[_Control] = deque()
        self._summary_refused = 0
        self._pause_until = 0.0  # the broker wants no more for now
        self._record_at = 0.0  # when the journal may be told again
        self._quota = Backoff(1.0, 30.0)
        self._progress_at = time.monotonic()
        self._health_at = time.monotonic()
        self._closed: _Closed | None = None

    def run(self) -> None:
        """Serve until the connection ends (BrokerError) or the publisher is stopped."""
        answer_by = time.monotonic() + ANSWER_S
        try:
            while not self._publisher.stopping.is_set():
                self._step(1.0)
                if self._limits is None and time.monotonic() > answer_by:
                    raise BrokerError(_NO_ANSWER)
                if self._connection.busy:
                    self._progress_at = time.monotonic()
                elif self._sent and time.monotonic() > self._progress_at + STALLED_S:
                    self._closed = _Closed(f"the broker acknowledged nothing for {STALLED_S:.0f} s", by_peer=True)
                if self._closed is not None:
                    raise BrokerError(self._closed.why + self._hint(self._closed))
            self._say_goodbye()
        finally:
            self._leave()

    def _hint(self, closed: _Closed) -> str:
        if self._proven or self._limits is None or not closed.by_peer:
            return ""
        return f" on our first message: may we publish to {self._publisher.topic('status')}?"

    def _step(self, patience_s: float) -> None:
        """One round: send what may be sent, wait, act upon what happened."""
        if self._limits is not None:
            self._fill()
        events = self._connection.pump(self._publisher.wake_receiver, patience_s)
        if self._woken() or not events:
            self._look = True
        for event in events:
            self._act(event)
        self._record()

    def _woken(self) -> bool:
        try:
            return bool(self._publisher.wake_receiver.recv(4096))
        except BlockingIOError:
            return False

    # -------------------------------------------------------------------------------------------------------- sending

    def _fill(self) -> None:
        """Send while the window and the network take more. One message at a time is written, so memory stays small."""
        self._queue_news()
        while not self._connection.busy and len(self._sent) < self._window() and self._closed is None:
            if self._control:
                self._send_control(self._control.popleft())
            elif self._proven and (row := self._next_row()) is not None:
                self._send_row(row)
            else:
                return

    def _window(self) -> int:
        assert self._limits is not None
        return 1 if self._memory.one_by_one_to else min(WINDOW, self._limits.receive_maximum)

    def _queue_news(self) -> None:
        publisher = self._publisher
        if publisher.status_stale.is_set():
            publisher.status_stale.clear()
            payload = publisher.status_payload(self._connected_at)
            self._control.append(_Control("status", publisher.topic("status"), payload, retain=True))
        if not self._proven or self._memory.one_by_one_to:
            return  # nothing else may be in flight beside a row under suspicion
        if self._look:
            self._queue_summary()
        if time.monotonic() >= self._health_at and not self._connection.busy:
            self._health_at = time.monotonic() + HEALTH_S
            self._send_health()

    def _send_health(self) -> None:
        try:
            payload = self._publisher.health()
        except Exception:  # verdicts must go out, even if nobody knows how the machine does
            log.exception("health is not published")
        else:
            self._connection.publish(self._publisher.topic("health"), payload, qos=0)

    def _queue_summary(self) -> None:
        newest = self._journal.summary()
        if newest is None or newest[2] or newest[0] <= self._summary_refused:
            return
        waiting = [item for item in (*self._sent.values(), *self._control) if isinstance(item, _Control)]
        if all(item.seq != newest[0] for item in waiting):
            topic = self._publisher.topic("summary")
            self._control.append(_Control("summary", topic, newest[1], retain=True, seq=newest[0]))

    def _send_control(self, item: _Control) -> None:
        if self._too_large(item.topic, item.payload):
            self._refused(item, "it is larger than the broker takes")
            return
        mid = self._connection.publish(item.topic, item.payload, retain=item.retain, correlation=item.correlation)
        self._mark_sent(mid, item)

    def _next_row(self) -> Outgoing | None:
        """The next row to send, None when there is none or it is not time."""
        if time.monotonic() < max(self._pause_until, self._record_at):
            return None
        if not self._rows and self._look:
            taken = {item.id for item in self._sent.values() if isinstance(item, Outgoing)} | {*self._memory.unrecorded}
            found = self._journal.unsent(limit=WINDOW + len(taken))
            self._rows.extend(row for row in found if row.id not in taken)
            self._look = len(found) == WINDOW + len(taken)
            if not found:
                self._memory.one_by_one_to = 0
        return self._rows.popleft() if self._rows else None

    def _send_row(self, row: Outgoing) -> None:
        payload = row.payload
        if row.picture is not None:
            comes = self._publisher.being_drawn(row.picture)  # asked before looking, else it could come in between
            try:
                payload = (self._journal.pictures / row.picture).read_bytes()
            except OSError as error:
                if comes:
                    return  # the outbox is looked at again when it is there
                log.warning("picture %s of seq %d is gone (%s): it is not sent", row.picture, row.seq, error.strerror)
                self._memory.unrecorded.append(row.id)
                return
        topic = self._publisher.topic(row.topic)
        if self._too_large(topic, payload or b""):
            self._bury(row, f"{len(payload or b'')} bytes are more than the broker takes")
            return
        self._mark_sent(self._connection.publish(topic, payload or b""), row)

    def _too_large(self, topic: str, payload: bytes) -> bool:
        assert self._limits is not None
        # Fixed header 5, topic 2 + n, packet id 2, properties 1 (MQTT 5.0, 3.3); responses have a few bytes more.
        return len(payload) + len(topic.encode()) + 10 > self._limits.largest_packet

    def _mark_sent(self, mid: int, item: Outgoing | _Control) -> None:
        if not self._sent:
            self._progress_at = time.monotonic()
        self._sent[mid] = item

    # ------------------------------------------------------------------------------------------------------- answering

    def _act(self, event: _Event) -> None:
        match event:
            case _Accepted(qos_maximum=0):
                self._closed = _Closed(_NO_QOS_1, by_peer=False)
            case _Accepted(keepalive_s=int(wanted)) if 0 < wanted < self._memory.keepalive_s:
                self._memory.keepalive_s = wanted  # MQTT 5.0, 3.2.2.3.14; paho can set it only before it connects
                self._closed = _Closed(f"the broker wants to hear from us every {wanted} s: connecting anew", by_peer=False)
            case _Accepted():
                self._limits = event
                self._publisher.report(connected=True)
                self._publisher.status_stale.set()
                self._connection.subscribe(self._publisher.topic("command/+"))
            case _Acknowledged():
                self._acknowledged(event)
            case _Subscribed(refused) if refused:
                self._publisher.report(error=f"the broker refuses our subscription to commands ({refused})")
            case _Asked():
                self._answer(event)
            case _Closed():
                self._closed = self._closed or event

    def _acknowledged(self, puback: _Acknowledged) -> None:
        item = self._sent.pop(puback.mid, None)
        self._progress_at = time.monotonic()
        if isinstance(item, _Control):
            if item.what == "status":
                self._prove()
            if puback.reason >= 0x80:
                self._refused(item, puback.text)
            elif item.what == "summary":
                self._journal.summary_sent(item.seq)
        elif item is not None:
            self._row_acknowledged(item, puback)

    def _row_acknowledged(self, row: Outgoing, puback: _Acknowledged) -> None:
        if puback.reason < 0x80:
            self._memory.unrecorded.append(row.id)
            if time.monotonic() >= self._pause_until:
                self._quota.reset()
        elif puback.reason in _REFUSED_FOR_GOOD:
            self._bury(row, f"the broker refused it: {puback.text}")
        else:
            wait_s = self._quota.next_s()
            self._publisher.report(error=f"the broker puts off {row.topic} ({puback.text}); next try in {wait_s:.0f} s")
            self._pause_until = time.monotonic() + wait_s
            self._start_over()
        if row.id >= self._memory.one_by_one_to:
            self._memory.one_by_one_to = 0

    def _prove(self) -> None:
        """The broker acknowledges: only now is it sure that the last connection did not die of an outage."""
        if self._proven:
            return
        self._proven = True
        self._publisher.backoff.reset()
        if self._suspect is not None:
            row, why = self._suspect
            if self._journal.mark_suspect(row.id) >= DEATHS:
                self._bury(row, f"{DEATHS} connections died of it; the last time {why}")

    def _refused(self, item: _Control, why: str) -> None:
        self._publisher.report(error=f"the broker refuses our {item.what}: {why}")
        if item.what == "summary":
            self._summary_refused = item.seq

    def _bury(self, row: Outgoing, reason: str) -> None:
        """Make a dead letter of a row; a verdict leaves a tombstone, which the broker may refuse too."""
        grave = None
        if row.role == "verdict" and row.payload is not None and not is_tombstone(row.payload):
            payload = encode_tombstone(
                seq=row.seq,
                epoch=row.epoch,
                kind="failure" if row.topic == "failure" else "inspection",
                verdict_id=row.verdict_id,
                reason=reason,
                device=self._publisher.device,
                at=_now(),
            )
            grave = Message("verdict", "failure", payload)
        self._publisher.report(error=f"seq {row.seq} ({row.topic}, {row.verdict_id}) is a dead letter: {reason}")
        self._journal.bury(row.id, reason, grave)
        self._publisher.status_stale.set()
        self._start_over()

    def _start_over(self) -> None:
        """Look at the outbox from its beginning; rows in flight are passed over."""
        self._rows.clear()
        self._look = True

    def _record(self) -> None:
        """Tell the journal what the broker has. When it cannot be told (full disk), nothing more is sent meanwhile."""
        if not self._memory.unrecorded or time.monotonic() < self._record_at:
            return
        try:
            self._journal.acknowledge(self._memory.unrecorded)
        except StateError as error:
            self._publisher.report(error=str(error))
            self._record_at = time.monotonic() + 1.0
        else:
            self._memory.unrecorded.clear()
            self._all_well()

    def _all_well(self) -> None:
        if self._publisher.last_error is not None and time.monotonic() >= self._pause_until:
            self._publisher.report()

    # -------------------------------------------------------------------------------------------------------- commands

    def _answer(self, asked: _Asked) -> None:
        publisher = self._publisher
        below = publisher.topic("command/")
        name = asked.topic.removeprefix(below)
        if not asked.topic.startswith(below) or not name or "/" in name:
            return
        if asked.retained:
            log.warning("a retained message on %s is ignored: it would be obeyed at every start", asked.topic)
            return
        if len(self._control) > 100:
            log.warning("command %s is dropped: more than 100 answers are waiting", name)
            return
        request_id: str | None = None
        result, error = None, None
        try:
            request_id, fields = decode_command(name, asked.payload)
            result = publisher.on_command(name, fields)
            self._look = True
        except (EdgeError, ValueError) as problem:
            error = str(problem)
        except Exception as problem:
            log.exception("command %s failed", name)
            error = f"internal error: {type(problem).__name__}; see the log"
        own = publisher.topic(f"command/{name}/response")
        topic = own if asked.response_topic is None or not self._may_answer_to(asked.response_topic) else asked.response_topic
        payload = encode_response(
            command=name, request_id=request_id, error=error, result=result, device=publisher.device, at=_now()
        )
        self._control.append(_Control("response", topic, payload, retain=False, correlation=asked.correlation))

    def _may_answer_to(self, topic: str) -> bool:
        """Anywhere but below our own prefix, where an answer could pass for a command or a verdict."""
        return bool(topic) and not {"+", "#"} & set(topic) and not topic.startswith(self._publisher.topic(""))

    # --------------------------------------------------------------------------------------------------------- leaving

    def _say_goodbye(self) -> None:
        """Let what is in flight be acknowledged, then say offline and disconnect, all before `give_up_at`."""
        publisher = self._publisher
        waits_until = (time.monotonic() + publisher.give_up_at) / 2
        while self._sent and self._closed is None and time.monotonic() < waits_until:
            self._listen()
        if self._closed is None and self._limits is not None:
            payload = publisher.status_payload(self._connected_at, "stopped")
            last = self._connection.publish(publisher.topic("status"), payload, retain=True)
            self._sent[last] = _Control("status", publisher.topic("status"), payload, retain=True)
            while last in self._sent and self._closed is None and time.monotonic() < publisher.give_up_at:
                self._listen()
            self._connection.disconnect()
        while self._closed is None and self._connection.busy and time.monotonic() < publisher.give_up_at:
            self._listen()

    def _listen(self) -> None:
        for event in self._connection.pump(self._publisher.wake_receiver, 0.05):
            self._act(event)
        self._woken()
        self._record()

    def _leave(self) -> None:
        """Remember what the next connection must know."""
        self._publisher.report(connected=False, error=self._publisher.last_error)
        rows = [item for item in self._sent.values() if isinstance(item, Outgoing)]
        if not self._proven or not rows:
            return
        self._memory.one_by_one_to = max(self._memory.one_by_one_to, *(row.id for row in rows))
        if len(self._sent) == 1 and self._closed is not None and self._closed.by_peer:
            self._memory.suspect = rows[0], self._closed.why


def _client_id(epoch: str) -> str:
    """The same for every connection of one journal, so that the broker ends a half-open older one (and publishes its
    last will) before it takes the new one in. At most 23 letters and digits, which MQTT 3.1.1, 3.1.3.1 obliges a
    broker to accept.
    """
    return "edge" + epoch.replace("-", "")[:19]


def _now() -> datetime:
    return datetime.now(timezone.utc)
