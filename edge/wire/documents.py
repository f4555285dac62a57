"""The messages as they stand on the wire, field by field: plain values in, checked documents out.

These models are the contract. `edge.wire.schema` turns them into JSON Schemas; the encoders beside it fill them, field by
field as keyword arguments, so that mypy refuses a name that is misspelt or missing. No field has a default, so none can
be left out: what is not known is written as null. Units are in the names; `ts` is ISO 8601 in UTC with milliseconds,
`ts_ms` the same moment as milliseconds since 1970.

A message is an `…Document`, an object inside of one is `…Fields`, so that nothing here has the name of a record or of a
setting. Their docstrings and, less that ending, their names stand in the published schemas.
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

    site: Text
    area: Text
    id: Text


class EventDocument(Document):
    """What every message carries: when its event happened (not when it was sent), and where."""

    ts: Timestamp
    ts_ms: int
    device: DeviceFields


class FailedImageFields(Document):
    """The file that could not be inspected."""

    name: Text
    path: Text
    sha256: Sha256 | None
    revision: Number
    run: Number


class ErrorFields(Document):
    """Why: a stable code for programs, a sentence for people."""

    code: FailureCode
    message: Text


class FailureDocument(EventDocument):
    """A verdict on an image that could not be inspected."""

    schema_: Literal["edge.failure/1"] = Field(serialization_alias="schema")
    failure_id: Uuid
    epoch: Uuid | None
    seq: Number | None
    image: FailedImageFields
    error: ErrorFields
    hint: Text = Field(description="where to look")


class TombstoneDocument(EventDocument):
    """Stands in the place of a verdict that the broker can never take, so that its `seq` is not missed in vain."""

    schema_: Literal["edge.tombstone/1"] = Field(serialization_alias="schema")
    epoch: Uuid | None
    seq: Number
    kind: Literal["inspection", "failure"]
    verdict_id: Uuid
    reason: Text


class StatusDocument(EventDocument):
    """Whether the device is there, and what ails it. Of an offline status that the broker sent itself, `ts` is the
    moment of connecting: the broker got it then and keeps it unchanged. What has been counted since cannot be in it, so
    its `last_seq` and `dead_letters` are null, not known.
    """

    schema_: Literal["edge.status/1"] = Field(serialization_alias="schema")
    state: Literal["online", "degraded", "offline"]
    reasons: list[Text]
    connected_at: Timestamp | None
    version: Text
    epoch: Uuid
    last_seq: Count | None
    dead_letters: Count | None


class QueueFields(Document):
    """Images on their way in, messages on their way out."""

    images_waiting: Count
    images_suspect: Count
    unsent: Count
    oldest_unsent_s: NotNegative | None
    dead_letters: Count


class MemoryFields(Document):
    """Of this process, and what the machine has left."""

    process_mib: NotNegative
    available_mib: NotNegative


class DiskFields(Document):
    """Where the state folder lies."""

    state_mib: NotNegative
    free_mib: NotNegative


class GpuFields(Document):
    """How the GPU does, as the driver tells; null where it does not, and `unknown` says why."""

    name: Text
    memory_used_mib: NotNegative | None
    memory_total_mib: NotNegative | None
    utilisation: Share | None
    temperature_c: float | None
    power_w: NotNegative | None = Field(description="on a Jetson of the rail that feeds the GPU, and what else hangs on it")
    throttling: list[Text] | None = Field(description="why clocks are lowered, in the driver's words; empty: they are not")
    xid: Count | None = Field(description="number of the driver's last error since the service began; null: none, or unknown")
    unknown: dict[str, Text] = Field(description="of a field that is null for want of knowledge: why")


class LatencyFields(Document):
    """From finished file to stored verdict, over the images of the last minutes."""

    count: Number
    p50: NotNegative
    p95: NotNegative
    p99: NotNegative


class TodayFields(Document):
    """Verdicts of this day, from the machine's local midnight on. A restart forgets none."""

    date: Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\d$", description="of the machine's local time")]
    inspections: Count
    failures: Count


class DeadLetterFields(Document):
    """The message that was given up last. `at` says when."""

    seq: Number
    topic: Text
    reason: Text
    at: Timestamp


class QuarantineFields(Document):
    """Images that could not be inspected, and wait for nothing; suspects were begun, not finished, and are tried once more."""

    given_up: Count
    crashed: Count = Field(description="of those: killed the process that inspected them")
    suspects: Count


class ProblemFields(Document):
    """A reason why the state is degraded, and what to do."""

    text: Text
    cure: Text


class HealthDocument(EventDocument):
    """How the daemon itself does, every 10 s."""

    schema_: Literal["edge.health/1"] = Field(serialization_alias="schema")
    uptime_s: NotNegative
    queue: QueueFields
    memory: MemoryFields
    disk: DiskFields
    gpu: GpuFields | None
    latency_ms: LatencyFields | None
    clock_synced: bool | None
    versions: dict[str, Text]
    today: TodayFields
    last_image_at: Timestamp | None = Field(description="of the newest verdict on an image that nobody asked for again")
    newest_dead_letter: DeadLetterFields | None
    quarantine: QuarantineFields
    problems: list[ProblemFields] = Field(description="empty when the state is not degraded")


class ResponseDocument(EventDocument):
    """The answer to a command. `request_id` is that of the command, for clients without MQTT 5 correlation data."""

    schema_: Literal["edge.response/1"] = Field(serialization_alias="schema")
    command: Text
    request_id: Text | None
    ok: bool
    error: Text | None
    result: dict[str, Any] | None


class Command(BaseModel):
    """Base of what may be asked: a JSON object, at least `{}`. Every number and text in it is bounded."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    request_id: str | None = Field(None, max_length=128)


class Replay(Command):
    """Send the verdicts `first` to `last` (seq, both included) of `epoch` once more."""

    epoch: UUID
    first: Seq
    last: Seq


class InspectAgain(Command):
    """Inspect the image of this inspection once more, as a new run."""

    inspection_id: UUID


class Pause(Command):
    """Take no more images until `resume`."""


class Resume(Command):
    """Take images again."""


class Rescan(Command):
    """Look through the folder now."""


class Taught(Command):
    """Use this adaptation of those that are kept from the next image on; null: as without one."""

    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$", max_length=64)] | None


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
}
"""Every command by the last level of its topic."""
