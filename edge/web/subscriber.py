"""A broker's address in, its messages out, for as long as it runs: connects again by itself, and says what is wrong meanwhile.

Not `edge.mqtt.connection`: that one takes 64 KiB at most, and speaks no websockets.
"""

from __future__ import annotations

import contextlib
import logging
import os
import random
import ssl
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from edge.errors import ConfigError

log = logging.getLogger(__name__)

PORTS: Final = {"mqtt": 1883, "mqtts": 8883, "ws": 80, "wss": 443}
LARGEST_MESSAGE: Final = 16 << 20
"""No overlay is so large. MQTT 5 brokers are told so; under 3.1.1 a longer one is taken and dropped."""
KEEPALIVE_S: Final = 30
ANSWER_S: Final = 10.0
TURN_S: Final = 0.2
FIRST_WAIT_S, LONGEST_WAIT_S = 1.0, 30.0


@dataclass(frozen=True, slots=True)
class Broker:
    """Where it is and who asks. websocket: the path there, None for plain MQTT.  password_file: empty for none."""

    host: str
    port: int
    tls: bool = False
    websocket: str | None = None
    username: str | None = None
    password_file: str = ""
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    protocol: int = 5

    def password(self) -> str | None:
        """Read now, so that a new one counts from the next connect. Raises ConfigError."""
        if not self.password_file:
            return None
        try:
            return Path(self.password_file).read_text(encoding="utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"the password file {self.password_file} cannot be read: {error}") from error

    def context(self) -> ssl.SSLContext:
        """For TLS. Raises ConfigError where a file cannot be used."""
        try:
            context = ssl.create_default_context(cafile=self.ca_file or None)
            if self.cert_file:
                context.load_cert_chain(self.cert_file, self.key_file or None)
        except (OSError, ssl.SSLError) as error:
            names = ", ".join(filter(None, (self.ca_file, self.cert_file, self.key_file)))
            raise ConfigError(f"the broker's certificates ({names}) cannot be used: {error}") from error
        return context


def broker_of(url: str, **others: Any) -> Broker:
    """The broker at `mqtt://`, `mqtts://`, `ws://` or `wss://`. Raises ConfigError with a sentence, never with a password."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise ConfigError("the broker's address cannot be read: write mqtt://HOST:PORT") from error
    if parts.password is not None:
        raise ConfigError("a password in the address is seen by everybody on this machine: take --password-file")
    if parts.scheme not in PORTS or not host or parts.query or parts.fragment:
        raise ConfigError("the broker's address is mqtt://HOST:PORT, mqtts://, ws:// or wss://")
    websocket = (parts.path or "/mqtt") if parts.scheme.startswith("ws") else None
    if websocket is None and parts.path not in ("", "/"):
        raise ConfigError("an address of MQTT has no path: topics are chosen by --prefix")
    tls = parts.scheme in ("mqtts", "wss")
    if not tls and any(others.get(name) for name in ("ca_file", "cert_file", "key_file")):
        raise ConfigError("certificates need mqtts:// or wss://")
    username = unquote(parts.username) if parts.username else None
    if others.get("password_file") and username is None:
        raise ConfigError("a password needs its user: write mqtt://USER@HOST")
    port = PORTS[parts.scheme] if port is None else port
    return Broker(host, port, tls=tls, websocket=websocket, username=username, **others)


class Subscriber:
    """`with` begins and ends its thread, in which `on_message`, `on_turn` and `on_change` are called.

    on_change: with why nobody is connected, None once it is.  on_turn: several times a second while connected.
    refused: topics that the broker does not let us read.
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
        self._why = ""
        self._accepted = False
        self._asked: dict[int | None, str] = {}
        self.refused: list[str] = []
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
            self._client.publish(topic, payload, 1)

    def _run(self) -> None:
        wait = FIRST_WAIT_S
        while not self._stopping.is_set():
            begun = time.monotonic()
            try:
                why = self._stay()
            except (OSError, ValueError, ConfigError) as error:
                why = str(getattr(error, "strerror", None) or error) or type(error).__name__
            except Exception as error:  # paho raises whatever it likes on what it cannot parse
                log.warning("the broker's answer cannot be read", exc_info=error)
                why = "the broker gave an answer that cannot be read"
            if self._stopping.is_set():
                return
            self._on_change(f"no connection to the broker {self._broker.host}:{self._broker.port}: {why}")
            wait = FIRST_WAIT_S if time.monotonic() - begun > LONGEST_WAIT_S else wait
            self._stopping.wait(wait * random.uniform(0.8, 1.2))
            wait = min(2 * wait, LONGEST_WAIT_S)

    def _stay(self) -> str:
        """Connect and listen until it ends; why it did."""
        self._why, self._accepted = "", False
        client = self._client = self._made()
        answer_by = time.monotonic() + ANSWER_S
        try:
            while not self._stopping.is_set():
                code = client.loop(TURN_S)
                if self._why or code != mqtt.MQTT_ERR_SUCCESS:
                    return self._why or mqtt.error_string(code)
                if self._accepted:
                    self._on_turn()
                elif time.monotonic() > answer_by:
                    return "it does not answer: is it MQTT, and the address right?"
            client.disconnect()
            return ""
        finally:
            self._client = None
            peer = client.socket()
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
        client.on_subscribe = self._subscribed
        if broker.websocket is not None:
            client.ws_set_options(broker.websocket)
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
        if reason.is_failure:
            self._why = f"it refused us ({reason})"
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
            self._on_change(None)

    def _ended(self, _client: mqtt.Client, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        self._why = self._why or f"it ended ({reason})"

    def _received(self, _client: mqtt.Client, _data: Any, message: mqtt.MQTTMessage) -> None:
        try:
            if len(message.payload) <= LARGEST_MESSAGE:
                self._on_message(message.topic, bytes(message.payload))
        except Exception:  # one message that we stumble over must not keep the others away
            log.exception("a message on a topic of %d characters was left out", len(message._topic))
