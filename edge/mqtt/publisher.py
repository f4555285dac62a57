"""The journal's outbox in, the messages of the contract out: verdicts, status, health, summary, answers to commands."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, Final, Literal

from edge.config import DeviceSettings, MqttSettings
from edge.errors import StateFullError
from edge.journal import Journal, Message, Outgoing
from edge.mqtt.commands import Commands
from edge.mqtt.connection import Received
from edge.mqtt.content import Absent, Transient
from edge.mqtt.restored import look_back
from edge.mqtt.standing import StandingConnection
from edge.mqtt.threads import Connectivity
from edge.wire.channel import Publication
from edge.wire.encode import timestamp
from edge.wire.failure import encode_tombstone, is_tombstone
from edge.wire.labels import labelled
from edge.wire.status import encode_status

log = logging.getLogger(__name__)

HEALTH_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class StatusText:
    """What the daemon knows of its own state; the connection adds the rest of an `edge.status/1`."""

    state: Literal["online", "degraded"]
    reasons: tuple[str, ...] = ()
    last_seq: int = 0
    dead_letters: int = 0


class Publisher(StandingConnection):
    """Keeps the contract's connection to the broker and empties the journal's outbox into it."""

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
        on_trouble: Callable[[str, str | None], None] = lambda _name, _problem: None,
        release_topic: str = "",
        on_release: Callable[[bytes], None] = lambda _payload: None,
    ) -> None:
        """Prepare; nothing is done before `start`.

        status, health: called in the publisher's thread whenever they are to be sent; they must not block.
        on_command: gets the name and the checked fields of a command, in the publisher's thread, and must not block.
            What it returns is the answer's `result`; an `EdgeError` or ValueError that it raises is the answer's `error`.
        being_drawn: whether the picture of this name will come, followed by a `wake`. An overlay whose picture is neither
            there nor drawn is not sent.
        on_trouble: gets what the broker or another client does to us, for the status: see `StandingConnection`.
        release_topic: where signed models are announced, empty for nowhere.
        on_release: gets what is said there, empty where it is withdrawn, in the publisher's thread, and must not block.
        """
        self.being_drawn = being_drawn
        commands = Commands(prefix, device, on_command, settings.response_topics)
        self._contract = _Contract(prefix, journal, device, status, health, commands, being_drawn)
        self._contract.hear_releases(release_topic, on_release)
        super().__init__(
            settings,
            lambda: client_id(journal.epoch),
            self._contract,
            journal.outbox,
            connectivity=Connectivity("MQTT"),
            shortest_wait_s=shortest_wait_s,
            longest_wait_s=longest_wait_s,
            thread_name="publisher",
            on_trouble=on_trouble,
        )

    def refresh_status(self) -> None:
        """What `status` returns has changed."""
        self._contract.status_stale.set()
        self.wake()


class _Contract:
    """The `Content` of the contract's connection, for all its lives.

    It belongs to the publisher's thread, except for `status_stale`, an event that any thread sets.
    """

    channel, keeps_will = "", False

    def __init__(
        self,
        prefix: str,
        journal: Journal,
        device: DeviceSettings,
        status: Callable[[], StatusText],
        health: Callable[[], bytes],
        commands: Commands,
        being_drawn: Callable[[str], bool],
    ) -> None:
        self._prefix, self._journal, self._device = prefix, journal, device
        self._status, self._health, self._commands, self._being_drawn = status, health, commands, being_drawn
        self.status_stale = threading.Event()
        self._connected_at = _now()
        self._health_at = 0.0
        self._summary_refused = 0
        self._release_topic = ""
        self._on_release: Callable[[bytes], None] = lambda _payload: None

    def hear_releases(self, topic: str, hear: Callable[[bytes], None]) -> None:
        """Listen to announcements of models too. topic: empty for none."""
        self._release_topic, self._on_release = topic, hear

    def connecting(self) -> Publication:
        self._connected_at = _now()
        self._health_at = 0.0
        self._summary_refused = 0
        with suppress(StateFullError):  # verdicts that wait can be sent all the same
            self._journal.connecting(timestamp(self._connected_at))
        return self._status_now("connection lost")

    def connect_sent(self) -> None:
        pass

    def leaves(self) -> str | None:
        return None

    def subscriptions(self) -> Sequence[str]:
        return (self._commands.topics, *((self._release_topic,) if self._release_topic else ()))

    def live_only(self, topics: str) -> bool:
        return topics != self._release_topic

    def kept(self) -> Sequence[str]:
        return (f"{self._prefix}/status", f"{self._prefix}/summary")

    def recalled(self, kept: Mapping[str, bytes]) -> str | None:
        status, summary = (kept.get(topic) for topic in self.kept())
        return look_back(self._journal, status=status, summary=summary)

    def opening(self) -> Sequence[Transient]:
        self.status_stale.set()
        return self.changes()

    def changes(self) -> Sequence[Transient]:
        if not self.status_stale.is_set():
            return ()
        self.status_stale.clear()  # before it is asked for: what changes meanwhile is said again
        self._health_at = 0.0  # it says more of the same
        return (Transient("status", self._status_now(), proves=True),)

    def latest(self) -> Sequence[Transient]:
        replayed = self._commands.due()
        newest = self._journal.outbox.summary()
        if newest is None or newest.sent or newest.seq <= self._summary_refused:
            return replayed
        message = Publication(f"{self._prefix}/summary", newest.payload, retain=True)
        return (Transient("summary", message, seq=newest.seq), *replayed)

    def periodic(self) -> Sequence[Publication]:
        if time.monotonic() < self._health_at:
            return ()
        self._health_at = time.monotonic() + HEALTH_S
        try:
            return (Publication(f"{self._prefix}/health", self._health(), qos=0),)
        except Exception:  # verdicts must go out, even if nobody knows how the machine does
            log.exception("health is not published")
            return ()

    def topic(self, row: Outgoing) -> str:
        return f"{self._prefix}/{row.topic}"

    def payload(self, row: Outgoing) -> bytes | Absent:
        if row.picture is None:
            return row.payload or b""
        comes = self._being_drawn(row.picture)  # asked before looking, else it could come in between
        try:
            return (self._journal.pictures.folder / row.picture).read_bytes()
        except OSError as error:
            if comes:
                return Absent.SO_FAR
            log.warning("picture %s of seq %d is gone (%s): it is not sent", row.picture, row.seq, error.strerror)
            return Absent.FOR_GOOD

    def waits(self) -> bool:
        return False

    def on_send(self, publication: Publication) -> Publication:
        return labelled(publication, self._device)

    def acknowledged(self, item: Transient) -> None:
        if item.what == "summary":
            self._journal.outbox.summary_sent(item.seq)

    def refused(self, item: Transient) -> None:
        if item.what == "summary":
            self._summary_refused = item.seq

    def bury(self, row: Outgoing, reason: str) -> Message | None:
        """A verdict leaves a tombstone, which the broker may refuse too; nothing takes the place of anything else."""
        self.status_stale.set()  # it counts the dead letters
        if row.role != "verdict" or row.payload is None or is_tombstone(row.payload):
            return None
        payload = encode_tombstone(
            seq=row.seq,
            epoch=row.epoch,
            kind="failure" if row.topic == "failure" else "inspection",
            verdict_id=row.verdict_id,
            reason=reason,
            device=self._device,
            at=_now(),
        )
        return Message("verdict", "failure", payload)

    def on_message(self, received: Received) -> Sequence[Transient]:
        if self._release_topic and received.topic == self._release_topic:
            self._on_release(received.payload)
            return ()
        return self._commands.answers(received)

    def closing(self) -> Sequence[Transient]:
        return (Transient("status", self._status_now("stopped"), proves=True),)

    def _status_now(self, offline: Literal["connection lost", "stopped"] | None = None) -> Publication:
        """An `edge.status/1` of this moment; one that the broker keeps as our last will counts nothing."""
        text = self._status()
        lasts = offline != "connection lost"
        payload = encode_status(
            state=text.state if offline is None else "offline",
            reasons=text.reasons if offline is None else (offline,),
            connected_at=self._connected_at,
            epoch=self._journal.epoch,
            last_seq=text.last_seq if lasts else None,
            dead_letters=text.dead_letters if lasts else None,
            device=self._device,
            at=_now(),
        )
        return labelled(Publication(f"{self._prefix}/status", payload, retain=True), self._device)


def client_id(epoch: str) -> str:
    """The MQTT client id of one journal's publisher, the same at every connect.

    At most 23 letters and digits, which MQTT 3.1.1, 3.1.3.1 obliges a broker to accept.
    """
    return "edge" + epoch.replace("-", "")[:19]


def _now() -> datetime:
    return datetime.now(timezone.utc)
