"""Settings in, whether a lower precision may speak for float32 out: found beside the service, which runs in float32 meanwhile.

The gate takes seconds on a quiet machine and many on a busy one, and no image should wait for it. It has a process of its own,
which yields to the service and may die of a precision that the processor cannot run.
"""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import multiprocessing.connection
import os
import threading
from collections.abc import Callable
from pathlib import Path
from pickle import UnpicklingError
from typing import Final

from edge.config import Settings
from edge.errors import EdgeError
from edge.inspection import parity
from edge.service.isolated import LAST_WORDS_S, end_with_parent, start_unsignalled

log = logging.getLogger(__name__)

LOOK_S: Final = 0.2
NICE: Final = 10


def begin(settings: Settings, memory: Path, given_up: Callable[[], bool], passed: Callable[[], None]) -> threading.Thread:
    """Start it; `passed` is called when a lower precision was admitted, and the outcome stands in `memory` by then."""

    def work() -> None:
        found = decided(settings, memory, given_up)
        if found is not None:
            precision, why = found
            log.info("the gate says %s: %s", precision, why)
            if precision != "float32" and not given_up():
                passed()

    thread = threading.Thread(target=work, name="gate", daemon=True)
    thread.start()
    return thread


def decided(settings: Settings, memory: Path, given_up: Callable[[], bool] = lambda: False) -> tuple[str, str] | None:
    """What `parity.gated_precision` says in a process of its own; None where that was given up, or died."""
    context = multiprocessing.get_context("spawn")  # a fork would carry our threads' locks along
    receiver, sender = context.Pipe(duplex=False)
    child = context.Process(target=_work, args=(sender, settings, memory), name="gate", daemon=True)
    try:
        start_unsignalled(child)
    finally:
        sender.close()
    try:
        while not receiver.poll(LOOK_S):
            if given_up():
                return None
        outcome: tuple[str, str] = receiver.recv()
        return outcome
    except (EOFError, OSError, UnpicklingError):
        child.join(LAST_WORDS_S)
        log.warning(
            "comparing a lower precision with float32 killed the process (exit status %s): float32 stays", child.exitcode
        )
        return None
    finally:
        receiver.close()
        child.kill()
        child.join()


def _work(sender: multiprocessing.connection.Connection, settings: Settings, memory: Path) -> None:
    threading.Thread(target=end_with_parent, name="parent", daemon=True).start()
    os.nice(NICE)
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")  # when memory runs out, this process is to go, not the daemon
    try:
        outcome = parity.gated_precision(settings, memory)
    except EdgeError as error:
        outcome = "float32", str(error)
    sender.send(outcome)
    sender.close()
