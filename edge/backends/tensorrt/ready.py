"""Shapes of input that are ready to run: an execution context each, what is put on the stream for it, and its graph."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import numpy as np

from edge.backends.tensorrt import found
from edge.backends.tensorrt.cuda import SCENE_BYTES, Cuda
from edge.backends.tensorrt.flight import Slot
from edge.backends.tensorrt.graph import CudaGraph


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
    """One shape of input that is ready to run in one slot. outputs: their shapes.

    NVIDIA asks for a context of its own for each graph: changing the shapes of a context that was recorded is undefined.
    """

    context: Any
    shape: tuple[int, int, int]
    wanted: Wanted
    outputs: dict[str, tuple[int, ...]]
    runs: int = 0
    graph: CudaGraph | None = None
    plain: bool = False

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
