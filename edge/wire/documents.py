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
from edge.records import REASONS, PixelSizeSource, SeverityBasis, SeverityLabel, SeveritySource


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
Outline = list[tuple[int, int]]
Interval = tuple[NotNegative, NotNegative]
ReasonCode = Annotated[str, Field(pattern=rf"^({'|'.join(REASONS)})?$")]
Reason = Annotated[Text, Field(pattern=rf"^({'|'.join(REASONS)}): ", description="code: sentence")]


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


class InstrumentFields(Document):
    """Maker and type, as far as the file says."""

    vendor: Text | None
    model: Text | None


class ImageFields(Document):
    """The file, and how it was taken. Sizes are those stored, data bar included."""

    name: Text
    path: Text
    sha256: Sha256 | None
    revision: Number
    run: Number
    page: Count
    width_px: Number
    height_px: Number
    databar_px: Count
    captured_at: Text | None = Field(description="ISO 8601; without an offset when the file names no time zone")
    captured_tz: Text | None
    instrument: InstrumentFields
    acceleration_kv: float | None
    magnification: float | None
    detector: Text | None
    working_distance_mm: float | None
    tilt_deg: float | None = Field(description="of the stage; above 5 and not corrected, nothing is given in µm²")
    pixel_size_nm: Positive | None
    pixel_size_source: PixelSizeSource | None
    scale_uncertainty: NotNegative | None = Field(description="of a length, relative")
    field_um2: NotNegative | None = Field(description="area of the field of view without the data bar")
    smallest_region_um: NotNegative | None = Field(description="diameter of the smallest region that the model resolves")
    grey_window: tuple[float, float] = Field(description="stored values that became 0 and 255")


class SampleFields(Document):
    """Fields found in the file's path, those of the configured named groups beside the two that are always there."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, Text | bool | int | float | None]

    annealing_min: float | None
    exposure_h: float | None


class GuessFields(Document):
    """What the network answered where no severity is given: not to act on."""

    label: SeverityLabel
    confidence: Share
    probabilities: dict[str, Share]


class SeverityFields(Document):
    """What stage 2 says of the whole field of view. Where it abstains there is no label, only a guess and its reasons."""

    label: SeverityLabel | None
    class_: Text | None = Field(serialization_alias="class", description="where a plant taught classes of its own")
    confidence: Share | None
    probabilities: dict[str, Share] | None
    prediction_set: list[Text] | None = Field(description="null when the image is out of the model's domain, or it abstains")
    abstained: bool
    guess: GuessFields | None = Field(description="null unless it abstains")
    source: SeveritySource
    needs_review: bool
    reasons: list[Reason] = Field(description="those for abstaining first")
    cam: list[list[Share]] = Field(description="rows from the top: where the image speaks for the label or the guess")


class DiametersFields(Document):
    """Equivalent circular diameters of the regions that no edge cuts."""

    mean: NotNegative
    p50: NotNegative
    p95: NotNegative
    max: NotNegative


class ClassFields(Document):
    """The measures of one class; of every class that the model knows, found or not."""

    area_fraction: Share
    count: Count
    density_per_mm2: NotNegative | None
    largest_um2: NotNegative | None


class CountedFromFields(Document):
    """Least equivalent diameter of a region that counts, 0 where all do. um is null on an image without a scale."""

    px: NotNegative
    um: NotNegative | None


class CorrosionFields(Document):
    """The measures of the whole field of view. Intervals are of 90 %, of the measurement in this field alone."""

    area_fraction: Share = Field(description="union of all masks over the image without its data bar")
    area_fraction_interval: tuple[Share, Share] | None
    region_count: Count
    regions_below: Count = Field(description="found, and too small to count; they are in no other field")
    counted_from: CountedFromFields
    area_um2: NotNegative | None
    density_per_mm2: NotNegative | None = Field(description="of the regions that touch neither the left nor the upper edge")
    density_per_mm2_interval: Interval | None
    largest_um2: NotNegative | None = Field(description="of all regions, those that an edge cuts included")
    largest_um2_interval: Interval | None
    largest_touches_edge: bool | None = Field(description="true: the largest region is larger than it looks; null: no region")
    equivalent_diameter_um: DiametersFields | None
    by_class: dict[Text, ClassFields]


class RegionSeverityFields(Document):
    """Weak: from a classifier whose labels are exposure times of whole fields of view."""

    label: SeverityLabel
    confidence: Share
    weak: bool
    basis: SeverityBasis


class RegionFields(Document):
    """One connected region of corrosion, in pixels of the image as stored."""

    index: Count
    class_: Text = Field(serialization_alias="class")
    score: Share = Field(description="that `inspect.confidence` applies to")
    score_network: Share
    box_px: tuple[int, int, int, int] = Field(description="x, y, width, height")
    area_px: Count
    area_um2: NotNegative | None
    equivalent_diameter_um: NotNegative | None
    circularity: NotNegative | None = Field(description="null where a region is too small to have one")
    touches_edge: bool
    severity: RegionSeverityFields | None
    outline_px: Outline
    holes_px: list[Outline]


class QualityFields(Document):
    """How far the picture itself can be trusted."""

    sharpness: NotNegative | None = Field(description="null for a picture of one single grey")
    contrast: NotNegative
    saturated_fraction: Share
    in_domain: bool | None
    warnings: list[Text]


class ModelFileFields(Document):
    """Enough to find the very same model again."""

    name: Text
    version: Text
    sha256: Text


class TaughtFields(Document):
    """The adaptation to a plant's reviews."""

    sha256: Sha256


