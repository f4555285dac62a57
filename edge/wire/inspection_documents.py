"""What stands in an inspection and in its summary, field by field, as in `edge.wire.documents`: values in, documents out."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from edge.records import REASONS, PixelSizeSource, SeverityBasis, SeverityLabel, SeveritySource
from edge.wire.documents import (
    EXAMPLE_ID,
    EXAMPLE_SHA256,
    ContentSha256,
    Count,
    Document,
    EpochOrNone,
    EventDocument,
    FileName,
    FilePath,
    Flag,
    NotNegative,
    Number,
    Positive,
    Revision,
    Run,
    SeqOrNone,
    Sha256,
    Share,
    Text,
    Ts,
    TsMs,
    Uuid,
    told,
)

Outline = list[tuple[int, int]]
Interval = tuple[NotNegative, NotNegative]
Reason = Annotated[Text, Field(pattern=rf"^({'|'.join(REASONS)}): ")]
InspectionId = Annotated[Uuid, told("names the verdict for ever, however often it is sent; drop repeats by it", EXAMPLE_ID)]
OwnClass = Annotated[Text | None, told("where a plant taught classes of its own; else null", "class-3", rare=True)]
ReasonCode = Annotated[str, Field(pattern=rf"^({'|'.join(REASONS)})?$")]


class InstrumentFields(Document):
    """Maker and type, as far as the file says."""

    vendor: Annotated[Text | None, told("maker; null: the file does not say", "Zeiss")]
    model: Annotated[Text | None, told("type; null: the file does not say", "SUPRA 40")]


class ImageFields(Document):
    """The file, and how it was taken. Sizes are those stored, data bar included."""

    name: FileName
    path: FilePath
    sha256: ContentSha256
    revision: Revision
    run: Run
    page: Annotated[Count, told("of a file with several, from 0", 0)]
    width_px: Annotated[Number, told("width as stored", 1024, "px")]
    height_px: Annotated[Number, told("height as stored, data bar included", 832, "px")]
    databar_px: Annotated[Count, told("rows of the data bar below the picture, 0 without one", 64, "px")]
    captured_at: Annotated[
        Text | None, told("ISO 8601; without an offset when the file names no time zone; null: no time", "2026-03-17T11:26:10")
    ]
    captured_tz: Annotated[Text | None, told("time zone of captured_at; null: the file names none", "+01:00", rare=True)]
    instrument: Annotated[InstrumentFields, told("the microscope, as the file says")]
    acceleration_kv: Annotated[float | None, told("acceleration voltage; null: the file does not say", 15.0, "kV")]
    magnification: Annotated[float | None, told("as the microscope counts it; null: the file does not say", 276.0, "1")]
    detector: Annotated[Text | None, told("in the microscope's own words; null: the file does not say", "SE2")]
    working_distance_mm: Annotated[float | None, told("null: the file does not say", 10.1, "mm")]
    tilt_deg: Annotated[
        float | None, told("of the stage; above 5 and not corrected, nothing is given in µm²; null: not said", 0.0, "°")
    ]
    pixel_size_nm: Annotated[Positive | None, told("length of a stored pixel's side; null: no scale is known", 404.3, "nm")]
    pixel_size_source: Annotated[PixelSizeSource | None, told("where the scale comes from; null: none is known", "metadata")]
    scale_uncertainty: Annotated[NotNegative | None, told("of a length, relative; null: not configured", 0.01, "1")]
    field_um2: Annotated[
        NotNegative | None, told("area of the field of view without the data bar; null without a scale", 128549.0, "µm²")
    ]
    smallest_region_um: Annotated[
        NotNegative | None, told("diameter of the smallest region that the model resolves; null without a scale", 5.17504, "µm")
    ]
    grey_window: Annotated[tuple[float, float], told("stored values that became 0 and 255", [0.0, 255.0], "1")]


class SampleFields(Document):
    """Fields found in the file's path, those of the configured named groups beside the two that are always there."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, Text | bool | int | float | None]

    annealing_min: Annotated[float | None, told("time of annealing; null: not in the path", 120.0, "min")]
    exposure_h: Annotated[float | None, told("time of exposure to the corrosive; null: not in the path", 504.0, "h")]


