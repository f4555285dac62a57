"""TensorRT on an NVIDIA GPU: an engine that vouches for itself in, a `CroppingNetwork` out: one that draws its own input.

TensorRT (or TensorRT for RTX, whichever is installed) runs the engine; PyCUDA (`cuda.py`) holds memory and stream. A batch
that comes again in the same shape is launched as one CUDA graph (`graph.py`) of all that it takes: what describes its crops
goes to the GPU, they are drawn, the network runs, its outputs come back. Two batches may be under way (`flight.py`).

What it holds, from `open` to `close`, for a profile of at most N images of [H, W] (B is the batch, at most N):

    what              where    bytes                                       when
    weights           device   as in the engine file                       once
    scratch           device   the engine's device_memory_size_v2          once, shared by all shapes
    input             both     N·H·W                                       twice
    each output       both     N times its size at [H, W]                  twice
    masks             both     of a segmenter: as `found.mask_room` says   twice
    scene             both     16 + 24 · `MOST_CROPS`                      twice
    contexts, graphs  device   what TensorRT and the driver keep of each   at most `MOST_SHAPES`
    image             both     the largest images shown, rounded to 4 MiB  twice for all networks of the thread

"both" is pinned memory of the host and as much of the device; on an integrated GPU it is one and the same memory. A run
returns copies on the host of the B rows that were asked for, so its results stay when the next image runs.
"""

from __future__ import annotations

import hashlib
import importlib
import logging
import weakref
from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.backends.crop import Crop, canvases
from edge.backends.layers import Layer
from edge.backends.network import Arrays
from edge.backends.tensorrt import LIBRARIES, found, messages, passport
from edge.backends.tensorrt import device as cuda_device
from edge.backends.tensorrt.cuda import IN_FLIGHT, MOST_CROPS, SCENE_BYTES, Cuda, Shared, cuda_here, find_kernels, kernels_name
from edge.backends.tensorrt.flight import Flight, Output, Run, Slot, rows_of
from edge.backends.tensorrt.graph import load_driver
from edge.backends.tensorrt.layer_times import layer_times
from edge.backends.tensorrt.ready import (
    Key,
    Ready,
    Wanted,
    batch_for,
    clear,
    forget,
    free_slot,
    let_go,
    open_context,
    require_fitting,
    settle,
)
from edge.backends.tensorrt.runtime_cache import RuntimeCache
from edge.backends.tensorrt.transfers import Transfers
from edge.errors import BackendError, ModelError
from edge.models.card import file_sha256
from edge.records import Grey

log = logging.getLogger(__name__)

INPUT = "image"
MOST_SHAPES = 8 * IN_FLIGHT
"""Shapes of input that are kept ready, each for one slot; another takes the place of the one that was used longest ago."""


def load_library() -> Any:
    """TensorRT's module. Raises BackendError with what keeps each of `LIBRARIES` from being imported."""
    reasons = []
    for name in LIBRARIES:
        try:
            return importlib.import_module(name)
        except (ImportError, OSError, RuntimeError) as error:  # libraries that are missing beside the module
            reasons.append(f"{name}: {error}")
    raise BackendError(
        f"TensorRT cannot be imported ({'; '.join(reasons)}): install NVIDIA's tensorrt (part of JetPack), or pip install "
        "tensorrt-rtx for a desktop RTX GPU"
    )


def find_engine(model: Path) -> tuple[passport.Engine, Any]:
    """The engine that was built from `model` on this machine, as its passport proves, and the library that runs it.

    Makes no context. Raises BackendError with the reason why there is none.
    """
    gpu = passport.this_gpu()
    if gpu is None:
        raise BackendError(f"there is no NVIDIA GPU that can be used: {_why_none()}")
    library = load_library()
    known = passport.Library(name=library.__name__, version=str(library.__version__))
    try:
        stat = model.stat()
        sha256 = file_sha256(model, stat.st_size, stat.st_mtime_ns)
        return passport.find_engine(model, onnx_sha256=sha256, library=known, gpu=gpu), library
    except OSError as error:
        raise BackendError(f"{model} cannot be read: {error.strerror or error}") from error
    except ModelError as error:
        raise BackendError(str(error)) from error


