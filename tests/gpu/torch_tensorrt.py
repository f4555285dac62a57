"""TensorRT's module as far as the product uses it, with networks in torch in place of its engines.

For a GPU that no TensorRT of ours runs on. Everything around the network is the product's own: memory, copies, kernels, slots,
streams, graphs. An engine is a line of JSON with the profiles' shapes, then the FP16 graph as ONNX.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from importlib.machinery import ModuleSpec
from types import SimpleNamespace
from typing import Any, Final

import numpy as np
import onnx
import torch

from tests.gpu.torch_network import Planned

Shape = tuple[int, ...]
TYPES: Final = {1: np.float32, 2: np.uint8, 7: np.int64, 10: np.float16}
"""onnx.TensorProto.DataType."""


def engine_bytes(graph: onnx.ModelProto, ranges: Any) -> bytes:
    """What `Runtime.deserialize_cuda_engine` takes. ranges: least, best and largest shape of each profile."""
    return json.dumps([[list(shape) for shape in one] for one in ranges]).encode() + b"\n" + graph.SerializeToString()


class Device:
    """Where the networks run. name: torch's.  view: a tensor on memory at an address.  queued: what runs in it, on a stream."""

    def __init__(
        self,
        name: str,
        view: Callable[[int, Shape, Any], torch.Tensor],
        queued: Callable[[int], AbstractContextManager[Any]],
        put: Callable[[Callable[[], None]], None] = lambda work: work(),
        settle: Callable[[], None] = lambda: None,
    ) -> None:
        self.name, self.view, self.queued, self.put, self.settle = name, view, queued, put, settle


def cuda() -> Device:
    """The GPU that torch shows first."""

    class Memory:
        def __init__(self, address: int, shape: Shape, dtype: Any) -> None:
            self.__cuda_array_interface__ = {
                "shape": shape,
                "typestr": np.dtype(dtype).str,
                "data": (address, False),
                "strides": None,
                "version": 3,
            }

    def view(address: int, shape: Shape, dtype: Any) -> torch.Tensor:
        return torch.as_tensor(Memory(address, shape, dtype), device="cuda")

    def queued(stream: int) -> AbstractContextManager[Any]:
        return torch.cuda.stream(torch.cuda.ExternalStream(stream))

    return Device("cuda", view, queued, settle=torch.cuda.synchronize)


class Interface:
    """A class of TensorRT's that others derive from."""

    Severity = SimpleNamespace(INTERNAL_ERROR=0, ERROR=1, WARNING=2, INFO=3)

    def __init__(self) -> None: ...


class TorchTensorRt:
    """The module `tensorrt`."""

    __name__ = "tensorrt"
    ILogger = IErrorRecorder = Interface
    TensorIOMode = SimpleNamespace(INPUT="input", OUTPUT="output")
    ExecutionContextAllocationStrategy = SimpleNamespace(USER_MANAGED="user")
    ErrorCodeTRT = SimpleNamespace(FAILED_ALLOCATION="no memory")

    def __init__(self, device: Device) -> None:
        self._device = device
        self.__version__ = f"0+torch.{torch.__version__}"
        self.__spec__ = ModuleSpec(self.__name__, None)

    def Runtime(self, logger: Any) -> Runtime:  # noqa: N802 (TensorRT's name)
        return Runtime(self._device)

    @staticmethod
    def nptype(dtype: Any) -> Any:
        return dtype


class Runtime:
    """Makes engines of bytes."""

    error_recorder: Any = None

    def __init__(self, device: Device) -> None:
        self._device = device

    def deserialize_cuda_engine(self, data: bytes) -> Engine:
        return Engine(self._device, data)


class Engine:
    """A graph with its profiles."""

    device_memory_size_v2 = 1

    def __init__(self, device: Device, data: bytes) -> None:
        ranges, graph = data.split(b"\n", 1)
        self.device = device
        self.graph = onnx.load_from_string(graph).graph
        self._ranges = [[tuple(shape) for shape in one] for one in json.loads(ranges)]
        named = [*self.graph.input, *self.graph.output]
        self.types = {one.name: TYPES[one.type.tensor_type.elem_type] for one in named}
        self.num_io_tensors, self.num_optimization_profiles = len(self.types), len(self._ranges)

    def get_tensor_name(self, index: int) -> str:
        return list(self.types)[index]

    def get_tensor_mode(self, name: str) -> str:
        mode: str = TorchTensorRt.TensorIOMode.INPUT if name == "image" else TorchTensorRt.TensorIOMode.OUTPUT
        return mode

    def get_tensor_dtype(self, name: str) -> Any:
        return self.types[name]

    def get_tensor_profile_shape(self, name: str, profile: int) -> list[Shape]:
        return self._ranges[profile]

    def create_execution_context(self, strategy: Any) -> Context:
        return Context(self)


class Context:
    """A graph for one shape of input, in the buffers that it is given."""

    def __init__(self, engine: Engine) -> None:
        self._engine, self._device = engine, engine.device
        self._addresses: dict[str, int] = {}
        self._planned: Planned | None = None
        self._shape: Shape = ()
        self._views: dict[str, torch.Tensor] = {}

    def set_device_memory(self, address: int, size: int) -> None: ...

    def set_optimization_profile_async(self, profile: int, stream: int) -> bool:
        return True

    def set_input_shape(self, name: str, shape: Shape) -> bool:
        self._shape = tuple(shape)
        self._planned = Planned(self._engine.graph, self._shape, self._device.name)
        self._device.settle()
        return True

    def set_tensor_address(self, name: str, address: int) -> bool:
        self._addresses[name] = address
        return True

    def get_tensor_shape(self, name: str) -> Shape:
        assert self._planned is not None
        return self._planned.shapes[name]

    def execute_async_v3(self, stream: int) -> bool:
        planned = self._planned
        assert planned is not None
        if not self._views:
            shapes = {planned.input: self._shape, **planned.shapes}
            types = self._engine.types
            self._views = {name: self._device.view(self._addresses[name], shapes[name], types[name]) for name in shapes}
        views = self._views

        def work() -> None:
            with self._device.queued(stream), torch.inference_mode():
                for name, value in planned.run(views[planned.input]).items():
                    views[name].copy_(value)

        self._device.put(work)
        return True
