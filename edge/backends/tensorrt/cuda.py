"""The first NVIDIA GPU as one thread uses it, through PyCUDA: memory, one stream, and an image drawn as a network sees it.

All networks of a thread share one `Cuda`, so an image that two of them look at crosses the bus once. Whatever lives on
the GPU is made and freed by that thread, in `close`, never by the garbage collector: a destructor that runs in another
thread finds no context there.
"""

from __future__ import annotations

import hashlib
import logging
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.backends.crop import Crop
from edge.backends.tensorrt.graph import load_driver, pop_context
from edge.errors import BackendError
from edge.records import Grey

log = logging.getLogger(__name__)

SOURCES = (Path(__file__).with_name("kernels.cu"), Path(__file__).with_name("kernels.h"))
MOST_CROPS = 64
"""Crops of one launch."""
_BLOCK = (32, 8, 1)
"""As in kernels.cu."""
_IMAGE_STEP = 4 << 20
"""Bytes: room for images grows in such steps, so that sizes that differ by a few rows share it."""

_here = threading.local()


@contextmanager
def cuda_here() -> Iterator[Cuda]:
    """The calling thread's `Cuda`: made for the first who asks, freed when the last has done. Raises BackendError."""
    shared: tuple[Cuda, list[object]] | None = getattr(_here, "shared", None)
    cuda, users = shared or (Cuda(), [])
    _here.shared = (cuda, users)
    user = object()
    users.append(user)
    try:
        yield cuda
    finally:
        users.remove(user)
        if not users:
            _here.shared = None
            cuda.close()


def kernels_name() -> str:
    """The fat binary's file name. It carries the sources' hash, so that one of another version is never loaded."""
    digest = hashlib.sha256(b"\0".join(source.read_bytes() for source in SOURCES)).hexdigest()
    return f"kernels-{digest[:12]}.fatbin"


def find_kernels(folders: Sequence[Path]) -> Path | None:
    """The first fat binary of this very version in these folders."""
    name = kernels_name()
    for path in (folder / name for folder in folders):
        try:
            if path.stat().st_mode & 0o002:
                log.warning("%s is not used: anyone may write to it, and it is machine code", path)
            else:
                return path
        except OSError:
            continue
    return None


