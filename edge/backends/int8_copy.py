"""An ONNX file in, its quantised copy for OpenVINO out if one lies beside it and belongs to it, else the reason why not.

`classifier.onnx` may have a copy with weights and activations of 8 bits: `classifier.int8.xml`, `.bin`, and a passport
`classifier.int8.json`, made by `edge-export int8`. It judges regions alone; the field of view, which is the inspection's
severity, and its domain stay in float32. Whether it may is decided on each machine by `edge.inspection.parity`.
"""

from __future__ import annotations

import hashlib
import platform
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from edge.errors import BackendError
from edge.models.card import file_sha256

_HASH = r"^[0-9a-f]{64}$"
_DOT_PRODUCTS = frozenset({"avx512_vnni", "avx_vnni"})


class _Page(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Agreement(_Page):
    """How far the copy is from float32 on regions that it was not calibrated on.

    flips: views whose label changed although float32 preferred its own by more than flip_margin.  changed: all whose label
    changed.  The differences are of probabilities, over all classes.
    """

    views: int = Field(gt=0)
    changed: int
    flips: int
    flip_margin: float
    mean_difference: float
    largest_difference: float


class Passport(_Page):
    """What is known about one copy.

    temperature: takes the place of the card's, so that the copy's words weigh what float32's do.  scores: of verdicts on
    regions, in the form of a card's, empty where nobody measured any.
    """

    schema_: Literal["edge.int8/1"] = Field("edge.int8/1", alias="schema")
    model_sha256: str = Field(pattern=_HASH)
    xml_sha256: str = Field(pattern=_HASH)
    bin_sha256: str = Field(pattern=_HASH)
    made_with: dict[str, str]
    calibrated_on: str
    agreement: Agreement
    temperature: float = Field(gt=0)
    scores: dict[str, Any] = {}


def copy_paths(model: Path) -> tuple[Path, Path, Path]:
    """`name.onnx` → `name.int8.xml`, `name.int8.bin` and the passport `name.int8.json`."""
    return (
        model.with_suffix(".int8.xml"),
        model.with_suffix(".int8.bin"),
        model.with_suffix(".int8.json"),
    )


def has_copy(model: Path) -> bool:
    """Whether a quantised copy claims to lie beside this model; `read_copy` tells whether it does."""
    return copy_paths(model)[2].is_file()


def read_copy(model: Path) -> tuple[bytes, bytes, Passport]:
    """Graph, weights and passport of the copy beside `model`. Raises BackendError with the reason why it is not used."""
    graph, weights, page = copy_paths(model)
    try:
        passport = Passport.model_validate_json(page.read_bytes())
        stat = model.stat()
        model_sha256 = file_sha256(model, stat.st_size, stat.st_mtime_ns)
        contents = graph.read_bytes(), weights.read_bytes()
    except OSError as error:
        raise BackendError(f"the int8 copy of {model} cannot be read: {error.filename}: {error.strerror or error}") from error
    except ValidationError as error:
        raise BackendError(f"the int8 copy's passport {page} is not valid: {error}") from error
    if passport.model_sha256 != model_sha256:
        raise BackendError(f"the int8 copy beside {model} was made from another model: make it again (edge-export int8)")
    for path, content, expected in zip((graph, weights), contents, (passport.xml_sha256, passport.bin_sha256), strict=True):
        if hashlib.sha256(content).hexdigest() != expected:
            raise BackendError(f"{path} is not the file that {page.name} describes (hashes differ): edge-export int8 again")
    return *contents, passport


def has_dot_products(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether this is an x86 processor with VNNI: without its dot products of bytes, int8 gains little."""
    if platform.machine() not in {"x86_64", "AMD64"}:
        return False
    try:
        text = cpuinfo.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    flags = next((line.partition(":")[2] for line in text.splitlines() if line.startswith("flags")), "")
    return not _DOT_PRODUCTS.isdisjoint(flags.split())
