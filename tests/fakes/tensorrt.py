"""TensorRT's module as far as the engine uses it: engines are networks of Python on the memory of a played GPU."""

from __future__ import annotations

import weakref
from functools import partial
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np

from tests.fakes.pycuda import STREAM

if TYPE_CHECKING:
    from tests.fakes.gpu import Machine, Shape

MODE = SimpleNamespace(INPUT="input", OUTPUT="output")
SEVERITY = SimpleNamespace(INTERNAL_ERROR=0, ERROR=1, WARNING=2, INFO=3)


class Interface:
    """A class of TensorRT's that others derive from."""

    Severity = SEVERITY

    def __init__(self) -> None: ...


class TensorRt:
    """The module `tensorrt`, or `tensorrt_rtx`."""

    ILogger = Interface
    IErrorRecorder = Interface
    IProfiler = Interface
    LayerInformationFormat = SimpleNamespace(JSON="json")
    TensorIOMode = MODE
    ExecutionContextAllocationStrategy = SimpleNamespace(USER_MANAGED="user")
    ErrorCodeTRT = SimpleNamespace(FAILED_ALLOCATION="no memory", INVALID_STATE="state")

    def __init__(self, gpu: Machine, library: str) -> None:
        self._gpu = gpu
        self.__name__ = library
        self.__version__ = "10.3.0"
        if library == "tensorrt_rtx":
            self.DynamicShapesKernelSpecializationStrategy = SimpleNamespace(EAGER="eager")

    def Runtime(self, logger: Any) -> Runtime:  # noqa: N802 (TensorRT's name)
        return Runtime(self._gpu, logger)

    @staticmethod
    def nptype(dtype: Any) -> Any:
        return dtype


class Runtime:
    """Makes engines of bytes."""

    def __init__(self, gpu: Machine, logger: Any) -> None:
        self._gpu = gpu
        self.error_recorder: Any = None
        self.logger = logger

    def deserialize_cuda_engine(self, data: bytes) -> Engine | None:
        self._gpu.did("deserialize")
        if "deserialize" in self._gpu.fail:
            self.logger.log(SEVERITY.ERROR, "the engine is from elsewhere")
            self.error_recorder.report_error(self._gpu.fail["deserialize"], "the engine is from elsewhere")
            return None
        return Engine(self._gpu, data)


class Engine:
    """A network with its profile of shapes."""

    device_memory_size_v2 = 1000

    def __init__(self, gpu: Machine, data: bytes) -> None:
        self._gpu = gpu
        self.network = gpu.network(data, gpu.most)
        self.num_io_tensors = len(self.network.types)
        gpu.engines.add(self)
        weakref.finalize(self, gpu.did, "engine gone")

    def get_tensor_name(self, index: int) -> str:
        return list(self.network.types)[index]

    def get_tensor_mode(self, name: str) -> str:
        mode: str = MODE.INPUT if name == "image" else MODE.OUTPUT
        return mode

    def get_tensor_dtype(self, name: str) -> Any:
        return self.network.types[name]

    def get_tensor_profile_shape(self, name: str, profile: int) -> list[Shape]:
        assert name == "image"
        least, best, most = self.network.profile
        return [least, self._gpu.wide, self._gpu.wide] if profile and self._gpu.wide else [least, best, most]

    @property
    def num_optimization_profiles(self) -> int:
        return 1 if self._gpu.wide is None else 2

    def create_execution_context(self, strategy: Any) -> Context | None:
        self._gpu.did("context")
        assert "user" in str(strategy)
        if getattr(strategy, "cache", None) is not None:
            strategy.cache.compiled.add(self._gpu.events.count("context"))
        return None if "context is None" in self._gpu.fail else Context(self._gpu, self)

    def create_engine_inspector(self) -> Any:
        return SimpleNamespace(get_engine_information=lambda _: self._gpu.report, execution_context=None)

    def create_runtime_config(self) -> Any:
        return (ConfigForRtx if self._gpu.library == "tensorrt_rtx" else Config)(self._gpu)


