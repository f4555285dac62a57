"""PyCUDA's driver module as far as the engine uses it, on the memory of a `tests.fakes.gpu.Machine`."""

from __future__ import annotations

import time
import weakref
from functools import partial
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tests.fakes import kernels

if TYPE_CHECKING:
    from tests.fakes.gpu import Machine

STREAM = 0x5EA
NON_BLOCKING = 1
FATBIN = b"fat binary"
TOTAL_BYTES = 1 << 34


class Error(Exception):
    """All that CUDA reports."""


class MemoryError(Error):  # noqa: A001 (PyCUDA's name)
    """Too little of it."""


class LogicError(Error):
    """Any other."""


class Driver:
    """The module `pycuda.driver`."""

    __name__ = "pycuda.driver"
    Error = Error
    MemoryError = MemoryError
    LogicError = LogicError
    device_attribute = SimpleNamespace(INTEGRATED="integrated")
    host_alloc_flags = SimpleNamespace(PORTABLE=1, DEVICEMAP=2)

    def __init__(self, gpu: Machine) -> None:
        self._gpu = gpu

    def init(self) -> None:
        self._gpu.did("init")

    def Device(self, number: int) -> Any:  # noqa: N802 (PyCUDA's name)
        return SimpleNamespace(
            retain_primary_context=self._retain_primary_context, get_attribute=lambda _: int(self._gpu.integrated)
        )

    def Stream(self, flags: int = 0) -> Stream:  # noqa: N802
        assert flags == NON_BLOCKING, "work on the legacy stream would break a capture"
        return Stream(self._gpu)

    def Event(self, flags: int = 0) -> Event:  # noqa: N802
        return Event(self._gpu)

    def mem_get_info(self) -> tuple[int, int]:
        return TOTAL_BYTES - self._gpu.bytes_held, TOTAL_BYTES

    def mem_alloc(self, size: int) -> Memory:
        self._gpu.did("mem_alloc")
        assert self._gpu.stack
        return Memory(self._gpu, size)

    def pagelocked_empty(self, shape: tuple[int, ...], dtype: Any, mem_flags: int = 0) -> NDArray[Any]:
        self._gpu.did("pagelocked_empty")
        owner = np.zeros(int(np.prod(shape)) * np.dtype(dtype).itemsize, np.uint8).view(Pinned)
        owner.gpu = self._gpu
        self._gpu.pinned += owner.nbytes
        self._gpu.page_locked[owner.ctypes.data] = owner.nbytes
        if mem_flags & self.host_alloc_flags.DEVICEMAP:
            owner.mapped_at = self._gpu.new_handle()
            self._gpu.mapped[owner.mapped_at] = np.asarray(owner)
        array = np.frombuffer(owner.data, dtype).reshape(shape)
        return PagelockedArray(array, owner)

    def memcpy_htod_async(self, address: int, array: NDArray[Any], stream: Any) -> None:
        self._gpu.did("htod")
        assert isinstance(stream, Stream)
        assert array.flags.c_contiguous
        assert self._gpu.is_page_locked(array), "a copy of memory that may be paged out"
        assert self._gpu.at(address).size >= array.nbytes

        def copy() -> None:
            self._gpu.uploaded += array.nbytes
            self._gpu.at(address)[: array.nbytes] = array.reshape(-1).view(np.uint8)

        self._gpu.put(copy)

    def memcpy_htod(self, address: int, array: NDArray[Any]) -> None:
        """From memory that may be paged out; a test compares its time, the product has no use for it."""
        self._gpu.did("pageable")
        self._gpu.at(address)[: array.nbytes] = array.reshape(-1).view(np.uint8)

    def memcpy_dtoh_async(self, array: NDArray[np.uint8], address: int, stream: Any) -> None:
        self._gpu.did("dtoh")
        assert isinstance(stream, Stream)
        assert self._gpu.is_page_locked(array), "a copy into memory that may be paged out"

        def copy() -> None:
            self._gpu.downloaded += array.nbytes
            array[...] = self._gpu.at(address)[: array.nbytes]

        self._gpu.put(copy)

    def module_from_buffer(self, data: bytes) -> Module:
        self._gpu.did("module")
        if data != FATBIN:
            raise LogicError("cuModuleLoadDataEx failed: no kernel image is available for execution on the device")
        return Module(self._gpu)

    def _retain_primary_context(self) -> Context:
        self._gpu.did("retain")
        self._gpu.retained += 1
        return Context(self._gpu)


