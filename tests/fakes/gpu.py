"""PyCUDA, TensorRT and libcuda as far as the engine uses them, on plain memory: they do the work and watch who does what.

Device memory is a dictionary of byte arrays. What may not be is an assertion: another thread, a second free, memory that
was freed, a copy while a capture runs, a context without its scratch memory.
"""

from __future__ import annotations

import ctypes
import itertools
import json
import threading
import time
import weakref
from collections.abc import Callable
from functools import lru_cache
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.backends.crop import Crop, canvases

STREAM = 0x5EA
FATBIN = b"fat binary"


Shape = tuple[int, ...]


class ToyNetwork:
    """Two outputs: `mean` float32 [N, 2] of each image, `small` float32 [N, 1, H/4, W/4]."""

    types: dict[str, Any] = {"image": np.uint8, "mean": np.float32, "small": np.float32}  # noqa: RUF012

    def __init__(self, data: bytes, most: Shape = (4, 1, 64, 64)) -> None:
        self.profile = ((1, 1, 32, 32), (1, 1, 64, 64), most)

    def shape_of(self, name: str, image: Shape) -> Shape:
        n, _, height, width = image
        return {"mean": (n, 2), "small": (n, 1, height // 4, width // 4)}[name]

    def compute(self, image: NDArray[np.uint8]) -> dict[str, NDArray[Any]]:
        n, _, height, width = image.shape
        pixels = image.astype(np.float32)
        mean = pixels.mean(axis=(1, 2, 3))
        small = pixels.reshape(n, 1, height // 4, 4, width // 4, 4).mean(axis=(3, 5))
        return {"mean": np.stack([mean, -mean], axis=1), "small": small}


class OnnxNetwork:
    """An ONNX file behind a line of JSON with the profile's shapes, on ONNX Runtime."""

    def __init__(self, data: bytes) -> None:
        import onnxruntime

        shapes, model = data.split(b"\n", 1)
        self.profile = tuple(tuple(shape) for shape in json.loads(shapes))
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        outputs = [(one.name, np.int64 if "int64" in one.type else np.float32) for one in self._session.get_outputs()]
        self.types: dict[str, Any] = {"image": np.uint8, **dict(outputs)}
        self._shapes: dict[Shape, dict[str, Shape]] = {}

    def shape_of(self, name: str, image: Shape) -> Shape:
        if image not in self._shapes:
            self._shapes[image] = {key: value.shape for key, value in self.compute(np.zeros(image, np.uint8)).items()}
        return self._shapes[image][name]

    def compute(self, image: NDArray[np.uint8]) -> dict[str, NDArray[Any]]:
        names = [name for name in self.types if name != "image"]
        return dict(zip(names, self._session.run(names, {"image": image}), strict=True))


@lru_cache(maxsize=4)
def onnx_network(data: bytes, most: Shape) -> OnnxNetwork:
    """One for all engines of the same bytes: what is opened again and again is quick to open."""
    return OnnxNetwork(data)


class Machine:
    """The GPU behind the fakes, and everything that happened on it.

    fail: calls by name that fail, with their exception or status.  events: what was called, in order.
    network: what an engine's bytes become.  any_thread: do not ask who calls.
    """

    def __init__(
        self,
        most: Shape = (4, 1, 64, 64),
        library: str = "tensorrt",
        *,
        network: Callable[[bytes, Shape], Any] = ToyNetwork,
        any_thread: bool = False,
    ) -> None:
        self.most = most
        self.network = network
        self.any_thread = any_thread
        self.memory: dict[int, NDArray[np.uint8]] = {}
        self.pinned = 0
        self.streams = self.modules = 0
        self.stack: list[object] = []
        self.retained = 0
        self.driver_stack = 0
        self.events: list[str] = []
        self.fail: dict[str, Any] = {}
        self.owner = threading.get_ident()
        self.capture: list[Callable[[], None]] | None = None
        self.graphs: dict[int, list[Callable[[], None]]] = {}
        self.executables: dict[int, list[Callable[[], None]]] = {}
        self.contexts: weakref.WeakSet[Any] = weakref.WeakSet()
        self.engines: weakref.WeakSet[Any] = weakref.WeakSet()
        self.drawn: list[int] = []
        self.uploaded = 0
        self._next = itertools.count(0x1000, 0x1000)
        self._sizes: dict[int, int] = {}
        self.pycuda = _pycuda(self)
        self.tensorrt = _tensorrt(self, library)
        self.libcuda = _libcuda(self)

    def did(self, event: str) -> None:
        assert self.any_thread or threading.get_ident() == self.owner, f"{event} in another thread"
        self.events.append(event)
        if event in self.fail and isinstance(self.fail[event], BaseException):
            raise self.fail[event]

    def at(self, address: int) -> NDArray[np.uint8]:
        """The memory from this address on."""
        for start, block in self.memory.items():
            if start <= address < start + block.size:
                return block[address - start :]
        raise AssertionError(f"{address:#x} is not allocated")

    def new_handle(self) -> int:
        return next(self._next) << 20

    @property
    def bytes_held(self) -> int:
        return sum(block.size for block in self.memory.values())

    @property
    def is_empty(self) -> bool:
        """Whether everything was freed."""
        held = (self.memory, self.pinned, self.streams, self.modules, self.stack, self.retained, self.driver_stack)
        return not any(held) and not (self.graphs or self.executables or len(self.contexts) or len(self.engines))


def _pycuda(gpu: Machine) -> Any:
    class Error(Exception): ...

    class MemoryError(Error): ...  # noqa: A001 (PyCUDA's name)

    class LogicError(Error): ...

    class Memory:
        def __init__(self, size: int) -> None:
            self.address: int | None = gpu.new_handle()
            gpu.memory[self.address] = np.random.default_rng(0).integers(0, 256, size, np.uint8)

        def __int__(self) -> int:
            assert self.address is not None, "memory that was freed is used"
            return self.address

        def free(self) -> None:
            gpu.did("free")
            assert self.address is not None, "freed twice"
            del gpu.memory[self.address]
            self.address = None

    class Pinned(np.ndarray):  # type: ignore[type-arg]
        freed = False

        def free(self) -> None:
            gpu.did("unpin")
            assert not self.freed, "freed twice"
            self.freed = True
            gpu.pinned -= self.nbytes

    class Context:
        def push(self) -> None:
            gpu.did("push")
            gpu.stack.append(self)
            gpu.driver_stack += 1

        def pop(self) -> None:
            gpu.did("pop")
            assert gpu.stack.pop() is self
            gpu.driver_stack -= 1

        def detach(self) -> None:
            gpu.did("detach")
            assert self not in gpu.stack
            gpu.retained -= 1
            gpu.driver_stack += 1  # as PyCUDA does

    class Stream:
        handle = STREAM

        def __init__(self) -> None:
            gpu.did("stream")
            assert gpu.stack
            gpu.streams += 1
            weakref.finalize(self, _gone, gpu, "streams")

        @staticmethod  # as in C++, no Python frame of a failure holds the stream
        def synchronize() -> None:
            gpu.did("synchronize")
            assert gpu.capture is None

    class Event:
        at_s = 0.0

        def record(self, stream: Any) -> None:
            assert isinstance(stream, Stream)
            assert gpu.capture is None
            self.at_s = time.perf_counter()  # all work is done when it is asked for

        def time_since(self, earlier: Event) -> float:
            return (self.at_s - earlier.at_s) * 1e3

    class Module:
        def __init__(self) -> None:
            gpu.modules += 1
            weakref.finalize(self, _gone, gpu, "modules")

        def get_function(self, name: str) -> Any:
            assert name == "draw_crops"
            return SimpleNamespace(prepare=prepare, prepared_async_call=draw)

    def prepare(format_: str) -> None:
        assert format_ == "PiiPPii"

    def draw(
        grid: tuple[int, ...], block: tuple[int, ...], stream: Any, image: int, width: int, height: int, *rest: int
    ) -> None:
        gpu.did("draw")
        crops, target, columns, rows = rest
        assert isinstance(stream, Stream)
        assert grid[0] * block[0] >= columns > (grid[0] - 1) * block[0]
        assert grid[1] * block[1] >= rows > (grid[1] - 1) * block[1]
        table = gpu.at(crops)[: grid[2] * 24].view(np.int32).reshape(-1, 6)
        grey = gpu.at(image)[: width * height].reshape(height, width)
        drawn = canvases(grey, [Crop(*(int(value) for value in row)) for row in table], rows, columns)
        gpu.at(target)[: drawn.size] = drawn.reshape(-1)
        gpu.drawn.append(grid[2])

    def mem_alloc(size: int) -> Memory:
        gpu.did("mem_alloc")
        assert gpu.stack
        return Memory(size)

    def pagelocked_empty(shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
        gpu.did("pagelocked_empty")
        owner = np.zeros(int(np.prod(shape)) * np.dtype(dtype).itemsize, np.uint8).view(Pinned)
        gpu.pinned += owner.nbytes
        array = np.frombuffer(owner.data, dtype).reshape(shape)
        return _Based(array, owner)

    def memcpy_htod_async(address: int, array: NDArray[Any], stream: Any) -> None:
        gpu.did("htod")
        assert gpu.capture is None
        assert isinstance(stream, Stream)
        assert array.flags.c_contiguous
        gpu.uploaded += array.nbytes
        target = gpu.at(address)
        assert target.size >= array.nbytes
        target[: array.nbytes] = np.ascontiguousarray(array).reshape(-1).view(np.uint8)

    def memcpy_dtoh_async(array: NDArray[np.uint8], address: int, stream: Any) -> None:
        gpu.did("dtoh")
        assert gpu.capture is None
        assert isinstance(stream, Stream)
        array[...] = gpu.at(address)[: array.nbytes]

    def module_from_buffer(data: bytes) -> Module:
        gpu.did("module")
        if data != FATBIN:
            raise LogicError("cuModuleLoadDataEx failed: no kernel image is available for execution on the device")
        return Module()

    def retain_primary_context() -> Context:
        gpu.did("retain")
        gpu.retained += 1
        return Context()

    total = 1 << 34
    return _Module(
        __name__="pycuda.driver",
        Error=Error,
        MemoryError=MemoryError,
        LogicError=LogicError,
        Stream=Stream,
        Event=Event,
        Device=lambda _: SimpleNamespace(retain_primary_context=retain_primary_context, get_attribute=lambda _: 0),
        device_attribute=SimpleNamespace(INTEGRATED="integrated"),
        mem_get_info=lambda: (total - gpu.bytes_held, total),
        init=lambda: gpu.did("init"),
        mem_alloc=mem_alloc,
        pagelocked_empty=pagelocked_empty,
        memcpy_htod_async=memcpy_htod_async,
        memcpy_dtoh_async=memcpy_dtoh_async,
        module_from_buffer=module_from_buffer,
    )


class _Based(np.ndarray):  # type: ignore[type-arg]
    """An array whose `base` is its allocation, as PyCUDA's page-locked arrays have it."""

    def __new__(cls, array: NDArray[Any], owner: Any) -> Any:
        made = array.view(cls)
        made._owner = owner
        return made

    def __array_finalize__(self, other: Any) -> None:
        self._owner = getattr(other, "_owner", None)

    @property
    def base(self) -> Any:  # type: ignore[override]
        return self._owner


def _gone(gpu: Machine, what: str) -> None:
    gpu.did(what)
    assert gpu.stack, f"{what}: freed after its context"
    setattr(gpu, what, getattr(gpu, what) - 1)


def _tensorrt(gpu: Machine, library: str) -> Any:
    mode = SimpleNamespace(INPUT="input", OUTPUT="output")
    severity = SimpleNamespace(INTERNAL_ERROR=0, ERROR=1, WARNING=2, INFO=3)

    class Plain:
        Severity = severity

        def __init__(self) -> None: ...

    class Context:
        def __init__(self, engine: Engine) -> None:
            self.engine = engine
            self.addresses: dict[str, int] = {}
            self.shape: tuple[int, ...] | None = None
            self.scratch = (0, 0)
            self.recorded = False
            gpu.contexts.add(self)
            weakref.finalize(self, gpu.did, "context gone")

        def set_device_memory(self, address: int, size: int) -> None:
            assert gpu.at(address).size >= size >= 1000
            self.scratch = (address, size)

        def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
            assert name == "image"
            assert not self.recorded, "the shapes of a recorded context are changed"
            self.shape = shape
            return all(side <= most for side, most in zip(shape, self.engine.network.profile[2], strict=True))

        def set_tensor_address(self, name: str, address: int) -> bool:
            self.addresses[name] = address
            return True

        def get_tensor_shape(self, name: str) -> tuple[int, ...]:
            assert self.shape is not None
            return self.engine.network.shape_of(name, self.shape)

        def execute_async_v3(self, stream: int) -> bool:
            gpu.did("enqueue")
            assert stream == STREAM
            assert self.addresses.keys() == self.engine.network.types.keys()
            assert self.scratch[0] in gpu.memory
            if gpu.capture is not None:
                self.recorded = True
                gpu.capture.append(self._compute)
                return bool(gpu.fail.get("enqueue while captured", True))
            self._compute()
            return bool(gpu.fail.get("enqueue", True))

        def _compute(self) -> None:
            assert self.shape is not None
            network = self.engine.network
            images = gpu.at(self.addresses["image"])[: int(np.prod(self.shape))].reshape(self.shape)
            for name, value in network.compute(images).items():
                data = np.ascontiguousarray(value, network.types[name]).reshape(-1).view(np.uint8)
                gpu.at(self.addresses[name])[: data.size] = data

    class Engine:
        device_memory_size_v2 = 1000

        def __init__(self, data: bytes) -> None:
            self.network = gpu.network(data, gpu.most)
            self.num_io_tensors = len(self.network.types)
            gpu.engines.add(self)
            weakref.finalize(self, gpu.did, "engine gone")

        def get_tensor_name(self, index: int) -> str:
            return list(self.network.types)[index]

        def get_tensor_mode(self, name: str) -> str:
            return mode.INPUT if name == "image" else mode.OUTPUT

        def get_tensor_dtype(self, name: str) -> Any:
            return self.network.types[name]

        def get_tensor_profile_shape(self, name: str, profile: int) -> list[tuple[int, ...]]:
            assert (name, profile) == ("image", 0)
            return list(self.network.profile)

        def create_execution_context(self, strategy: Any) -> Context | None:
            gpu.did("context")
            assert "user" in str(strategy)
            return None if "context is None" in gpu.fail else Context(self)

        def create_runtime_config(self) -> Any:
            config = SimpleNamespace(strategy="")
            config.set_execution_context_allocation_strategy = lambda strategy: setattr(config, "strategy", strategy)
            return config

    class Runtime:
        def __init__(self, logger: Any) -> None:
            self.error_recorder: Any = None
            self.logger = logger

        def deserialize_cuda_engine(self, data: bytes) -> Engine | None:
            gpu.did("deserialize")
            if "deserialize" in gpu.fail:
                self.logger.log(severity.ERROR, "the engine is from elsewhere")
                self.error_recorder.report_error(gpu.fail["deserialize"], "the engine is from elsewhere")
                return None
            return Engine(data)

    module: dict[str, Any] = {
        "__name__": library,
        "__version__": "10.3.0",
        "ILogger": Plain,
        "IErrorRecorder": Plain,
        "Runtime": Runtime,
        "TensorIOMode": mode,
        "nptype": lambda dtype: dtype,
        "ExecutionContextAllocationStrategy": SimpleNamespace(USER_MANAGED="user"),
        "ErrorCodeTRT": SimpleNamespace(FAILED_ALLOCATION="no memory", INVALID_STATE="state"),
    }
    if library == "tensorrt_rtx":
        module["DynamicShapesKernelSpecializationStrategy"] = SimpleNamespace(EAGER="eager")
    return _Module(**module)


class _Module:
    """A module that can be hashed."""

    def __init__(self, **names: Any) -> None:
        self.__dict__.update(names)


def _libcuda(gpu: Machine) -> Any:
    """The driver's functions for graphs; ctypes hands them what it would hand to C."""

    def status(event: str) -> int:
        gpu.did(event)
        return int(gpu.fail.get(event, 0))

    def value_of(handle: Any) -> int:
        return int(handle.value)

    def begin(stream: Any, how: int) -> int:
        assert (value_of(stream), how) == (STREAM, 1)
        assert gpu.capture is None
        gpu.capture = []
        return status("begin capture")

    def end(stream: Any, graph: Any) -> int:
        assert value_of(stream) == STREAM
        assert gpu.capture is not None
        work, gpu.capture = gpu.capture, None
        if failed := status("end capture"):
            return failed
        graph._obj.value = gpu.new_handle()
        gpu.graphs[graph._obj.value] = work
        return 0

    def instantiate(executable: Any, graph: Any, flags: int) -> int:
        assert flags == 0
        if failed := status("instantiate"):
            return failed
        executable._obj.value = gpu.new_handle()
        gpu.executables[executable._obj.value] = gpu.graphs[value_of(graph)]
        return 0

    def launch(executable: Any, stream: Any) -> int:
        assert value_of(stream) == STREAM
        for work in gpu.executables[value_of(executable)]:
            work()
        return status("launch")

    def destroy(table: dict[int, Any]) -> Callable[[Any], int]:
        def run(handle: Any) -> int:
            del table[value_of(handle)]
            return status("destroy")

        return run

    def error_name(result: int, name: Any) -> int:
        name._obj.value = {900: b"CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED", 2: b"CUDA_ERROR_OUT_OF_MEMORY"}.get(result)
        return 0

    def pop(context: Any) -> int:
        assert isinstance(context._obj, ctypes.c_void_p)
        gpu.driver_stack -= 1
        return 0

    return SimpleNamespace(
        cuStreamBeginCapture_v2=begin,
        cuStreamEndCapture=end,
        cuGraphInstantiateWithFlags=instantiate,
        cuGraphLaunch=launch,
        cuGraphDestroy=destroy(gpu.graphs),
        cuGraphExecDestroy=destroy(gpu.executables),
        cuGetErrorName=error_name,
        cuCtxPopCurrent_v2=pop,
    )
