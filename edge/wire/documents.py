"""The messages as they stand on the wire, field by field: plain values in, checked documents out.

These models are the contract. `edge.wire.schema` turns them into JSON Schemas; the encoders beside it fill them, field by
field as keyword arguments, so that mypy refuses a name that is misspelt or missing. No field has a default, so none can
be left out: what is not known is written as null. Units are in the names; `ts` is ISO 8601 in UTC with milliseconds,
`ts_ms` the same moment as milliseconds since 1970.

A message is an `…Document`, an object inside of one is `…Fields`, so that nothing here has the name of a record or of a
setting. Their docstrings and, less that ending, their names stand in the published schemas, and so does what is `told` of
each field.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from edge.errors import FailureCode


def printable(text: str) -> str:
    r"""`text` as it can stand in UTF-8: bytes that Python could not decode (PEP 383) are shown as ``\xNN``.

    >>> print(printable("AN5_24h_\udcff.tif"))
    AN5_24h_\xff.tif
    """
    try:
        raw = text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # a surrogate that stands for no byte, as Windows allows in names
        raw = text.encode("utf-8", "surrogatepass")
    return raw.decode("utf-8", "backslashreplace")


def _printable(value: Any) -> Any:
    return printable(value) if isinstance(value, str) else value


def told(what: str, example: Any = None, unit: str | None = None, *, rare: bool = False) -> Any:
    """What the schemas say of a field; it stands in the field's annotation and changes nothing that is checked.

    what: a phrase in plain words, null and its reason included.
    example: None for an object or a list of objects, of which `edge.wire.schema` makes one from their fields.
    unit: its symbol, as `x-unit`; "1" is a share or another number without a dimension. Counts and names have none.
    rare: null in most messages, and so in the example of the object that has the field; null is the second example then.
    """
    examples = [] if example is None else [example]
    return Field(
        description=what,
        examples=([*examples, None] if rare else examples) or None,
        json_schema_extra=None if unit is None else {"x-unit": unit},
    )


Text = Annotated[str, BeforeValidator(_printable)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Timestamp = Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")]
Uuid = Annotated[str, Field(pattern=r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")]
Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0)]
NotNegative = Annotated[float, Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]
Number = Annotated[int, Field(ge=1)]
Seq = Annotated[int, Field(ge=1, le=2**63 - 1)]  # what SQLite holds
Flag = Literal[0, 1]

EXAMPLE_TS = "2026-03-17T11:26:14.123Z"
EXAMPLE_ID = "6dabbef9-235a-5535-915d-e6611206bd8e"
EXAMPLE_EPOCH = "3f2b8c1e-8a41-4a55-9c2d-6f6f0a1b2c3d"
EXAMPLE_SHA256 = "4079f8a565441083bdbc7800b3ff17c92801e2ffb74be6288fef5610059dfeb1"

Ts = Annotated[Timestamp, told("time of the event in UTC; unchanged when the message is sent again", EXAMPLE_TS)]
TsMs = Annotated[int, told("the same moment, since 1970-01-01T00:00:00Z", 1773746774123, "ms")]
Epoch = Annotated[Uuid, told("random name of the device's journal, within which seq rises by one", EXAMPLE_EPOCH)]
EpochOrNone = Annotated[Uuid | None, told("name of the journal in which seq counts; null: no journal, by hand", EXAMPLE_EPOCH)]
SeqOrNone = Annotated[Number | None, told("number of the verdict, one more each time; null: no journal, by hand", 42)]
FileName = Annotated[Text, told("name of the file alone", "AN_120_21days_007.tif")]
FilePath = Annotated[Text, told("path below the watched folder", "batch-7/AN_120_21days_007.tif")]
ContentSha256 = Annotated[Sha256 | None, told("SHA-256 of the file's bytes; null: it could not be read whole", EXAMPLE_SHA256)]
Revision = Annotated[Number, told("counts the contents that this path has had", 1)]
Run = Annotated[Number, told("counts the inspections of this revision; a commanded repeat is a new one", 1)]


def published_name(name: str) -> str:
    """What the schemas call the model of this class name.

    >>> published_name("SummaryDocument"), published_name("SeverityFields")
    ('Summary', 'Severity')
    """
    return name.removesuffix("Document").removesuffix("Fields")


class Document(BaseModel):
    """Base of all that is sent: no field beyond those named, no NaN, no infinity.

    The published schemas of what we send allow further fields: within a version fields may be added.
    """

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        allow_inf_nan=False,
        protected_namespaces=(),
        model_title_generator=lambda model: published_name(model.__name__),
    )


class DeviceFields(Document):
    """Which microscope."""

    site: Annotated[Text, told("device.site of the settings", "plant-1")]
    area: Annotated[Text, told("device.area of the settings", "lab")]
    id: Annotated[Text, told("device.id of the settings", "sem-01")]


class EventDocument(Document):
    """What every message carries: when its event happened (not when it was sent), and where."""

    ts: Ts
    ts_ms: TsMs
    device: Annotated[DeviceFields, told("which microscope")]


class FailedImageFields(Document):
    """The file that could not be inspected."""

    name: FileName
    path: FilePath
    sha256: ContentSha256
    revision: Revision
    run: Run


class ErrorFields(Document):
    """Why: a stable code for programs, a sentence for people."""

    code: Annotated[FailureCode, told("the kind of failure, for programs", "truncated")]
    message: Annotated[Text, told("a sentence for people", "AN_120_21days_007.tif ends in the middle of strip 7")]


class FailureDocument(EventDocument):
    """A verdict on an image that could not be inspected."""

    schema_: Annotated[Literal["edge.failure/1"], told("kind and version of this message", "edge.failure/1")] = Field(
        serialization_alias="schema"
    )
    failure_id: Annotated[Uuid, told("names the verdict for ever; drop repeats by it", EXAMPLE_ID)]
    epoch: EpochOrNone
    seq: SeqOrNone
    image: Annotated[FailedImageFields, told("the file that could not be inspected")]
    error: Annotated[ErrorFields, told("why it could not")]
    hint: Annotated[Text, told("where to look", "Export the image again; if files arrive slowly, raise watch.incomplete_s.")]


class TombstoneDocument(EventDocument):
    """Stands in the place of a verdict that the broker can never take, so that its `seq` is not missed in vain."""

    schema_: Annotated[Literal["edge.tombstone/1"], told("kind and version of this message", "edge.tombstone/1")] = Field(
        serialization_alias="schema"
    )
    epoch: EpochOrNone
    seq: Annotated[Number, told("number of the verdict that will not come", 42)]
    kind: Annotated[Literal["inspection", "failure"], told("what the verdict was", "inspection")]
    verdict_id: Annotated[Uuid, told("its inspection_id or failure_id", EXAMPLE_ID)]
    reason: Annotated[Text, told("why the broker does not take it", "Packet too large")]


class StatusDocument(EventDocument):
    """Whether the device is there, and what ails it. Of an offline status that the broker sent itself, `ts` is the
    moment of connecting: the broker got it then and keeps it unchanged. What has been counted since cannot be in it, so
    its `last_seq` and `dead_letters` are null, not known.
    """

    schema_: Annotated[Literal["edge.status/1"], told("kind and version of this message", "edge.status/1")] = Field(
        serialization_alias="schema"
    )
    state: Annotated[Literal["online", "degraded", "offline"], told("degraded: it is there, and something ails it", "degraded")]
    reasons: Annotated[list[Text], told("why it is not (or no longer) online, a sentence each", ["paused: by command"])]
    connected_at: Annotated[Timestamp | None, told("when this connection began; null: it stopped unconnected", EXAMPLE_TS)]
    version: Annotated[Text, told("release of the daemon", "0.7.0")]
    epoch: Epoch
    last_seq: Annotated[Count | None, told("number of the newest verdict, 0 before the first; null in a last will", 42)]
    dead_letters: Annotated[Count | None, told("messages that the broker refuses for good; null in a last will", 0)]


class QueueFields(Document):
    """Images on their way in, messages on their way out."""

    images_waiting: Annotated[Count, told("files seen and not inspected yet", 1)]
    images_suspect: Annotated[Count, told("of those: begun before and not finished", 0)]
    unsent: Annotated[Count, told("messages that the broker has not acknowledged", 2)]
    oldest_unsent_s: Annotated[NotNegative | None, told("age of the oldest of them; null: there is none", 0.5, "s")]
    dead_letters: Annotated[Count, told("messages that the broker refuses for good", 0)]


class MemoryFields(Document):
    """Of this process, and what the machine has left."""

    process_mib: Annotated[NotNegative, told("resident memory of the daemon", 312.4, "MiB")]
    available_mib: Annotated[NotNegative, told("what the machine could still give", 5120.0, "MiB")]


class DiskFields(Document):
    """Where the state folder lies."""

    state_mib: Annotated[NotNegative, told("size of the state folder", 148.2, "MiB")]
    free_mib: Annotated[NotNegative, told("free on its disk", 81920.0, "MiB")]


class GpuFields(Document):
    """How the GPU does, as the driver tells; null where it does not, and `unknown` says why."""

    name: Annotated[Text, told("as the driver calls it", "NVIDIA RTX A2000")]
    memory_used_mib: Annotated[NotNegative | None, told("memory in use, by all programs", 1210.0, "MiB")]
    memory_total_mib: Annotated[NotNegative | None, told("memory that it has", 6138.0, "MiB")]
    utilisation: Annotated[Share | None, told("share of the last moments in which it worked", 0.35, "1")]
    temperature_c: Annotated[float | None, told("of the chip", 56.0, "°C")]
    power_w: Annotated[
        NotNegative | None, told("on a Jetson of the rail that feeds the GPU, and what else hangs on it", 21.5, "W")
    ]
    throttling: Annotated[
        list[Text] | None, told("why clocks are lowered, in the driver's words; empty: they are not", ["sw_power_cap"])
    ]
    xid: Annotated[
        Count | None, told("number of the driver's last error since the service began; null: none, or unknown", 79, rare=True)
    ]
    unknown: Annotated[
        dict[str, Text], told("of a field that is null for want of knowledge: why", {"xid": "NVML: Not Supported"})
    ]


class LatencyFields(Document):
    """From finished file to stored verdict, over the images of the last minutes."""

    count: Annotated[Number, told("images that these are of", 10)]
    p50: Annotated[NotNegative, told("half of them took at most this", 840.0, "ms")]
    p95: Annotated[NotNegative, told("95 of 100 took at most this", 1420.0, "ms")]
    p99: Annotated[NotNegative, told("99 of 100 took at most this", 1610.0, "ms")]


class TodayFields(Document):
    """Verdicts of this day, from the machine's local midnight on. A restart forgets none."""

    date: Annotated[Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\d$")], told("of the machine's local time", "2026-03-17")]
    inspections: Annotated[Count, told("images that were inspected", 12)]
    failures: Annotated[Count, told("images that could not be inspected", 1)]


class DeadLetterFields(Document):
    """The message that was given up last. `at` says when."""

    seq: Annotated[Number, told("number of its verdict", 7)]
    topic: Annotated[Text, told("below the prefix", "inspection")]
    reason: Annotated[Text, told("why the broker does not take it", "Packet too large")]
    at: Annotated[Timestamp, told("when it was given up, UTC", EXAMPLE_TS)]


class QuarantineFields(Document):
    """Images that could not be inspected, and wait for nothing; suspects were begun, not finished, and are tried once more."""

    given_up: Annotated[Count, told("images that could not be inspected", 1)]
    crashed: Annotated[Count, told("of those: killed the process that inspected them", 0)]
    suspects: Annotated[Count, told("begun and not finished; they are tried once more", 0)]


class ProblemFields(Document):
    """A reason why the state is degraded, and what to do."""

    text: Annotated[Text, told("the reason, as in status", "paused: by command")]
    cure: Annotated[Text, told("what to do", "Send the command `resume`.")]


class AnnouncedFields(Document):
    """The release that the broker keeps an announcement of, and how far this box has come with it."""

    release: Annotated[
        Sha256 | None, told("its id, the SHA-256 of its SHA256SUMS; null: the message names none", EXAMPLE_SHA256)
    ]
    state: Annotated[
        Literal["fetching", "waiting", "trying", "refused", "ready", "active", "left"],
        told("waiting: it could not be fetched, and is tried again; left: a person rolled it back or dropped it", "ready"),
    ]
    why: Annotated[Text | None, told("why it waits or is refused; null: it does neither", "the server is away", rare=True)]


class ShadowFields(Document):
    """What the candidate said of images beside the present models; nothing of it is published as a verdict."""

    state: Annotated[
        Literal["loading", "running", "stopped", "given_up"],
        told("stopped: until `problem` is over; given_up: until the service is restarted or another one comes", "running"),
    ]
    problem: Annotated[Text | None, told("why it is not run at the moment; null: it is", "it ended 3 times", rare=True)]
    compared: Annotated[Count, told("images that both have judged", 120)]
    skipped: Annotated[Count, told("images that the candidate did not see, because it fell behind", 3)]
    failed: Annotated[Count, told("images, and starts, at which it failed, died or took too long", 0)]
    severity_agreement: Annotated[Share | None, told("share of them with the same severity; null: none so far", 0.97, "1")]
    area_change_median: Annotated[
        float | None, told("middle change of the corroded share of the area; null: none so far", 0.002, "1")
    ]


class FleetFields(Document):
    """Which signed models are used here, which were before, which wait for a person's word."""

    active: Annotated[Sha256 | None, told("release in use; null: the models of the configuration", EXAMPLE_SHA256)]
    previous: Annotated[
        Sha256 | None, told("what a rollback goes back to; null: the configuration's, or nothing", EXAMPLE_SHA256, rare=True)
    ]
    can_roll_back: Annotated[bool, told("whether there is something to go back to", True)]
    candidate: Annotated[
        Sha256 | None, told("release that is checked, and can be switched to; null: none", EXAMPLE_SHA256, rare=True)
    ]
    announced: Annotated[AnnouncedFields | None, told("null: nothing is announced, or nothing was heard yet")]
    shadow: Annotated[ShadowFields | None, told("null: no candidate is run beside")]


class HealthDocument(EventDocument):
    """How the daemon itself does, every 10 s."""

    schema_: Annotated[Literal["edge.health/1"], told("kind and version of this message", "edge.health/1")] = Field(
        serialization_alias="schema"
    )
    uptime_s: Annotated[NotNegative, told("since the daemon began", 8640.5, "s")]
    queue: Annotated[QueueFields, told("images on their way in, messages on their way out")]
    memory: Annotated[MemoryFields, told("of the daemon and of the machine")]
    disk: Annotated[DiskFields, told("where the state folder lies")]
    gpu: Annotated[GpuFields | None, told("null: no GPU is used")]
    latency_ms: Annotated[
        LatencyFields | None, told("from finished file to stored verdict; null: no image of late", None, "ms")
    ]
    clock_synced: Annotated[bool | None, told("whether the clock follows a time server; null: nobody tells", True)]
    versions: Annotated[dict[str, Text], told("what runs here, by name", {"edge": "0.7.0", "backend": "onnxruntime"})]
    today: Annotated[TodayFields, told("verdicts of this day")]
    last_image_at: Annotated[
        Timestamp | None, told("of the newest verdict on an image that nobody asked for again; null: none yet", EXAMPLE_TS)
    ]
    newest_dead_letter: Annotated[DeadLetterFields | None, told("null: there is none")]
    quarantine: Annotated[QuarantineFields, told("images that wait for a person")]
    problems: Annotated[list[ProblemFields], told("empty when the state is not degraded")]
    fleet: Annotated[FleetFields | None, told("signed models from the fleet; null: fleet.source is empty")]


class ResponseDocument(EventDocument):
    """The answer to a command. `request_id` is that of the command, for clients without MQTT 5 correlation data."""

    schema_: Annotated[Literal["edge.response/1"], told("kind and version of this message", "edge.response/1")] = Field(
        serialization_alias="schema"
    )
    command: Annotated[Text, told("name of the command, the last level of its topic", "replay")]
    request_id: Annotated[Text | None, told("that of the command; null: it had none", "shift-2/17")]
    ok: Annotated[bool, told("whether it was done, or will be", True)]
    error: Annotated[Text | None, told("what was wrong, in words; null when ok", "no such epoch", rare=True)]
    result: Annotated[dict[str, Any] | None, told("what the command gives; null: nothing, or an error", {"messages": 3})]


class Heard(BaseModel):
    """Base of what a box listens to. Every number and text in it is bounded, and nothing else is taken."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Release(Heard):
    """Signed models can be fetched. Kept by the broker on a topic of the whole plant; an empty message withdraws it."""

    schema_: Annotated[Literal["edge.release/1"], told("kind and version of this message", "edge.release/1")] = Field(
        alias="schema"
    )
    id: Annotated[
        Annotated[str, Field(pattern=r"^[0-9a-f]{64}$", max_length=64)],
        told("SHA-256 of its SHA256SUMS; the folder with its files has this name", EXAMPLE_SHA256),
    ]
    signature: Annotated[
        Annotated[str, Field(max_length=2048)],
        told("text of SHA256SUMS.minisig, four lines", "untrusted comment: …\nRU…\ntrusted comment: timestamp:1773746774\n…\n"),
    ]
    made_at: Annotated[
        Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$", max_length=24)],
        told("when it was announced, UTC; for people, since nobody signed it", EXAMPLE_TS),
    ]
    note: Annotated[str | None, told("what is new, for people", "trained with the images of spring", rare=True)] = Field(
        None, max_length=500
    )


class Command(Heard):
    """Base of what may be asked: a JSON object, at least `{}`."""

    request_id: Annotated[str | None, told("any text of the sender's, which the answer repeats", "shift-2/17")] = Field(
        None, max_length=128
    )


class Replay(Command):
    """Send the verdicts `first` to `last` (seq, both included) of `epoch` once more."""

    epoch: Annotated[UUID, told("that of the verdicts", EXAMPLE_EPOCH)]
    first: Annotated[Seq, told("seq of the first one", 17)]
    last: Annotated[Seq, told("seq of the last one, not below first", 19)]


class InspectAgain(Command):
    """Inspect the image of this inspection once more, as a new run."""

    inspection_id: Annotated[UUID, told("of the inspection whose image is meant", EXAMPLE_ID)]


class Pause(Command):
    """Take no more images until `resume`."""


class Resume(Command):
    """Take images again."""


class Rescan(Command):
    """Look through the folder now."""


class Taught(Command):
    """Use this adaptation of those that are kept from the next image on; null: as without one."""

    sha256: Annotated[
        Annotated[str, Field(pattern=r"^[0-9a-f]{64}$", max_length=64)] | None,
        told("SHA-256 of an adaptation file that the state folder keeps; null: none", EXAMPLE_SHA256),
    ]


class Models(Command):
    """Use a release that lies here checked from the next image on, go back from it to what was used before, or forget it."""

    action: Annotated[Literal["switch", "rollback", "drop"], told("what is to be done with it", "switch")]
    release: Annotated[
        Annotated[str, Field(pattern=r"^[0-9a-f]{64}$", max_length=64)],
        told("its id, the SHA-256 of its SHA256SUMS; for rollback: of the one that is to be left", EXAMPLE_SHA256),
    ]


class Info(Command):
    """Tell versions, models, settings that matter, and counts."""


COMMANDS: dict[str, type[Command]] = {
    "replay": Replay,
    "inspect": InspectAgain,
    "pause": Pause,
    "resume": Resume,
    "rescan": Rescan,
    "info": Info,
    "taught": Taught,
    "models": Models,
}
"""Every command by the last level of its topic."""
