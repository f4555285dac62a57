"""Verdicts in, two further wire formats out, each as far as it takes to see that `Channel` can carry it.

Home Assistant finds its sensors by retained announcements and reads our own summary. Sparkplug B (3.0.0 of the
specification) has births, deaths and numbered messages of its own.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from dataclasses import replace

from edge.config import Settings
from edge.records import Inspection
from edge.wire.channel import Channel, Numbered, Publication
from edge.wire.encode import milliseconds

BROKER_ONLINE = "homeassistant/status"


class HomeAssistantLike(Channel):
    """One device with its sensors; their values are taken from the contract's own summary, so a verdict adds nothing."""

    name = "homeassistant"

    def __init__(self, settings: Settings) -> None:
        self._prefix, self._id = settings.topic_prefix, f"sem-{settings.device.id}"

    def announce(self) -> Sequence[Publication]:
        sensors = ("area_fraction", "region_count", "severity")
        discovery = {
            "device": {"identifiers": [self._id]},
            "origin": {"name": "sem-corrosion-edge"},
            "components": {
                name: {
                    "platform": "sensor",
                    "unique_id": f"{self._id}-{name}",
                    "value_template": f"{{{{ value_json.{name} }}}}",
                }
                for name in sensors
            },
            "state_topic": f"{self._prefix}/summary",
            "availability": {"topic": f"{self._prefix}/status", "value_template": "{{ value_json.state }}"},
        }
        payload = json.dumps(discovery, separators=(",", ":")).encode()
        return (Publication(f"homeassistant/device/{self._id}/config", payload, retain=True),)

    def subscriptions(self) -> Sequence[str]:
        return (BROKER_ONLINE,)

    def on_message(self, topic: str, payload: bytes) -> Sequence[Publication]:
        return self.announce() if (topic, payload) == (BROKER_ONLINE, b"online") else ()

    def on_verdict(self, numbered: Numbered) -> Sequence[Publication]:
        return ()


class SparkplugLike(Channel):
    """One edge node. With a `primary_host` nothing is born before that host is there, and all waits while it is away.

    Where the specification wants the node to disconnect when its host goes, this says its death and stays.
    """

    name = "sparkplug"

    def __init__(self, group: str, node: str, primary_host: str | None = None) -> None:
        self._birth, self._data, self._death, self._command = (
            f"spBv1.0/{group}/{kind}/{node}" for kind in ("NBIRTH", "NDATA", "NDEATH", "NCMD")
        )
        self._host = None if primary_host is None else f"spBv1.0/STATE/{primary_host}"
        self._connections = -1
        self._seq = 0
        self._host_online = False

    def will(self) -> Publication:
        self._connections += 1
        self._host_online = False
        return Publication(self._death, _metric("bdSeq", _whole(11, self._connections % 256)))

    def subscriptions(self) -> Sequence[str]:
        return (self._command,) if self._host is None else (self._command, self._host)

    def announce(self) -> Sequence[Publication]:
        return () if self.waits() else self._births()

    def _births(self) -> Sequence[Publication]:
        born = _metric("bdSeq", _whole(11, self._connections % 256)) + _metric("Node Control/Rebirth", _whole(14, 0))
        return (Publication(self._birth, born, qos=0),)

    def on_message(self, topic: str, payload: bytes) -> Sequence[Publication]:
        if topic == self._command:
            return self._births() if b"Node Control/Rebirth" in payload and not self.waits() else ()
        was_online, self._host_online = self._host_online, bool(json.loads(payload)["online"])
        if self._host_online:
            return self._births()
        return (Publication(self._death, _metric("bdSeq", _whole(11, self._connections % 256))),) if was_online else ()

    def on_verdict(self, numbered: Numbered) -> Sequence[Publication]:
        verdict = numbered.verdict
        if not isinstance(verdict, Inspection):
            return ()
        fraction = _metric("area_fraction", _double(13, verdict.measures.area_fraction))
        return (Publication(self._data, _whole(1, milliseconds(verdict.made_at)) + fraction),)

    def waits(self) -> bool:
        return self._host is not None and not self._host_online

    def on_send(self, publication: Publication) -> Publication:
        if publication.topic == self._death:
            return publication
        self._seq = 0 if publication.topic == self._birth else (self._seq + 1) % 256
        # Fields of a Protocol Buffer stand in any order, so what is known last is put last.
        return replace(publication, payload=publication.payload + _whole(3, self._seq), qos=0)


def _whole(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _double(field: int, value: float) -> bytes:
    return _varint(field << 3 | 1) + struct.pack("<d", value)


def _bytes(field: int, value: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(value)) + value


def _metric(name: str, value: bytes) -> bytes:
    return _bytes(2, _bytes(1, name.encode()) + value)


def _varint(value: int) -> bytes:
    written = bytearray()
    while value > 0x7F:
        written.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*written, value))
