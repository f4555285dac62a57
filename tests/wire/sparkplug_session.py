"""One connection of a Sparkplug channel without a network: what a session does with it, and what of it a host sees."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge.config import Settings, parse
from edge.records import Failure, Inspection
from edge.wire.channel import Numbered, Publication
from edge.wire.sparkplug import Sparkplug
from edge.wire.sparkplug_b_pb2 import Payload
from edge.wire.sparkplug_metrics import DEVICE_METRICS
from tests.wire.examples import EPOCH, ID, example

NAMES = {metric.alias: name for name, metric in DEVICE_METRICS.items()}
FIELDS = ("int_value", "long_value", "double_value", "boolean_value", "string_value")
NOW_S = 1_800_000_000.5


@dataclass(frozen=True)
class Said:
    """One message as a host reads it."""

    publication: Publication

    @property
    def kind(self) -> str:
        return self.publication.topic.split("/")[2]

    @property
    def payload(self) -> Payload:
        payload: Payload = Payload.FromString(self.publication.payload)
        return payload

    @property
    def metrics(self) -> dict[str, Any]:
        """By name, also where an alias stands for it."""
        return {one.name or NAMES.get(one.alias, ""): one for one in self.payload.metrics}

    @property
    def values(self) -> dict[str, Any]:
        return {name: None if one.is_null else getattr(one, one.WhichOneof("value")) for name, one in self.metrics.items()}

    @property
    def historical(self) -> bool:
        kinds: set[bool] = {one.is_historical for one in self.payload.metrics}
        assert len(kinds) == 1
        return kinds.pop()


def settings(state: Path, **mqtt: Any) -> Settings:
    return parse(
        {
            "device": {"site": "plant-1", "area": "lab", "id": "sem-01"},
            "watch": {"folder": "/images"},
            "state": {"folder": str(state)},
            "mqtt": {"sparkplug": True, **mqtt},
        },
        {},
    )


class Outbox:
    """Rows that wait, for all connections."""

    def __init__(self) -> None:
        self.rows: list[Publication] = []


class Connection:
    """What a publisher does with the channel: will, CONNECT, births, answers, and rows while nothing waits."""

    def __init__(self, channel: Sparkplug, outbox: Outbox | None = None, *, reached: bool = True) -> None:
        self._channel, self._outbox = channel, outbox or Outbox()
        self.will = Said(channel.will())
        self.said: list[Said] = []
        self.left: str | None = None
        if not reached:
            return
        channel.on_connect()
        self.topics = channel.subscriptions()
        self._send(channel.announce())
        self._send_rows()

    def conclude(self, seq: int, verdict: Inspection | Failure | None = None, epoch: str = EPOCH) -> None:
        """A verdict is stored and, where nothing waits, sent."""
        self._outbox.rows += self._channel.on_verdict(Numbered(verdict or example(), ID, epoch, seq))
        self._send_rows()

    def hear(self, topic: str, payload: bytes) -> None:
        self._send(self._channel.on_message(topic, payload))
        self.left = self.left or self._channel.leaves()
        if self.left is None:
            self._send_rows()

    def device(self, problem: str | None) -> None:
        self._send(self._channel.on_device(problem))
        self._send_rows()

    def host(self, online: bool, timestamp: int, name: str = "scada") -> None:
        self.hear(f"spBv1.0/STATE/{name}", json.dumps({"online": online, "timestamp": timestamp}).encode())

    def rebirth(self) -> None:
        payload = Payload(timestamp=1)
        payload.metrics.add(name="Node Control/Rebirth", timestamp=1, boolean_value=True)
        self.hear("spBv1.0/plant-1/NCMD/lab:sem-01", payload.SerializeToString())

    def _send(self, publications: Sequence[Publication]) -> None:
        self.said += [Said(self._channel.on_send(publication)) for publication in publications]

    def _send_rows(self) -> None:
        while self._outbox.rows and not self._channel.waits():
            self._send((self._outbox.rows.pop(0),))

    @property
    def kinds(self) -> list[str]:
        return [one.kind for one in self.said]

    def last(self, kind: str) -> Said:
        return [one for one in self.said if one.kind == kind][-1]


def opened(state: Path, **mqtt: Any) -> Sparkplug:
    return Sparkplug(settings(state, **mqtt), lambda: NOW_S)
