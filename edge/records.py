"""The values that travel through the product: frozen, checked once when made, importing nothing of ours.

Coordinates are pixels of the image *as stored*, origin at the top left, x to the right, y down. The data bar is
only ever cut off the bottom, so coordinates in `Micrograph.grey` and in the stored image are the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Grey = NDArray[np.uint8]
Mask = NDArray[np.bool_]
SeverityLabel = Literal["low", "moderate", "severe"]
PixelSizeSource = Literal["metadata", "sidecar", "config"]
Interval = tuple[float, float]
SeveritySource = Literal["model", "limits", "taught"]
SeverityBasis = Literal["exposure", "degree", "taught"]

_HALF = 1 << 63
"""Half of what a 64-bit integer can be."""

TILT_WITHOUT_EFFECT_DEG = 5.0
"""Up to here areas are short by less than 0.4 %."""

SEVERITIES: tuple[SeverityLabel, ...] = ("low", "moderate", "severe")

ABSTAINING = ("no_contrast", "out_of_domain", "text_on_image", "stages_conflict", "limit_unmeasured")
"""Codes of the reasons for which no severity is given, only a guess."""

OF_NETWORK = ("out_of_domain", "stages_conflict")
"""Those that leave the label where it follows from limits: a person should then look at what was measured."""

REVIEWED = (
    "ambiguous", "limit_straddled", "damaged", "zero_rows", "zero_tail", "tilted", "scale_doubtful", "flat", "blurred",
    "saturated", "taught_unsure",
)  # fmt: skip
"""Codes of the reasons for which a severity is given and a person should look."""

REASONS = ABSTAINING + REVIEWED
"""Every code that a reason for review can have; a reason is "code: sentence"."""


def code_of(text: str) -> str:
    """The code of a reason or a warning, which are "code: sentence"; the text itself where it has none."""
    return text.partition(":")[0]


def _check(condition: bool, message: str) -> None:
    if not condition:
        raise ValueError(message)


@dataclass(frozen=True, slots=True)
class Acquisition:
    """How an image was taken, as far as the microscope said so; None is "not said", never a guess.

    captured_at is naive when the file gives no time zone; captured_tz is then None.
    tilt_deg: between the beam and the normal of the specimen, in degrees.  tilt_corrected: the scan was stretched for it.
    """

    vendor: str | None = None
    model: str | None = None
    captured_at: datetime | None = None
    captured_tz: str | None = None
    acceleration_kv: float | None = None
    magnification: float | None = None
    detector: str | None = None
    working_distance_mm: float | None = None
    tilt_deg: float | None = None
    tilt_corrected: bool | None = None

    @property
    def foreshortened(self) -> bool:
        """True where a tilt makes what lies across its axis shorter than it is, by more than the scale is worth."""
        return self.tilt_deg is not None and abs(self.tilt_deg) > TILT_WITHOUT_EFFECT_DEG and not self.tilt_corrected


@dataclass(frozen=True, slots=True, eq=False)
class Micrograph:
    """One page of a microscope's file, ready to be inspected.

    grey: uint8 [H, W], contiguous, read-only, data bar cut off, brightness mapped once by `grey_window`.
    stored_width_px, stored_height_px: size in the file, data bar included.
    databar_px: rows cut off the bottom; stored_height_px = H + databar_px.
    pixel_size_nm: edge of a (square) pixel in nanometres, None when unknown.
    scale_uncertainty: relative, of a length, as the configuration states it; None when nobody stated any.
    drawn_px: bool [H, W], read-only, True where letters, rulers or frames cover the specimen; None where none were found.
    grey_window: the stored values that became 0 and 255.
    saturated_fraction: part of the pixels at either end of the stored value range (not of the window).
    warnings: what is doubtful in this file, as "code: sentence"; see `REASONS` for the codes that ask for review.
    """

    grey: Grey
    stored_width_px: int
    stored_height_px: int
    databar_px: int = 0
    pixel_size_nm: float | None = None
    pixel_size_source: PixelSizeSource | None = None
    acquisition: Acquisition = field(default_factory=Acquisition)
    grey_window: tuple[float, float] = (0.0, 255.0)
    saturated_fraction: float = 0.0
    page: int = 0
    pages: int = 1
    warnings: tuple[str, ...] = ()
    drawn_px: Mask | None = None
    scale_uncertainty: float | None = None

    def __post_init__(self) -> None:
        height, width = self.grey.shape
        _check(self.grey.dtype == np.uint8, f"grey must be uint8, not {self.grey.dtype}")
        _check(height > 0 and width > 0, "grey must not be empty")
        _check(width == self.stored_width_px, f"grey is {width} px wide, the stored image {self.stored_width_px}")
        _check(self.databar_px >= 0, "databar_px must not be negative")
        _check(
            height + self.databar_px == self.stored_height_px,
            f"{height} rows + a bar of {self.databar_px} are not the {self.stored_height_px} stored rows",
        )
        _check((self.pixel_size_nm is None) == (self.pixel_size_source is None), "a pixel size needs a source, and only then")
        if self.pixel_size_nm is not None:
            _check(bool(np.isfinite(self.pixel_size_nm)) and self.pixel_size_nm > 0, "pixel_size_nm must be positive")
        if self.drawn_px is not None:
            _check(self.drawn_px.shape == self.grey.shape, f"drawn_px is {self.drawn_px.shape}, grey {self.grey.shape}")
            covered = self.drawn_px.view()
            covered.setflags(write=False)
            object.__setattr__(self, "drawn_px", covered)
        # A network on a GPU keeps an image that nobody can change, and sends it once for both stages.
        read_only = self.grey.view()
        read_only.setflags(write=False)
        object.__setattr__(self, "grey", read_only)

    @property
    def width_px(self) -> int:
        """Width of `grey`."""
        return int(self.grey.shape[1])

    @property
    def height_px(self) -> int:
        """Height of `grey`, data bar not included."""
        return int(self.grey.shape[0])

    @property
    def pixel_size_um(self) -> float | None:
        """Edge of a pixel in µm to measure the specimen with: None when unknown, or foreshortened by a tilt."""
        return None if self.pixel_size_nm is None or self.acquisition.foreshortened else self.pixel_size_nm / 1000.0


@dataclass(frozen=True, slots=True, eq=False)
class Regions:
    """Corroded regions of one image, as arrays of one length N side by side, largest area first.

    boxes_px: int32 [N, 4], x, y, width, height: the tight bounds of each mask.
    scores: float32 [N], 0…1.  class_ids: int32 [N], into `class_names`.
    masks: N bool arrays [height, width], each inside its own box; one connected component each.
    truncated: True when more regions were found than the configured maximum.
    below: regions found that are smaller than the settings count; they are not among these.
    network_scores: float32 [N], the network's own where `scores` were taught, 0 where pixels alone saw a region; else None.
    """

    boxes_px: NDArray[np.int32]
    scores: NDArray[np.float32]
    class_ids: NDArray[np.int32]
    masks: tuple[Mask, ...]
    class_names: tuple[str, ...]
    truncated: bool = False
    below: int = 0
    network_scores: NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        n = len(self.masks)
        _check(self.boxes_px.shape == (n, 4), f"boxes_px is {self.boxes_px.shape}, expected ({n}, 4)")
        _check(self.scores.shape == (n,) and self.class_ids.shape == (n,), "scores and class_ids must have one entry a mask")
        _check(self.network_scores is None or self.network_scores.shape == (n,), "network_scores must have one entry a mask")
        for (_x, _y, width, height), mask in zip(self.boxes_px, self.masks, strict=True):
            _check(mask.shape == (height, width), f"a mask of {mask.shape} in a box of {(height, width)}")

    def __len__(self) -> int:
        return len(self.masks)


@dataclass(frozen=True, slots=True)
class ClassMeasures:
    """What there is of one class.

    area_fraction: the union of its masks over the image without its data bar.  count: regions.
    counted: those of them that the counting frame counts, see `Measures`.  largest_px: area in pixels, None without a region.
    """

    area_fraction: float
    count: int
    counted: int
    largest_px: int | None


@dataclass(frozen=True, slots=True, eq=False)
class Measures:
    """Per-region and per-image measures; the µm fields are None when the pixel size is unknown.

    area_px: int64 [N].  equivalent_diameter_px, circularity: float64 [N].  touches_edge: bool [N].
    outlines_px: N int32 arrays [M, 2] (x, y), closed implicitly.  holes_px: N tuples of such arrays.
    area_fraction: the union of all masks over `field_px`: the image without its data bar and without what is drawn on it.
    in_frame: bool [N], regions that touch neither the left nor the upper edge. Only these make a density: of a region that
    an edge cuts, half the neighbouring fields would count it too (the unbiased counting frame of Gundersen 1977).
    by_class: of every class that the model knows, found or not.
    counted_from_px: least diameter of a region that counts, 0 where all do.  counted_from_um: the same, None without a scale.
    …_interval: 90 % of this area fraction, of the regions in the frame, of the largest area; None where nothing is promised.
    """

    area_px: NDArray[np.int64]
    equivalent_diameter_px: NDArray[np.float64]
    circularity: NDArray[np.float64]
    touches_edge: NDArray[np.bool_]
    outlines_px: tuple[NDArray[np.int32], ...]
    holes_px: tuple[tuple[NDArray[np.int32], ...], ...]
    union_px: int
    area_fraction: float
    field_px: int
    in_frame: NDArray[np.bool_]
    by_class: Mapping[str, ClassMeasures]
    counted_from_px: float = 0.0
    counted_from_um: float | None = None
    area_fraction_interval: Interval | None = None
    counted_interval: Interval | None = None
    largest_px_interval: Interval | None = None


@dataclass(frozen=True, slots=True)
class RegionSeverity:
    """Severity of one region. basis: what its network learnt from; exposure means exposure times of whole fields of view."""

    label: SeverityLabel
    confidence: float
    basis: SeverityBasis = "exposure"

    @property
    def weak(self) -> bool:
        """Whether the network never saw the severity of a single region."""
        return self.basis == "exposure"


@dataclass(frozen=True, slots=True)
class Guess:
    """What the network or reviewers say, or limits, then without numbers. probabilities: by class, calibrated, sum 1."""

    label: SeverityLabel | None
    confidence: float | None = None
    probabilities: Mapping[str, float] | None = None
    own_class: str | None = None

    @property
    def said(self) -> str:
        """The class in words: the plant's own, and what it stands for."""
        own = self.own_class if self.own_class != self.label else None
        return f"{own} ({self.label})" if own and self.label else own or self.label or "nothing"


