"""The JSON of a verdict in; the document with what a report reads of it checked, or a sentence on why it is none, out.

Later versions add fields, so what is not read is not looked at. Documents of version 1 lack what version 2 added.
"""

from __future__ import annotations

import json
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError, field_validator

from edge.wording import not_json, sentences

INSPECTION: Final = "edge.inspection/"
FAILURE: Final = "edge.failure/"

Share = Annotated[FiniteFloat, Field(ge=0, le=1)]
Number = Annotated[FiniteFloat, Field(ge=-1e15, le=1e15)]
Size = Annotated[FiniteFloat, Field(ge=0, le=1e15)]
Count = Annotated[int, Field(ge=0, le=1_000_000_000)]
Pixels = Annotated[int, Field(ge=0, le=1_000_000)]
Pair = Annotated[list[Number], Field(min_length=2, max_length=2)]
Text = Annotated[str, Field(max_length=10_000)]


class _Form(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True)


class _Image(_Form):
    name: Text
    path: Text | None = None
    sha256: Text | None = None
    page: Count | None = None


class _Micrograph(_Image):
    width_px: Annotated[Pixels, Field(gt=0)]
    height_px: Annotated[Pixels, Field(gt=0)]
    databar_px: Pixels | None = None
    pixel_size_nm: Size | None = None
    pixel_size_source: Text | None = None
    scale_uncertainty: Size | None = None
    field_um2: Size | None = None
    captured_at: Text | None = None
    instrument: dict[str, Text | None] | None = None
    acceleration_kv: Number | None = None
    magnification: Number | None = None
    working_distance_mm: Number | None = None
    tilt_deg: Number | None = None


class _OfClass(_Form):
    area_fraction: Share | None = None
    count: Count | None = None


class _Diameters(_Form):
    mean: Size | None = None
    p50: Size | None = None
    p95: Size | None = None
    max: Size | None = None


class _Counted(_Form):
    px: Size | None = None
    um: Size | None = None


class _Corrosion(_Form):
    area_fraction: Share
    area_fraction_interval: Pair | None = None
    region_count: Count | None = None
    regions_below: Count | None = None
    area_um2: Size | None = None
    density_per_mm2: Size | None = None
    density_per_mm2_interval: Pair | None = None
    largest_um2: Size | None = None
    largest_um2_interval: Pair | None = None
    largest_touches_edge: bool | None = None
    counted_from: _Counted | None = None
    equivalent_diameter_um: _Diameters | None = None
    by_class: dict[str, _OfClass] | None = None


class _RegionSeverity(_Form):
    label: Text | None = None


class _Region(_Form):
    index: Count | None = None
    class_: Text | None = Field(None, alias="class")
    score: Number | None = None
    box_px: Annotated[list[Number], Field(min_length=4, max_length=4)]
    area_px: Size | None = None
    area_um2: Size | None = None
    equivalent_diameter_um: Size | None = None
    circularity: Number | None = None
    touches_edge: bool | None = None
    severity: _RegionSeverity | None = None


class _Guess(_Form):
    class_: Text | None = Field(None, alias="class")
    label: Text | None = None


class _Severity(_Form):
    label: Text | None = None
    class_: Text | None = Field(None, alias="class")
    guess: _Guess | None = None
    confidence: Share | None = None
    prediction_set: list[Text] | None = None
    reasons: list[Text | dict[str, Any]] | None = None
    source: Text | None = None
    abstained: bool | None = None
    needs_review: bool | None = None


class _Network(_Form):
    name: Text
    version: Text
    sha256: Text


class _Taught(_Form):
    sha256: Text


class _Model(_Form):
    segmenter: _Network | None = None
    classifier: _Network | None = None
    regions: _Network | None = None
    backend: Text | None = None
    taught: _Taught | None = None


class _Quality(_Form):
    sharpness: Number | None = None
    in_domain: bool | None = None
    warnings: list[Text] | None = None


class _Timing(_Form):
    total: Size | None = None


class _Device(_Form):
    site: Text | None = None
    area: Text | None = None
    id: Text | None = None


class _Verdict(_Form):
    ts: Text | None = None
    ts_ms: Annotated[int, Field(ge=0, le=253_402_300_799_999)]
    epoch: Text | None = None
    seq: Annotated[int, Field(ge=0, lt=1 << 63)] | None = None
    device: _Device | None = None


class _Inspection(_Verdict):
    inspection_id: Text
    image: _Micrograph
    sample: dict[str, Text | bool | Number | None] | None = None
    severity: _Severity | None = None
    corrosion: _Corrosion | None
    regions: list[_Region] | None = None
    model: _Model | None = None
    quality: _Quality | None = None
    timing_ms: _Timing | None = None
    settings_sha256: Text | None = None

    @field_validator("sample")
    @classmethod
    def _times(cls, sample: dict[str, Any] | None) -> dict[str, Any] | None:
        for name in ("annealing_min", "exposure_h"):
            value = (sample or {}).get(name)
            if value is not None and (isinstance(value, str | bool) or value < 0):
                raise ValueError(f"{name} must be a number of 0 or more")
        return sample


class _Error(_Form):
    code: Text
    message: Text


class _Failure(_Verdict):
    image: _Image
    error: _Error


def checked(data: bytes) -> dict[str, Any] | str:
    """The document as JSON has it; a text says why there is none."""
    try:
        said = json.loads(data)
    except ValueError as error:
        return not_json(error)
    except RecursionError:
        return "nested too deeply"
    schema = said.get("schema") if isinstance(said, dict) else None
    if not isinstance(schema, str) or not schema.startswith((INSPECTION, FAILURE)):
        return "neither an inspection nor a failure of this product"
    form = _Inspection if schema.startswith(INSPECTION) else _Failure
    try:
        form.model_validate(said)
    except ValidationError as error:
        first, *more = sentences(error, "the document", form)
        return first + (f", and {len(more)} more" if more else "")
    return dict(said)
