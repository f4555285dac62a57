"""Batches that are under way on the GPU: two buffers in turn, so that one runs while the host works on the other's answer.

A run is launched by `submit` and waited for by `collect`; the host may do what it likes in between. Whoever launches a third
batch before the first was collected finds the first one's answer kept on the host.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
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
    masks: the `MaskRoom` of a segmenter.
    """

    number: int
    scene: Shared
    input: Shared
    outputs: tuple[Output, ...]
    done: Moment
    masks: Any = None
    flight: Flight | None = None


class Flight:
    """One batch in its slot. read: copies its answer out of the slot."""

    def __init__(self, cuda: Cuda, slot: Slot, read: Callable[[Slot], Any]) -> None:
        self._cuda = cuda
        self._slot: Slot | None = slot
        self._read: Callable[[Slot], Any] = read
        self._answer: Any = None
        self._failure: BackendError | None = BackendError("the engine was closed before this run was collected")
        slot.flight = self

    def land(self) -> Any:
        """The answer, as soon as it is there. Raises BackendError, at each call."""
        self.keep()
        if self._failure is not None:
            raise self._failure
        return self._answer

    def keep(self) -> None:
        """Wait for the answer, and copy it out of the slot, which is free then. What is wrong with it `land` tells."""
        slot, self._slot = self._slot, None
        if slot is not None:
            slot.flight = None
            self._cuda.wait(slot.done)
            self._failure = None
            try:
                self._answer = self._read(slot)
            except BackendError as error:
                self._failure = error

    def give_up(self) -> None:
        """The slot goes, with the engine."""
        self._slot = None


def rows_of(slot: Slot, shapes: Mapping[str, tuple[int, ...]], count: int) -> dict[str, NDArray[Any]]:
    """Copies of the first `count` rows of each output. shapes: as the engine gives them."""
    rows = {}
    for output in slot.outputs:
        shape = (count, *shapes[output.name][1:])
        part = output.shared.host[: int(np.prod(shape)) * output.dtype.itemsize]
        rows[output.name] = part.view(output.dtype).reshape(shape).copy()
    return rows


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
