"""A command line in; `edge-daemon` whose libraries die, hang or fail at files of certain names out.

    python tests/faults/poisoned.py [--real] [--hangs] --config CONFIG

A file named `poison-WHAT-WHERE.png` does WHAT to the process, of `WHAT` below, as soon as it is WHERE: `read`, `judged` or
`drawn`. It does so in the daemon's child processes too. With `--hangs` a thread that stands still counts as
dead after seconds, not minutes.
"""

from __future__ import annotations

import ctypes
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from edge.inspection.pipeline import Pipeline
    from edge.records import Inspection, Micrograph, Source

STUCK_S: Final = 8.0
CHILD_S: Final = 25.0
"""In place of 15 minutes for a thread, and of 5 for a suspect's child."""


class UnspeakableError(Exception):
    """Cannot even be printed."""

    def __repr__(self) -> str:
        raise RuntimeError("nor this")

    __str__ = __repr__


class Panic(BaseException):
    """No `Exception`."""


def overflow() -> None:
    """More frames than the stack has room for."""
    threading.stack_size(1 << 18)
    sys.setrecursionlimit(10**6)

    class Deep:
        def __getattr__(self, name: str) -> object:
            return getattr(self, name + "x")

    thread = threading.Thread(target=lambda: Deep().a)
    thread.start()
    thread.join()
    os.kill(os.getpid(), signal.SIGSEGV)  # where Python itself noticed


def spin() -> None:
    """Never done."""
    while True:
        pass


def fail(error: BaseException) -> None:
    """A defect."""
    raise error


def broken() -> None:
    """As when the networks' library fails."""
    from edge.errors import BackendError

    raise BackendError("the network fails")


def stop_with(number: int) -> None:
    """A signal that the process itself causes, from any thread."""
    ctypes.CDLL(None).signal(number, None)
    os.kill(os.getpid(), number)
    time.sleep(10)


WHAT: Final[dict[str, Callable[[], Any]]] = {
    "segv": lambda: ctypes.string_at(0),
    "abort": os.abort,
    "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "bus": partial(stop_with, signal.SIGBUS),
    "fpe": partial(stop_with, signal.SIGFPE),
    "ill": partial(stop_with, signal.SIGILL),
    "exit0": lambda: os._exit(0),
    "overflow": overflow,
    "memory": lambda: fail(MemoryError()),
    "recursion": lambda: fail(RecursionError("maximum recursion depth exceeded")),
    "unspeakable": lambda: fail(UnspeakableError()),
    "long": lambda: fail(ValueError("\ud800\n\x1b[2J" + "x" * 1_000_000)),
    "systemexit": lambda: fail(SystemExit(3)),
    "panic": lambda: fail(Panic("a library of Rust gave up")),
    "backend": broken,
    "sleep": lambda: time.sleep(3600),
    "holdgil": lambda: ctypes.PyDLL(None).sleep(3600),
    "spin": spin,
}
_NAME: Final = re.compile(r"poison-(\w+)-(read|judged|drawn)\.")


def act(name: str, where: str) -> None:
    """Do what a name says, if it is to be done here."""
    found = _NAME.match(name)
    if found and found[2] == where:
        WHAT[found[1]]()


def poison() -> None:
    """Let the libraries of this process act. Called in the daemon and in its children alike."""
    from edge import sem
    from edge.inspection import pipeline
    from edge.service import isolated

    true_read, true_inspect = sem.read, pipeline.Pipeline.inspect

    def read(data: bytes, name: str, *rest: Any, **more: Any) -> tuple[Micrograph, ...]:
        act(name, "read")
        return true_read(data, name, *rest, **more)

    def inspect(self: Pipeline, micrograph: Micrograph, source: Source, **more: Any) -> Inspection:
        act(source.name, "judged")
        return true_inspect(self, micrograph, source, **more)

    sem.read = read
    pipeline.Pipeline.inspect = inspect  # type: ignore[method-assign]
    isolated.inspect_in_child.__defaults__ = (CHILD_S,)


def poison_daemon(*, hangs: bool) -> None:
    """What only the daemon itself does. hangs: a thread that stands still is soon taken for dead."""
    from edge.inspection import overlay
    from edge.service import daemon

    true_draw = overlay.draw

    def draw(inspection: Inspection, *rest: Any, **more: Any) -> NDArray[np.uint8]:
        act(inspection.source.name, "drawn")
        return true_draw(inspection, *rest, **more)

    overlay.draw = draw
    if hangs:
        daemon.STUCK_S = STUCK_S  # type: ignore[misc]


if __name__ in ("__main__", "__mp_main__"):
    sys.path.insert(0, str(Path(__file__).parents[2]))
    poison()

if __name__ == "__main__":
    from tests.faults.stand_in import stand_in

    asked = {"--real", "--hangs"} & set(sys.argv)
    sys.argv = [one for one in sys.argv if one not in asked]
    if "--real" not in asked:
        stand_in()
    poison_daemon(hangs="--hangs" in asked)
    from edge.commands.cli import daemon

    sys.exit(daemon())