class GuessFields(Document):
    """What the verdict would have been where none is given, or what the network answered where limits decide: not to act on.

    The numbers are null where the label follows from limits.
    """

    label: Annotated[SeverityLabel | None, told("null for a plant's own class that stands for none", "moderate")]
    class_: OwnClass = Field(serialization_alias="class")
    confidence: Annotated[Share | None, told("probability of the label; null from limits", 0.54, "1")]
    probabilities: Annotated[
        dict[str, Share] | None, told("of each class; null from limits", {"low": 0.3, "moderate": 0.54, "severe": 0.16}, "1")
    ]


class SeverityFields(Document):
    """How severe the whole field of view is. Where it abstains there is no label, only a guess and its reasons.

    A verdict by the plant's own limits has neither confidence nor probabilities nor a prediction set.
    """

    label: Annotated[
        SeverityLabel | None, told("null when it abstains, and for a plant's own class that stands for none", "severe")
    ]
    class_: OwnClass = Field(serialization_alias="class")
    confidence: Annotated[
        Share | None, told("probability of the label; null when it abstains or follows from limits", 0.68, "1")
    ]
    probabilities: Annotated[
        dict[str, Share] | None,
        told(
            "of each class; null when it abstains or follows from limits", {"low": 0.02, "moderate": 0.3, "severe": 0.68}, "1"
        ),
    ]
    prediction_set: Annotated[
        list[Text] | None,
        told(
            "classes that cannot be excluded; null when the image is out of the model's domain, it abstains, or it follows "
            "from limits",
            ["moderate", "severe"],
        ),
    ]
    abstained: Annotated[bool, told("true: the image cannot be judged, and there is no label", False)]
    guess: Annotated[GuessFields | None, told("what it would have been; null unless it abstains", rare=True)]
    network: Annotated[GuessFields | None, told("what the network answered, where the label is not its; else null", rare=True)]
    source: Annotated[SeveritySource, told("what the label follows from: a model, the plant's limits, reviews", "model")]
    needs_review: Annotated[bool, told("a person should look", True)]
    reasons: Annotated[
        list[Reason],
        told("why, a code and a sentence each; those for abstaining first", ["ambiguous: two classes are plausible"]),
    ]
    cam: Annotated[
        list[list[Share]],
        told(
            "rows from the top: where the image speaks for the network's answer; empty where no network was asked",
            [[0.02, 0.1], [0.4, 1.0]],
            "1",
        ),
    ]


class DiametersFields(Document):
    """Equivalent circular diameters of the regions that no edge cuts."""

    mean: Annotated[NotNegative, told("their arithmetic mean", 30.2879, "µm")]
    p50: Annotated[NotNegative, told("the median", 24.5715, "µm")]
    p95: Annotated[NotNegative, told("95th percentile", 60.2403, "µm")]
    max: Annotated[NotNegative, told("the largest", 60.603, "µm")]


class ClassFields(Document):
    """The measures of one class; of every class that the model knows, found or not."""

    area_fraction: Annotated[Share, told("share of the field of view that this class covers", 0.106965, "1")]
    count: Annotated[Count, told("regions of this class", 16)]
    density_per_mm2: Annotated[NotNegative | None, told("regions per area; null without a scale", 116.687, "1/mm²")]
    largest_um2: Annotated[NotNegative | None, told("area of its largest region; null: no region or no scale", 2884.55, "µm²")]


class CountedFromFields(Document):
    """Least equivalent diameter of a region that counts, 0 where all do. um is null on an image without a scale."""

    px: Annotated[NotNegative, told("in pixels", 0.0, "px")]
    um: Annotated[NotNegative | None, told("in micrometres; null without a scale", 0.0, "µm")]


