"""An FP16 graph in, a network in torch for one shape of input out: all that follows from the shape is computed once.

What is left is work on the device alone, without a wait and without a copy from the host, so a CUDA graph can record it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import onnx
import torch
from onnx import numpy_helper

from export.half_network import OPERATORS

PARAMETERS: Final[Mapping[str, frozenset[int]]] = {
    name: frozenset(places)
    for name, places in {
        "Reshape": (1,),
        "Expand": (1,),
        "Slice": (1, 2, 3, 4),
        "Squeeze": (1,),
        "Unsqueeze": (1,),
        "Split": (1,),
        "TopK": (1,),
        "Resize": (1, 2, 3),
        "ReduceMean": (1,),
        "ReduceSum": (1,),
        "ReduceMax": (1,),
        "ReduceMin": (1,),
    }.items()
}
"""Inputs that say how a node works; torch takes them as numbers of the host."""


class Planned:
    """A graph for one shape of its input, on one device."""

    def __init__(self, graph: onnx.GraphProto, shape: tuple[int, ...], device: str) -> None:
        self.input = graph.input[0].name
        self.outputs = [one.name for one in graph.output]
        self._steps: list[tuple[Any, dict[str, Any], list[Any], list[str]]] = []
        self._fixed: dict[str, torch.Tensor] = {
            one.name: torch.from_numpy(numpy_helper.to_array(one).copy()) for one in graph.initializer
        }
        self._there: dict[str, torch.Tensor] = {}
        self._device = device
        moving: dict[str, torch.Tensor] = {self.input: torch.zeros(shape, dtype=torch.uint8, device=device)}
        with torch.inference_mode():
            for node in graph.node:
                self._plan(node, moving)
        self._ends = self._last_uses()
        self.shapes = {name: tuple(self._value(name, moving).shape) for name in self.outputs}

    def run(self, image: torch.Tensor) -> dict[str, torch.Tensor]:
        """Outputs by name of uint8 [N, 1, H, W] on the device."""
        values = {self.input: image}
        with torch.inference_mode():
            for (operator, attributes, taken, names), ends in zip(self._steps, self._ends, strict=True):
                given = operator([values[one] if isinstance(one, str) else one for one in taken], attributes)
                values.update(zip(names, given if isinstance(given, tuple) else (given,), strict=False))
                for name in ends:
                    del values[name]
        return {name: self._value(name, values) for name in self.outputs}

    def _plan(self, node: onnx.NodeProto, moving: dict[str, torch.Tensor]) -> None:
        """Compute a node that follows from the shape; keep any other one as a step."""
        attributes = {one.name: onnx.helper.get_attribute_value(one) for one in node.attribute}
        operator = OPERATORS[node.op_type]
        if node.op_type == "Shape" or not any(name in moving for name in node.input):
            taken = [self._fixed[name] if name in self._fixed else moving.get(name) for name in node.input]
            self._keep(node, operator(taken, attributes), self._fixed)
            return
        parameters = PARAMETERS.get(node.op_type, frozenset())
        wanted: list[Any] = []
        for place, name in enumerate(node.input):
            if name in moving:
                assert place not in parameters, f"{node.name}: how it works depends on the pixels"
                wanted.append(name)
            else:
                wanted.append((self._fixed[name] if place in parameters else self._on_device(name)) if name else None)
        given = operator([moving[one] if isinstance(one, str) else one for one in wanted], attributes)
        self._keep(node, given, moving)
        self._steps.append((operator, attributes, wanted, list(node.output)))

    @staticmethod
    def _keep(node: onnx.NodeProto, given: Any, where: dict[str, torch.Tensor]) -> None:
        where.update(zip(node.output, given if isinstance(given, tuple) else (given,), strict=False))

    def _on_device(self, name: str) -> torch.Tensor:
        return self._there.setdefault(name, self._fixed[name].to(self._device))

    def _value(self, name: str, moving: Mapping[str, torch.Tensor]) -> torch.Tensor:
        return moving[name] if name in moving else self._on_device(name)

    def _last_uses(self) -> list[list[str]]:
        """Of each step, the values that nobody reads after it."""
        reader: dict[str, int] = {}
        for index, (_, _, taken, names) in enumerate(self._steps):
            reader |= dict.fromkeys(names, index) | {one: index for one in taken if isinstance(one, str)}
        ends: list[list[str]] = [[] for _ in self._steps]
        for name, index in reader.items():
            if name not in self.outputs and name != self.input:
                ends[index].append(name)
        return ends