@dataclass(frozen=True, slots=True, eq=False)
class Severity:
    """How severe the whole field of view is, by the network or by the plant's own limits; or that this cannot be said.

    label, confidence, probabilities: the verdict, or None where it abstains; `guess` is then what they would have been.
    abstained: True for at least one reason whose code is in `ABSTAINING`; `answer` is there in either case.
    prediction_set: classes that the split-conformal quantile keeps (never empty), None out of the model's domain and where it
    abstains.
    reasons: why a person should look, each "code: sentence" with a code of `REASONS`, those for abstaining first.
    cam: float32 [h, w], 0…1, where the image speaks for the network's answer (exact Grad-CAM of the last convolution); empty,
    [0, 0], where no network was asked, and in_domain is then None.
    domain_ratio: distance from the training images over the limit, above 1 out of the domain; None where none is known.
    source: what the label follows from; limits give a label alone.  network: its answer, where the label is not its.
    own_class: of a plant that taught classes of its own; label is None, without abstaining, where it stands for none.
    """

    label: SeverityLabel | None
    confidence: float | None
    probabilities: Mapping[str, float] | None
    prediction_set: tuple[str, ...] | None
    needs_review: bool
    reasons: tuple[str, ...]
    in_domain: bool | None
    cam: NDArray[np.float32]
    domain_ratio: float | None = None
    guess: Guess | None = None
    source: SeveritySource = "model"
    own_class: str | None = None
    network: Guess | None = None

    def __post_init__(self) -> None:
        numbers = (self.confidence, self.probabilities)
        _check((self.guess is None) == bool(self.label or self.own_class), "a guess stands for a verdict, not beside one")
        bare = self.guess is not None or self.source == "limits"
        _check(numbers == (None, None) if bare else None not in numbers, "a verdict by a network, and no other, has numbers")
        _check(self.guess is None or (self.needs_review and bool(self.reasons)), "abstaining needs a review and its reason")

    @property
    def abstained(self) -> bool:
        """Whether no severity is given."""
        return self.guess is not None

    @property
    def answer(self) -> Guess:
        """What the network answered, verdict or not, to compare networks. Without a network, what the limits say."""
        return self.network or self._verdict

    @property
    def _verdict(self) -> Guess:
        """As it is, or as it would have been."""
        return self.guess or Guess(self.label, self.confidence, self.probabilities, self.own_class)

    @property
    def said(self) -> str:
        """In words for people: the label with what it rests on, or why there is none. The guess is not in them."""
        if self.guess:
            return f"not judged ({code_of(self.reasons[0])})"
        said = self._verdict.said
        return f"{said} {self.confidence:.0%}" if self.confidence is not None else f"{said} ({self.source})"

    def doubted(self, reasons: Iterable[str]) -> Severity:
        """With these further reasons to have a person look, and without a label where one of all is in `ABSTAINING`.

        An ambiguous prediction set is then no reason: there is none any more.
        By limits, those of `OF_NETWORK` ask for review alone.
        """
        every = sorted(dict.fromkeys((*self.reasons, *reasons)), key=_rank)
        leaving = OF_NETWORK if self.source == "limits" else ()
        abstains = any(code_of(reason) in ABSTAINING and code_of(reason) not in leaving for reason in every)
        if abstains:
            every = [reason for reason in every if code_of(reason) != "ambiguous"]
        one = replace(self, reasons=tuple(every), needs_review=bool(every))
        if self.abstained or not abstains:
            return one
        nothing: dict[str, Any] = dict.fromkeys(("label", "own_class", "confidence", "probabilities", "prediction_set"))
        return replace(one, guess=self._verdict, **nothing)