class Context:
    """The primary context, as one thread pushes and pops it."""

    def __init__(self, gpu: Machine) -> None:
        self._gpu = gpu

    def push(self) -> None:
        self._gpu.did("push")
        self._gpu.stack.append(self)
        self._gpu.driver_stack += 1

    def pop(self) -> None:
        self._gpu.did("pop")
        assert self._gpu.stack.pop() is self
        self._gpu.driver_stack -= 1

    def detach(self) -> None:
        self._gpu.did("detach")
        assert self not in self._gpu.stack
        self._gpu.retained -= 1
        self._gpu.driver_stack += 1  # as PyCUDA does


class Memory:
    """Device memory."""

    def __init__(self, gpu: Machine, size: int) -> None:
        self._gpu = gpu
        self.address: int | None = gpu.new_handle()
        gpu.memory[self.address] = np.random.default_rng(0).integers(0, 256, size, np.uint8)

    def __int__(self) -> int:
        assert self.address is not None, "memory that was freed is used"
        return self.address

    def free(self) -> None:
        self._gpu.did("free")
        assert self.address is not None, "freed twice"
        assert self._gpu.broken or self._gpu.done == len(self._gpu.queue), "freed while work on the stream may look at it"
        del self._gpu.memory[self.address]
        self.address = None


class Pinned(np.ndarray):  # type: ignore[type-arg]
    """The allocation behind a page-locked array."""

    freed = False
    mapped_at: int | None = None
    gpu: Machine

    def get_device_pointer(self) -> int:
        assert self.mapped_at is not None, "memory that was not asked to be mapped"
        return self.mapped_at

    def free(self) -> None:
        self.gpu.did("unpin")
        assert not self.freed, "freed twice"
        assert self.gpu.broken or self.gpu.done == len(self.gpu.queue), "freed while work on the stream may look at it"
        self.freed = True
        self.gpu.pinned -= self.nbytes
        del self.gpu.page_locked[self.ctypes.data]
        if self.mapped_at is not None:
            del self.gpu.mapped[self.mapped_at]


class PagelockedArray(np.ndarray):  # type: ignore[type-arg]
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


class Stream:
    """A stream whose work is done when somebody waits for it."""

    handle = STREAM

    def __init__(self, gpu: Machine) -> None:
        gpu.did("stream")
        assert gpu.stack
        gpu.streams += 1
        weakref.finalize(self, _gone, gpu, "streams")
        # No method: as in C++, no Python frame of a failure holds the stream.
        self.synchronize = partial(_synchronize, gpu)


class Event:
    """A moment on a stream."""

    def __init__(self, gpu: Machine) -> None:
        self._gpu = gpu
        self.came = [0.0]
        # No method: as in C++, no Python frame of a failure holds the event.
        self.synchronize = partial(_synchronize_with, gpu, 0)  # one that was never recorded has come
        gpu.moments += 1
        weakref.finalize(self, _gone, gpu, "moments")

    def record(self, stream: Any) -> None:
        assert isinstance(stream, Stream)
        assert self._gpu.capture is None
        self._gpu.put(partial(_note_time, self.came))
        self.synchronize = partial(_synchronize_with, self._gpu, len(self._gpu.queue))

    def time_since(self, earlier: Event) -> float:
        return (self.came[0] - earlier.came[0]) * 1e3


def _synchronize_with(gpu: Machine, count: int) -> None:
    gpu.did("event synchronize")
    gpu.work_until(count)


def _note_time(came: list[float]) -> None:
    came[0] = time.perf_counter()


class Module:
    """A fat binary that was loaded: the kernels, played on the processor."""

    def __init__(self, gpu: Machine) -> None:
        self._gpu = gpu
        gpu.modules += 1
        weakref.finalize(self, _gone, gpu, "modules")

    def get_function(self, name: str) -> Any:
        types, play = kernels.PLAYED[name]
        return SimpleNamespace(prepare=partial(_prepare, types), prepared_async_call=partial(_launch, self._gpu, name, play))


def _gone(gpu: Machine, what: str) -> None:
    gpu.did(what)
    assert gpu.stack, f"{what}: freed after its context"
    setattr(gpu, what, getattr(gpu, what) - 1)


def _synchronize(gpu: Machine) -> None:
    gpu.did("synchronize")
    gpu.work_until(len(gpu.queue))


def _prepare(wanted: str, types: str) -> None:
    assert types == wanted


def _launch(
    gpu: Machine,
    name: str,
    play: Any,
    grid: tuple[int, int, int],
    block: tuple[int, int, int],
    stream: Any,
    *values: Any,
) -> None:
    gpu.did("draw" if name == "draw_crops" else name)
    assert isinstance(stream, Stream)
    gpu.put(partial(play, gpu, grid, block, *values))