class CorrosionFields(Document):
    """The measures of the whole field of view. Intervals are of 90 %, of the measurement in this field alone."""

    area_fraction: Annotated[Share, told("union of all masks over the image without its data bar", 0.106965, "1")]
    area_fraction_interval: Annotated[
        tuple[Share, Share] | None, told("90 % interval, low and high; null: nothing is promised", [0.0534, 0.2677], "1")
    ]
    region_count: Annotated[Count, told("regions that count", 16)]
    regions_below: Annotated[Count, told("found, and too small to count; they are in no other field", 0)]
    counted_from: Annotated[CountedFromFields, told("least diameter of a region that counts")]
    area_um2: Annotated[NotNegative | None, told("area of the union; null without a scale", 13750.3, "µm²")]
    density_per_mm2: Annotated[
        NotNegative | None,
        told("of the regions that touch neither the left nor the upper edge; null without a scale", 116.687, "1/mm²"),
    ]
    density_per_mm2_interval: Annotated[
        Interval | None, told("90 % interval, low and high; null: nothing is promised", [69.1364, 315.995], "1/mm²")
    ]
    largest_um2: Annotated[
        NotNegative | None,
        told("of all regions, those that an edge cuts included; null: no region or no scale", 2884.55, "µm²"),
    ]
    largest_um2_interval: Annotated[
        Interval | None, told("90 % interval, low and high; null: nothing is promised", [720.749, 10940.0], "µm²")
    ]
    largest_touches_edge: Annotated[
        bool | None, told("true: the largest region is larger than it looks; null: no region", False)
    ]
    equivalent_diameter_um: Annotated[
        DiametersFields | None, told("null without a scale, or where an edge cuts every region", None, "µm")
    ]
    by_class: Annotated[
        dict[Text, ClassFields],
        told(
            "the measures of each class, by its name",
            {"pit": {"area_fraction": 0.106965, "count": 16, "density_per_mm2": 116.687, "largest_um2": 2884.55}},
        ),
    ]


class RegionSeverityFields(Document):
    """Weak: learnt from exposure times of whole fields of view; basis says what it was learnt from."""

    label: Annotated[SeverityLabel, told("of this region alone", "severe")]
    confidence: Annotated[Share, told("probability of the label", 0.61511, "1")]
    weak: Annotated[bool, told("true: learnt from times of exposure of whole fields of view", False)]
    basis: Annotated[SeverityBasis, told("what it was learnt from", "degree")]


class RegionFields(Document):
    """One connected region of corrosion, in pixels of the image as stored."""

    index: Annotated[Count, told("names the region within its inspection, from 0", 0)]
    class_: Annotated[Text, told("what it is", "pit")] = Field(serialization_alias="class")
    score: Annotated[Share, told("that `inspect.confidence` applies to", 0.91, "1")]
    score_network: Annotated[Share, told("the network's own, where reviews have taught another", 0.91, "1")]
    box_px: Annotated[tuple[int, int, int, int], told("x, y, width, height", [447, 189, 156, 176], "px")]
    area_px: Annotated[Count, told("pixels of its mask", 17647, "px")]
    area_um2: Annotated[NotNegative | None, told("null without a scale", 2884.55, "µm²")]
    equivalent_diameter_um: Annotated[
        NotNegative | None, told("of the circle of the same area; null without a scale", 60.603, "µm")
    ]
    circularity: Annotated[
        NotNegative | None, told("4π area / perimeter²; null where a region is too small for it", 0.4745, "1")
    ]
    touches_edge: Annotated[bool, told("true: the image's edge cuts it", False)]
    severity: Annotated[RegionSeverityFields | None, told("null: not judged")]
    outline_px: Annotated[Outline, told("corners x, y of its outer border", [[450, 193], [449, 196], [570, 240]], "px")]
    holes_px: Annotated[list[Outline], told("corners x, y of each hole", [[[518, 360], [519, 359], [523, 360]]], "px")]


class QualityFields(Document):
    """How far the picture itself can be trusted."""

    sharpness: Annotated[
        NotNegative | None,
        told("variance of the Laplacian over that of the greys; null for a picture of one single grey", 0.0253648, "1"),
    ]
    contrast: Annotated[NotNegative, told("standard deviation of the greys over 255", 0.19288, "1")]
    saturated_fraction: Annotated[Share, told("share of pixels that are black or white", 0.032481, "1")]
    in_domain: Annotated[bool | None, told("false: unlike what the model learnt from; null: not asked", True)]
    warnings: Annotated[list[Text], told("doubts about the picture, a sentence each", ["blurred: the image is out of focus"])]