def _rank(reason: str) -> int:
    """Reasons to abstain first, in the order of `ABSTAINING`: that an image is empty explains that it is foreign."""
    code = code_of(reason)
    return ABSTAINING.index(code) if code in ABSTAINING else len(ABSTAINING)


@dataclass(frozen=True, slots=True)
class Quality:
    """How far the picture itself can be trusted.

    sharpness: variance of the Laplacian of `grey` over the variance of `grey`.  contrast: standard deviation of `grey` / 255.
    """

    sharpness: float
    contrast: float
    saturated_fraction: float
    in_domain: bool | None
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ModelIdentity:
    """Which model spoke: enough to find the very same file again."""

    name: str
    version: str
    sha256: str


@dataclass(frozen=True, slots=True)
class ModelsUsed:
    """Both models, what ran them, and the weights that judged single regions.

    precision: of both.  engine_sha256: of what ran instead of the ONNX files, of two TensorRT engines the hash of both
    hashes; None where the files themselves ran.  taught_sha256: of the adaptation that was applied, None without one.
    """

    segmenter: ModelIdentity | None
    classifier: ModelIdentity | None
    backend: str
    precision: str
    engine_sha256: str | None = None
    regions: ModelIdentity | None = None
    taught_sha256: str | None = None


@dataclass(frozen=True, slots=True)
class Timing:
    """Milliseconds spent on one image, by stage; 0 where a stage was not run."""

    wait: float = 0.0
    read: float = 0.0
    decode: float = 0.0
    segment: float = 0.0
    masks: float = 0.0
    measure: float = 0.0
    classify: float = 0.0
    total: float = 0.0

    def shared_by(self, pages: int) -> Timing:
        """Of one page, when reading and decoding was done for all at once; each page waited as long as the file."""
        return replace(self, read=self.read / pages, decode=self.decode / pages)


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What tells, without reading it, that a file is still the same.

    size: bytes.
    mtime_ns: nanoseconds since 1970 as the file system says, before 1970 negative; from 2262-04-11 on it begins again at
        -2^63, because the database holds no more than 64 bits.
    sidecar: opaque text of the names, sizes and times of the files that the microscope wrote beside it.
    ctime_ns, inode: the file system's own marks, which no writer can keep; None where they are not known. They differ also
        where nothing of the content does (after chmod, a restored backup, a mount), so they are not compared by `==`.
    """

    size: int
    mtime_ns: int
    readable: bool = True
    sidecar: str = ""
    ctime_ns: int | None = field(default=None, compare=False)
    inode: int | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        # Here and not where it is stored, so that what comes back from the database equals what went in.
        for name in ("mtime_ns", "ctime_ns", "inode"):
            value = getattr(self, name)
            if value is not None and not -_HALF <= value < _HALF:
                object.__setattr__(self, name, (value + _HALF) % (2 * _HALF) - _HALF)

    @property
    def marks(self) -> tuple[int | None, int | None]:
        """`ctime_ns` and `inode`: other ones are a reason to compare the content."""
        return self.ctime_ns, self.inode


@dataclass(frozen=True, slots=True)
class FileBytes:
    """One file as it was at one moment. sidecars: by file name."""

    data: bytes
    sha256: str
    size: int
    mtime_ns: int
    sidecars: Mapping[str, bytes]

    @property
    def content_sha256(self) -> str:
        """Of all bytes that an inspection rests on: those of the file, and of its sidecars with their names."""
        if not self.sidecars:
            return self.sha256
        whole = hashlib.sha256(self.sha256.encode("ascii"))
        for name in sorted(self.sidecars):
            side = self.sidecars[name]
            whole.update(f"\0{len(side)}\0{name}\0".encode("utf-8", "surrogateescape") + side)
        return whole.hexdigest()


@dataclass(frozen=True, slots=True)
class Source:
    """Which file an inspection is about.

    name: the file name alone.  path: below the watched folder, with `/`; bytes that are no UTF-8 are shown as \\xNN.
    revision: 1 for the first content seen under this path, rising when it changes.  run: rises with each commanded repeat.
    """

    name: str
    path: str
    sha256: str | None
    revision: int = 1
    run: int = 1


@dataclass(frozen=True, slots=True, eq=False)
class Inspection:
    """One verdict on one micrograph: everything that stages 1 and 2 and the measures found out."""

    source: Source
    micrograph: Micrograph
    sample: dict[str, Any]
    regions: Regions
    measures: Measures
    severity: Severity | None
    region_severities: tuple[RegionSeverity | None, ...]
    quality: Quality
    models: ModelsUsed
    smallest_region_px: float | None
    settings_sha256: str
    timing: Timing
    made_at: datetime


@dataclass(frozen=True, slots=True)
class Failure:
    """One verdict on an image that could not be inspected."""

    source: Source
    code: str
    message: str
    made_at: datetime
