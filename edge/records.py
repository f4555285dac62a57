"""The values that travel through the product: frozen, checked once when made, importing nothing of ours.

Coordinates are pixels of the image *as stored*, origin at the top left, x to the right, y down. The data bar is
only ever cut off the bottom, so coordinates in `Micrograph.grey` and in the stored image are the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Grey = NDArray[np.uint8]
Mask = NDArray[np.bool_]
SeverityLabel = Literal["low", "moderate", "severe"]
PixelSizeSource = Literal["metadata", "sidecar", "config"]

_HALF = 1 << 63
"""Half of what a 64-bit integer can be."""

TILT_WITHOUT_EFFECT_DEG = 5.0
"""Up to here areas are short by less than 0.4 %."""

SEVERITIES: tuple[SeverityLabel, ...] = ("low", "moderate", "severe")


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
    warnings: short sentences about what is doubtful in this file.
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
    """

    boxes_px: NDArray[np.int32]
    scores: NDArray[np.float32]
    class_ids: NDArray[np.int32]
    masks: tuple[Mask, ...]
    class_names: tuple[str, ...]
    truncated: bool = False

    def __post_init__(self) -> None:
        n = len(self.masks)
        _check(self.boxes_px.shape == (n, 4), f"boxes_px is {self.boxes_px.shape}, expected ({n}, 4)")
        _check(self.scores.shape == (n,) and self.class_ids.shape == (n,), "scores and class_ids must have one entry a mask")
        for (_x, _y, width, height), mask in zip(self.boxes_px, self.masks, strict=True):
            _check(mask.shape == (height, width), f"a mask of {mask.shape} in a box of {(height, width)}")

    def __len__(self) -> int:
        return len(self.masks)


@dataclass(frozen=True, slots=True, eq=False)
class Measures:
    """Per-region and per-image measures; the µm fields are None when the pixel size is unknown.

    area_px: int64 [N].  equivalent_diameter_px, circularity: float64 [N].  touches_edge: bool [N].
    outlines_px: N int32 arrays [M, 2] (x, y), closed implicitly.  holes_px: N tuples of such arrays.
    area_fraction: the union of all masks over `field_px`: the image without its data bar and without what is drawn on it.
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


@dataclass(frozen=True, slots=True)
class RegionSeverity:
    """Severity of one region. Weak: the classifier learnt from exposure times of whole fields of view."""

    label: SeverityLabel
    confidence: float


@dataclass(frozen=True, slots=True, eq=False)
class Severity:
    """What stage 2 says of the whole field of view.

    probabilities: one per class, adding up to 1, after temperature scaling.
    prediction_set: classes that the split-conformal quantile keeps (never empty), None out of the model's domain.
    cam: float32 [h, w], 0…1, where the image speaks for `label` (exact Grad-CAM of the last convolution).
    domain_ratio: distance from the training images over the model's limit, above 1 out of its domain; None where the model
    knows no domain.
    """

    label: SeverityLabel
    confidence: float
    probabilities: dict[str, float]
    prediction_set: tuple[str, ...] | None
    needs_review: bool
    reasons: tuple[str, ...]
    in_domain: bool
    cam: NDArray[np.float32]
    domain_ratio: float | None = None


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
    """Both models and what ran them.

    precision: of both; "float32/int8" where a quantised copy of the classifier judged the regions, and nothing else.
    engine_sha256: of what ran beside or instead of the ONNX files: of a quantised copy, or of the hashes of two TensorRT
    engines; None where the files themselves ran.
    """

    segmenter: ModelIdentity | None
    classifier: ModelIdentity | None
    backend: str
    precision: str
    engine_sha256: str | None = None


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
    """

    size: int
    mtime_ns: int
    readable: bool = True
    sidecar: str = ""

    def __post_init__(self) -> None:
        # Here and not where it is stored, so that what comes back from the database equals what went in.
        if not -_HALF <= self.mtime_ns < _HALF:
            object.__setattr__(self, "mtime_ns", (self.mtime_ns + _HALF) % (2 * _HALF) - _HALF)


@dataclass(frozen=True, slots=True)
class FileBytes:
    """One file as it was at one moment. sidecars: by file name."""

    data: bytes
    sha256: str
    size: int
    mtime_ns: int
    sidecars: Mapping[str, bytes]


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