class Cuda:
    """The GPU's primary context, one stream, the image that was shown last, and the kernel that draws crops of it.

    stream: the handle of the one stream that everything runs on.
    """

    def __init__(self) -> None:
        try:
            import pycuda.driver
        except ImportError as error:
            raise BackendError(f"PyCUDA cannot be imported ({error}): pip install 'sem-corrosion-edge[tensorrt]'") from error
        self._driver: Any = pycuda.driver
        self._owner = threading.get_ident()
        self._image: Any = None
        self._image_bytes = 0
        self._shown: weakref.ref[Grey] | None = None
        self._shape = (0, 0)
        self._sent: list[NDArray[Any]] = []
        self._module: Any = None
        self._kernel: Any = None
        with ExitStack() as made, self.translated("the GPU cannot be opened"):
            self._driver.init()
            context = self._driver.Device(0).retain_primary_context()
            # PyCUDA's detach of a context that is not current pushes it, and forgets to pop it.
            made.callback(pop_context, load_driver())
            made.callback(_quietly, context.detach)
            context.push()
            # PyCUDA aborts the process when a thread ends with a context on its stack.
            made.callback(_quietly, context.pop)
            self._queue: Any = self._driver.Stream()
            made.callback(self._forget)
            self.stream = int(self._queue.handle)
            self._crops = self.pinned((MOST_CROPS, 6), np.int32)
            made.callback(self.unpin, self._crops)
            self._crops_there = self.allocate(self._crops.nbytes)
            made.callback(self.free, self._crops_there)
            self._made = made.pop_all()

    def close(self) -> None:
        """Free everything; what was allocated here by others has been freed by them."""
        self.check_thread()
        _quietly(self._queue.synchronize)
        if self._image is not None:
            self.free(self._image)
            self._image = None
        self._made.close()

    def check_thread(self) -> None:
        """Raises BackendError in any thread but the one that made this."""
        if threading.get_ident() != self._owner:
            raise BackendError("a network on the GPU belongs to the thread that opened it: use it and close it there")

    @contextmanager
    def translated(self, doing: str) -> Iterator[None]:
        """Errors of CUDA as BackendError; `doing` begins the sentence."""
        try:
            yield
        except self._driver.MemoryError as error:
            cure = "end other programs that use it, or build the engine for smaller batches (edge-export tensorrt --help)"
            raise BackendError(f"{doing}: the GPU has too little free memory ({error}): {cure}") from error
        except self._driver.Error as error:
            cure = "restart the service; if it comes back, look for NVRM and Xid in the kernel's log, and at nvidia-smi"
            raise BackendError(f"{doing}: {error}: {cure}") from error

    # Memory: whoever allocates frees, in the same thread.

    def allocate(self, size: int) -> Any:
        """Device memory of `size` bytes; `int` of it is its address."""
        self.check_thread()
        return self._driver.mem_alloc(size)

    def free(self, memory: Any) -> None:
        """Free what `allocate` gave. Never raises: a broken GPU must not keep the rest from being freed."""
        _quietly(memory.free)

    def pinned(self, shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
        """Host memory that the GPU reads and writes directly."""
        self.check_thread()
        array: NDArray[Any] = self._driver.pagelocked_empty(shape, dtype)
        return array

    def unpin(self, array: NDArray[Any]) -> None:
        """Free what `pinned` gave; nobody may touch the array after that. Never raises."""
        base: Any = array.base
        _quietly(base.free)

    # Work: in the order in which it is put on the stream.

    def to_device(self, address: int, array: NDArray[Any]) -> None:
        """Put a copy to the device on the stream; the array must not change until `wait`."""
        self._sent.append(array)
        self._driver.memcpy_htod_async(address, array, self._queue)

    def to_host(self, array: NDArray[Any], address: int) -> None:
        """Put a copy into the (pinned) array on the stream; it is there after `wait`."""
        self._driver.memcpy_dtoh_async(array, address, self._queue)

    def wait(self) -> None:
        """Until all that was put on the stream is done."""
        self._queue.synchronize()
        self._sent.clear()

    # Pixels

    def load_kernels(self, path: Path) -> None:
        """Take the fat binary at `path`, unless one is loaded. Raises BackendError."""
        self.check_thread()
        if self._kernel is not None:
            return
        try:
            data = path.read_bytes()
        except OSError as error:
            raise BackendError(f"the kernels {path} cannot be read: {error.strerror or error}") from error
        with self.translated(f"the kernels {path.name} cannot be loaded"):
            module = self._driver.module_from_buffer(data)
            kernel = module.get_function("draw_crops")
            kernel.prepare("PiiPPii")
        self._module, self._kernel = module, kernel

    @property
    def draws(self) -> bool:
        """Whether the kernels are loaded."""
        return self._kernel is not None

    @property
    def image_bytes(self) -> int:
        """Device memory held for images."""
        return self._image_bytes

    def show(self, grey: Grey) -> None:
        """Send an image, unless it is there: the same array, which nobody can have written to since."""
        known = self._shown is not None and self._shown() is grey
        if known and not grey.flags.writeable:
            return
        self._shown = None
        if grey.nbytes > self._image_bytes:
            if self._image is not None:
                self.free(self._image)
                self._image, self._image_bytes = None, 0
            wanted = -(-grey.nbytes // _IMAGE_STEP) * _IMAGE_STEP
            self._image = self.allocate(wanted)
            self._image_bytes = wanted
        self.to_device(int(self._image), np.ascontiguousarray(grey))
        self._shown, self._shape = weakref.ref(grey), grey.shape

    def draw(self, crops: Sequence[Crop], rows: int, columns: int, address: int) -> None:
        """Draw at most `MOST_CROPS` crops of the image that was shown, as uint8 [N, 1, rows, columns] at `address`.

        To be followed by `wait` before the next call.
        """
        count = len(crops)
        height, width = self._shape
        self._crops[:count] = [(a.x_px, a.y_px, a.width_px, a.height_px, a.columns, a.rows) for a in crops]
        self.to_device(int(self._crops_there), self._crops[:count])
        grid = (-(-columns // _BLOCK[0]), -(-rows // _BLOCK[1]), count)
        self._kernel.prepared_async_call(
            grid, _BLOCK, self._queue, int(self._image), width, height, int(self._crops_there), address, columns, rows
        )

    def _forget(self) -> None:
        """Let go of what PyCUDA frees when its last reference goes, while the context is still there."""
        self._kernel = self._module = self._queue = None


def _quietly(free: Callable[[], object]) -> None:
    """Free one thing; when that fails the GPU is gone, and the rest has to be tried all the same."""
    try:
        free()
    except Exception as error:  # the errors of a dead context are of several kinds
        log.warning("cannot free what lay on the GPU: %s", error)
