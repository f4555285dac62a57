"""Verdicts in, a Sparkplug B edge node with one device out: births, data, deaths (specification 3.0.0).

Data are of QoS 0, as the specification wants. The connection strikes them off the journal when the broker has answered to
what was asked behind them. What the host got of them nobody is told; with a primary host nothing is sent while it is away.
"""

from __future__ import annotations

import json
import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Final

from edge.config import Settings
from edge.whole_file import write_whole
from edge.wire import sparkplug_metrics as metrics
from edge.wire.channel import Channel, Numbered, Publication
from edge.wire.sparkplug_b_pb2 import Payload
from edge.wire.sparkplug_host import PrimaryHost
from edge.wire.sparkplug_metrics import NOTHING_TOLD, Told

log = logging.getLogger(__name__)

NAMESPACE: Final = "spBv1.0"
STATE_FILE: Final = "sparkplug.json"
"""In the state folder: the bdSeq of the last connection."""
UNNOTICED_S: Final = 180.0
"""So long may a host be gone before the broker says so: one and a half of the keepalive that is usual at most."""
MOST_RECENT: Final = 1000
"""So many messages are kept of that time."""


class Sparkplug(Channel):
    """One edge node, its device the microscope. clock: seconds since 1970."""

    name = "sparkplug"
    keeps_will = True  # tck-id-payloads-ndeath-will-message-publisher-disconnect-mqtt50

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.time) -> None:
        self._clock, self._device = clock, settings.device
        self.group, self.node, self.device = identifiers(settings)
        self._host = PrimaryHost(settings.mqtt.sparkplug_host) if settings.mqtt.sparkplug_host else None
        self._births = BirthNumbers(settings.state.folder / STATE_FILE)
        self._newest = NOTHING_TOLD  # written by the thread that stores verdicts, as a whole
        self._told = NOTHING_TOLD  # in this session, since its births
        self._past_epochs: set[str] = set()
        self._born = False
        self._lost = False  # the device
        self._recent: deque[tuple[float, Publication]] = deque(maxlen=MOST_RECENT)  # data, with when they were sent
        self._missed: list[Publication] = []  # of those, what a host may not have got
        self._seq = 0

    # What is said

    def on_verdict(self, numbered: Numbered) -> Sequence[Publication]:
        """One DDATA with all of it; what of it is sent is known only later."""
        told = metrics.told_by_verdict(numbered, self._device)
        self._newest = Told(told.place, {**self._newest.readings, **told.readings})
        return (Publication(self._topic("DDATA"), metrics.device_data(told).SerializeToString()),)

    def recall(self, summary: bytes) -> None:
        """What the last life told of the device."""
        self._newest = metrics.told_by_summary(json.loads(summary))

    def will(self) -> Publication:
        """NDEATH of the connection that is tried now."""
        if self._born:
            self._forget_all_before(self._clock() - UNNOTICED_S)
        self._born = False
        if self._host is not None:
            self._host.connecting()
        bdseq = self._births.next()
        return Publication(self._topic("NDEATH"), metrics.death(bdseq, self._now_ms()).SerializeToString(), qos=1)

    def on_connect(self) -> None:
        """CONNECT is on its way: the next one has another number."""
        self._births.used()

    def announce(self) -> Sequence[Publication]:
        """Births, unless a primary host has to be there first."""
        return () if self._host is not None else self._give_birth()

    def subscriptions(self) -> Sequence[str]:
        """Commands to the node; the device has nothing that could be written to."""
        return (self._topic("NCMD"),) if self._host is None else (self._topic("NCMD"), self._host.topic)

    def on_message(self, topic: str, payload: bytes) -> Sequence[Publication]:
        """Births when a host asks for them, or is there at last."""
        if topic == self._topic("NCMD"):
            try:
                asked = metrics.asks_for_rebirth(payload)
            except ValueError as error:
                log.warning("a message on %s is ignored: %s", topic, error)
                return ()
            return self._give_birth() if asked and self._born else ()
        if self._host is None:
            return ()
        self._host.hear(topic, payload)
        if not self._host.online or self._born:
            return ()
        self._missed += [publication for _, publication in self._recent]
        self._recent.clear()
        return self._give_birth()

    def on_device(self, problem: str | None) -> Sequence[Publication]:
        """DDEATH when the microscope's folder is away, DBIRTH when it is back (5.7)."""
        was_lost, self._lost = self._lost, problem is not None
        if not self._born or was_lost == self._lost:
            return ()
        if self._lost:
            return (Publication(self._topic("DDEATH"), metrics.device_death(self._now_ms()).SerializeToString(), qos=0),)
        return self._device_birth()

    def waits(self) -> bool | str:
        """Before its births nothing can be said of a device, and to nobody."""
        if self._host is not None and not self._host.online:
            return f"waits for the primary host {self._host.name}, which is offline"
        return not self._born or self._lost

    def leaves(self) -> str | None:
        """A node dies with its primary host (5.4)."""
        if self._host is None or self._host.online or not self._born:
            return None
        return f"the primary host {self._host.name} is offline"

    def on_send(self, publication: Publication) -> Publication:
        """With its number and the time, QoS 0; of data what is new, or all of it as history."""
        kind = publication.topic.split("/")[2]
        payload = Payload.FromString(publication.payload)
        if kind == "DDATA":
            self._recent.append((self._clock(), publication))
            if publication in self._missed:  # until here a lost connection could have kept it back
                self._missed.remove(publication)
            self._look_at_data(payload)
        self._seq = 0 if kind == "NBIRTH" else (self._seq + 1) % 256
        payload.seq, payload.timestamp = self._seq, self._now_ms()
        return replace(publication, payload=payload.SerializeToString(), qos=0)

    def _forget_all_before(self, moment_s: float) -> None:
        while self._recent and self._recent[0][0] < moment_s:
            self._recent.popleft()

    def _look_at_data(self, payload: Payload) -> None:
        said = metrics.said_by_data(payload)
        if self._is_history(said):
            metrics.mark_historical(payload)
            return
        metrics.keep_changed(payload, self._told)
        self._tell(Told(said.place, {**self._told.readings, **said.readings}))

    def _is_history(self, said: Told) -> bool:
        """Whether the births, or data since, told of it or of a newer verdict already."""
        if said.place is None or self._told.place is None:
            return False
        (epoch, seq), (told_epoch, told_seq) = said.place, self._told.place
        return seq <= told_seq if epoch == told_epoch else epoch in self._past_epochs

    def _tell(self, told: Told) -> None:
        if self._told.place is not None and told.place is not None and told.place[0] != self._told.place[0]:
            self._past_epochs.add(self._told.place[0])
        self._told = told

    def _give_birth(self) -> Sequence[Publication]:
        self._born = True
        node = metrics.node_birth(self._births.now, self._now_ms())
        birth = Publication(self._topic("NBIRTH"), node.SerializeToString(), qos=0)
        return (birth,) if self._lost else (birth, *self._device_birth())

    def _device_birth(self) -> Sequence[Publication]:
        """Behind it what the primary host may have missed, which is history now."""
        self._tell(self._newest)
        birth = metrics.device_birth(self._told, self._now_ms())
        return (Publication(self._topic("DBIRTH"), birth.SerializeToString(), qos=0), *self._missed)

    def _topic(self, kind: str) -> str:
        device = f"/{self.device}" if kind.startswith("D") else ""
        return f"{NAMESPACE}/{self.group}/{kind}/{self.node}{device}"

    def _now_ms(self) -> int:
        return int(self._clock() * 1000)


