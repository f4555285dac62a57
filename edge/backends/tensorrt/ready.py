"""Shapes of input that are ready to run: an execution context each, what is put on the stream for it, and its graph."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edge.backends.tensorrt import found
from edge.backends.tensorrt.cuda import SCENE_BYTES, Copy, Cuda
from edge.backends.tensorrt.flight import Slot
from edge.backends.tensorrt.graph import CudaGraph
from edge.backends.tensorrt.runtime_cache import RuntimeCache
from edge.errors import BackendError

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked of a batch. drawn: the GPU draws the input from the slot's scene, else it is sent.

    masks: least score and largest overlap, where the GPU suppresses and makes masks; None where the outputs are wanted.
    """

    drawn: bool
    masks: tuple[float, float] | None = None


Key = tuple[int, int, int, Wanted, int]
"""N, H, W, what is wanted, the slot's number."""


@dataclass(slots=True)
class Ready:
    """One shape of input that is ready to run in one slot. outputs: their shapes.  copies: those of a run.

    NVIDIA asks for a context of its own for each graph: changing the shapes of a context that was recorded is undefined.
    """

    context: Any
    shape: tuple[int, int, int]
    wanted: Wanted
    outputs: dict[str, tuple[int, ...]]
    runs: int = 0
    graph: CudaGraph | None = None
    plain: bool = False
    copies: tuple[Copy, ...] = ()

    def enqueue(self, cuda: Cuda, slot: Slot) -> bool:
        """Put all that one batch takes on the stream, in its order; False when TensorRT refuses."""
        count, rows, columns = self.shape
        if self.wanted.drawn:
            cuda.send(slot.scene, SCENE_BYTES)
            cuda.draw(slot.scene, count, rows, columns, slot.input.address)
        else:
            cuda.send(slot.input, count * rows * columns)
        if self.wanted.masks is not None:
            cuda.send(slot.masks.views_there, count * found.VIEW.itemsize)
        if not self.context.execute_async_v3(cuda.stream):
            return False
        if self.wanted.masks is not None:
            found.enqueue(cuda, slot.masks, slot.outputs, self.outputs, *self.wanted.masks)
            return True
        for output in slot.outputs:
            cuda.fetch(output.shared, int(np.prod(self.outputs[output.name])) * output.dtype.itemsize)
        return True

    def record(self, driver: Any, cuda: Cuda, slot: Slot) -> CudaGraph:
        """The same as a graph. Raises BackendError where it cannot be recorded."""
        capturable = getattr(self.context, "is_stream_capturable", None)  # of TensorRT for RTX
        if capturable is not None and not capturable(cuda.stream):
            raise BackendError("TensorRT says that the work cannot be recorded")
        return CudaGraph.record(driver, cuda.stream, lambda: self.enqueue(cuda, slot))


def open_context(trt: Any, engine: Any, cache: RuntimeCache | None) -> Any:
    """An execution context without memory of its own; None where TensorRT refuses."""
    by_user = trt.ExecutionContextAllocationStrategy.USER_MANAGED
    specialization = getattr(trt, "DynamicShapesKernelSpecializationStrategy", None)
    if specialization is None:
        return engine.create_execution_context(by_user)
    # TensorRT for RTX would compile for the shape in the background, and a graph would keep the slow kernels.
    config = engine.create_runtime_config()
    config.set_execution_context_allocation_strategy(by_user)
    config.dynamic_shapes_kernel_specialization_strategy = specialization.EAGER
    if cache is not None:
        cache.attach(config)
    return engine.create_execution_context(config)


def batch_for(count: int, least: int, batches: Sequence[int]) -> int:
    """The batch that `count` rows run in: a power of two, or the largest of a profile; what the rows beyond hold is nothing.

    batches: the largest of each profile.
    """
    if count > batches[0]:
        return batches[-1]
    return min(max(1 << (count - 1).bit_length(), least), batches[0])


def require_fitting(shape: tuple[int, ...], least: tuple[int, int], most: tuple[int, int]) -> None:
    """Raises BackendError where an input is not [N, 1, H, W] with H and W of the engine's profile."""
    count, channels, *sides = shape
    fits = all(low <= side <= high for low, side, high in zip(least, sides, most, strict=True))
    if count < 1 or channels != 1 or not fits:
        raise BackendError(
            f"the engine takes [N, 1, H, W] with H×W from {least} to {most}, not {list(shape)}: build it for such images"
        )


def settle(cuda: Cuda) -> None:
    """Nothing is under way any more, or nothing ever will be: the GPU is broken then."""
    try:
        cuda.wait()
    except Exception as error:  # the errors of a dead context are of several kinds
        log.warning("the GPU does not finish its work: %s", str(error))


def let_go(ready: Ready) -> None:
    """Its context and its graph."""
    if ready.graph is not None:
        ready.graph.destroy()
    ready.context = None


def clear(ready: OrderedDict[Key, Ready]) -> None:
    """Let go of all."""
    while ready:
        let_go(ready.popitem()[1])


def forget(slots: list[Slot]) -> None:
    """Let go of their events, also of those slots that the traceback of a failure holds."""
    for slot in slots:
        slot.done.event = None
    slots.clear()


def free_slot(slots: list[Slot]) -> Slot:
    """One that nothing is under way in; else the one that was used longest ago, whose answer is kept on the host.

    So who waits for each run at once uses the first alone, and warms up no other.
    """
    free = [slot for slot in slots if slot.flight is None]
    slot = min(free, key=lambda one: one.number) if free else slots[0]
    slots.remove(slot)
    slots.append(slot)
    if slot.flight is not None:
        slot.flight.keep()
    return slot
