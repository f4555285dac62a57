"""An ONNX graph in, a network out that runs it node by node in torch and rounds as the graph's types say.

ONNX Runtime on a processor computes FP16 in float32 and rounds where it pleases, so it proves a graph, not its accuracy.
Here each node reads what the node before it really left: FP16 values are kept as such, a node's sums are made in float32,
as TensorRT's usual kernels do, and what it gives out is rounded once. What that leaves out is `NOT_IMITATED`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import numpy_helper
from torch import Tensor
from torch.nn import functional

from edge.errors import ModelError

NOT_IMITATED: Final = (
    "layers that TensorRT fuses: what passes between them is not rounded there, so it is usually nearer to float32 than here",
    "kernels that add in FP16, or by Winograd's transformation: further from float32 than here",
    "the order of sums, which differs from kernel to kernel",
    "TensorRT's own exponential and sigmoid, which differ in the last digit",
)
"""What the accuracy here does not tell of an engine; its own parity on the GPU decides."""

Values = list[Any]
Attributes = dict[str, Any]
Operator = Callable[[Values, Attributes], Any]

_TYPES: Final = {1: torch.float32, 2: torch.uint8, 6: torch.int32, 7: torch.int64, 9: torch.bool, 10: torch.float16}
"""onnx.TensorProto.DataType."""


class HalfNetwork:
    """A graph as `edge.backends.network.Network`; precision is what the pipeline calls it, each node has its own."""

    name = "torch"
    precision = "float16"

    def __init__(self, graph: onnx.ModelProto) -> None:
        """Raises ModelError where an operator is not known here."""
        self._graph = graph.graph
        self._nodes = list(self._graph.node)
        self._attributes = [{one.name: onnx.helper.get_attribute_value(one) for one in node.attribute} for node in self._nodes]
        if unknown := sorted({node.op_type for node in self._nodes} - OPERATORS.keys()):
            raise ModelError(f"the FP16 graph has operators that are not imitated: {', '.join(unknown)}")
        self._constants = {one.name: _tensor(numpy_helper.to_array(one)) for one in self._graph.initializer}
        self._outputs = [one.name for one in self._graph.output]
        self._last = self._last_uses()
        self.overflows: set[str] = set()

    @classmethod
    def load(cls, path: Path) -> HalfNetwork:
        """That of a file."""
        return cls(onnx.load(path))

    def run(self, image: NDArray[np.uint8]) -> dict[str, NDArray[Any]]:
        """Outputs by name. Nodes whose FP16 became infinite are added to `overflows`."""
        values: dict[str, Any] = {**self._constants, self._graph.input[0].name: _tensor(image)}
        with torch.inference_mode():
            for index, node in enumerate(self._nodes):
                taken = [values[name] if name else None for name in node.input]
                given = OPERATORS[node.op_type](taken, self._attributes[index])
                for name, value in zip(node.output, given if isinstance(given, tuple) else (given,), strict=False):
                    values[name] = value
                    if value.dtype == torch.float16 and bool(torch.isinf(value).any()):
                        self.overflows.add(node.name)
                for name in self._last[index]:
                    del values[name]
        return {name: values[name].numpy() for name in self._outputs}

    def close(self) -> None:
        """Nothing is held elsewhere."""

    def __enter__(self) -> HalfNetwork:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _last_uses(self) -> list[list[str]]:
        """Of each node, the values that nobody reads after it."""
        reader = {name: index for index, node in enumerate(self._nodes) for name in node.input if name}
        kept = {*self._outputs, *self._constants}
        ends: list[list[str]] = [[] for _ in self._nodes]
        for name, index in reader.items():
            if name not in kept:
                ends[index].append(name)
        return ends


def _tensor(array: NDArray[Any]) -> Tensor:
    return torch.from_numpy(np.array(array, copy=True, order="C"))


def _wide(value: Any) -> Any:
    """FP16 as float32, all else as it is."""
    return value.float() if value is not None and value.dtype == torch.float16 else value


def _computed(function: Callable[..., Tensor]) -> Operator:
    """An operator that computes in float32 and rounds what it gives out to the type of its first input.

    On a GPU torch's own FP16 kernels do that, so there they run as they are.
    """

    def run(values: Values, attributes: Attributes) -> Tensor:
        if values[0].is_cuda:
            return function(*values, **attributes).to(values[0].dtype)
        return function(*map(_wide, values), **attributes).to(values[0].dtype)

    return run


def _divide(left: Tensor, right: Tensor) -> Tensor:
    return left / right if left.is_floating_point() else torch.div(left, right, rounding_mode="trunc")


def _numbers(value: Tensor | None) -> list[int]:
    return [] if value is None else [int(one) for one in value.flatten().tolist()]


def _padded(value: Tensor, pads: Sequence[int], fill: float) -> Tensor:
    """ONNX gives all beginnings, then all ends; torch pairs, from the last dimension on."""
    half = len(pads) // 2
    pairs = [pads[place] for dimension in reversed(range(half)) for place in (dimension, half + dimension)]
    return functional.pad(value, pairs, value=fill) if any(pairs) else value


def _explicit(attributes: Attributes) -> None:
    if attributes.get("auto_pad", b"NOTSET") not in (b"NOTSET", b"VALID") or attributes.get("ceil_mode", 0):
        raise ModelError(f"this way of padding is not imitated: {attributes}")


def _convolve(image: Tensor, weight: Tensor, bias: Tensor | None = None, **how: Any) -> Tensor:
    _explicit(how)
    padded = _padded(image, how.get("pads", ()), 0.0)
    run = functional.conv2d if image.ndim == 4 else functional.conv1d
    one = [1] * (image.ndim - 2)
    return run(padded, weight, bias, how.get("strides", one), 0, how.get("dilations", one), how.get("group", 1))


def _deconvolve(image: Tensor, weight: Tensor, bias: Tensor | None = None, **how: Any) -> Tensor:
    _explicit(how)
    pads = how.get("pads", [0, 0, 0, 0])
    if pads[:2] != pads[2:] or "output_shape" in how:
        raise ModelError("a transposed convolution with uneven padding is not imitated")
    return functional.conv_transpose2d(
        image,
        weight,
        bias,
        how.get("strides", [1, 1]),
        pads[:2],
        how.get("output_padding", [0, 0]),
        how.get("group", 1),
        how.get("dilations", [1, 1]),
    )


def _max_pool(values: Values, attributes: Attributes) -> Tensor:
    _explicit(attributes)
    padded = _padded(values[0].float(), attributes.get("pads", ()), -torch.inf)
    strides, dilations = attributes.get("strides", [1, 1]), attributes.get("dilations", [1, 1])
    return functional.max_pool2d(padded, attributes["kernel_shape"], strides, 0, dilations).to(values[0].dtype)


def _reduced(reduce: Callable[..., Tensor]) -> Operator:
    def run(values: Values, attributes: Attributes) -> Tensor:
        value = values[0]
        axes = list(attributes["axes"]) if "axes" in attributes else _numbers(values[1] if len(values) > 1 else None)
        if not axes and attributes.get("noop_with_empty_axes", 0):
            return value
        dimensions = axes or list(range(value.ndim))
        return reduce(_wide(value), dim=dimensions, keepdim=bool(attributes.get("keepdims", 1))).to(value.dtype)

    return run


def _top_k(values: Values, attributes: Attributes) -> tuple[Tensor, Tensor]:
    axis, largest = attributes.get("axis", -1), bool(attributes.get("largest", 1))
    return tuple(torch.topk(values[0], _numbers(values[1])[0], dim=axis, largest=largest, sorted=True))


def _arg_max(values: Values, attributes: Attributes) -> Tensor:
    if attributes.get("select_last_index", 0):
        raise ModelError("the last of equal values is not imitated")
    return values[0].float().argmax(dim=attributes.get("axis", 0), keepdim=bool(attributes.get("keepdims", 1)))


def _slice(values: Values, _: Attributes) -> Tensor:
    value, starts, ends = values[0], _numbers(values[1]), _numbers(values[2])
    axes = _numbers(values[3]) if len(values) > 3 and values[3] is not None else list(range(len(starts)))
    steps = _numbers(values[4]) if len(values) > 4 and values[4] is not None else [1] * len(starts)
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        if step > 0:
            value = value[(slice(None),) * (axis % value.ndim) + (slice(start, end, step),)]
            continue
        places = list(range(value.shape[axis])[start:end:step])
        value = value.index_select(axis, torch.tensor(places, dtype=torch.int64, device=value.device))
    return value


def _reshape(values: Values, attributes: Attributes) -> Tensor:
    shape = _numbers(values[1])
    if not attributes.get("allowzero", 0):
        shape = [values[0].shape[place] if side == 0 else side for place, side in enumerate(shape)]
    return values[0].reshape(shape)


def _gather(values: Values, attributes: Attributes) -> Tensor:
    value, index, axis = values[0], values[1].long(), attributes.get("axis", 0) % values[0].ndim
    index = torch.where(index < 0, index + value.shape[axis], index)
    return value.index_select(axis, index.flatten()).reshape([*value.shape[:axis], *index.shape, *value.shape[axis + 1 :]])


def _resize(values: Values, attributes: Attributes) -> Tensor:
    """Nearest neighbours to a whole multiple, which is all that an exporter of ours writes."""
    value = values[0]
    sizes = _numbers(values[3]) if len(values) > 3 and values[3] is not None else []
    sides = sizes or [int(side * scale) for side, scale in zip(value.shape, values[2].tolist(), strict=True)]
    whole = all(new % old == 0 for new, old in zip(sides, value.shape, strict=True))
    if attributes.get("mode", b"nearest") != b"nearest" or not whole:
        raise ModelError("only resizing by nearest neighbours to a whole multiple is imitated")
    for axis, (new, old) in enumerate(zip(sides, value.shape, strict=True)):
        if new != old:
            value = value.repeat_interleave(new // old, dim=axis)
    return value


def _squeeze(values: Values, attributes: Attributes) -> Tensor:
    axes = list(attributes["axes"]) if "axes" in attributes else _numbers(values[1] if len(values) > 1 else None)
    return values[0].squeeze(tuple(axes)) if axes else values[0].squeeze()


def _unsqueeze(values: Values, attributes: Attributes) -> Tensor:
    value = values[0]
    axes = list(attributes["axes"]) if "axes" in attributes else _numbers(values[1])
    for axis in sorted(one % (value.ndim + len(axes)) for one in axes):
        value = value.unsqueeze(axis)
    return value


def _clip(values: Values, attributes: Attributes) -> Tensor:
    low, high = (*values[1:3], None, None)[:2]
    low, high = attributes.get("min", low), attributes.get("max", high)
    value = values[0]
    value = value if low is None else torch.maximum(value, torch.as_tensor(low, dtype=value.dtype))
    return value if high is None else torch.minimum(value, torch.as_tensor(high, dtype=value.dtype))


def _filled(values: Values, attributes: Attributes) -> Tensor:
    value = _tensor(numpy_helper.to_array(attributes["value"])) if "value" in attributes else torch.zeros(1)
    return value.reshape(()).expand(_numbers(values[0])).clone()


def _gemm(left: Tensor, right: Tensor, more: Tensor | None = None, **how: Any) -> Tensor:
    left, right = (left.T if how.get("transA", 0) else left), (right.T if how.get("transB", 0) else right)
    product = how.get("alpha", 1.0) * (left @ right)
    return product if more is None else product + how.get("beta", 1.0) * more


def _shape(values: Values, attributes: Attributes) -> Tensor:
    return torch.tensor(values[0].shape[attributes.get("start", 0) : attributes.get("end")], dtype=torch.int64)


def _average(value: Tensor) -> Tensor:
    return value.mean(dim=tuple(range(2, value.ndim)), keepdim=True)


OPERATORS: Final[dict[str, Operator]] = {
    # computed in float32 and rounded once
    "Add": _computed(torch.add),
    "Sub": _computed(torch.sub),
    "Mul": _computed(torch.mul),
    "Div": _computed(_divide),
    "Mod": _computed(lambda x, y, fmod=0: torch.fmod(x, y) if fmod else torch.remainder(x, y)),
    "Pow": _computed(torch.pow),
    "Sqrt": _computed(torch.sqrt),
    "Exp": _computed(torch.exp),
    "Erf": _computed(torch.erf),
    "Tanh": _computed(torch.tanh),
    "Sigmoid": _computed(torch.sigmoid),
    "HardSigmoid": _computed(lambda x, alpha=0.2, beta=0.5: (alpha * x + beta).clamp(0, 1)),
    "HardSwish": _computed(functional.hardswish),
    "Softmax": _computed(lambda x, axis=-1: x.softmax(dim=axis)),
    "Conv": _computed(_convolve),
    "ConvTranspose": _computed(_deconvolve),
    "Gemm": _computed(_gemm),
    "MatMul": _computed(torch.matmul),
    "GlobalAveragePool": _computed(_average),
    "ReduceMean": _reduced(torch.mean),
    "ReduceSum": _reduced(torch.sum),
    "ReduceMax": _reduced(torch.amax),
    "ReduceMin": _reduced(torch.amin),
    # exact in any type
    "Abs": lambda values, _: values[0].abs(),
    "Neg": lambda values, _: -values[0],
    "Relu": lambda values, _: torch.clamp_min(values[0], 0),
    "Max": lambda values, _: _folded(torch.maximum, values),
    "Min": lambda values, _: _folded(torch.minimum, values),
    "MaxPool": _max_pool,
    "Clip": _clip,
    "Cast": lambda values, attributes: values[0].to(_TYPES[attributes["to"]]),
    "TopK": _top_k,
    "ArgMax": _arg_max,
    "Equal": lambda values, _: values[0] == values[1],
    "Where": lambda values, _: torch.where(*values),
    # moved
    "Identity": lambda values, _: values[0],
    "Concat": lambda values, attributes: torch.cat(values, dim=attributes["axis"]),
    "Slice": _slice,
    "Reshape": _reshape,
    "Flatten": lambda values, attributes: _flattened(values[0], attributes.get("axis", 1)),
    "Transpose": lambda values, attributes: values[0].permute(attributes.get("perm", range(values[0].ndim)[::-1])),
    "Gather": _gather,
    "GatherElements": lambda values, attributes: values[0].gather(attributes.get("axis", 0), values[1].long()),
    "Squeeze": _squeeze,
    "Unsqueeze": _unsqueeze,
    "Expand": lambda values, _: values[0].expand(torch.broadcast_shapes(values[0].shape, _numbers(values[1]))),
    "Split": lambda values, attributes: tuple(
        values[0].split(attributes.get("split") or _numbers(values[1]), attributes.get("axis", 0))
    ),
    "Resize": _resize,
    "Shape": _shape,
    "Range": lambda values, _: torch.arange(*(one.item() for one in values), dtype=values[0].dtype),
    "Constant": lambda _, attributes: _tensor(numpy_helper.to_array(attributes["value"])),
    "ConstantOfShape": _filled,
}


def _folded(function: Callable[[Tensor, Tensor], Tensor], values: Values) -> Tensor:
    first, *others = values
    for other in others:
        first = function(first, other)
    return first


def _flattened(value: Tensor, axis: int) -> Tensor:
    return value.reshape(int(np.prod(value.shape[: axis % (value.ndim + 1)], initial=1)), -1)
