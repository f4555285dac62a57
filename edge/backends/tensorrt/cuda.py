"""The first NVIDIA GPU as one thread uses it, through PyCUDA: memory, one stream, and an image drawn as a network sees it.

All networks of a thread share one `Cuda`, so an image that two of them look at crosses the bus once. Whatever lives on
the GPU is made and freed by that thread, in `close`, never by the garbage collector: a destructor that runs in another
thread finds no context there.

Nothing is copied from or to memory that the system may page out: such a copy is staged by the driver, and the caller waits
for it. What crosses the bus lies in `Shared` memory. A GPU that shares the machine's memory (a Jetson's) works on it where
it lies, so nothing is copied there.
"""

from __future__ import annotations

import hashlib
import logging
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edge.backends.crop import Crop
from edge.backends.tensorrt.graph import load_driver, pop_context
from edge.errors import BackendError
from edge.records import Grey

log = logging.getLogger(__name__)

SOURCES = (Path(__file__).with_name("kernels.cu"), Path(__file__).with_name("kernels.h"), Path(__file__).with_name("found.h"))
MOST_CROPS = 64
"""Crops of one launch."""
KERNELS = {
    "draw_crops": "PPPii",
    "rank_candidates": "PPifPP",
    "mark_overlaps": "PifPPP",
    "keep_boxes": "PiPiiPPPP",
    "make_logits": "PiPiiPPPii",
    "make_masks": "PPPPPii",
}
"""The kernels of kernels.cu and the types of what they are given, as `struct` writes them."""
_BLOCK = (32, 8, 1)
"""As in kernels.cu."""
_IMAGE_STEP = 4 << 20
"""Bytes: room for images grows in such steps, so that sizes that differ by a few rows share it."""
IN_FLIGHT = 2
"""Images, and runs of one network, that may be under way at once."""
_NON_BLOCKING, _NO_TIMING, _TIMING = 1, 2, 0
"""CU_STREAM_NON_BLOCKING: work of others on the legacy stream neither waits for ours nor ends its recording.
CU_EVENT_DISABLE_TIMING."""
SCENE_BYTES = 16 + 24 * MOST_CROPS
"""The image's address and size, then the crops: `Image` and `Crop` of kernels.h."""

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


@dataclass(frozen=True, slots=True, eq=False)
class Shared:
    """Bytes that host and GPU both see, copied by `send` and `fetch`.

    host: pinned, uint8 [size].  address: where the GPU has them.  memory: the GPU's own, None where it works on the host's.
    """

    host: NDArray[np.uint8]
    address: int
    memory: Any


class Copy(NamedTuple):
    """A copy over the bus, of so many bytes."""

    to_gpu: bool
    size: int


@dataclass(slots=True, eq=False)
class Moment:
    """A moment on the stream. Its event is let go of by who asked for it, also where a traceback holds the moment."""

    event: Any


@dataclass(slots=True, eq=False)
class _Picture:
    """Room for one image. room: None as long as none was shown.  used: when the last work on it is done."""

    used: Moment
    room: Shared | None = None
    image: weakref.ref[Grey] | None = None
    shape: tuple[int, int] = (0, 0)
    number: int = 0


