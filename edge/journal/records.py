"""The values that go into the journal and come out of it: frozen, checked once when made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

from edge.records import Fingerprint

ImageState = Literal["waiting", "running", "done", "ignored"]
Comparison = Literal["same", "changed", "later"]
Role = Literal["verdict", "overlay", "summary", "channel", "review"]
Kind = Literal["inspection", "failure"]


@dataclass(frozen=True, slots=True)
class Entry:
    """One image in the ledger.

    path: below the watched folder, as `os.fsdecode` gives it.
    revision: 1, rising when the content changes.
    run: 1, rising with each commanded repeat.
    attempts: how often it was begun and not yet concluded.
    deaths: how often the process that inspected it was seen to die.
    backlog: it was there when the service started, or came with very many others.
    content: sha256 of what was inspected last under this path; None where nothing was, or it failed.
    """

    path: str
    fingerprint: Fingerprint
    state: ImageState
    revision: int
    run: int
    attempts: int
    deaths: int
    backlog: bool
    content: str | None = None


@dataclass(frozen=True, slots=True)
class Message:
    """One message to be sent: either a payload or the name of a file in the pictures folder.

    role: "channel" for what a channel beside the contract's JSON says.
    topic: below the prefix; the whole topic where there is a channel.
    channel: its name, empty for the contract's JSON.
    retain: the broker keeps the last one; only for a channel, because the contract's JSON retains the summary alone.
    kept: it is for readers of the journal and for a replay, and waits for nobody: there is no broker.
    """

    role: Role
    topic: str
    payload: bytes | None
    picture: str | None = None
    channel: str = ""
    retain: bool = False
    kept: bool = False

    def __post_init__(self) -> None:
        if (self.payload is None) == (self.picture is None):
            raise ValueError(f"a message to {self.topic} needs either a payload or a picture")
        if self.payload is None and self.role != "overlay":
            raise ValueError(f"a {self.role} needs a payload: only an overlay can be a picture")
        if (self.role == "channel") != bool(self.channel):
            raise ValueError(f"the {self.role} message to {self.topic} has the channel {self.channel!r}: name both or neither")
        if self.retain and not self.channel:
            raise ValueError(f"the {self.role} message to {self.topic} cannot be retained: only one of a channel can")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What takes one `seq`: an inspection or a failure, and its messages in the order in which they are to be sent.

    code, message: of a failure, for the quarantine.
    """

    verdict_id: str
    kind: Kind
    messages: tuple[Message, ...]
    code: str = ""
    message: str = ""

    def __post_init__(self) -> None:
        if sum(message.role == "verdict" for message in self.messages) != 1:
            raise ValueError(f"{self.kind} {self.verdict_id} needs exactly one message of the role verdict")


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message that the broker has not acknowledged yet.

    id: rises in the order of sending.
    topic, channel, retain: see `Message`.
    lost_connections: how many died while this was the only message in flight.
    epoch: the one that `seq` belongs to; an older one after the state was restored.
    """

    id: int
    seq: int
    verdict_id: str
    role: Role
    topic: str
    payload: bytes | None
    picture: str | None
    lost_connections: int
    epoch: str = ""
    channel: str = ""
    retain: bool = False


class Undrawn(NamedTuple):
    """An overlay that waits to be sent without its picture: the process ended between the verdict and the drawing.

    id: of its row in the outbox.
    tries: how often drawing it was begun, as `Pictures.count_try` counted.
    path: of the image.
    verdict: the message with the same seq.
    """

    id: int
    picture: str
    tries: int
    path: str
    verdict: bytes


class Kept(NamedTuple):
    """What the broker keeps of a device under our prefix, in one of its messages.

    last_seq: the highest that it speaks of, None where it says none.
    connected_at: since when its sender was connected, as the message says it; None where it does not.
    """

    epoch: str
    last_seq: int | None
    connected_at: str | None


class Unsent(NamedTuple):
    """A verdict that was not sent and is to be numbered anew.

    old_epoch: the one of `verdict_id` and of `messages`.
    epoch, seq: its place from now on.
    path, revision, run: what it was about.
    messages: those of it that were not sent, in their order.
    """

    old_epoch: str
    epoch: str
    seq: int
    verdict_id: str
    kind: Kind
    path: str
    revision: int
    run: int
    messages: tuple[Message, ...]


class DeadLetter(NamedTuple):
    """A message that the broker can never take. ts: when it was given up, seconds since 1970."""

    seq: int
    verdict_id: str
    topic: str
    reason: str
    ts: float


class Quarantined(NamedTuple):
    """An image that could not be inspected.

    path: as in `Entry`.
    code, message: of its failure; "unknown" and empty where an older release stored it and its message is no longer there.
    ts: when it was given up, seconds since 1970.
    attempts, deaths: as in `Entry`, for this revision and run.
    """

    path: str
    code: str
    message: str
    ts: float
    revision: int
    run: int
    attempts: int
    deaths: int
    verdict_id: str


class Suspect(NamedTuple):
    """An image that was begun and not finished, and waits to be tried in a process of its own. Fields: see `Entry`."""

    path: str
    attempts: int
    deaths: int


class Counts(NamedTuple):
    """How many verdicts there were of each kind."""

    inspections: int
    failures: int


class RetainedSummary(NamedTuple):
    """The newest inspection's flat message, which is retained by the broker."""

    seq: int
    payload: bytes
    sent: bool


@dataclass(frozen=True, slots=True)
class PruneReport:
    """What `Journal.prune` did. full: more than the allowed bytes are in use and nothing more may go."""

    messages: int
    pictures: int
    freed_bytes: int
    used_bytes: int
    full: bool
