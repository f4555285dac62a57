"""A real mosquitto on a free port, a subscriber that keeps what it hears, and waiting without sleeping blindly.

`mosquitto` is installed by the system's package manager; tests that need it carry `needs_mosquitto`.
"""

from __future__ import annotations

import getpass
import itertools
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

T = TypeVar("T")

FIRST_PORT, PORTS = 11_000, 20_000

MOSQUITTO = shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin:/bin:/opt/homebrew/sbin")

needs_mosquitto = pytest.mark.skipif(MOSQUITTO is None, reason="mosquitto is not installed (apt-get install mosquitto)")
_ports = itertools.count(secrets.randbelow(10_000))


def free_port() -> int:
    """A TCP port on loopback that nobody listens on right now, another one at each call.

    It lies below those that the kernel gives to outgoing connections, so none of them takes it before it is used. Each of
    several processes that test at the same time has its own.
    """
    worker = os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    while True:
        port = FIRST_PORT + (next(_ports) * workers + int(worker)) % PORTS
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as a server does: one that has ended keeps no port
            with suppress(OSError):
                probe.bind(("127.0.0.1", port))
                return port


def eventually(condition: Callable[[], T], within_s: float = 60.0, what: str = "") -> T:
    """The first true value of `condition`; fails when there is none in time. The last of a list that is empty is none yet."""
    deadline, value = time.monotonic() + within_s, None
    while True:
        with suppress(IndexError):
            if value := condition():
                return value
        if time.monotonic() > deadline:
            pytest.fail(f"did not happen within {within_s} s: {what or condition}; last value {value!r}")
        time.sleep(0.01)


def acknowledged(sent: mqtt.MQTTMessageInfo, within_s: float) -> None:
    """Wait for the broker's word, also on what was said between two connections: paho sends it, but does not wait for it."""
    if sent.rc == mqtt.MQTT_ERR_NO_CONN:
        sent.rc = mqtt.MQTT_ERR_SUCCESS
    sent.wait_for_publish(within_s)
    assert sent.is_published()