def open_engine(model: Path, precision: str = "float16") -> TensorRtEngine:
    """The engine of `model`, on the GPU. Raises BackendError."""
    if precision != "float16":
        raise BackendError(f"tensorrt runs in float16 here, not in {precision}")
    engine, library = find_engine(model)
    kernels = kernels_for(model)
    if kernels is None:
        log.warning("there is no %s: the CPU draws what the GPU sees (edge-export tensorrt makes it)", kernels_name())
    cache = RuntimeCache.of(engine, passport.engine_folders(model), engine.passport.gpu)
    return TensorRtEngine(engine.data, library, kernels=kernels, cache=cache)


def refusal(models: Sequence[Path]) -> str | None:
    """Why TensorRT cannot run these models here; None when each has an engine. Makes no context on the GPU."""
    try:
        for model in models:
            find_engine(model)
    except BackendError as error:
        return str(error)
    return None


def layers(model: Path, precision: str, image: NDArray[np.uint8], runs: int) -> list[Layer]:
    """Mean time of each layer of the model's engine, the slowest first, by TensorRT's own profiler. Raises BackendError."""
    with open_engine(model, precision) as runner:
        return layers_of(runner, image[: runner.most[0]], runs)


def layers_of(runner: TensorRtEngine, image: NDArray[np.uint8], runs: int) -> list[Layer]:
    """The same of an engine that is open, in which nothing is under way. image: uint8 [N, 1, H, W], a batch at most."""
    cuda, slot, (count, _, rows, columns) = runner._cuda, runner._slots[0], image.shape
    with runner._watched(image.shape):
        runner._check(image.shape)
        ready = runner._ready_for(slot, batch_for(count, runner._least[0], runner._batches), rows, columns, Wanted(drawn=False))
        slot.input.host[: image.size].reshape(image.shape)[...] = image
        cuda.send(slot.input, image.size)
        try:
            return layer_times(runner._trt, runner._objects, ready, cuda.stream, runs)
        finally:
            settle(cuda)
            clear(runner._ready)  # a context that was profiled is not recorded


def device() -> str | None:
    """The name of the GPU that CUDA shows first; None where there is none."""
    gpu = passport.this_gpu()
    return None if gpu is None else gpu.name


def lost(models: Sequence[Path], *, expected: bool, installed: bool) -> str | None:
    """Why the GPU that these models ran on cannot be used any more, in CUDA's words; None when it can, or there was none.

    expected: the GPU ought to be there. Else an engine of one of the models says so, which was built on this machine, or the
    kernel, where it sees NVIDIA's hardware and the libraries are installed.
    """
    was_there = expected or any(passport.has_engine(model) for model in models) or (installed and cuda_device.hardware())
    if not was_there or passport.this_gpu() is not None:
        return None
    return _why_none()


def _why_none() -> str:
    found = cuda_device.first_gpu()
    return found.why if isinstance(found, cuda_device.NoGpu) else "CUDA shows one by now: restart the service"


def kernels_for(model: Path) -> Path | None:
    """The kernels' binary of this version: where engines of `model` may lie, else beside its source; None where none is."""
    return find_kernels((*passport.engine_folders(model), Path(__file__).parent))


@dataclass(slots=True)
class _Objects:
    """TensorRT's objects, which it frees when their last reference goes.

    Kept here alone, not in local variables: the traceback of a failure would hold them longer than the GPU's context.
    """

    errors: Any
    runtime: Any = None
    engine: Any = None
    largest: Any = None

    def clear(self) -> None:
        self.largest = None
        self.engine = None
        self.runtime = None