class Cuda:
    """The GPU's primary context, one stream, the images that were shown last, and the kernel that draws crops of them.

    stream: the handle of the one stream that everything runs on.  integrated: the GPU works on the machine's own memory.
    copies: what was put on the stream, or into a graph, since somebody emptied the list.
    """

    def __init__(self) -> None:
        try:
            import pycuda.driver
        except ImportError as error:
            raise BackendError(f"PyCUDA cannot be imported ({error}): pip install 'sem-corrosion-edge[tensorrt]'") from error
        self._driver: Any = pycuda.driver
        self._owner = threading.get_ident()
        self._pictures: list[_Picture] = []
        self._shown = 0
        self.copies: list[Copy] = []
        self._module: Any = None
        self._kernels: dict[str, Any] = {}
        with ExitStack() as made, self.translated("the GPU cannot be opened"):
            self._driver.init()
            first = self._driver.Device(0)
            self.integrated = bool(first.get_attribute(self._driver.device_attribute.INTEGRATED))
            context = first.retain_primary_context()
            # PyCUDA's detach of a context that is not current pushes it, and forgets to pop it.
            made.callback(pop_context, load_driver())
            made.callback(_quietly, context.detach)
            context.push()
            # PyCUDA aborts the process when a thread ends with a context on its stack.
            made.callback(_quietly, context.pop)
            self._queue: Any = self._driver.Stream(_NON_BLOCKING)
            made.callback(self._forget)
            self.stream = int(self._queue.handle)
            self._pictures = [_Picture(self.moment()) for _ in range(IN_FLIGHT)]
            self._made = made.pop_all()

    def close(self) -> None:
        """Free everything; what was allocated here by others has been freed by them."""
        self.check_thread()
        _quietly(self._queue.synchronize)
        for picture in self._pictures:
            picture.used.event = None  # whoever holds the picture, its event has to go before the context does
            self._release_room(picture)
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

    def pinned(self, shape: tuple[int, ...], dtype: Any, flags: int = 0) -> NDArray[Any]:
        """Host memory that the GPU reads and writes directly. flags: CUDA's, of cuMemHostAlloc."""
        self.check_thread()
        array: NDArray[Any] = self._driver.pagelocked_empty(shape, dtype, mem_flags=flags)
        return array

    def unpin(self, array: NDArray[Any]) -> None:
        """Free what `pinned` gave; nobody may touch the array after that. Never raises."""
        base: Any = array.base
        _quietly(base.free)

    def share(self, size: int) -> Shared:
        """Memory of `size` bytes that both see."""
        flags = self._driver.host_alloc_flags.DEVICEMAP if self.integrated else 0
        host = self.pinned((size,), np.uint8, flags)
        base: Any = host.base
        try:
            memory = None if self.integrated else self.allocate(size)
            return Shared(host, int(base.get_device_pointer() if memory is None else memory), memory)
        except BaseException:
            self.unpin(host)
            raise

    def release(self, shared: Shared) -> None:
        """Free what `share` gave; no work on it may be under way. Never raises."""
        if shared.memory is not None:
            self.free(shared.memory)
        self.unpin(shared.host)

    # Work: in the order in which it is put on the stream.

    def send(self, shared: Shared, size: int | None = None) -> None:
        """Let the GPU see the first `size` bytes that the host wrote; they must not change until it has done with them."""
        if shared.memory is not None:
            part = shared.host[:size]
            self._driver.memcpy_htod_async(shared.address, part, self._queue)
            self.copies.append(Copy(True, part.nbytes))

    def fetch(self, shared: Shared, size: int | None = None) -> None:
        """Let the host see the first `size` bytes that the GPU wrote, when what was put on the stream is done."""
        if shared.memory is not None:
            part = shared.host[:size]
            self._driver.memcpy_dtoh_async(part, shared.address, self._queue)
            self.copies.append(Copy(False, part.nbytes))

    def take_copies(self) -> list[Copy]:
        """Those since the last call."""
        copies, self.copies = self.copies, []
        return copies

    def timed_ms(self, work: Callable[[], object]) -> float:
        """Wait for the GPU's own time for what `work` puts on the stream."""
        begun, done = self._driver.Event(_TIMING), self._driver.Event(_TIMING)
        try:
            begun.record(self._queue)
            work()
            done.record(self._queue)
            done.synchronize()
            return float(done.time_since(begun))
        finally:
            begun = done = None  # a failure's traceback would hold them longer than the context

    def moment(self) -> Moment:
        """A moment to be given to `mark`; its event has to go before the context does."""
        return Moment(self._driver.Event(_NO_TIMING))

    def mark(self, moment: Moment) -> None:
        """The moment when all that was put on the stream is done."""
        moment.event.record(self._queue)

    def wait(self, moment: Moment | None = None) -> None:
        """Until a marked moment has come; without one, until all that was put on the stream is done."""
        if moment is None:
            self._queue.synchronize()
        else:
            moment.event.synchronize()

    # Pixels

    def load_kernels(self, path: Path) -> None:
        """Take the fat binary at `path`, unless one is loaded. Raises BackendError."""
        self.check_thread()
        if self._kernels:
            return
        try:
            data = path.read_bytes()
        except OSError as error:
            raise BackendError(f"the kernels {path} cannot be read: {error.strerror or error}") from error
        with self.translated(f"the kernels {path.name} cannot be loaded"):
            module = self._driver.module_from_buffer(data)
            kernels = {name: module.get_function(name) for name in KERNELS}
            for name, types in KERNELS.items():
                kernels[name].prepare(types)
        self._module, self._kernels = module, kernels

    @property
    def draws(self) -> bool:
        """Whether the kernels are loaded."""
        return bool(self._kernels)

    @property
    def image_bytes(self) -> int:
        """Device memory held for images; on an integrated GPU it is the host's, too."""
        return sum(picture.room.host.nbytes for picture in self._pictures if picture.room is not None)

    def show(self, grey: Grey, known: int = 0) -> int:
        """Send an image, unless it is there: the same array, which nobody can have written to since. Returns its number.

        known: the number that an earlier call gave for these very pixels; 0 when there was none.
        """
        for picture in self._pictures:
            same = picture.image is not None and picture.image() is grey and not grey.flags.writeable
            if same or (known and picture.number == known):
                return picture.number
        picture = min(self._pictures, key=lambda one: one.number)
        picture.image, picture.number = None, 0
        self.wait(picture.used)  # what was drawn of the image before the last one
        if picture.room is None or grey.nbytes > picture.room.host.nbytes:
            self._release_room(picture)
            picture.room = self.share(-(-grey.nbytes // _IMAGE_STEP) * _IMAGE_STEP)
        picture.room.host[: grey.size].reshape(grey.shape)[...] = grey
        self.send(picture.room, grey.size)
        self.mark(picture.used)
        self._shown += 1
        picture.image, picture.shape, picture.number = weakref.ref(grey), grey.shape, self._shown
        return self._shown

    def describe(self, scene: Shared, number: int, crops: Sequence[Crop], count: int) -> None:
        """Write into a scene (`SCENE_BYTES`) what `draw` reads of it: `count` crops of an image that was shown.

        Beyond `crops` a crop is one pixel: what such rows of a batch hold does not matter.
        """
        picture = next(one for one in self._pictures if one.number == number)
        assert picture.room is not None
        height, width = picture.shape
        scene.host[:8].view(np.uint64)[0] = picture.room.address
        scene.host[8:16].view(np.int32)[:] = width, height
        rows = [(a.x_px, a.y_px, a.width_px, a.height_px, a.columns, a.rows) for a in crops]
        rows += [(0, 0, 1, 1, 1, 1)] * (count - len(crops))
        scene.host[16 : 16 + 24 * count].view(np.int32).reshape(-1, 6)[:] = rows

    def draw(self, scene: Shared, count: int, rows: int, columns: int, address: int) -> None:
        """Draw `count` crops of a scene that was sent, as uint8 [N, 1, rows, columns] at `address`."""
        grid = (-(-columns // _BLOCK[0]), -(-rows // _BLOCK[1]), count)
        self.launch("draw_crops", grid, _BLOCK, scene.address, scene.address + 16, address, columns, rows)

    def launch(self, kernel: str, grid: tuple[int, int, int], block: tuple[int, int, int], *values: float) -> None:
        """Put one of `KERNELS` on the stream. values: addresses and numbers."""
        self._kernels[kernel].prepared_async_call(grid, block, self._queue, *values)

    def drawn(self, number: int) -> None:
        """Everything that looks at this image has been put on the stream."""
        for picture in self._pictures:
            if picture.number == number:
                self.mark(picture.used)

    def _release_room(self, picture: _Picture) -> None:
        room, picture.room = picture.room, None
        if room is not None:
            self.release(room)

    def _forget(self) -> None:
        """Let go of what PyCUDA frees when its last reference goes, while the context is still there."""
        self._kernels = {}
        self._module = self._queue = None
        self._pictures = []


def _quietly(free: Callable[[], object]) -> None:
    """Free one thing; when that fails the GPU is gone, and the rest has to be tried all the same."""
    try:
        free()
    except Exception as error:  # the errors of a dead context are of several kinds
        log.warning("cannot free what lay on the GPU: %s", error)