class ModelFields(Document):
    """What spoke, and on what it ran. A stage that was not run is null.

    regions: the network that judged single regions, null where it was the classifier. taught: null without an adaptation.
    """

    segmenter: ModelFileFields | None
    classifier: ModelFileFields | None
    regions: ModelFileFields | None
    taught: TaughtFields | None
    backend: Text
    precision: Text
    engine_sha256: Text | None


class TimingFields(Document):
    """Milliseconds, 0 where a stage was not run."""

    wait: NotNegative
    read: NotNegative
    decode: NotNegative
    segment: NotNegative
    masks: NotNegative
    measure: NotNegative
    classify: NotNegative
    total: NotNegative


class InspectionDocument(EventDocument):
    """A verdict on one micrograph. `severity` is null when stage 2 was not run, `corrosion` when stage 1 was not."""

    schema_: Literal["edge.inspection/2"] = Field(serialization_alias="schema")
    inspection_id: Uuid
    epoch: Uuid | None
    seq: Number | None
    image: ImageFields
    sample: SampleFields
    severity: SeverityFields | None
    corrosion: CorrosionFields | None
    regions: list[RegionFields]
    regions_truncated: bool
    quality: QualityFields
    model: ModelFields
    settings_sha256: Text
    timing_ms: TimingFields


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


class SummaryDocument(Document):
    """The newest inspection, flat: numbers and short strings, null where unknown, the same keys always.

    Alarm on `severity_index >= 2 or abstained == 1`: many dashboards keep the last value where they are sent null.
    """

    schema_: Literal["edge.summary/2"] = Field(serialization_alias="schema")
    epoch: Uuid | None
    seq: Number | None
    ts: Timestamp
    ts_ms: int
    site: Text
    area: Text
    device_id: Text
    inspection_id: Uuid
    image_name: Annotated[Text, Field(max_length=120)]
    image_revision: Number
    image_run: Number
    severity_state: Literal["judged", "abstained", "not_run"]
    abstained: Flag
    severity: SeverityLabel | None = Field(description="null unless judged")
    severity_index: Literal[0, 1, 2] | None
    severity_confidence: Share | None
    severity_reason: ReasonCode = Field(description="of the first reason for review, empty without one")
    severity_source: SeveritySource | None = Field(description="null when stage 2 was not run")
    needs_review: Flag | None
    area_fraction: Share | None
    area_fraction_lo: Share | None
    area_fraction_hi: Share | None
    region_count: Count | None
    area_um2: NotNegative | None
    density_per_mm2: NotNegative | None
    largest_um2: NotNegative | None
    equivalent_diameter_mean_um: NotNegative | None
    equivalent_diameter_p50_um: NotNegative | None
    equivalent_diameter_p95_um: NotNegative | None
    equivalent_diameter_max_um: NotNegative | None
    annealing_min: float | None
    exposure_h: float | None
    pixel_size_nm: Positive | None
    field_um2: NotNegative | None
    calibrated: Flag
    in_domain: Flag | None
    sharpness: NotNegative | None
    total_ms: NotNegative
    warnings_count: Count
    backend: Text


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
    """What the driver tells; null where it does not."""

    name: Text
    memory_used_mib: NotNegative | None
    utilisation: Share | None
    temperature_c: float | None


class LatencyFields(Document):
    """From finished file to stored verdict, over the images of the last minutes."""

    count: Number
    p50: NotNegative
    p95: NotNegative
    p99: NotNegative


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


class Info(Command):
    """Tell versions, models, settings that matter, and counts."""


COMMANDS: dict[str, type[Command]] = {
    "replay": Replay,
    "inspect": InspectAgain,
    "pause": Pause,
    "resume": Resume,
    "rescan": Rescan,
    "info": Info,
}
"""Every command by the last level of its topic."""