class Mosquitto:
    """A broker with persistence, on one port for all its life, that can be killed and started again.

    lines: of mosquitto.conf, in place of the anonymous listener when they name one.
    """

    def __init__(self, folder: Path, *lines: str, port: int | None = None) -> None:
        self.port = port or free_port()
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "data").mkdir(exist_ok=True)
        self.configure(*lines)
        self._process: subprocess.Popen[bytes] | None = None

    def configure(self, *lines: str) -> None:
        """Write another configuration, for the next start."""
        common = [
            f"user {getpass.getuser()}",
            "per_listener_settings false",
            "persistence true",
            f"persistence_location {self.folder / 'data'}/",
            "autosave_on_changes true",
            "autosave_interval 1",
            "log_dest stderr",
            "set_tcp_nodelay true",
        ]
        if not any(line.startswith("allow_anonymous") for line in lines):
            common.append("allow_anonymous true")
        text = "\n".join([*common, f"listener {self.port} 127.0.0.1", *lines]) + "\n"
        (self.folder / "mosquitto.conf").write_text(text)

    def start(self) -> Mosquitto:
        """Start and wait until it listens."""
        assert MOSQUITTO is not None
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen([MOSQUITTO, "-c", str(self.folder / "mosquitto.conf")], stderr=log, stdout=log)
        eventually(self._listens, what=f"mosquitto on port {self.port}: {self.log()[-500:]}")
        return self

    def kill(self) -> None:
        """As a power cut would end it."""
        self._end(lambda process: process.kill())

    def freeze(self) -> None:
        """It does nothing any more; the kernel still takes connections for it."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """It goes on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        """As a service manager would end it."""
        self._end(lambda process: process.terminate())

    def reload(self) -> None:
        """Have it read its access control anew, as a service manager would."""
        assert self._process is not None
        self._process.send_signal(signal.SIGHUP)

    def log(self) -> str:
        """What it wrote so far."""
        path = self.folder / "log"
        return path.read_text(errors="replace") if path.exists() else ""

    def __enter__(self) -> Mosquitto:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.kill()

    def _listens(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, f"mosquitto ended: {self.log()[-2000:]}"
        try:
            socket.create_connection(("127.0.0.1", self.port), 1.0).close()
        except OSError:
            return False
        return True

    def _end(self, how: Callable[[subprocess.Popen[bytes]], None]) -> None:
        process, self._process = self._process, None
        if process is not None:
            how(process)
            process.wait()


class Heard(NamedTuple):
    """One message as a subscriber got it."""

    topic: str
    payload: bytes
    retained: bool
    correlation: bytes | None
    properties: Properties | None = None

    @property
    def body(self) -> dict[str, Any]:
        """The payload as JSON."""
        body = json.loads(self.payload)
        assert isinstance(body, dict)
        return body


class Listener:
    """A dashboard: subscribes, keeps everything in order, subscribes again after a lost connection.

    Its session outlives its connections, so that a broker with persistence delivers what it missed.
    topics: a filter, or several with their QoS.  protocol: of MQTT, 5 or 311.
    """

    def __init__(
        self,
        port: int,
        topics: str | list[tuple[str, int]] = "#",
        client_id: str = "dashboard",
        *,
        protocol: int = 5,
        **login: str,
    ) -> None:
        self.heard: list[Heard] = []
        self._ready = threading.Event()
        self._port, self._topics, self._client_id, self._protocol, self._login = port, topics, client_id, protocol, login
        self._connect()

    def _connect(self) -> None:
        v5 = self._protocol == 5
        self._client = mqtt.Client(
            CallbackAPIVersion.VERSION2,
            self._client_id,
            clean_session=None if v5 else False,
            protocol=mqtt.MQTTv5 if v5 else mqtt.MQTTv311,
        )
        self._client.on_connect = self._subscribe
        self._client.on_subscribe = lambda *_: self._ready.set()
        self._client.on_disconnect = lambda *_: self._ready.clear()
        self._client.on_message = self._keep
        self._client.reconnect_delay_set(1, 1)
        if self._login:
            self._client.username_pw_set(self._login["username"], self._login["password"])
        if v5:
            session = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
            session.SessionExpiryInterval = 3600
            self._client.connect("127.0.0.1", self._port, 30, clean_start=False, properties=session)
        else:
            self._client.connect("127.0.0.1", self._port, 30)
        self._client.loop_start()
        self.wait_until_subscribed()

    def wait_until_subscribed(self) -> None:
        """On this connection, or on the next one."""
        assert self._ready.wait(60), "no subscription"

    def on(self, topic: str) -> list[Heard]:
        """Everything heard so far on topics that end so."""
        return [message for message in list(self.heard) if message.topic.endswith(topic)]

    def say(self, topic: str, payload: bytes | str, *, retain: bool = False, **properties: Any) -> None:
        """Publish something."""
        extra = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
        for name, value in properties.items():
            setattr(extra, name, value)
        acknowledged(self._client.publish(topic, payload, 1, retain, extra), 60)

    def close(self) -> None:
        """Leave."""
        self._client.disconnect()
        self._client.loop_stop()

    def come_back(self) -> None:
        """After `close`: connect again, with the same session; with another client, since paho's leaks its sockets there."""
        self._connect()

    def __enter__(self) -> Listener:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _subscribe(self, client: mqtt.Client, *_: Any) -> None:
        client.subscribe(self._topics, 1)

    def _keep(self, _client: mqtt.Client, _data: Any, message: mqtt.MQTTMessage) -> None:
        correlation = getattr(message.properties, "CorrelationData", None)
        self.heard.append(Heard(message.topic, bytes(message.payload), message.retain, correlation, message.properties))


@contextmanager
def silent_server() -> Iterator[int]:
    """The port of something that accepts connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield int(server.getsockname()[1])


class Proxy:
    """A proxy before the broker that can swallow the acknowledgements of verdicts, cut connections and refuse new ones.

    The first PUBLISH of a connection is the status; its acknowledgement always passes.
    deaf: what the client says is taken and goes no further; unheard: how many packets of it.
    said: every packet of the client's, connection by connection.
    """

    def __init__(self, broker_port: int, *, swallow_acknowledgements: bool = False) -> None:
        self.swallow_acknowledgements = swallow_acknowledgements
        self.refuse = False
        self.refusals = 0
        self.forwarded_publishes = 0
        self.deaf, self.unheard = False, 0
        self.said: list[list[bytes]] = []
        self._broker_port = broker_port
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._server.getsockname()[1])
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._lost: set[socket.socket] = set()
        self._threads = [threading.Thread(target=self._accept)]

    def __enter__(self) -> Proxy:
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self.cut()
        for thread in self._threads:
            thread.join(5)
        self._server.close()
        for end in itertools.chain(*self._pairs):
            end.close()

    def cut(self) -> None:
        """End every connection."""
        for end in itertools.chain(*self._pairs):
            _hang_up(end)

    def lose(self) -> None:
        """End every connection towards the client; the broker is not told."""
        for near, _ in self._pairs:
            self._lost.add(near)
            _hang_up(near)

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._server.accept()
            except OSError:
                return
            if self.refuse:
                self.refusals += 1
                near.close()
                continue
            try:
                far = socket.create_connection(("127.0.0.1", self._broker_port))
            except OSError:  # the broker is being restarted: whoever connects now tries again, and must find us listening
                near.close()
                continue
            self._pairs.append((near, far))
            self.said.append([])
            for source, sink, said in ((near, far, self.said[-1]), (far, near, None)):
                thread = threading.Thread(target=self._copy, args=(source, sink, said))
                self._threads.append(thread)
                thread.start()

    def _copy(self, source: socket.socket, sink: socket.socket, said: list[bytes] | None) -> None:
        acknowledged, downwards = 0, said is None
        try:
            for packet in _packets(source):
                kind = packet[0] >> 4
                if said is not None:
                    said.append(packet)
                if downwards and kind == 4:
                    acknowledged += 1
                    if self.swallow_acknowledgements and acknowledged > 1:
                        continue
                if not downwards and self.deaf:
                    self.unheard += 1
                    continue
                if not downwards and kind == 3:
                    self.forwarded_publishes += 1
                sink.sendall(packet)
        except OSError:
            pass
        if not {source, sink} & self._lost:  # an acknowledgement may have been on its way
            _hang_up(source)
            _hang_up(sink)


class FakeBroker:
    """Just enough MQTT 5 to answer PUBLISH with chosen reasons, which no real broker does on request.

    reasons: given to the first inspections, success afterwards; None is silence.
    limits: properties of the CONNACK, as they are sent.
    drops: on a message to a topic with this in it the connection is ended, as some brokers do that deny it.
    """

    def __init__(self, *, reasons: list[int | None] | None = None, limits: bytes = b"", drops: str = "") -> None:
        self.drops = drops
        self.connections = 0
        self._reasons = list(reasons or [])
        self._limits = limits
        self.seqs: list[int] = []
        self.most_in_flight = 0
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._server.getsockname()[1])
        self._threads = [threading.Thread(target=self._accept)]
        self._ends: list[socket.socket] = []

    def __enter__(self) -> FakeBroker:
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        for end in (self._server, *self._ends):
            _hang_up(end)
        for thread in self._threads:
            thread.join(5)
        for end in (self._server, *self._ends):
            end.close()

    def take_over(self) -> None:
        """Say to every client that another one came with its id (MQTT 5.0, 3.14.2.1), as real brokers do before they close."""
        for end in self._ends:
            with suppress(OSError):
                end.sendall(bytes([0xE0, 2, 0x8E, 0]))
            _hang_up(end)

    def _accept(self) -> None:
        while True:
            try:
                end, _ = self._server.accept()
            except OSError:
                return
            self._ends.append(end)
            thread = threading.Thread(target=self._serve, args=(end,))
            self._threads.append(thread)
            thread.start()

    def _serve(self, end: socket.socket) -> None:
        waiting: list[bytes] = []
        end.settimeout(0.05)
        try:
            for packet in _packets(end):
                kind = packet[0] >> 4 if packet else 0
                if kind == 1:
                    self.connections += 1
                    end.sendall(bytes([0x20, 3 + len(self._limits), 0, 0, len(self._limits)]) + self._limits)
                elif kind == 8:
                    end.sendall(bytes([0x90, 4]) + _packet_id(packet) + bytes([0, 1]))
                elif kind == 3 and self.drops and self.drops in _topic(packet):
                    _hang_up(end)
                elif kind == 3 and packet[0] & 6:
                    waiting.extend(self._puback(packet))
                    self.most_in_flight = max(self.most_in_flight, len(waiting))
                elif kind == 0:  # a moment of silence: whoever may send more has done so
                    for answer in waiting:
                        end.sendall(answer)
                    waiting.clear()
        except OSError:
            pass

    def _puback(self, packet: bytes) -> list[bytes]:
        topic_length = int.from_bytes(packet[_header_length(packet) :][:2], "big")
        body = packet[_header_length(packet) + 2 + topic_length :]
        reason: int | None = 0
        if packet[_header_length(packet) + 2 :][:topic_length].endswith(b"/inspection"):
            properties = _header_length(body[1:]) - 1  # behind the packet's id: their length, in up to four bytes
            length = sum((byte & 0x7F) << 7 * place for place, byte in enumerate(body[2 : 2 + properties]))
            self.seqs.append(json.loads(body[2 + properties + length :])["seq"])
            reason = self._reasons.pop(0) if self._reasons else 0
        return [] if reason is None else [bytes([0x40, 3]) + body[:2] + bytes([reason])]


def _header_length(packet: bytes) -> int:
    """Length of an MQTT fixed header."""
    length = 2
    while packet[length - 1] & 0x80:
        length += 1
    return length


def _topic(packet: bytes) -> str:
    """Of a PUBLISH."""
    body = packet[_header_length(packet) :]
    return body[2 : 2 + int.from_bytes(body[:2], "big")].decode()


def _packet_id(packet: bytes) -> bytes:
    """Two bytes behind the fixed header."""
    return packet[_header_length(packet) :][:2]


def _packets(source: socket.socket) -> Iterator[bytes]:
    """Whole MQTT packets from a stream; an empty one for each timeout of the socket."""
    buffer = b""
    while True:
        try:
            data = source.recv(65536)
        except TimeoutError:
            yield b""
            continue
        if not data:
            return
        buffer += data
        while len(buffer) >= 2:
            header, length, shift = 1, 0, 0
            while header < len(buffer):
                length |= (buffer[header] & 0x7F) << shift
                shift += 7
                header += 1
                if not buffer[header - 1] & 0x80:
                    break
            else:
                break
            if len(buffer) < header + length:
                break
            yield buffer[: header + length]
            buffer = buffer[header + length :]


def _hang_up(end: socket.socket) -> None:
    with suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