class ModelFileFields(Document):
    """Enough to find the very same model again."""

    name: Annotated[Text, told("as its card says", "segmenter")]
    version: Annotated[Text, told("as its card says", "0.6.1")]
    sha256: Annotated[Text, told("SHA-256 of its file", EXAMPLE_SHA256)]


class TaughtFields(Document):
    """The adaptation to a plant's reviews."""

    sha256: Annotated[Sha256, told("SHA-256 of its file", EXAMPLE_SHA256)]


class ModelFields(Document):
    """What spoke, and on what it ran. A stage that was not run is null.

    regions: what judged single regions, null where none were judged. taught: null without an adaptation.
    """

    segmenter: Annotated[ModelFileFields | None, told("found the regions; null: stage 1 was not run")]
    classifier: Annotated[ModelFileFields | None, told("judged the field; null: stage 2 was not run")]
    regions: Annotated[ModelFileFields | None, told("judged single regions; null: none were judged")]
    taught: Annotated[TaughtFields | None, told("null: no adaptation", rare=True)]
    backend: Annotated[Text, told("inference library", "onnxruntime")]
    precision: Annotated[Text, told("in which the networks were computed", "float32")]
    engine_sha256: Annotated[
        Text | None, told("SHA-256 of what TensorRT built of the models; null: their files ran", EXAMPLE_SHA256, rare=True)
    ]


class TimingFields(Document):
    """Milliseconds, 0 where a stage was not run."""

    wait: Annotated[NotNegative, told("from the file's last change to its turn", 1012.5, "ms")]
    read: Annotated[NotNegative, told("reading the bytes", 2.1, "ms")]
    decode: Annotated[NotNegative, told("bytes to grey pixels, and the metadata", 39.5, "ms")]
    segment: Annotated[NotNegative, told("the network of stage 1", 210.8, "ms")]
    masks: Annotated[NotNegative, told("its answers to masks and outlines", 28.3, "ms")]
    measure: Annotated[NotNegative, told("areas, diameters, quality", 6.6, "ms")]
    classify: Annotated[NotNegative, told("the networks of stage 2", 9.5, "ms")]
    total: Annotated[NotNegative, told("all of it but the waiting", 296.8, "ms")]


class InspectionDocument(EventDocument):
    """A verdict on one micrograph. `severity` is null when nothing judges it, `corrosion` when stage 1 was not run.

    The plant's own limits judge without stage 2, too.
    """

    schema_: Annotated[Literal["edge.inspection/2"], told("kind and version of this message", "edge.inspection/2")] = Field(
        serialization_alias="schema"
    )
    inspection_id: InspectionId
    epoch: EpochOrNone
    seq: SeqOrNone
    image: Annotated[ImageFields, told("the file, and how it was taken")]
    sample: Annotated[SampleFields, told("what the path says of the sample")]
    severity: Annotated[SeverityFields | None, told("of the whole field of view; null when nothing judges it")]
    corrosion: Annotated[CorrosionFields | None, told("measures of the whole field of view; null: stage 1 was not run")]
    regions: Annotated[list[RegionFields], told("the largest first, at most inspect.max_regions")]
    regions_truncated: Annotated[bool, told("true: more regions than are listed", False)]
    quality: Annotated[QualityFields, told("how far the picture can be trusted")]
    model: Annotated[ModelFields, told("what spoke, and on what it ran")]
    settings_sha256: Annotated[Text, told("SHA-256 of the settings that matter to a verdict", EXAMPLE_SHA256)]
    timing_ms: Annotated[TimingFields, told("how long each step took", None, "ms")]


