"""An ONNX graph in float32 in, the same graph in FP16 out, with float32 kept where FP16 would be felt.

TensorRT 11 has no flag that makes a network FP16; it runs each layer in the type that the graph gives it. So the graph
itself is converted, which is also what older versions build when told to be strongly typed. Inputs and outputs stay as
they are: uint8 in, float32 out.

Three kinds of nodes:
- what moves or compares values (Concat, Gather, MaxPool, TopK …) is exact in any type and keeps the type it is given;
- islands stay float32: box decoding, pooling, and all arithmetic that belongs to no layer (see `ISLANDS`);
- everything else, the layers, becomes FP16.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.errors import ModelError

ISLANDS = (
    # FP16 rounds a coordinate near 640 px by up to 0.25 px and one near 2048 px by up to 1 px, and the DFL's sums before that.
    r"^/box_decode/",
    # Arithmetic outside the network's modules: scaling of the input, anchors, scores, the mean and spread of the embedding,
    # whose squares reach 12000 on the shipped micrographs.
    r"^/?[^/]+$",
    # Sums over thousands of positions.
    r"/(Global(Average|Lp)Pool|Reduce(Mean|Sum|L2|SumSquare|LogSumExp))[^/]*$",
    r"/(Softmax|LogSoftmax|LayerNormalization|InstanceNormalization)[^/]*$",
)
"""Patterns of the names of nodes that stay in float32. An exporter names a node after its module: /body.0/conv/Conv."""

MOVES = frozenset(
    (
        *("Concat", "DepthToSpace", "Expand", "Flatten", "Gather", "GatherElements", "GatherND", "Identity", "Pad", "Reshape"),
        *("Shape", "Size", "Slice", "SpaceToDepth", "Split", "Squeeze", "Tile", "Transpose", "Unsqueeze", "Where"),
        *("ArgMax", "ArgMin", "Max", "MaxPool", "Min", "ReduceMax", "ReduceMin", "Relu", "TopK"),
        "Resize",  # of nearest neighbours; one that interpolates rounds once
    )
)
"""Operators that move or compare: their float outputs are float inputs of theirs, unchanged."""

_FLOAT = 1
"""onnx.TensorProto.FLOAT."""
LARGEST = float(np.finfo(np.float16).max)
SMALLEST_NORMAL = float(np.finfo(np.float16).smallest_normal)
HEADROOM = 4.0
"""So many times larger than on the images looked at may a value become before FP16 overflows."""
TOLERATED_ERROR = 1e-3
"""Root mean square rounding error of a weight, as a part of its root mean square. Normal numbers have 2e-4."""


@dataclass(frozen=True, slots=True)
class RoundedWeight:
    """What FP16 does to one weight of the graph. Counts are of its elements.

    overflowing: beyond ±65504, or not finite.  subnormal: below 6.1e-5 but not 0, so stored with fewer bits.
    flushed: of those, the ones that become 0.  relative_error: see `TOLERATED_ERROR`.
    """

    name: str
    size: int
    overflowing: int
    subnormal: int
    flushed: int
    relative_error: float

    @property
    def fits(self) -> bool:
        """Whether FP16 holds the weight well enough; one that does not stays float32, with the nodes that use it."""
        return not self.overflowing and self.relative_error <= TOLERATED_ERROR

    def __str__(self) -> str:
        if self.overflowing:
            return f"{self.name}: {self.overflowing} of {self.size} values are beyond ±{LARGEST:.0f}"
        return (
            f"{self.name}: {self.subnormal} of {self.size} values are below {SMALLEST_NORMAL:.1e}, {self.flushed} of them "
            f"become 0; relative error {self.relative_error:.1e}"
        )


@dataclass(frozen=True, slots=True, eq=False)
class HalfGraph:
    """The converted model and what was decided.

    model: an onnx.ModelProto.  half, islands: names of the nodes that compute in FP16 and of those kept in float32.
    weights: of every weight that has a value FP16 does not hold as a normal number.
    wide: see `wide_values`; the nodes on both sides of such a value stayed float32.
    """

    model: Any
    half: tuple[str, ...]
    islands: tuple[str, ...]
    weights: tuple[RoundedWeight, ...]
    wide: Mapping[str, float] = field(default_factory=dict)

    @property
    def kept_weights(self) -> tuple[RoundedWeight, ...]:
        """Weights that FP16 cannot hold; they and their nodes stayed float32."""
        return tuple(weight for weight in self.weights if not weight.fits)


def convert(path: Path, images: Iterable[NDArray[np.uint8]] = (), islands: Iterable[str] = ISLANDS) -> HalfGraph:
    """The model in this file with its layers in FP16, but for those that overflow on these images. Raises ModelError.

    images: inputs of the model, uint8 [N, 1, H, W].
    """
    folded = fold_constants(path)
    return convert_folded(folded, wide_values(folded, images), islands)


def fold_constants(path: Path) -> Any:
    """The model (onnx.ModelProto) with everything computed that depends on no input, by onnxruntime's basic optimisation.

    Its outcome has standard operators only and keeps the nodes' names, which the islands are found by. Without it, constants
    that the exporter computes in nodes would be rounded step by step. Raises ModelError.
    """
    try:
        import onnx
        import onnxruntime
    except ImportError as error:
        raise ModelError(f"the graph cannot be converted ({error}): pip install 'sem-corrosion-edge[tensorrt]'") from error
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.log_severity_level = 3
    with tempfile.TemporaryDirectory() as folder:
        folded = Path(folder) / "folded.onnx"
        options.optimized_model_filepath = str(folded)
        try:
            onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
            model = onnx.load(folded)
        except Exception as error:  # onnxruntime's errors share no public base class
            raise ModelError(f"onnxruntime cannot load {path}: {error}") from error
    used = {node.domain for node in model.graph.node}
    kept = [entry for entry in model.opset_import if entry.domain in used]
    del model.opset_import[:]
    model.opset_import.extend(kept)
    return model


def wide_values(model: Any, images: Iterable[NDArray[np.uint8]]) -> dict[str, float]:
    """Values between the nodes of a model in float32 that come near FP16's largest on these images, with their magnitude.

    ONNX Runtime on a CPU computes FP16 graphs with float32's range, so only looking at the values shows an overflow.
    """
    import onnx
    import onnxruntime

    watched = onnx.ModelProto()
    watched.CopyFrom(model)
    inner = [value.name for value in onnx.shape_inference.infer_shapes(model).graph.value_info if _is_float(value)]
    watched.graph.output.extend(onnx.helper.make_empty_tensor_value_info(name) for name in inner)
    names = [value.name for value in watched.graph.output]
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    session: Any = None
    widest: dict[str, float] = {}
    for image in images:
        session = session or onnxruntime.InferenceSession(
            watched.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        for name, values in zip(names, session.run(names, {"image": image}), strict=True):
            if values.dtype == np.float32 and values.size:
                largest = float(np.abs(values).max())
                if not largest * HEADROOM <= LARGEST:
                    widest[name] = max(largest, widest.get(name, 0.0))
    return widest


def convert_folded(model: Any, wide: Mapping[str, float] | None = None, islands: Iterable[str] = ISLANDS) -> HalfGraph:
    """As `convert`, for a model (onnx.ModelProto) whose constants are folded, which is left as it is. Raises ModelError."""
    import onnx

    if any(attribute.HasField("g") for node in model.graph.node for attribute in node.attribute):
        raise ModelError("the graph has branches or loops: only straight graphs can be converted to FP16")
    try:
        typed = onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True)
    except Exception as error:
        raise ModelError(f"the types of the graph cannot be inferred: {error}") from error
    half = _Conversion(typed, wide or {}, tuple(re.compile(pattern) for pattern in islands)).run()
    if not half.half:
        named = ", ".join(node.name or "(no name)" for node in model.graph.node[:3])
        raise ModelError(
            f"no layer of the graph became FP16: nodes must be named after their modules, like /body.0/conv/Conv, not {named}"
        )
    try:
        onnx.checker.check_model(half.model, full_check=True)
    except Exception as error:
        raise ModelError(f"the converted graph is not valid: {error}") from error
    return half


def round_weight(name: str, values: NDArray[np.float32]) -> RoundedWeight | None:
    """What FP16 does to a weight; None when it holds every value as a normal number."""
    size = np.abs(values)
    overflowing = ~(size <= LARGEST)
    subnormal = (size > 0) & (size < SMALLEST_NORMAL)
    if not overflowing.any() and not subnormal.any():
        return None
    with np.errstate(over="ignore", invalid="ignore"):
        rounded = values.astype(np.float16).astype(np.float64)
        error = float(np.linalg.norm(rounded - values)) / float(np.linalg.norm(values.astype(np.float64)))
    return RoundedWeight(
        name=name,
        size=values.size,
        overflowing=int(np.count_nonzero(overflowing)),
        subnormal=int(np.count_nonzero(subnormal)),
        flushed=int(np.count_nonzero(subnormal & (rounded == 0))),
        relative_error=error,
    )


class _Conversion:
    """One pass over a typed graph, in its order, which ONNX requires to be topological."""

    def __init__(self, model: Any, wide: Mapping[str, float], islands: tuple[re.Pattern[str], ...]) -> None:
        import onnx

        self._onnx = onnx
        self._float, self._float16 = _FLOAT, onnx.TensorProto.FLOAT16
        self._model = model
        graph = model.graph
        self._islands = islands
        self._wide = wide
        self._opset = next(entry.version for entry in model.opset_import if entry.domain == "")
        self._weights: dict[str, Any] = {weight.name: weight for weight in graph.initializer}
        self._rounded = dict(self._rounded_weights())
        self._floats = {value.name for value in (*graph.value_info, *graph.input, *graph.output) if _is_float(value)}
        self._floats |= {name for name, weight in self._weights.items() if weight.data_type == self._float}
        self._half: set[str] = set()
        """Names of values that are FP16 in the new graph."""
        self._named: dict[tuple[str, bool], str] = {}
        """(value, whether as FP16) → its name where it had to be cast or copied."""
        self._nodes: list[Any] = []
        self._new_weights: dict[str, Any] = {}

    def run(self) -> HalfGraph:
        half: list[str] = []
        islands: list[str] = []
        outputs = {output.name for output in self._model.graph.output}
        for node in self._model.graph.node:
            as_half = self._runs_in_half(node)
            if any(name in self._floats for name in (*node.input, *node.output)) and node.op_type not in MOVES:
                (half if as_half else islands).append(node.name)
            self._nodes.append(self._converted(node, as_half, outputs))
            for name in node.output:
                if name in self._half and name in outputs:
                    self._cast(name, as_half=False, called=name)
        return HalfGraph(self._new_model(), tuple(half), tuple(islands), tuple(self._rounded.values()), self._wide)

    def _rounded_weights(self) -> Iterator[tuple[str, RoundedWeight]]:
        for name, weight in self._weights.items():
            if weight.data_type == self._float:
                rounded = round_weight(name, self._onnx.numpy_helper.to_array(weight))
                if rounded is not None:
                    yield name, rounded

    def _runs_in_half(self, node: Any) -> bool:
        """Whether this node's float values are FP16 in the new graph."""
        floats = [name for name in node.input if name in self._floats]
        computed = [name for name in floats if name not in self._weights]
        if not computed:  # float values that come from integers: the image, coordinates, shapes
            return False
        if any(name in self._rounded and not self._rounded[name].fits for name in floats):
            return False
        if any(name in self._wide for name in (*node.input, *node.output)):
            return False
        if node.op_type in MOVES:
            return all(name in self._half for name in computed)
        if any(pattern.search(node.name) for pattern in self._islands):
            return False
        return any(self._takes_half(node, position) for position in range(len(node.input)))

    def _takes_half(self, node: Any, position: int) -> bool:
        """Whether the operator's definition allows FP16 for this input."""
        schema = self._onnx.defs.get_schema(node.op_type, self._opset, node.domain)
        formal = schema.inputs[min(position, len(schema.inputs) - 1)]
        return "tensor(float16)" in formal.types

    def _converted(self, node: Any, as_half: bool, outputs: set[str]) -> Any:
        new = self._onnx.NodeProto()
        new.CopyFrom(node)
        for position, name in enumerate(node.input):
            if name in self._floats:
                wants_half = as_half and self._takes_half(node, position)
                new.input[position] = self._as(name, wants_half)
        if as_half:
            for position, name in enumerate(node.output):
                if name in self._floats:
                    self._half.add(name)
                    if name in outputs:  # the graph's own output keeps its name and type
                        new.output[position] = self._named[name, True] = f"{name}/float16"
        return new

    def _as(self, name: str, as_half: bool) -> str:
        """The name under which this value is there in the type wanted; a cast or a rounded weight is added where needed."""
        if name in self._weights:
            return self._weight(name, as_half)
        if (name, as_half) in self._named:
            return self._named[name, as_half]
        if (name in self._half) == as_half:
            return name
        return self._cast(name, as_half, f"{name}/{'float16' if as_half else 'float32'}")

    def _cast(self, name: str, as_half: bool, called: str) -> str:
        """Add a node that casts this value; `called` is its name in the other type."""
        source = self._named.get((name, not as_half), name)
        target = self._float16 if as_half else self._float
        self._nodes.append(self._onnx.helper.make_node("Cast", [source], [called], name=f"{called}/Cast", to=target))
        self._named[name, as_half] = called
        return called

    def _weight(self, name: str, as_half: bool) -> str:
        called = f"{name}/float16" if as_half else name
        if called not in self._new_weights:
            weight = self._weights[name]
            if as_half:
                values = self._onnx.numpy_helper.to_array(weight).astype(np.float16)
                weight = self._onnx.numpy_helper.from_array(values, called)
            self._new_weights[called] = weight
        return called

    def _new_model(self) -> Any:
        new = self._onnx.ModelProto()
        new.CopyFrom(self._model)
        used = {name for node in self._nodes for name in node.input}
        untouched = [weight for name, weight in self._weights.items() if name in used and name not in self._new_weights]
        for part, values in (
            ("node", self._nodes),
            ("initializer", [*untouched, *self._new_weights.values()]),
            ("value_info", []),  # types that no longer hold
        ):
            repeated = getattr(new.graph, part)
            del repeated[:]
            repeated.extend(values)
        return new


def _is_float(value: Any) -> bool:
    return bool(value.type.tensor_type.elem_type == _FLOAT)
