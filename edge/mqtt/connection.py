"""Settings and messages in, what the broker answers out: one MQTT connection, from CONNECT to its end.

The only file that knows paho. What it relies on and works around:

* paho is driven by its external loop (`loop_read`, `loop_write`, `loop_misc`), so that every callback runs in our thread.
  In a thread of paho's own an exception in a callback would end that thread. A lock held around `publish`, and taken in
  `on_publish` too, would deadlock.
* Callbacks only note down what happened; it is acted upon after paho has returned.
* Every connection gets a new client object. A reused one keeps its old last will, also when it reconnects by itself. It
  keeps its own queue in memory too, and would send those messages beside ours, twice.
"""

from __future__ import annotations

import logging
import random
import selectors
import socket
import ssl
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from edge.config import MqttSettings
from edge.errors import BrokerError, ConfigError
from edge.mqtt import tls
from edge.wire.channel import Publication
from edge.wire.labels import JSON, content_type_of

log = logging.getLogger(__name__)

KEEPALIVE_S: Final = 60
"""A broker gives up after one and a half of it without a whole packet: so long may the largest picture take to send."""
LOST_S: Final = 20
"""What the other side's network does not confirm for so long ends the connection (where the kernel can do that)."""
CONNECT_S: Final = 3.0
"""Longest wait for the network connection."""
ANSWER_S: Final = 10.0
"""Longest wait for the broker's answer to CONNECT."""
LEAVING_S: Final = 3.0
"""Longest wait until our last words are written."""
LARGEST_PACKET: Final = 268_435_455
"""MQTT 5.0, 1.5.5: the largest remaining length."""
LARGEST_COMMAND: Final = 64 * 1024
"""Longest packet that we take. MQTT 5 brokers are told so; a longer payload under 3.1.1 is for its reader to refuse."""
LONGEST_TOPIC: Final = 65_535
"""MQTT 5.0, 1.5.4: bytes of a UTF-8 string."""

UNREADABLE: Final = "the broker gave an answer that cannot be read"
NO_QOS_1: Final = "the broker offers QoS 0 only, which may lose verdicts: use another"
_NO_ANSWER: Final = "the broker accepted the connection but does not answer: is it MQTT, and mqtt.tls right?"
_KEEPALIVE_TIMEOUT: Final = 0x8D
_TAKEN_OVER: Final = 0x8E
_UNPARSED: Final = 0x82
"""MQTT 5.0, 3.14.2.1: the reasons for an end that we know; paho makes up the first and the last."""
_WITH_WILL: Final = 0x04


@dataclass(frozen=True, slots=True)
class Accepted:
    """The broker took us in; its limits are those of MQTT 5's CONNACK."""

    receive_maximum: int
    largest_packet: int
    qos_maximum: int
    keepalive_s: int | None


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """What was sent as `mid` was taken or refused. reason: MQTT 5's code, 0 under 3.1.1.

    Of what was sent with QoS 0 it says no more than that all of it was written to the network.
    """

    mid: int
    reason: int
    text: str


@dataclass(frozen=True, slots=True)
class Subscribed:
    """The answer to one `subscribe`. topics: what was asked for.  refused: why, None when it was granted."""

    topics: str
    refused: str | None


@dataclass(frozen=True, slots=True)
class Received:
    """A message on one of the topics that we subscribed to.

    retained: the broker keeps it, as far as it says so: always for what it kept before we subscribed, and for what is
        published while we listen only under MQTT 5, to a subscription that is `live_only`.
    """

    topic: str
    payload: bytes
    retained: bool
    response_topic: str | None
    correlation: bytes | None


@dataclass(frozen=True, slots=True)
class Closed:
    """The connection ended. by_peer: the other side closed it, as far as can be told from here.

    taken_over: the broker says that another client came with our id (MQTT 5 alone).
    """

    why: str
    by_peer: bool
    taken_over: bool = False


Event = Accepted | Acknowledged | Subscribed | Received | Closed


