"""A release that was fetched in; whether its models load and inspect a shipped image out, found in a process of its own.

A model is a program of a kind: it may take all memory, never end, or kill who loads it. So it is tried where that costs little.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import multiprocessing.connection
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from pickle import UnpicklingError
from typing import Final

from edge.backends import table
from edge.config import Settings
from edge.errors import EdgeError
from edge.fleet.release import Release
from edge.inspection.pipeline import Pipeline
from edge.records import Source
from edge.samples import smallest_sample
from edge.service.isolated import LAST_WORDS_S, LOOK_S, end_with_parent, start_unsignalled

LONGEST_S: Final = 900.0
NICE: Final = 10


def refusal(
    release: Release, settings: Settings, given_up: Callable[[], bool] = lambda: False, longest_s: float = LONGEST_S
) -> str | None:
    """Why this release cannot be used here, None where it can; also None where that was given up: ask `given_up` again.

    settings: of the configuration; of them the release replaces the models.
    """
    try:
        tried = release.in_place_of(settings)
    except EdgeError as error:
        return str(error)
    if tried.models.backend == "kserve":  # the server need not have it yet: that it loads is found out here
        tried = tried.model_copy(update={"models": tried.models.model_copy(update={"backend": table.AUTO})})
    context = multiprocessing.get_context("spawn")  # a fork would carry our threads' locks along
    receiver, sender = context.Pipe(duplex=False)
    child = context.Process(target=_work, args=(sender, tried), name="trial", daemon=True)
    try:
        start_unsignalled(child)
    finally:
        sender.close()
    try:
        until = time.monotonic() + longest_s
        while not receiver.poll(min(LOOK_S, longest_s)):
            if given_up():
                return None
            if time.monotonic() >= until:
                return f"its models gave no answer on a shipped image within {longest_s:g} s"
        why: str | None = receiver.recv()
        return why
    except (EOFError, OSError, UnpicklingError):
        child.join(LAST_WORDS_S)
        return f"its models killed the process in which they were tried on a shipped image (exit status {child.exitcode})"
    finally:
        receiver.close()
        child.kill()
        child.join()


def _work(sender: multiprocessing.connection.Connection, settings: Settings) -> None:
    threading.Thread(target=end_with_parent, name="parent", daemon=True).start()
    os.nice(NICE)
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")  # when memory runs out, this process is to go, not the daemon
    why = None
    try:
        with Pipeline(settings) as pipeline:
            pipeline.inspect(smallest_sample(), Source("sample", "sample", None))
    except EdgeError as error:
        why = str(error)
    except Exception as error:  # a card or a network that nobody foresaw
        why = f"trying its models on a shipped image failed: {error!r}"
    sender.send(why)
    sender.close()
