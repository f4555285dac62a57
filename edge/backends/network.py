"""Named arrays in, named arrays out: what every inference library looks like to the two stages.

A library is imported only in its backend's own file, when a network is opened.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from types import TracebackType
from typing import Any, Protocol

import numpy as np
import psutil
from numpy.typing import NDArray

from edge.errors import BackendError

Arrays = Mapping[str, NDArray[Any]]


def require_numbers(values: NDArray[Any], what: str) -> None:
    """Raises BackendError where a network gave out NaN or an infinity: the network is broken then, not the image.

    what: plural, such as "boxes".
    """
    if not np.isfinite(values).all():
        raise BackendError(
            f"the network's {what} are not numbers: restart the service; if it comes back, build the engine again "
            "(edge-export tensorrt --again) or choose another backend (models.backend)"
        )


class Network(Protocol):
    """One loaded model, used and closed by the thread that opened it.

    name: of the backend's row in `edge.backends.table`.
    precision: what the model really runs in: "float32", "bfloat16" or "float16".

    A network that runs an engine in place of the ONNX file has that file's hash as `engine_sha256`. One that any thread may
    run, one thread at a time, has `any_thread` True; it then works beside what the host does with its earlier answers.
    """

    name: str
    precision: str

    def run(self, image: NDArray[np.uint8]) -> Arrays:
        """Outputs by name for uint8 images [N, 1, H, W]. Raises BackendError."""
        ...

    def close(self) -> None:
        """Free what the network holds."""
        ...

    def __enter__(self) -> Network: ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None: ...


class Pending(Protocol):
    """A run that was launched: its outputs, when they are asked for."""

    def collect(self) -> Arrays:
        """Wait for the outputs; the same at each call. Raises BackendError."""
        ...


class Later:
    """What `run` will give, run when it is collected: for a network that works on the host's own cores."""

    def __init__(self, run: Callable[[], Arrays]) -> None:
        self._run = run
        self._outputs: Arrays | None = None

    def collect(self) -> Arrays:
        """The outputs. Raises BackendError."""
        if self._outputs is None:
            self._outputs = self._run()
        return self._outputs


class Beside:
    """What runs in another thread."""

    def __init__(self, under_way: Future[Arrays]) -> None:
        self._under_way = under_way

    def collect(self) -> Arrays:
        """Wait for the outputs. Raises BackendError."""
        return self._under_way.result()


def cores() -> int:
    """How many threads a network gets: one for each physical core that this process may use.

    OMP_NUM_THREADS lowers it: what hands out cores among several processes says so there.
    """
    affinity = getattr(os, "sched_getaffinity", None)  # Linux alone has it
    usable = len(affinity(0)) if affinity is not None else os.cpu_count() or 1
    told = os.environ.get("OMP_NUM_THREADS", "")
    most = max(int(told), 1) if told.isdecimal() else usable
    return min(psutil.cpu_count(logical=False) or usable, usable, most)


def side_by_side(count: int, at_once: int) -> int:
    """How many of `count` small images should run side by side, `at_once` of them at a time; the others one after the
    other, with all cores on each: a last round that is half empty would leave half of the cores idle.
    """
    rest = count % at_once
    return count if rest > at_once / 2 else count - rest