class Connection:
    """One MQTT connection from CONNECT to its end: a paho client that is never used twice.

    It belongs to the thread that made it: every method, and every callback of paho's, runs there.
    """

    def __init__(self, settings: MqttSettings, client_id: str, will: Publication | None, keepalive_s: int) -> None:
        """Connect, send CONNECT. Raises BrokerError saying what failed and which settings to look at."""
        self._events: list[Event] = []
        self._asked: dict[int, str] = {}  # subscriptions without an answer yet
        self._v5 = settings.protocol == 5
        self._client = self._make_client(client_id)
        if will is not None:
            self._client.will_set(will.topic, will.payload, will.qos, will.retain, self._labels(will, PacketTypes.WILLMESSAGE))
        self._send_connect(settings, keepalive_s)
        self._answer_by: float | None = time.monotonic() + ANSWER_S
        self._selector = selectors.DefaultSelector()
        self._peer = peer = self._client.socket()
        if isinstance(peer, socket.socket):
            peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if hasattr(socket, "TCP_USER_TIMEOUT"):
                peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, LOST_S * 1000)

    def _make_client(self, client_id: str) -> mqtt.Client:
        client = mqtt.Client(
            CallbackAPIVersion.VERSION2,
            client_id,
            clean_session=None if self._v5 else True,
            protocol=MQTTProtocolVersion.MQTTv5 if self._v5 else MQTTProtocolVersion.MQTTv311,
            reconnect_on_failure=False,
        )
        client.suppress_exceptions = False
        client.connect_timeout = CONNECT_S
        client.max_inflight_messages_set(65_535)  # we keep the window; paho's own would hold messages back unseen
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_publish = self._on_publish
        client.on_message = self._on_message
        client.on_subscribe = self._on_subscribe
        client.on_unsubscribe = self._on_unsubscribe
        return client

    def _send_connect(self, settings: MqttSettings, keepalive_s: int) -> None:
        client, where = self._client, f"{settings.host}:{settings.port}"
        properties = None
        if self._v5:
            properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
            properties.MaximumPacketSize = LARGEST_COMMAND
        try:
            if settings.username:
                client.username_pw_set(settings.username, settings.password())
            if settings.tls:
                client.tls_set_context(tls.context_of(settings))
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
            raise BrokerError(tls.untrusted(error, where)) from error
        except ssl.SSLError as error:
            raise BrokerError(f"no TLS with {where} ({error}): see mqtt.tls, mqtt.port and mqtt.cert_file") from error
        except (OSError, UnicodeError) as error:  # UnicodeError: a host name that no DNS label can hold
            why = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise BrokerError(f"cannot reach {where}: {why}") from error

    def pump(self, wake: socket.socket, timeout_s: float) -> list[Event]:
        """Wait for the network, `wake` or the timeout; do what is to be done; return what happened."""
        peer = self._client.socket()
        if peer is not None:
            wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if self._client.want_write() else 0)
            pending = isinstance(peer, ssl.SSLSocket) and peer.pending() > 0
            # Messages of QoS 0 are `Acknowledged` at once: who sends many of them must go on reading what comes.
            at_once = pending or bool(self._events)
            self._watch(peer, wanted)
            self._watch(wake, selectors.EVENT_READ)
            ready = {key.fileobj: what for key, what in self._selector.select(0 if at_once else timeout_s)}
            if pending or ready.get(peer, 0) & selectors.EVENT_READ:
                self._read()
            if ready.get(peer, 0) & selectors.EVENT_WRITE:
                self._client.loop_write()
            self._client.loop_misc()
        elif not self._events:
            self._events.append(self._lost())
        if self._answer_by is not None and time.monotonic() > self._answer_by:
            self._events.append(Closed(_NO_ANSWER, by_peer=False))
        events, self._events = self._events, []
        return events

    def publish(self, message: Publication, *, correlation: bytes | None = None) -> int:
        """Hand a message to the network; the id that its `Acknowledged` will bear. `busy` until it is all written.

        Raises ValueError for a topic that no message can have.
        """
        properties = self._labels(message, PacketTypes.PUBLISH)
        if correlation is not None and properties is not None:
            properties.CorrelationData = correlation
        return self._client.publish(message.topic, message.payload, message.qos, message.retain, properties).mid

    def _labels(self, message: Publication, packet: int) -> Properties | None:
        """What MQTT 5 says beside a message (MQTT 5.0, 3.3.2.3), None under 3.1.1."""
        if not self._v5:
            return None
        properties = Properties(packet)  # type: ignore[no-untyped-call]
        kind = content_type_of(message)
        if kind:
            properties.ContentType = kind
            properties.PayloadFormatIndicator = int(kind == JSON)  # 1: UTF-8 text
        if message.user_properties:
            properties.UserProperty = list(message.user_properties)
        return properties

    def subscribe(self, topics: str, *, live_only: bool = False) -> None:
        """Ask for messages; answered by `Subscribed`. Raises ValueError for what is no topic filter.

        live_only: what the broker keeps is not wanted. Under MQTT 5 it sends none of it, and marks what is published to be
            kept from now on (MQTT 5.0, 3.8.3.1). Under 3.1.1 it can do neither: only what it kept before is marked.
        """
        if live_only and self._v5:
            options = SubscribeOptions(1, retainAsPublished=True, retainHandling=SubscribeOptions.RETAIN_DO_NOT_SEND)
            _, mid = self._client.subscribe(topics, options=options)
        else:
            _, mid = self._client.subscribe(topics, 1)
        if mid is not None:
            self._asked[mid] = topics

    def unsubscribe(self, topics: str) -> None:
        """Hear no more of it."""
        self._client.unsubscribe(topics)

    def check(self) -> int:
        """Ask for a sign that the broker works; the id that its `Acknowledged` will bear.

        UNSUBSCRIBE needs no permission, and is answered even when there was no such subscription (MQTT 5.0, 3.10.4).
        """
        _, mid = self._client.unsubscribe("edge/check")
        return -1 if mid is None else mid  # None: the connection is gone, which `pump` says

    @property
    def busy(self) -> bool:
        """Whether something handed over has not been written to the network yet."""
        return self._client.want_write()

    def disconnect(self, *, with_will: bool = False) -> None:
        """Say goodbye: the broker forgets the last will. The connection ends with `Closed`.

        with_will: have it publish the will all the same, which MQTT 5 alone can do (3.14.2.1).
        """
        keeps = with_will and self._v5
        self._client.disconnect(ReasonCode(PacketTypes.DISCONNECT, identifier=_WITH_WILL) if keeps else None)

    def say_and_leave(self, messages: Iterable[Publication], wake: socket.socket, *, with_will: bool) -> None:
        """Our last words, then goodbye, and nothing is waited for but that they are written."""
        for message in messages:
            self.publish(message)
        self.disconnect(with_will=with_will)
        give_up_at = time.monotonic() + LEAVING_S
        while self.busy and time.monotonic() < give_up_at:
            self.pump(wake, 0.05)

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
            self._events.append(Closed(f"{UNREADABLE} ({error})", by_peer=True))

    def _watch(self, what: Any, wanted: int) -> None:
        known = self._selector.get_map().get(what)
        if known is None:
            self._selector.register(what, wanted)
        elif known.events != wanted:
            self._selector.modify(what, wanted)

    def _on_connect(self, _client: Any, _data: Any, _flags: Any, reason: ReasonCode, properties: Properties | None) -> None:
        self._answer_by = None
        if reason.is_failure:
            hint = ": see mqtt.username and mqtt.password_file" if reason.value in (0x86, 0x87, 0x8C) else ""
            hint = ": see mqtt.protocol" if reason.value in (0x01, 0x84) else hint
            self._events.append(Closed(f"the broker refused the connection ({reason}){hint}", by_peer=True))
            return
        self._events.append(
            Accepted(
                getattr(properties, "ReceiveMaximum", 65_535),
                getattr(properties, "MaximumPacketSize", LARGEST_PACKET),
                getattr(properties, "MaximumQoS", 2),
                getattr(properties, "ServerKeepAlive", None),
            )
        )

    def _on_disconnect(self, _client: Any, _data: Any, flags: Any, reason: ReasonCode, _properties: Any) -> None:
        if flags.is_disconnect_packet_from_server:
            detail = f" ({reason})" if reason.is_failure else ""
            taken_over = reason.value == _TAKEN_OVER
            self._events.append(Closed(f"the broker closed the connection{detail}", by_peer=True, taken_over=taken_over))
        elif reason.value == _KEEPALIVE_TIMEOUT:
            self._events.append(Closed("the broker does not answer any more", by_peer=False))
        elif reason.value == _UNPARSED:  # newer releases of paho notice for themselves
            self._events.append(Closed(UNREADABLE, by_peer=True))
        elif reason.is_failure:
            self._events.append(self._lost())
        else:
            self._events.append(Closed("disconnected", by_peer=False))

    def _lost(self) -> Closed:
        """The other side is gone. Before its answer to CONNECT a certificate may be the reason, which only TLS itself tells."""
        if self._answer_by is not None and isinstance(self._peer, tls.Socket):
            return Closed(tls.ended_before_answer(self._peer.alert), by_peer=True)
        return Closed("the connection was lost", by_peer=True)

    def _on_publish(self, _client: Any, _data: Any, mid: int, reason: ReasonCode, _properties: Any) -> None:
        self._events.append(Acknowledged(mid, reason.value, str(reason)))

    def _on_subscribe(self, _client: Any, _data: Any, mid: int, reasons: list[ReasonCode], _properties: Any) -> None:
        refused = [str(reason) for reason in reasons if reason.is_failure]
        self._events.append(Subscribed(self._asked.pop(mid, ""), refused[0] if refused else None))

    def _on_unsubscribe(self, _client: Any, _data: Any, mid: int, _reasons: Any, _properties: Any) -> None:
        self._events.append(Acknowledged(mid, 0, ""))

    def _on_message(self, _client: Any, _data: Any, message: mqtt.MQTTMessage) -> None:
        properties = message.properties
        self._events.append(
            Received(
                message.topic,
                bytes(message.payload),
                message.retain,
                getattr(properties, "ResponseTopic", None),
                getattr(properties, "CorrelationData", None),
            )
        )


