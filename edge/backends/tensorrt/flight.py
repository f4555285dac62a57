"""Batches that are under way on the GPU: two buffers in turn, so that one runs while the host works on the other's answer.

A run is launched by `submit` and waited for by `collect`; the host may do what it likes in between. Whoever launches a third
batch before the first was collected finds the first one's answer kept on the host.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.backends.network import Arrays
from edge.backends.tensorrt.cuda import IN_FLIGHT, Cuda, Moment, Shared
from edge.errors import BackendError


@dataclass(frozen=True, slots=True, eq=False)
class Output:
    """One output: its name, its type, and where it lies."""

    name: str
    dtype: np.dtype[Any]
    shared: Shared


@dataclass(slots=True, eq=False)
class Slot:
    """What one batch needs from its launch until it is collected.

    scene: the crops to be drawn.  input: what the network sees.  done: when its answer is on the host.
    """

    number: int
    scene: Shared
    input: Shared
    outputs: tuple[Output, ...]
    done: Moment
    flight: Flight | None = None


class Flight:
    """One batch in its slot. shapes: of the outputs, as the engine gives them; of their rows the first `count` are wanted."""

    def __init__(self, cuda: Cuda, slot: Slot, shapes: dict[str, tuple[int, ...]], count: int) -> None:
        self._cuda = cuda
        self._slot: Slot | None = slot
        self._shapes = shapes
        self._count = count
        self._rows: dict[str, NDArray[Any]] = {}
        slot.flight = self

    def land(self) -> dict[str, NDArray[Any]]:
        """Wait for the answer, and copy it out of the slot, which is free then."""
        slot, self._slot = self._slot, None
        if slot is not None:
            slot.flight = None
            self._cuda.wait(slot.done)
            for output in slot.outputs:
                shape = (self._count, *self._shapes[output.name][1:])
                part = output.shared.host[: int(np.prod(shape)) * output.dtype.itemsize]
                self._rows[output.name] = part.view(output.dtype).reshape(shape).copy()
        return self._rows

    def give_up(self) -> None:
        """The slot goes, with the engine."""
        self._slot = None


class Run:
    """An input of any number of rows, as batches of at most `most`; the first are launched at once.

    launch: starts the batch of rows from, to.  watched: translates errors of CUDA.
    """

    def __init__(
        self,
        count: int,
        most: int,
        launch: Callable[[int, int], Flight],
        watched: Callable[[], AbstractContextManager[None]],
    ) -> None:
        self._launch = launch
        self._watched = watched
        self._todo = deque((start, min(start + most, count)) for start in range(0, count, most))
        self._flights: deque[Flight] = deque()
        self._arrays: Arrays | None = None
        self._closed = False
        self._fill()

    def collect(self) -> Arrays:
        """Outputs by name, as soon as they are there; the same at each call. Raises BackendError."""
        if self._arrays is None:
            if self._closed:
                raise BackendError("the engine was closed before this run was collected")
            parts = []
            while self._flights:
                with self._watched():
                    parts.append(self._flights.popleft().land())
                self._fill()
            whole = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
            self._arrays = parts[0] if len(parts) == 1 else whole
        return self._arrays

    def give_up(self) -> None:
        """Nobody can collect it any more: the engine is closed."""
        self._closed = True
        while self._flights:
            self._flights.popleft().give_up()

    def _fill(self) -> None:
        while self._todo and len(self._flights) < IN_FLIGHT:
            with self._watched():
                self._flights.append(self._launch(*self._todo.popleft()))