class SummaryDocument(Document):
    """The newest inspection, flat: numbers and short strings, null where unknown, the same keys always.

    Alarm on `severity_index >= 2 or abstained == 1`: many dashboards keep the last value where they are sent null.
    """

    schema_: Annotated[Literal["edge.summary/2"], told("kind and version of this message", "edge.summary/2")] = Field(
        serialization_alias="schema"
    )
    epoch: EpochOrNone
    seq: SeqOrNone
    ts: Ts
    ts_ms: TsMs
    site: Annotated[Text, told("device.site of the settings", "plant-1")]
    area: Annotated[Text, told("device.area of the settings", "lab")]
    device_id: Annotated[Text, told("device.id of the settings", "sem-01")]
    inspection_id: InspectionId
    image_name: Annotated[Annotated[Text, Field(max_length=120)], told("name of the file, shortened", "AN_120_21days_007.tif")]
    image_revision: Revision
    image_run: Run
    severity_state: Annotated[
        Literal["judged", "abstained", "not_run"], told("abstained: it cannot be judged; not_run: nothing judges", "judged")
    ]
    abstained: Annotated[Flag, told("1: the image cannot be judged, and severity is null", 0)]
    severity: Annotated[SeverityLabel | None, told("null unless judged", "severe")]
    severity_index: Annotated[Literal[0, 1, 2] | None, told("0 low, 1 moderate, 2 severe; null unless judged", 2)]
    severity_confidence: Annotated[Share | None, told("probability of the label; null unless a model judged", 0.6756, "1")]
    severity_reason: Annotated[ReasonCode, told("of the first reason for review, empty without one", "ambiguous")]
    severity_source: Annotated[SeveritySource | None, told("what the label follows from; null when nothing judges", "model")]
    needs_review: Annotated[Flag | None, told("1: a person should look; null when nothing judges", 1)]
    area_fraction: Annotated[Share | None, told("corroded share of the field of view; null: stage 1 not run", 0.106965, "1")]
    area_fraction_lo: Annotated[Share | None, told("lower end of its 90 % interval; null: nothing is promised", 0.0534, "1")]
    area_fraction_hi: Annotated[Share | None, told("upper end of its 90 % interval; null: nothing is promised", 0.2677, "1")]
    region_count: Annotated[Count | None, told("regions that count; null: stage 1 not run", 16)]
    area_um2: Annotated[NotNegative | None, told("corroded area; null without a scale", 13750.3, "µm²")]
    density_per_mm2: Annotated[NotNegative | None, told("regions per area; null without a scale", 116.687, "1/mm²")]
    largest_um2: Annotated[NotNegative | None, told("area of the largest region; null: none or no scale", 2884.55, "µm²")]
    equivalent_diameter_mean_um: Annotated[
        NotNegative | None, told("mean diameter of the regions; null: as above", 30.2879, "µm")
    ]
    equivalent_diameter_p50_um: Annotated[NotNegative | None, told("median of the diameters; null: as above", 24.5715, "µm")]
    equivalent_diameter_p95_um: Annotated[NotNegative | None, told("95th percentile; null: as above", 60.2403, "µm")]
    equivalent_diameter_max_um: Annotated[NotNegative | None, told("largest diameter; null: as above", 60.603, "µm")]
    annealing_min: Annotated[float | None, told("time of annealing; null: not in the path", 120.0, "min")]
    exposure_h: Annotated[float | None, told("time of exposure to the corrosive; null: not in the path", 504.0, "h")]
    pixel_size_nm: Annotated[Positive | None, told("length of a pixel's side; null: no scale is known", 404.3, "nm")]
    field_um2: Annotated[NotNegative | None, told("area of the field of view; null without a scale", 128549.0, "µm²")]
    calibrated: Annotated[Flag, told("1: a scale is known", 1)]
    in_domain: Annotated[Flag | None, told("0: unlike what the model learnt from; null: not asked", 1)]
    sharpness: Annotated[NotNegative | None, told("null for a picture of one single grey", 0.0253648, "1")]
    total_ms: Annotated[NotNegative, told("time that the inspection took, waiting left out", 296.8, "ms")]
    warnings_count: Annotated[Count, told("doubts about the picture", 0)]
    backend: Annotated[Text, told("inference library", "onnxruntime")]