class TensorRtEngine:
    """An engine on the GPU, with everything that it needs allocated when it is opened.

    most: the largest N, H and W that the engine takes.  A larger N runs in several batches; N is rounded up to a power
    of two or the largest, so that few shapes are kept ready and graphs are met again.
    """

    name = "tensorrt"
    precision = "float16"

    def __init__(
        self,
        data: bytes,
        library: Any,
        *,
        kernels: Path | None = None,
        graphs: bool = True,
        cache: RuntimeCache | None = None,
    ) -> None:
        """Load an engine's bytes, which must come from this machine: they are machine code. Raises BackendError.

        kernels: the fat binary to draw with; None: the CPU draws.  graphs: False runs without CUDA graphs.
        cache: what TensorRT for RTX compiled before; None: it compiles anew.
        """
        self._trt, self._cache = library, cache
        self.engine_sha256 = hashlib.sha256(data).hexdigest()
        self._graphs = load_driver() if graphs else None
        self._ready: OrderedDict[Key, Ready] = OrderedDict()
        self._held: dict[str, int] = {"weights": len(data)}
        self._slots: list[Slot] = []
        self._runs: weakref.WeakSet[Run | found.MaskRun] = weakref.WeakSet()
        with ExitStack() as made:
            self._cuda: Cuda = made.enter_context(cuda_here())
            self._transfers = Transfers(self._cuda)
            self._objects = _Objects(messages.recorder_class(library)())
            made.callback(self._objects.clear)
            if cache is not None:
                made.callback(cache.release)
            with self._cuda.translated("the engine cannot be opened"):
                self._load(data)
                made.callback(clear, self._ready)
                self._allocate_all(made)
                made.callback(settle, self._cuda)
            if kernels is not None:
                try:
                    self._cuda.load_kernels(kernels)
                except BackendError as error:
                    log.warning("the CPU draws what the GPU sees: %s", str(error))
            self._made = made.pop_all()

    def run(self, image: NDArray[np.uint8]) -> Arrays:
        """Outputs by name for uint8 [N, 1, H, W]. Raises BackendError."""
        return self.submit(image).collect()

    def run_on_crops(self, grey: Grey, crops: Sequence[Crop], rows: int, columns: int) -> Arrays:
        """What `run` gives for N crops of a uint8 [H, W] image, drawn by the GPU; see `edge.backends.crop.CroppingNetwork`."""
        return self.submit_on_crops(grey, crops, rows, columns).collect()

    def submit(self, image: NDArray[np.uint8]) -> Run:
        """Launch what `run` waits for. The image may change before it is collected. Raises BackendError."""
        if image.ndim != 4 or image.dtype != np.uint8:
            raise BackendError(f"tensorrt takes uint8 [N, 1, H, W], not {image.dtype} {list(image.shape)}")
        if len(image) > self.most[0] * IN_FLIGHT:
            image = image.copy()  # what is sent later must not change either

        def fill(slot: Slot, start: int, stop: int, _: int) -> int:
            part = image[start:stop]
            slot.input.host[: part.size].reshape(part.shape)[...] = part
            return 0

        return self._start(image.shape, Wanted(drawn=False), fill)

    def submit_on_crops(self, grey: Grey, crops: Sequence[Crop], rows: int, columns: int) -> Run:
        """Launch what `run_on_crops` waits for; see `edge.backends.crop.SubmittingNetwork`."""
        if not self._cuda.draws:
            return self.submit(canvases(grey, crops, rows, columns))
        shown = 0

        def fill(slot: Slot, start: int, stop: int, count: int) -> int:
            nonlocal shown
            shown = self._cuda.show(grey, shown)
            self._cuda.describe(slot.scene, shown, crops[start:stop], count)
            return shown

        return self._start((len(crops), 1, rows, columns), Wanted(drawn=True), fill)

    def submit_masks(
        self, grey: Grey, crops: Sequence[Crop], rows: int, columns: int, confidence: float, iou: float
    ) -> found.MaskRun | None:
        """Launch the crops, suppression and masks included; see `edge.backends.masks.MaskingNetwork`."""
        if not (self._cuda.draws and self._slots and self._slots[0].masks) or len(crops) > self._batches[0]:
            return None

        def fill(slot: Slot, count: int) -> int:
            shown = self._cuda.show(grey)
            self._cuda.describe(slot.scene, shown, crops, count)
            found.describe_views(slot.masks, crops, count)
            return shown

        def read(slot: Slot, ready: Ready) -> object:
            return found.read(slot.masks, slot.outputs, ready.outputs["scores"][1], len(crops))

        shape, wanted = (len(crops), 1, rows, columns), Wanted(drawn=True, masks=(confidence, iou))
        with self._watched(shape):
            run = found.MaskRun(self._fly(shape, wanted, fill, read), lambda: self._watched(shape))
        self._runs.add(run)
        return run

    @property
    def memory(self) -> dict[str, int]:
        """Bytes that are held, by the rows of the table above; contexts and graphs are not known."""
        return {**self._held, "image": self._cuda.image_bytes}

    @property
    def transfers_ms(self) -> tuple[float, float]:
        """Over the bus to the GPU and back, of the runs that were launched since it was last asked; see `Transfers`."""
        return self._transfers.take_ms()

    def close(self) -> None:
        """Free everything, in the thread that opened it; a second call does nothing. Raises BackendError elsewhere."""
        if self._objects.engine is not None:
            self._cuda.check_thread()
            for run in list(self._runs):
                run.give_up()
            self._made.close()

    def __enter__(self) -> TensorRtEngine:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    # Opening

    def _load(self, data: bytes) -> None:
        objects = self._objects
        objects.runtime = self._trt.Runtime(messages.logger(self._trt))
        objects.runtime.error_recorder = objects.errors
        objects.engine = objects.runtime.deserialize_cuda_engine(data)
        if objects.engine is None:
            raise BackendError(self._explained("TensorRT does not load the engine", "build it again with edge-export tensorrt"))

    def _allocate(self, made: ExitStack, size: int) -> int:
        memory = self._cuda.allocate(size)
        made.callback(self._cuda.free, memory)
        return int(memory)

    def _share(self, made: ExitStack, size: int) -> Shared:
        shared = self._cuda.share(size)
        made.callback(self._cuda.release, shared)
        return shared

    def _allocate_all(self, made: ExitStack) -> None:
        """Scratch memory, and buffers for the largest shapes, which a context tells when it is given the largest input."""
        trt, objects = self._trt, self._objects
        names = [objects.engine.get_tensor_name(index) for index in range(objects.engine.num_io_tensors)]
        inputs = [name for name in names if objects.engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT]
        if inputs != [INPUT] or self._dtype(INPUT) != np.uint8:
            raise BackendError(f"the engine's inputs are {inputs}, expected one called {INPUT!r} of uint8: build it again")
        ranges = [objects.engine.get_tensor_profile_shape(INPUT, n) for n in range(objects.engine.num_optimization_profiles)]
        self._batches = [int(most[0]) for _, _, most in ranges]
        least, most = tuple(ranges[0][0]), tuple(ranges[-1][2])
        self._least, self.most = (least[0], least[2], least[3]), (most[0], most[2], most[3])
        scratch = max(int(objects.engine.device_memory_size_v2), 1)
        self._scratch = (self._allocate(made, scratch), scratch)
        objects.largest = self._context(most)
        of_outputs = {name: tuple(objects.largest.get_tensor_shape(name)) for name in names if name != INPUT}
        sizes = {name: int(np.prod(shape)) * self._dtype(name).itemsize for name, shape in of_outputs.items()}
        objects.largest = None
        for number in range(IN_FLIGHT):
            scene, seen = self._share(made, SCENE_BYTES), self._share(made, int(np.prod(most)))
            outputs = (Output(name, self._dtype(name), self._share(made, size)) for name, size in sizes.items())
            self._slots.append(Slot(number, scene, seen, tuple(outputs), self._cuda.moment()))
            if found.fits(self._slots[-1].outputs, of_outputs):
                room = found.mask_room(partial(self._share, made), partial(self._allocate, made), self._batches[0])
                self._slots[-1].masks = room
        made.callback(forget, self._slots)
        self._held |= {"scratch": scratch, "input": IN_FLIGHT * int(np.prod(most)), "scene": IN_FLIGHT * SCENE_BYTES}
        self._held["outputs"] = IN_FLIGHT * sum(sizes.values())
        self._held["pinned"] = self._held["input"] + self._held["scene"] + self._held["outputs"]

    def _dtype(self, name: str) -> np.dtype[Any]:
        dtype: np.dtype[Any] = np.dtype(self._trt.nptype(self._objects.engine.get_tensor_dtype(name)))
        return dtype

    def _context(self, shape: tuple[int, ...]) -> Any:
        """A context for an input of this shape, in the scratch memory that all share."""
        context = open_context(self._trt, self._objects.engine, self._cache)
        if context is None:
            raise BackendError(self._explained("TensorRT cannot prepare the engine", "free memory of the GPU"))
        context.set_device_memory(*self._scratch)
        profile = next(number for number, most in enumerate(self._batches) if shape[0] <= most)
        if profile and not context.set_optimization_profile_async(profile, self._cuda.stream):
            raise BackendError(self._explained(f"TensorRT refuses the engine's profile {profile}", "build it again"))
        if not context.set_input_shape(INPUT, shape):
            raise BackendError(self._explained(f"the engine does not take {shape}", "build it again with edge-export tensorrt"))
        return context

    # Running

    def _start(self, shape: tuple[int, ...], wanted: Wanted, fill: Callable[[Slot, int, int, int], int]) -> Run:
        """A run on an input of this shape. fill: puts rows from, to into a slot as a batch of so many, and returns
        the number of the image that the GPU draws from; 0 where the rows are sent as they are.
        """
        self._check(shape)

        def launch(start: int, stop: int) -> Flight:
            return self._fly(
                (stop - start, *shape[1:]),
                wanted,
                lambda slot, count: fill(slot, start, stop, count),
                lambda slot, ready: rows_of(slot, ready.outputs, stop - start),
            )

        run = Run(shape[0], min(self.most[0], MOST_CROPS), launch, lambda: self._watched(shape))
        self._runs.add(run)
        return run

    def _fly(
        self,
        shape: tuple[int, ...],
        wanted: Wanted,
        fill: Callable[[Slot, int], int],
        read: Callable[[Slot, Ready], Any],
    ) -> Flight:
        """Launch one batch. fill: puts it into the slot.  read: copies its answer out of it."""
        self._check(shape)
        slot = free_slot(self._slots)
        self._cuda.take_copies()
        ready = self._ready_for(slot, batch_for(shape[0], self._least[0], self._batches), shape[2], shape[3], wanted)
        try:
            shown = fill(slot, ready.shape[0])
            before = self._cuda.take_copies()
            self._launch(slot, ready)
            ready.copies = ready.copies or tuple(self._cuda.take_copies())
            self._transfers.launched([*before, *ready.copies])
            if shown:
                self._cuda.drawn(shown)
            self._cuda.mark(slot.done)
            if self._cache is not None and ready.runs == 1:
                self._cache.keep()
        except BaseException:
            settle(self._cuda)  # a part may be under way in the slot, which would be taken for free
            raise
        return Flight(self._cuda, slot, lambda slot: read(slot, ready))

    def _watched(self, shape: tuple[int, ...]) -> AbstractContextManager[None]:
        return self._cuda.translated(f"an input of {shape} failed")

    def _check(self, shape: tuple[int, ...]) -> None:
        if self._objects.engine is None:
            raise BackendError("the engine was closed")
        self._cuda.check_thread()
        require_fitting(shape, self._least[1:], self.most[1:])

    def _ready_for(self, slot: Slot, count: int, rows: int, columns: int, wanted: Wanted) -> Ready:
        key = (count, rows, columns, wanted, slot.number)
        ready = self._ready.get(key)
        if ready is None:
            while len(self._ready) >= MOST_SHAPES:
                settle(self._cuda)  # what is under way may be its graph
                _, oldest = self._ready.popitem(last=False)
                let_go(oldest)
            context = self._context((count, 1, rows, columns))
            addresses = [(INPUT, slot.input.address), *((output.name, output.shared.address) for output in slot.outputs)]
            if not all(context.set_tensor_address(name, address) for name, address in addresses):
                raise BackendError(self._explained("TensorRT refuses a buffer", "build the engine again"))
            outputs = {output.name: tuple(context.get_tensor_shape(output.name)) for output in slot.outputs}
            ready = self._ready[key] = Ready(context, (count, rows, columns), wanted, outputs)
        self._ready.move_to_end(key)
        return ready

    def _launch(self, slot: Slot, ready: Ready) -> None:
        """Put one batch on the stream: plainly the first time, which sets things up, then as a graph."""
        if self._graphs is not None and ready.runs and ready.graph is None and not ready.plain:
            try:
                with self._cuda.translated("a call of CUDA was refused"):
                    ready.graph = ready.record(self._graphs, self._cuda, slot)
            except BackendError as error:
                # The text alone: a log record that is kept would keep the error's frames, and with them the context.
                log.warning("this shape runs without a CUDA graph, which is a little slower: %s", str(error))
                ready.plain = True
                self._objects.errors.clear()
        if ready.graph is not None:
            ready.graph.launch()
        elif not ready.enqueue(self._cuda, slot):
            raise BackendError(self._explained("TensorRT cannot run the engine", "restart the service"))
        ready.runs += 1

    def _explained(self, what: str, cure: str) -> str:
        """A sentence with what TensorRT recorded about it."""
        errors, memory = self._objects.errors.take()
        if memory:
            cure = "the GPU has too little free memory: end other programs that use it, or build for smaller batches"
        return f"{what} ({'; '.join(errors) or 'it gave no reason'}): {cure}"
