"""A path in, inspections out, by a child process that may die of it.

An image that was begun and never finished may have killed its decoder, or only have been there when the power went.
So it is inspected once more where a death costs nothing and is seen.
"""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from multiprocessing import resource_tracker
from multiprocessing.process import BaseProcess
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

from edge.config import Settings
from edge.errors import EdgeError, ImageError, in_words
from edge.folder.file import read_file
from edge.inspection.pipeline import Pipeline, limits_of
from edge.records import Inspection, Source
from edge.service.worker import printable

log = logging.getLogger(__name__)

DEATHS = 2
"""So many deaths that the parent saw are needed to give an image up."""
LONGEST_S = 300.0
LOOK_S = 0.2
LAST_WORDS_S = 10.0
"""So long may a child that has closed its end of the pipe take to end."""


@dataclass(frozen=True, slots=True)
class Died:
    """The child ended without an answer. how: its exit status or signal, or that it took too long."""

    how: str


@dataclass(frozen=True, slots=True)
class Refused:
    """The child could not inspect the image, and said why."""

    error: ImageError
    sha256: str | None


Outcome = list[Inspection] | Refused | Died


def inspect_in_child(
    settings: Settings,
    path: Path,
    source: Source,
    longest_s: float = LONGEST_S,
    *,
    needs_sidecars: bool = False,
    given_up: Callable[[], bool] = lambda: False,
) -> Outcome | None:
    """Read, decode and inspect `path` in a process of its own, which does not outlive this call nor this process.

    needs_sidecars: see `read_file`.
    given_up: asked again and again; once it holds, the child is ended and None is returned.
    """
    try:
        outcome: Outcome | None = answer_of(_work, (settings, path, source, needs_sidecars), "suspect", longest_s, given_up)
    except SilentError:
        return Died(f"no answer within {longest_s:g} s")
    except DiedError as died:
        return Died(f"exit status {died.exit_status}")
    return outcome


def _work(
    sender: multiprocessing.connection.Connection, settings: Settings, path: Path, source: Source, needs_sidecars: bool
) -> None:
    let_go_first()
    sha256 = None
    outcome: Outcome
    try:
        limit = limits_of(settings).max_bytes
        file = read_file(path, limit, within=settings.watch.folder, needs_sidecars=needs_sidecars)
        sha256 = file.sha256
        with Pipeline(settings) as pipeline:
            outcome = pipeline.inspect_file(file, replace(source, sha256=sha256))
    except ImageError as error:
        outcome = Refused(error, sha256)
    except EdgeError:
        raise
    except Exception as error:  # a defect in a reader, as where the daemon itself meets it
        log.exception("%s: inspecting it failed", printable(source.path))
        outcome = Refused(ImageError("internal", f"inspecting it failed: {in_words(error)}"), sha256)
    sender.send(outcome)
    sender.close()


class SilentError(Exception):
    """A child gave no answer in time."""


class DiedError(Exception):
    """A child ended without an answer. exit_status: negative for a signal, None where it would not end."""

    def __init__(self, exit_status: int | None) -> None:
        super().__init__(f"exit status {exit_status}")
        self.exit_status = exit_status


def answer_of(
    work: Callable[..., None], arguments: tuple[Any, ...], name: str, longest_s: float, given_up: Callable[[], bool]
) -> Any:
    """What `work(sender, *arguments)` sends from a process of its own; None once `given_up` holds.

    The process does not outlive this call. Raises SilentError, DiedError.
    """
    context = multiprocessing.get_context("spawn")  # A fork would carry our threads' locks along.
    receiver, sender = context.Pipe(duplex=False)
    child = context.Process(target=work, args=(sender, *arguments), name=name, daemon=True)
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
                raise SilentError
        return receiver.recv()
    except (EOFError, OSError, UnpicklingError):  # It may also die in the middle of its answer.
        child.join(LAST_WORDS_S)
        raise DiedError(child.exitcode) from None
    finally:
        receiver.close()
        child.kill()
        child.join()


def let_go_first() -> None:
    """In a child: end with the parent, and be what goes when memory runs out, not the daemon."""
    threading.Thread(target=end_with_parent, name="parent", daemon=True).start()
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")


def start_unsignalled(child: BaseProcess) -> None:
    """Start a child that a stop of the service does not reach: its parent ends it.

    systemd and Ctrl-C signal every process, but a stop is no death that an image is guilty of. A child inherits the mask.
    """
    resource_tracker.ensure_running()  # Else the first start does it, and would undo what follows.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM, signal.SIGINT))
    try:
        child.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def end_with_parent() -> None:
    """Wait for the parent of a child process, and end with it."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
