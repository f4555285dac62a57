"""What stands in an inspection and in its summary, field by field, as in `edge.wire.documents`: values in, documents out."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from edge.records import REASONS, PixelSizeSource, SeverityBasis, SeverityLabel, SeveritySource
from edge.wire.documents import (
    Count,
    Document,
    EventDocument,
    Flag,
    NotNegative,
    Number,
    Positive,
    Sha256,
    Share,
    Text,
    Timestamp,
    Uuid,
)

Outline = list[tuple[int, int]]
Interval = tuple[NotNegative, NotNegative]
Reason = Annotated[Text, Field(pattern=rf"^({'|'.join(REASONS)}): ", description="code: sentence")]
ReasonCode = Annotated[str, Field(pattern=rf"^({'|'.join(REASONS)})?$")]


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
    """What the verdict would have been where none is given, or what the network answered where limits decide: not to act on.

    The numbers are null where the label follows from limits.
    """

    label: SeverityLabel | None = Field(description="null for a plant's own class that stands for none")
    class_: Text | None = Field(serialization_alias="class", description="where a plant taught classes of its own")
    confidence: Share | None
    probabilities: dict[str, Share] | None


class SeverityFields(Document):
    """How severe the whole field of view is. Where it abstains there is no label, only a guess and its reasons.

    A verdict by the plant's own limits has neither confidence nor probabilities nor a prediction set.
    """

    label: SeverityLabel | None = Field(description="null when it abstains, and for a plant's own class that stands for none")
    class_: Text | None = Field(serialization_alias="class", description="where a plant taught classes of its own")
    confidence: Share | None = Field(description="null when it abstains or follows from limits, as are the probabilities")
    probabilities: dict[str, Share] | None
    prediction_set: list[Text] | None = Field(
        description="null when the image is out of the model's domain, it abstains, or it follows from limits"
    )
    abstained: bool
    guess: GuessFields | None = Field(description="null unless it abstains")
    network: GuessFields | None = Field(description="what the network answered, where the label is not its")
    source: SeveritySource
    needs_review: bool
    reasons: list[Reason] = Field(description="those for abstaining first")
    cam: list[list[Share]] = Field(
        description="rows from the top: where the image speaks for the network's answer; empty where no network was asked"
    )


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
    """Weak: learnt from exposure times of whole fields of view; basis says what it was learnt from."""

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

    regions: what judged single regions, null where none were judged. taught: null without an adaptation.
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
    """A verdict on one micrograph. `severity` is null when nothing judges it, `corrosion` when stage 1 was not run.

    The plant's own limits judge without stage 2, too.
    """

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
    severity_source: SeveritySource | None = Field(description="null when nothing judges")
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
