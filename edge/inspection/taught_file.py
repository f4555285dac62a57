"""An adaptation file in, checked numbers out: what a plant's reviews taught, and for which models."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import Field, ValidationError

from edge.errors import ModelError
from edge.inspection.linear import Linear, Part
from edge.inspection.taught_severity import TaughtSeverity
from edge.models.card import ModelCard
from edge.models.signature import require_signed
from edge.wording import sentences

SCHEMA: Final = "edge.taught/1"
MOST_BYTES: Final = 8 * 2**20
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class TaughtRegions(Part):
    """Which found regions a reviewer would call right."""

    verifier: Linear
    channels: int = Field(ge=0, description="of the network's features that it looks at; 0: none")
    reviewed: int


class TaughtPixels(Part):
    """Which pixels are corroded, for what the network cannot see.

    filters: of `pixel_features`, then the network's own answer.  features: weights of the feature map's channels, and their
    bias is in filters.bias.  most_uncertain: more of `uncertainty` is rejected.  area_range: parts of an image that may be
    corroded, beyond which it is too unlike the reviewed ones.  class_id: of what the pixels alone see.
    """

    filters: Linear
    features: tuple[float, ...]
    class_id: int = Field(ge=0)
    least_area_px: int = Field(ge=1)
    most_uncertain: float
    area_range: tuple[float, float]
    reviewed: int


class TaughtFile(Part):
    """Everything in an adaptation file. segmenter, classifier: SHA-256 of the models that it was fitted for."""

    schema_: Literal["edge.taught/1"] = Field(alias="schema")
    segmenter: Sha256 | None
    classifier: Sha256 | None
    reviews: int = Field(ge=1)
    images: tuple[str, ...] = Field(description="SHA-256 of the reviewed images")
    provisional: bool
    how: str
    before: dict[str, Any]
    after: dict[str, Any]
    regions: TaughtRegions | None = None
    pixels: TaughtPixels | None = None
    severity: TaughtSeverity | None = None

    @property
    def for_stage_1(self) -> bool:
        """Whether regions or pixels were taught."""
        return self.regions is not None or self.pixels is not None


@dataclass(frozen=True, slots=True)
class Taught:
    """An adaptation with the hash of its file."""

    file: TaughtFile
    sha256: str


def encode(file: TaughtFile) -> bytes:
    """The file's bytes, the same for the same numbers."""
    return (file.model_dump_json(by_alias=True, indent=1) + "\n").encode()


def load_taught(
    path: Path, segmenter: ModelCard | None, classifier: ModelCard | None, public_key: str = "", sha256: str = ""
) -> Taught:
    """The adaptation at `path`, for these models; None for a stage that is not run. Raises ModelError in one sentence.

    public_key: minisign's, which must have signed it.  sha256: what the file must hash to, where that is known.
    """
    try:
        with path.open("rb") as stream:
            data = stream.read(MOST_BYTES + 1)
    except OSError as error:
        raise ModelError(f"no adaptation can be read at {path} (models.taught): {error.strerror or error}") from error
    if public_key:
        require_signed(path, data, public_key)
    found = hashlib.sha256(data).hexdigest()
    if sha256 and found != sha256:
        raise ModelError(f"the adaptation {path} is not the one that was chosen (hashes differ): choose one again")
    try:
        file = TaughtFile.model_validate_json(data) if len(data) <= MOST_BYTES else None
    except ValidationError as error:
        first = sentences(error, "the file", TaughtFile)[0]
        raise ModelError(f"the adaptation {path} is not valid ({first}): teach again") from error
    if file is None:
        raise ModelError(f"the adaptation {path} has more than {MOST_BYTES >> 20} MiB: it is not one of edge-teach")
    for kind, card, wanted in (("segmenter", segmenter, file.segmenter), ("classifier", classifier, file.classifier)):
        if card is not None and wanted is not None and card.sha256 != wanted:
            raise ModelError(
                f"the adaptation {path} was taught for another {kind} ({wanted[:12]}…) than {card.name} {card.version} "
                f"({card.sha256[:12]}…): teach again from the same reviews, or name the earlier model"
            )
    return Taught(file, found)
