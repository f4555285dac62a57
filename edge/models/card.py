"""The JSON beside each model in, a checked card out: classes, input, calibration, what it was trained on, its hash."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from edge.errors import ModelError
from edge.models.signature import require_signed, require_signed_companions
from edge.wording import sentences

BUILTIN_FOLDER = Path(__file__).parent / "files"
GREY_WINDOW_RULE = "declared-8bit-or-percentile-0.1-99.9/1"
"""The one rule by which stored values become 8 bits, see `edge.sem.grey`; a card that names another is refused."""


class _Card(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())


class DomainStatistics(_Card):
    """Where the training images lay in the classifier's embedding: what `domain_distance` measures against.

    mean, deviations: [D], of the training images.  components: [R, D], rows orthonormal, of the standardised embedding.
    scales: [R], standard deviations along the rows.  residual_scale: of what the rows do not explain, per dimension.
    threshold: distances above it are out of domain (the quantile named in `quantile` on held-out images).
    """

    mean: tuple[float, ...]
    deviations: tuple[float, ...]
    components: tuple[tuple[float, ...], ...]
    scales: tuple[float, ...]
    residual_scale: float
    threshold: float
    quantile: float


class FittedWith(_Card):
    """What measured the fields that a fit rests on; with another segmenter or other settings it promises nothing."""

    segmenter_sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    confidence: float
    iou: float


class SeverityFit(_Card):
    """Severity by proportional odds of `edge.inspection.judge`: more of what is weighed is never less severe.

    weights: of the evidence by name.  limits: rising, one less than classes, between each class and the next.
    conformal_quantile: of 1 - p(true class), for the prediction sets of these probabilities.
    """

    weights: dict[str, Annotated[float, Field(ge=0)]]
    limits: tuple[float, ...]
    conformal_quantile: float = Field(ge=0, le=1)


class ForeignNumber(_Card):
    """mean, deviation: of one number in the fields learnt from.  reach: of deviations, beyond which it counts no more.

    weight, weight_of_square: of the number in deviations, towards being foreign.
    """

    mean: float
    deviation: float = Field(gt=0)
    weight: float
    weight_of_square: float
    reach: float = Field(6.0, gt=0)


class ForeignFit(_Card):
    """Which fields are foreign, by a logistic regression of `edge.inspection.judge`: above `limit` of the log odds."""

    numbers: dict[str, ForeignNumber]
    offset: float
    limit: float


class FieldFit(_Card):
    """How a field of view is judged by the network and by what stage 1 measured, together."""

    fitted_with: FittedWith
    severity: SeverityFit
    foreign: ForeignFit


class SpreadNumber(_Card):
    """mean, deviation: of one number in the fields fitted on.  low, high: how it moves either end.  reach: as above."""

    mean: float
    deviation: float = Field(gt=0)
    low: float
    high: float
    reach: float = Field(4.0, gt=0)


class SpreadFit(_Card):
    """The interval of one measure, as its square root. groups: rising limits of the measured root; a margin for each group."""

    numbers: dict[str, SpreadNumber]
    low_offset: float
    high_offset: float
    groups: tuple[float, ...]
    margins: tuple[float, ...]


class IntervalFit(_Card):
    """90 % intervals of a segmenter's measures, see `edge.inspection.intervals`. level: the coverage that is asked."""

    level: float = Field(gt=0, lt=1)
    fitted_with: FittedWith
    area: SpreadFit
    counted: SpreadFit
    largest: SpreadFit


class Calibration(_Card):
    """Temperature for the softmax, split-conformal quantile of 1 - p(true class), and the domain.

    field: of a classifier that is asked beside a segmenter.  intervals: of a segmenter.
    """

    temperature: float = Field(1.0, gt=0)
    conformal_quantile: float | None = Field(None, ge=0, le=1)
    conformal_coverage: float | None = Field(None, gt=0, lt=1)
    domain: DomainStatistics | None = None
    field: FieldFit | None = None
    intervals: IntervalFit | None = None


class Training(_Card):
    """What the model learnt from and how it began."""

    data: str
    data_sha256: str
    initialised_from: str
    epochs: int
    images: int
    seed: int
    command: str


class ModelCard(_Card):
    """Everything the edge must know about a model file that the file itself does not say."""

    schema_: Literal["edge.model/1"] = Field("edge.model/1", alias="schema")
    task: Literal["segment", "classify"]
    name: str
    version: str
    architecture: str
    classes: tuple[str, ...] = Field(min_length=1)
    input_px: int = Field(gt=0, description="longest side of the segmenter's input; side of the classifier's")
    grey_window: str
    crop_margin: float = Field(0.0, ge=0, description="classifier: margin around a region, as a part of its longer side")
    smallest_region_px: float | None = Field(
        None, gt=0, description="segmenter: shortest resolvable diameter at the network's scale"
    )
    tile_above_px: int | None = Field(None, gt=0, description="segmenter: a longer image is also seen in native tiles")
    tile_overlap_px: int = Field(96, ge=0)
    coarse_from_px: float | None = Field(
        None,
        gt=0,
        description="segmenter: an image without tiles is also seen at half the scale, for regions from this diameter there on",
    )
    edges_followed: bool = Field(False, description="segmenter: outlines move to the image's own edges, by a prototype at most")
    calibration: Calibration = Calibration()
    training: Training
    scores: dict[str, Any]
    licence: str
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


def card_path(model: Path) -> Path:
    """`name.onnx` → `name.json`."""
    return model.with_suffix(".json")


def resolve(name: str, task: Literal["segment", "classify"]) -> Path:
    """Path of a model that the settings name: "builtin" or a path. Raises ModelError when it is not there."""
    path = BUILTIN_FOLDER / ("segmenter.onnx" if task == "segment" else "classifier.onnx") if name == "builtin" else Path(name)
    if not path.is_file():
        raise ModelError(f'no model at {path}: name an .onnx file in [models], or "builtin"')
    return path


def load_card(model: Path, task: Literal["segment", "classify"], public_key: str = "") -> ModelCard:
    """The card beside `model`, checked against the file's hash. Raises ModelError.

    public_key: minisign's; then the card, which holds the model's hash, must be signed by it, and what may run beside it, too.
    """
    path = card_path(model)
    try:
        text = path.read_bytes()
    except OSError as error:
        raise ModelError(f"{model} has no readable card {path.name} beside it: {error.strerror or error}") from error
    if public_key:
        require_signed(path, text, public_key)
        require_signed_companions(model, public_key)
        file_sha256.cache_clear()  # size and time can be set by whoever changes a file
    try:
        card = ModelCard.model_validate_json(text)
    except ValidationError as error:
        raise ModelError(f"the card {path} is not valid: {'; '.join(sentences(error, 'the file', ModelCard))}") from error
    if card.task != task:
        raise ModelError(f"{model} is a model to {card.task}, not to {task}")
    if card.grey_window != GREY_WINDOW_RULE:
        raise ModelError(
            f"{model} was trained with the grey window {card.grey_window!r}; this version has {GREY_WINDOW_RULE!r}"
        )
    stat = model.stat()
    if file_sha256(model, stat.st_size, stat.st_mtime_ns) != card.sha256:
        raise ModelError(f"{model} is not the file that its card {path.name} describes (hashes differ): export it again")
    return card


@lru_cache(maxsize=16)
def file_sha256(path: Path, size: int, mtime_ns: int) -> str:
    """SHA-256 of a file in hex; size and mtime are only the cache's key."""
    with path.open("rb") as stream:
        digest = hashlib.sha256()
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
