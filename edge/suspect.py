"""A path in, inspections out, by a child process that may die of it.

An image that was begun and never finished may have killed its decoder, or only have been there when the power went.
So it is inspected once more where a death costs nothing and is seen.
"""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
from dataclasses import dataclass
from pathlib import Path

from edge import intake, oneshot
from edge.config import Settings
from edge.errors import ImageError
from edge.records import Inspection, Source

LONGEST_S = 600.0


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


def inspect_in_child(settings: Settings, path: Path, source: Source, longest_s: float = LONGEST_S) -> Outcome:
    """Read, decode and inspect `path` in a process of its own."""
    context = multiprocessing.get_context("spawn")  # A fork would carry our threads' locks along.
    receiver, sender = context.Pipe(duplex=False)
    child = context.Process(target=_work, args=(sender, settings, path, source), name="suspect", daemon=True)
    child.start()
    sender.close()
    try:
        if not receiver.poll(longest_s):
            child.kill()
            return Died(f"no answer within {longest_s:.0f} s")
        outcome: Outcome = receiver.recv()
    except (EOFError, ConnectionResetError):
        child.join()
        return Died(f"exit status {child.exitcode}")
    finally:
        receiver.close()
    child.join()
    return outcome


def _work(sender: multiprocessing.connection.Connection, settings: Settings, path: Path, source: Source) -> None:
    from dataclasses import replace

    from edge.pipeline import Pipeline

    sha256 = None
    outcome: Outcome
    try:
        file = intake.read_file(path, oneshot.limits_of(settings).max_bytes, within=settings.watch.folder)
        sha256 = file.sha256
        with Pipeline(settings) as pipeline:
            outcome = oneshot.inspect_bytes(pipeline, settings, file, replace(source, sha256=sha256), 0.0)
    except ImageError as error:
        outcome = Refused(error, sha256)
    sender.send(outcome)
    sender.close()
