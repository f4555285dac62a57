"""The lives of a Sparkplug node before a real broker, as the packets that it said: what a host and a broker see of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edge.config import MqttSettings
from edge.mqtt.channel_publisher import ChannelPublisher
from edge.records import Failure, Inspection
from edge.wire.channel import Numbered, Publication
from edge.wire.sparkplug import Sparkplug
from edge.wire.sparkplug_b_pb2 import Payload
from tests.fakes.brokers import Listener, Mosquitto, Proxy, eventually
from tests.mqtt.channels import EPOCH, RowsInMemory
from tests.wire.examples import ID, abstained, example, failure
from tests.wire.sparkplug_session import Said, settings

GROUP, NODE, DEVICE, HOST = "plant-1", "lab:sem-01", "sem-01", "scada"
COMMAND = f"spBv1.0/{GROUP}/NCMD/{NODE}"


@dataclass
class Link:
    """One connection as the client spoke on it. ended: the reason of its DISCONNECT, None where it sent none."""

    version: int
    clean: bool
    session_expiry_s: int
    will: Said
    will_qos: int
    will_retain: bool
    topics: dict[str, int] = field(default_factory=dict)
    said: list[Said] = field(default_factory=list)
    order: list[str] = field(default_factory=list)
    ended: int | None = None

    def of(self, kind: str) -> list[Said]:
        return [one for one in self.said if one.kind == kind]

    @property
    def bdseq(self) -> int:
        number: int = self.will.values["bdSeq"]
        return number


@dataclass
class Life:
    """links: in order.  heard: what a subscriber got, deaths by the broker too.  state: what happened besides, by name."""

    links: list[Link]
    heard: list[Said]
    state: dict[str, Any]

    @property
    def said(self) -> list[Said]:
        return [one for link in self.links for one in link.said]

    def of(self, kind: str) -> list[Said]:
        return [one for one in self.said if one.kind == kind]


class Node:
    """A publisher of the real channel, with rows that a test adds."""

    def __init__(self, state: Path, port: int, *, protocol: int = 5, **mqtt: Any) -> None:
        self.channel = Sparkplug(settings(state, **mqtt))
        self.rows = RowsInMemory("sparkplug")
        self.problem: str | None = None
        self._seq = 0
        self.publisher = ChannelPublisher(
            MqttSettings(host="127.0.0.1", port=port, protocol=5 if protocol == 5 else 311),
            self.channel,
            self.rows,  # type: ignore[arg-type]
            epoch=EPOCH,
            device=lambda: self.problem,
            shortest_wait_s=0.05,
            longest_wait_s=0.2,
        )
        self.publisher.start()

    def conclude(self, verdict: Inspection | Failure) -> None:
        self._seq += 1
        for row in self.channel.on_verdict(Numbered(verdict, ID, EPOCH, self._seq)):
            self.rows.add(row.topic, row.payload)
        self.publisher.wake()

    def device(self, problem: str | None) -> None:
        self.problem = problem
        self.publisher.wake()


def rebirth() -> bytes:
    payload = Payload(timestamp=1)
    payload.metrics.add(name="Node Control/Rebirth", timestamp=1, boolean_value=True)
    data: bytes = payload.SerializeToString()
    return data


@contextmanager
def broker_and_host(folder: Path) -> Iterator[tuple[Proxy, Listener]]:
    with Mosquitto(folder / "broker") as broker, Listener(broker.port, "spBv1.0/#") as host, Proxy(broker.port) as proxy:
        yield proxy, host


def heard(host: Listener) -> list[Said]:
    return [Said(Publication(one.topic, one.payload)) for one in list(host.heard) if "/STATE/" not in one.topic]


def count(host: Listener, kind: str) -> Callable[[int], None]:
    def wait(wanted: int) -> None:
        eventually(lambda: sum(one.kind == kind for one in heard(host)) >= wanted, 60, f"{wanted} {kind}")

    return wait


def whole_life(folder: Path, protocol: int) -> Life:
    """Births, more data than there are numbers, a rebirth, a lost device, data that wait, a lost connection, a clean end."""
    with broker_and_host(folder) as (proxy, host):
        births, data = count(host, "DBIRTH"), count(host, "DDATA")
        node = Node(folder, proxy.port, protocol=protocol)
        births(1)
        for n in range(260):
            node.conclude((example(), abstained(), failure())[n % 3])
        data(260)
        host.say(COMMAND, rebirth())
        births(2)
        node.conclude(example())
        data(261)
        node.device("the folder is gone")
        count(host, "DDEATH")(1)
        node.conclude(abstained())
        node.conclude(failure())
        proxy.cut()
        count(host, "NBIRTH")(3)
        node.device(None)
        births(3)
        data(263)
        node.conclude(example())
        data(264)
        eventually(node.rows.empty)
        assert node.publisher.stop(30)
        count(host, "NDEATH")(2)
        eventually(lambda: proxy.said[-1][-1][0] >> 4 == 14)
        return Life(links(proxy, protocol), heard(host), {})


def life_with_a_host(folder: Path) -> Life:
    """A primary host that is away, comes, says something old, goes, and comes again."""

    def state(online: bool, timestamp: int, name: str = HOST) -> None:
        payload = json.dumps({"online": online, "timestamp": timestamp})
        host.say(f"spBv1.0/STATE/{name}", payload, retain=True)

    told: dict[str, Any] = {}
    with broker_and_host(folder) as (proxy, host):
        births, data = count(host, "DBIRTH"), count(host, "DDATA")
        state(False, 1000)
        state(True, 1000, name="historian")
        node = Node(folder, proxy.port, sparkplug_host=HOST)
        eventually(lambda: node.publisher.connected)
        node.conclude(example())
        host.say(COMMAND, rebirth())
        _answered(host, proxy)
        told["said while it was away"] = heard(host)
        state(True, 2000)
        births(1)
        node.conclude(abstained())
        data(2)
        state(False, 1500)
        node.conclude(example())
        data(3)
        told["links after an old death"] = len(proxy.said)
        state(False, 2000)
        count(host, "NDEATH")(1)
        node.conclude(abstained())
        eventually(lambda: len(proxy.said) == 2)
        _answered(host, proxy)
        told["said after it went"] = heard(host)[-1].kind
        told["waits"] = not node.rows.empty()
        state(True, 3000)
        births(2)
        data(4)
        eventually(node.rows.empty)
        assert node.publisher.stop(30)
        eventually(lambda: proxy.said[-1][-1][0] >> 4 == 14)
        return Life(links(proxy, 5), heard(host), told)


def _answered(host: Listener, proxy: Proxy) -> None:
    """Wait until the node has had time to say what it should not: until it has sent its subscriptions and a sign of life."""
    eventually(lambda: {8, 10} <= {packet[0] >> 4 for packet in proxy.said[-1]})
    before = len(proxy.said[-1])
    host.say(COMMAND, b"")
    eventually(lambda: len(proxy.said[-1]) > before)  # the acknowledgement of that


def links(proxy: Proxy, protocol: int) -> list[Link]:
    found = []
    for packets in proxy.said:
        link = _connect(packets[0], protocol)
        for packet in packets[1:]:
            _take(link, packet, protocol)
        found.append(link)
    return found


def _take(link: Link, packet: bytes, protocol: int) -> None:
    read = Reader(packet)
    if read.kind == 3:
        topic, qos = read.text(), packet[0] >> 1 & 3
        read.skip(2 if qos else 0)
        read.properties(protocol)
        link.said.append(Said(Publication(topic, read.rest(), qos, bool(packet[0] & 1))))
        link.order.append(link.said[-1].kind)
    elif read.kind == 8:
        read.skip(2)
        read.properties(protocol)
        while read.more():
            topic = read.text()
            link.topics[topic] = read.byte() & 3
        link.order.append("SUBSCRIBE")
    elif read.kind == 14:
        link.ended = read.byte() if read.more() else 0
        link.order.append("DISCONNECT")


def _connect(packet: bytes, protocol: int) -> Link:
    read = Reader(packet)
    assert read.kind == 1
    assert read.text() == "MQTT"
    version, flags, _ = read.byte(), read.byte(), read.skip(2)
    expiry = read.properties(protocol).get(17, b"\0\0\0\0")
    read.text()
    read.properties(protocol)
    topic, payload = read.text(), read.binary()
    assert flags & 4
    will = Said(Publication(topic, payload))
    return Link(version, bool(flags & 2), int.from_bytes(expiry, "big"), will, flags >> 3 & 3, bool(flags & 32))


class Reader:
    """An MQTT packet, part by part (MQTT 5.0, 1.5 and 2.1)."""

    def __init__(self, packet: bytes) -> None:
        self.kind, self._data, self._at = packet[0] >> 4, packet, 1
        self.number()

    def number(self) -> int:
        value = shift = 0
        while True:
            byte = self.byte()
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    def byte(self) -> int:
        self._at += 1
        return self._data[self._at - 1]

    def skip(self, length: int) -> bytes:
        self._at += length
        return self._data[self._at - length : self._at]

    def binary(self) -> bytes:
        return self.skip(int.from_bytes(self.skip(2), "big"))

    def text(self) -> str:
        return self.binary().decode()

    def rest(self) -> bytes:
        return self.skip(len(self._data) - self._at)

    def more(self) -> bool:
        return self._at < len(self._data)

    def properties(self, protocol: int) -> dict[int, bytes]:
        """Those of four bytes; others are not sent here, or stand behind them."""
        if protocol != 5:
            return {}
        end = self.number()
        end += self._at
        found = {}
        while self._at < end and self._data[self._at] in (17, 39, 24, 2):
            found[self.byte()] = self.skip(4)
        self._at = end
        return found
