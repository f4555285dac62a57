"""A GPU that is played by plain memory: PyCUDA, TensorRT and libcuda do their work on it and watch who does what.

Device memory is a dictionary of byte arrays. Work on the stream is done when somebody waits for it, not before, so what
was overwritten too early gives wrong numbers. What may not be is an assertion: another thread, a second free, a context
without its scratch memory. So is a wait while a capture runs, or a copy of memory that may be paged out. And so is a free of
memory that is still worked on.
"""

from __future__ import annotations

import itertools
import json
import threading
import weakref
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.fakes.libcuda import LibCuda
from tests.fakes.pycuda import Driver
from tests.fakes.tensorrt import TensorRt

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
    network: what an engine's bytes become.  any_thread: do not ask who calls.  integrated: the GPU has no memory of its own.
    """

    def __init__(
        self,
        most: Shape = (4, 1, 64, 64),
        library: str = "tensorrt",
        *,
        network: Callable[[bytes, Shape], Any] = ToyNetwork,
        any_thread: bool = False,
        integrated: bool = False,
    ) -> None:
        self.most = most
        self.network = network
        self.any_thread = any_thread
        self.integrated = integrated
        self.memory: dict[int, NDArray[np.uint8]] = {}
        self.wide: Shape | None = None  # the largest input of a second profile
        self.mapped: dict[int, NDArray[np.uint8]] = {}
        self.queue: list[Callable[[], None]] = []
        self.done = 0
        self.pinned = 0
        self.page_locked: dict[int, int] = {}
        self.downloaded = 0
        self.streams = self.modules = self.moments = 0
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
        self.caches: weakref.WeakSet[Any] = weakref.WeakSet()
        self.library = library
        self.drawn: list[int] = []
        self.report = ""  # of the engine inspector
        self.uploaded = 0
        self._next = itertools.count(0x1000, 0x1000)
        self._sizes: dict[int, int] = {}
        self.pycuda: Any = Driver(self)
        self.tensorrt: Any = TensorRt(self, library)
        self.libcuda: Any = LibCuda(self)

    def did(self, event: str) -> None:
        assert self.any_thread or threading.get_ident() == self.owner, f"{event} in another thread"
        self.events.append(event)
        if event in self.fail and isinstance(self.fail[event], BaseException):
            raise self.fail[event]

    def at(self, address: int) -> NDArray[np.uint8]:
        """The memory from this address on."""
        for start, block in (*self.memory.items(), *self.mapped.items()):
            if start <= address < start + block.size:
                return block[address - start :]
        raise AssertionError(f"{address:#x} is not allocated")

    @property
    def broken(self) -> bool:
        """Whether nothing can be waited for any more."""
        return "synchronize" in self.fail or "event synchronize" in self.fail

    def put(self, work: Callable[[], None]) -> None:
        """On the stream, or into the capture that runs."""
        (self.queue if self.capture is None else self.capture).append(work)

    def work_until(self, count: int) -> None:
        """Do what was put on the stream, up to this piece."""
        assert self.capture is None, "somebody waits while a capture runs"
        while self.done < count:
            work, self.queue[self.done] = self.queue[self.done], lambda: None
            self.done += 1
            work()

    def is_page_locked(self, array: NDArray[Any]) -> bool:
        first = array.ctypes.data
        return any(start <= first and first + array.nbytes <= start + size for start, size in self.page_locked.items())

    def new_handle(self) -> int:
        return next(self._next) << 20

    @property
    def bytes_held(self) -> int:
        return sum(block.size for block in self.memory.values())

    @property
    def is_empty(self) -> bool:
        """Whether everything was freed."""
        held = (
            self.memory,
            self.mapped,
            self.pinned,
            self.streams,
            self.modules,
            self.moments,
            self.stack,
            self.retained,
            self.driver_stack,
        )
        return not any(held) and not (
            self.graphs or self.executables or len(self.contexts) or len(self.engines) or len(self.caches)
        )