class Config:
    """How a context is to be opened."""

    def __init__(self, gpu: Machine) -> None:
        self._gpu = gpu
        self.strategy = ""
        self.cache: Any = None

    def __str__(self) -> str:
        return self.strategy

    def set_execution_context_allocation_strategy(self, strategy: str) -> None:
        self.strategy = strategy


class ConfigForRtx(Config):
    """The same with what only TensorRT for RTX has."""

    def create_runtime_cache(self) -> Cache:
        return Cache(self._gpu)

    def set_runtime_cache(self, cache: Cache) -> bool:
        self.cache = cache
        return True


class Cache:
    """What was compiled, on TensorRT for RTX: numbers of contexts that were opened with it."""

    def __init__(self, gpu: Machine) -> None:
        self._gpu = gpu
        self.compiled: set[int] = set()
        gpu.caches.add(self)

    def serialize(self) -> bytes:
        self._gpu.did("serialize")
        return b"compiled: " + ",".join(map(str, sorted(self.compiled))).encode()

    def deserialize(self, blob: bytes) -> bool:
        self._gpu.did("deserialize cache")
        if "deserialize cache" in self._gpu.fail:
            return False
        self.compiled = set(map(int, blob.removeprefix(b"compiled: ").split(b",")))
        return True


class Context:
    """An engine for one shape of input, in the scratch memory and the buffers that it is given."""

    def __init__(self, gpu: Machine, engine: Engine) -> None:
        self._gpu = gpu
        self.engine = engine
        self.addresses: dict[str, int] = {}
        self.shape: Shape | None = None
        self.scratch = (0, 0)
        self.recorded = False
        self.profiler: Any = None
        self.enqueue_emits_profile = False
        self.most = engine.network.profile[2]
        gpu.contexts.add(self)
        weakref.finalize(self, gpu.did, "context gone")

    def set_device_memory(self, address: int, size: int) -> None:
        assert self._gpu.at(address).size >= size >= 1000
        self.scratch = (address, size)

    def set_input_shape(self, name: str, shape: Shape) -> bool:
        assert name == "image"
        assert not self.recorded, "the shapes of a recorded context are changed"
        self.shape = shape
        return all(side <= most for side, most in zip(shape, self.most, strict=True))

    def set_optimization_profile_async(self, profile: int, stream: int) -> bool:
        self._gpu.did("profile")
        assert (profile, stream, self.shape) == (1, STREAM, None)
        assert self._gpu.wide is not None
        self.most = self._gpu.wide
        return True

    def set_tensor_address(self, name: str, address: int) -> bool:
        self.addresses[name] = address
        return True

    def get_tensor_shape(self, name: str) -> Shape:
        assert self.shape is not None
        shape: Shape = self.engine.network.shape_of(name, self.shape)
        return shape

    def execute_async_v3(self, stream: int) -> bool:
        gpu = self._gpu
        gpu.did("enqueue")
        assert stream == STREAM
        assert self.addresses.keys() == self.engine.network.types.keys()
        assert self.scratch[0] in gpu.memory
        assert self.shape is not None
        gpu.put(partial(_compute, gpu, self.engine.network, self.addresses, self.shape))
        if self.profiler is not None:
            assert gpu.capture is None, "a context that is profiled is recorded"
            assert self.enqueue_emits_profile
            gpu.work_until(len(gpu.queue))  # TensorRT waits, to tell the times
            for number, name in enumerate(("/conv/Conv", "/pool/Pool")):
                self.profiler.report_layer_time(name, 1.0 + number)
        if gpu.capture is not None:
            self.recorded = True
            return bool(gpu.fail.get("enqueue while captured", True))
        return bool(gpu.fail.get("enqueue", True))


def _compute(gpu: Machine, network: Any, addresses: dict[str, int], shape: Shape) -> None:
    images = gpu.at(addresses["image"])[: int(np.prod(shape))].reshape(shape)
    for name, value in network.compute(images).items():
        data = np.ascontiguousarray(value, network.types[name]).reshape(-1).view(np.uint8)
        gpu.at(addresses[name])[: data.size] = data