def is_topic(topic: str) -> bool:
    """Whether MQTT can carry a message to it (MQTT 5.0, 4.7.1 and 4.7.3)."""
    return bool(topic) and not {"+", "#", "\0"} & set(topic) and len(topic.encode()) <= LONGEST_TOPIC


def matches(topic: str, topics: str) -> bool:
    """Whether a subscription to the filter `topics` gets what is published to `topic`. Raises ValueError for no filter."""
    return bool(mqtt.topic_matches_sub(topics, topic))


def publish_once(settings: MqttSettings, message: Publication) -> None:
    """Connect, have the broker take one message of QoS 1, and leave. Raises BrokerError with what to look at.

    MQTT 3.1.1 cannot say that a topic is denied: then it looks as if the message were taken.
    """
    with _conversation(settings, "edgeonce") as (connection, events):
        for event in events:
            match event:
                case Accepted():
                    connection.publish(message)
                case Acknowledged(reason=reason, text=text) if reason >= 0x80:
                    raise BrokerError(f"the broker does not let us publish to {message.topic} ({text})")
                case Acknowledged():
                    connection.disconnect()
                    return


def probe(settings: MqttSettings, prefix: str) -> None:
    """Connect as the daemon would, see whether commands may be subscribed to, and leave again without a trace.

    Takes at most some seconds. Raises BrokerError with what to look at. Whether the broker lets us publish cannot be
    found out without publishing.
    """
    with _conversation(settings, "edgeprobe") as (connection, events):
        for event in events:
            match event:
                case Accepted():
                    connection.subscribe(f"{prefix}/command/+", live_only=True)
                case Subscribed(refused=None):
                    connection.disconnect()
                    return
                case Subscribed(refused=str(refused)):
                    raise BrokerError(f"the broker refuses our subscription to commands ({refused})")


@contextmanager
def _conversation(settings: MqttSettings, name: str) -> Iterator[tuple[Connection, Iterator[Event]]]:
    """A connection of its own, and what happens on it: BrokerError where it ends, is of no use, or takes too long."""
    deadline = time.monotonic() + ANSWER_S
    connection = Connection(settings, f"{name}{random.getrandbits(56):014x}", None, KEEPALIVE_S)
    never, waker = socket.socketpair()

    def events() -> Iterator[Event]:
        while time.monotonic() < deadline:
            for event in connection.pump(never, 0.2):
                match event:
                    case Accepted(qos_maximum=0):
                        raise BrokerError(NO_QOS_1)
                    case Closed(why):
                        raise BrokerError(why)
                yield event
        raise BrokerError(_NO_ANSWER)

    try:
        yield connection, events()
    finally:
        connection.close()
        never.close()
        waker.close()