class BirthNumbers:
    """bdSeq: 0 at first, one more for each CONNECT, 0 again after 255; kept over restarts."""

    def __init__(self, path: Path) -> None:
        """Reads the last number; what cannot be read is as if there was none."""
        self._path, self.now, self._free = path, -1, False
        with suppress(FileNotFoundError):
            try:
                self.now = int(json.loads(path.read_text(encoding="utf-8"))["bdSeq"]) % 256
            except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
                if isinstance(error, FileNotFoundError):
                    raise
                log.warning("%s cannot be read, bdSeq begins at 0: %s", path, error)

    def next(self) -> int:
        """The number for the connection that is tried now: the last one, where no CONNECT was sent with it."""
        if not self._free:
            self.now, self._free = (self.now + 1) % 256, True
            try:
                write_whole(self._path, json.dumps({"bdSeq": self.now}).encode())
            except OSError as error:  # a full disk, which others tell: until the next restart memory is enough
                log.warning("%s cannot be written: %s", self._path, error)
        return self.now

    def used(self) -> None:
        """A CONNECT was sent with it."""
        self._free = False


def identifiers(settings: Settings) -> tuple[str, str, str]:
    """Group, edge node and device id. A node's is unique in its group, where no two microscopes have one area and id."""
    device, mqtt = settings.device, settings.mqtt
    group, node = mqtt.sparkplug_group or device.site, mqtt.sparkplug_node or f"{device.area}:{device.id}"
    return group, node, mqtt.sparkplug_device or device.id
