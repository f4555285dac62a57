"""An engine inspector's report in, the precision in which each layer really runs out; what is proven float32 is refused.

The report differs from version to version, and none describes its form. So what cannot be read from it is a doubt, told
loudly and written into the passport: the graph that was built is strongly typed and was seen to be FP16 before.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from edge.errors import ModelError

MOST_NAMES_TOLD = 5


MOST_TOLD_OF_A_LAYER = 600


@dataclass(frozen=True, slots=True)
class Inspected:
    """What a report tells. doubts: what it leaves open, in words; none where every convolution's precision is told."""

    layers: tuple[InspectedLayer, ...]
    doubts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class InspectedLayer:
    """A layer of a finished engine as TensorRT's inspector tells it.

    precision: of what it gives out ("float16", "float32", "int64" …; "unknown" where not told).
    half: whether FP16 appears in it at all, in a tensor, in its weights or in its kernel's name.
    convolutions: names of the ONNX convolutions that it is made of, as far as told; its own name where it is one by its kind.
    moves: it only changes a tensor's format, so it says nothing of the convolution whose name it carries.
    """

    name: str
    precision: str
    half: bool
    convolutions: frozenset[str]
    moves: bool = False


_PRECISIONS = (
    (re.compile(r"\b(bf16|bfloat16)\b", re.IGNORECASE), "bfloat16"),
    (re.compile(r"\b(fp16|half|float16)\b", re.IGNORECASE), "float16"),
    (re.compile(r"\b(fp32|float|float32)\b", re.IGNORECASE), "float32"),
    (re.compile(r"\b(u?int\d+|bool|fp8|fp4)\b", re.IGNORECASE), None),
)


_TYPE_KEYS = ("Format/Datatype", "DataType", "Datatype", "Format")


_CONVOLUTION = re.compile(r"\S*/Conv(Transpose)?(_\d+)?(?=$|_myl)")
"""An ONNX node's name by our exporter; Myelin, TensorRT's compiler of subgraphs, adds its own number."""


_CONVOLVES = re.compile(r"conv|correlation", re.IGNORECASE)
"""Kinds of layers; Myelin calls a convolution a correlation."""


_MOVES = re.compile(r"reformat|no-?op|copy|shuffle", re.IGNORECASE)
"""Kinds of layers that compute nothing."""


_HALF_KERNEL = re.compile(r"(?<![a-z0-9])(f16|fp16|h16816|h1688|hmma)|_f16", re.IGNORECASE)


def read_layers(report: str) -> Inspected:
    """Layers of an inspector's JSON, and what it leaves open. Never fails: a report of an unknown form is a doubt.

    TensorRT 10 tells of each tensor a "Format/Datatype" ("Half", or "Row major linear FP16 format"); TensorRT 11 split it
    into the type, spelt "DataType" in NVIDIA's guide to migration and "Datatype" by those who read it, and "Format".
    """
    try:
        document = json.loads(report)
        entries = document if isinstance(document, list) else document["Layers"]
        layers = tuple(_layer(entry) for entry in entries)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        return Inspected((), (f"what TensorRT's engine inspector says cannot be understood: {type(error).__name__}",))
    if not any(one.precision != "unknown" or one.half for one in layers):
        example = json.dumps(entries[len(entries) // 2]) if entries else report
        told = f"of one of {len(layers)} layers it says {example[:MOST_TOLD_OF_A_LAYER]}"
        return Inspected(layers, (f"TensorRT's engine inspector tells no layer's precision; {told}",))
    open_ones = sorted(_names(layers) - _names(one for one in layers if one.half) - _wide(layers))
    if open_ones:
        count = f"{len(open_ones)} convolutions: {some_of(open_ones)}"
        return Inspected(layers, (f"TensorRT's engine inspector does not tell the precision of {count}",))
    if not _names(layers):
        return Inspected(layers, ("TensorRT's engine inspector names no convolution",))
    return Inspected(layers)


def _names(layers: Iterable[InspectedLayer]) -> frozenset[str]:
    return frozenset().union(*(one.convolutions for one in layers))


def _wide(layers: Iterable[InspectedLayer]) -> frozenset[str]:
    """Convolutions that are proven float32: told so, with no layer of their name in FP16 or of an untold precision."""
    layers = tuple(one for one in layers if not one.moves)
    other = _names(one for one in layers if one.half or one.precision == "unknown")
    return _names(one for one in layers if one.precision == "float32" and not one.half) - other


def _layer(entry: str | Mapping[str, Any]) -> InspectedLayer:
    if isinstance(entry, str):  # an engine built without details tells names only
        return InspectedLayer(entry, "unknown", half=False, convolutions=frozenset())
    tensors = [_type_of(tensor) for side in ("Outputs", "Inputs") for tensor in entry.get(side) or ()]
    told = [precision for precision in tensors if precision != "unknown"]
    weights = entry.get("Weights")
    held = _precision(str(weights.get("Type", ""))) if isinstance(weights, Mapping) else "unknown"
    kernel = str(entry.get("TacticName", ""))
    name = str(entry.get("Name", ""))
    kind = str(entry.get("LayerType", ""))
    words = re.split(r"[\s+,:()\[\]{}\x1e\x1f]+", f"{name} {entry.get('Metadata') or ''}")
    convolutions = {found[0] for word in words if (found := _CONVOLUTION.match(word))}
    return InspectedLayer(
        name=name,
        precision=told[0] if told else "unknown",
        half="float16" in (*told, held) or _HALF_KERNEL.search(kernel) is not None,
        convolutions=frozenset(convolutions or ({name} if _CONVOLVES.search(kind) else ())),
        moves=_MOVES.search(kind) is not None,
    )


def _type_of(tensor: str | Mapping[str, Any]) -> str:
    """The precision of a layer's input or output."""
    texts = [tensor] if isinstance(tensor, str) else [tensor.get(key, "") for key in _TYPE_KEYS]
    return next((precision for text in texts if (precision := _precision(str(text))) != "unknown"), "unknown")


def _precision(datatype: str) -> str:
    for pattern, name in _PRECISIONS:
        if found := pattern.search(datatype):
            return name or found[0].lower()
    return "unknown"


def require_half(layers: Iterable[InspectedLayer], islands: Iterable[str]) -> None:
    """Refuse an engine that is proven float32, all or in part. Raises ModelError.

    A builder that does not honour FP16 says nothing: only the finished engine tells. A convolution counts as float32 when
    a layer that TensorRT made of it is, and none has FP16 or tells nothing: a reformat beside it carries its name as well.
    """
    if wrong := sorted(_wide(layers) - set(islands)):
        raise ModelError(f"the engine turned out float32 in {len(wrong)} convolutions: {some_of(wrong)}")


def some_of(names: list[str]) -> str:
    """The first names of a list that may be long, and how many more there are."""
    rest = len(names) - MOST_NAMES_TOLD
    return ", ".join(names[:MOST_NAMES_TOLD]) + (f" and {rest} more" if rest > 0 else "")
