"""A broker's address in, its messages out, for as long as it runs: connects again by itself, and says what is wrong meanwhile.

Not `edge.mqtt.connection`: that one takes 64 KiB at most, and speaks no websockets.
"""

from __future__ import annotations

import contextlib
import logging
import os
import random
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from edge.errors import ConfigError
from edge.mqtt.tls import Socket
from edge.web.broker import Broker, ended, failed, refused

log = logging.getLogger(__name__)

LARGEST_MESSAGE: Final = 16 << 20
"""No overlay is so large. MQTT 5 brokers are told so; under 3.1.1 a longer one is taken and dropped."""
KEEPALIVE_S: Final = 30
ANSWER_S: Final = 10.0
TURN_S: Final = 0.2
FIRST_WAIT_S, LONGEST_WAIT_S = 1.0, 30.0


class Subscriber:
    """`with` begins and ends its thread, in which `on_message`, `on_turn` and `on_change` are called.

    on_change: with why nobody is connected, None once it is.  on_turn: several times a second while connected.
    refused: topics that the broker does not let us read.  denied: why what we published last was not taken, None where it was.
    """

    def __init__(
        self,
        broker: Broker,
        topics: Sequence[str],
        on_message: Callable[[str, bytes], None],
        on_change: Callable[[str | None], None],
        on_turn: Callable[[], None],
    ) -> None:
        self._broker, self._topics = broker, list(topics)
        self._on_message, self._on_change, self._on_turn = on_message, on_change, on_turn
        self._stopping = threading.Event()
        self._client: mqtt.Client | None = None
        self._peer: Any = None
        self._why = ""
        self._said: str | None = ""
        self._answered = self._accepted = False
        self._asked: dict[int | None, str] = {}
        self._unacknowledged: set[int] = set()
        self.refused: list[str] = []
        self.denied: str | None = None
        self._thread = threading.Thread(target=self._run, name="subscriber", daemon=True)

    def __enter__(self) -> Subscriber:
        if self._broker.tls:
            self._broker.context()  # what can never work is said at the start
        self._broker.password()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join(10.0)

    def publish(self, topic: str, payload: bytes) -> None:
        """Hand a message over. Only in the thread of the callbacks."""
        if self._client is not None and self._accepted:
            self._unacknowledged.add(self._client.publish(topic, payload, 1).mid)

    def _run(self) -> None:
        wait = FIRST_WAIT_S
        while not self._stopping.is_set():
            begun = time.monotonic()
            try:
                why = self._stay()
            except ConfigError as error:
                why = str(error)
            except (OSError, ValueError) as error:
                why = failed(error, self._broker)
            except Exception as error:  # paho raises whatever it likes on what it cannot parse
                log.warning("the broker's answer cannot be read", exc_info=error)
                why = "the broker gave an answer that cannot be read"
            if self._stopping.is_set():
                return
            if self._unacknowledged:  # a broker without a word for it ends the connection of who may not publish
                self.denied = "the broker ended the connection when we published"
            self._say(f"no connection to the broker {self._broker.where}: {why}")
            wait = FIRST_WAIT_S if time.monotonic() - begun > LONGEST_WAIT_S else wait
            self._stopping.wait(wait * random.uniform(0.8, 1.2))
            wait = min(2 * wait, LONGEST_WAIT_S)

    def _say(self, why: str | None) -> None:
        """To the page, and once to the log: a broker that is gone for a night is no reason for a thousand lines."""
        if why != self._said:
            log.info("%s", why or f"connected to the broker {self._broker.where}")
        self._said = why
        self._on_change(why)

    def _stay(self) -> str:
        """Connect and listen until it ends; why it did."""
        self._why, self._answered, self._accepted = "", False, False
        self._unacknowledged.clear()
        broker, client = self._broker, self._made()
        self._client, self._peer = client, client.socket()
        answer_by = time.monotonic() + ANSWER_S
        try:
            while not self._stopping.is_set():
                code = client.loop(TURN_S)
                if self._why or code != mqtt.MQTT_ERR_SUCCESS:
                    return self._why or ended(mqtt.error_string(code), broker, answered=self._answered, alert=alert(self._peer))
                if self._accepted:
                    self._on_turn()
                elif time.monotonic() > answer_by:
                    return "it does not answer: is it MQTT, and the address right?"
            client.disconnect()
            return ""
        finally:
            self._client, peer = None, self._peer
            if peer is not None:
                with contextlib.suppress(OSError):
                    peer.close()

    def _made(self) -> mqtt.Client:
        broker, v5 = self._broker, self._broker.protocol == 5
        client = mqtt.Client(
            CallbackAPIVersion.VERSION2,
            f"edge-dashboard-{os.urandom(6).hex()}",
            clean_session=None if v5 else True,
            protocol=MQTTProtocolVersion.MQTTv5 if v5 else MQTTProtocolVersion.MQTTv311,
            transport="tcp" if broker.websocket is None else "websockets",
            reconnect_on_failure=False,
        )
        client.connect_timeout = 5.0
        client.on_connect, client.on_disconnect, client.on_message = self._connected, self._ended, self._received
        client.on_subscribe, client.on_publish = self._subscribed, self._published
        if broker.websocket is not None:
            scheme = "https" if broker.tls else "http"
            client.ws_set_options(broker.websocket, {"Host": broker.where, "Origin": f"{scheme}://{broker.where}"})
        if broker.username is not None:
            client.username_pw_set(broker.username, broker.password())
        if broker.tls:
            client.tls_set_context(broker.context())
        properties = None
        if v5:
            properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
            properties.MaximumPacketSize = LARGEST_MESSAGE
        client.connect(
            broker.host,
            broker.port,
            KEEPALIVE_S,
            clean_start=True if v5 else mqtt.MQTT_CLEAN_START_FIRST_ONLY,
            properties=properties,
        )
        return client

    def _connected(self, client: mqtt.Client, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        self._answered = True
        if reason.is_failure:
            self._why = refused(reason, self._broker)
            return
        self.refused = []
        # Only once all is subscribed it may be said that nothing is missed.
        self._asked = {client.subscribe(topic, 1)[1]: topic for topic in self._topics}

    def _subscribed(self, _client: mqtt.Client, _data: Any, mid: int, reasons: Any, _properties: Any) -> None:
        topic = self._asked.pop(mid, None)
        if topic is None:
            return
        if any(reason.is_failure for reason in reasons):
            self.refused.append(topic)
        if not self._asked and len(self.refused) == len(self._topics):
            self._why = "it lets us read none of our topics: what may this user read?"
        elif not self._asked:
            self._accepted = True
            self._say(None)

    def _published(self, _client: mqtt.Client, _data: Any, mid: int, reason: Any, _properties: Any) -> None:
        self._unacknowledged.discard(mid)
        self.denied = f"the broker does not take it ({reason})" if reason.is_failure else None

    def _ended(self, _client: mqtt.Client, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        self._why = self._why or ended(reason, self._broker, answered=self._answered, alert=alert(self._peer))

    def _received(self, _client: mqtt.Client, _data: Any, message: mqtt.MQTTMessage) -> None:
        try:
            if len(message.payload) <= LARGEST_MESSAGE:
                self._on_message(message.topic, bytes(message.payload))
        except Exception:  # one message that we stumble over must not keep the others away
            log.exception("a message on a topic of %d characters was left out", len(message._topic))


def alert(peer: Any) -> str:
    """What the other side's TLS said at the end; paho wraps the socket of a websocket."""
    inner = getattr(peer, "_socket", peer)
    return inner.alert if isinstance(inner, Socket) else ""
