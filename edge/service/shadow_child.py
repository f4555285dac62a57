"""Images and what the present models said of them in, a candidate's rows of the same out, by a process that gives way.

The parent's half stands above, the child's below. Nothing heavy is imported here, so that the child lowers its priority first.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import multiprocessing.connection
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from edge.config import Settings
    from edge.records import Micrograph, Source

NICEST: Final = 19
LOOK_S: Final = 0.2
LONGEST_S: Final = 300.0
"""So long may loading the models take, and one image."""
LAST_WORDS_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class Judged:
    """One page that has its verdict. document: the JSON of its message.  micrograph: the pixels that were inspected."""

    inspection_id: str
    document: bytes
    micrograph: Micrograph
    source: Source


@dataclass(frozen=True, slots=True)
class Sides:
    """What both said of one page: flat rows, hashes of models by stage, and the candidate's picture where it was wanted.

    settings_sha256: of the present models.  weight, agrees, area_change: see `edge.journal.shadowed.Seen`.
    """

    before: dict[str, Any]
    after: dict[str, Any]
    models: tuple[dict[str, str | None], dict[str, str | None]]
    settings_sha256: str
    weight: float
    agrees: bool | None
    area_change: float | None
    picture: bytes | None


@dataclass(frozen=True, slots=True)
class Opened:
    """The models are loaded. runs_on: backend and precision."""

    runs_on: tuple[str, str]


class ChildEndedError(Exception):
    """The candidate's process ended, was ended, or cannot go on; the text says how."""


class Child:
    """A candidate's process, which does not outlive this object nor this process. Used by one thread.

    Every method raises ChildEndedError, after which it is of no more use, and returns None once `given_up` holds.
    """

    def __init__(
        self,
        settings: Settings,
        precision: str,
        *,
        most_bytes: int,
        given_up: Callable[[], bool],
        longest_s: float = LONGEST_S,
        main: Callable[[multiprocessing.connection.Connection], None] | None = None,
    ) -> None:
        """Start it. settings, precision: of the candidate.  most_bytes: of memory that it may take.

        longest_s: for loading the models, and for each image.  main: what it runs.
        """
        from edge.service.isolated import start_unsignalled

        context = multiprocessing.get_context("spawn")  # A fork would carry our threads' locks along.
        self._given_up, self._most_bytes, self._longest_s = given_up, most_bytes, longest_s
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=main or serve, args=(theirs,), name="shadow", daemon=True)
        try:
            start_unsignalled(self._process)
        finally:
            theirs.close()
        self._say((settings, precision))

    def opened(self) -> Opened | None:
        """Wait for its models."""
        answer = self._answer()
        if answer is not None and not isinstance(answer, Opened):
            raise ChildEndedError(str(answer))
        return answer

    def ask(self, judged: Judged, least_weight: float) -> Sides | None:
        """What it says of one page. least_weight: how much must have changed for a picture to be drawn."""
        self._say((judged, least_weight))
        answer = self._answer()
        if answer is not None and not isinstance(answer, Sides):
            raise ChildEndedError(str(answer))
        return answer

    def look(self) -> None:
        """See whether it is still there, and how much memory it takes, while nothing is asked."""
        if not self._process.is_alive():
            raise self._died()
        self._weigh()

    def close(self) -> None:
        """End it."""
        self._connection.close()
        self._process.kill()
        self._process.join()

    def __enter__(self) -> Child:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _say(self, what: object) -> None:
        try:
            self._connection.send(what)
        except OSError as error:
            raise self._died() from error

    def _answer(self) -> object:
        until = time.monotonic() + self._longest_s
        try:
            while not self._connection.poll(min(LOOK_S, self._longest_s)):
                if self._given_up():
                    return None
                if time.monotonic() >= until:
                    raise ChildEndedError(f"no answer within {self._longest_s:g} s")
                self._weigh()
            answer: object = self._connection.recv()
            return answer
        except (EOFError, OSError, UnpicklingError) as error:  # It may also die in the middle of its answer.
            raise self._died() from error

    def _weigh(self) -> None:
        """A candidate that eats the memory of the service is ended before the kernel has to choose."""
        import psutil

        with contextlib.suppress(psutil.Error):
            taken = psutil.Process(self._process.pid).memory_info().rss
            if taken > self._most_bytes:
                raise ChildEndedError(f"it took {taken >> 20} MiB of memory, {self._most_bytes >> 20} are allowed")

    def _died(self) -> ChildEndedError:
        self._process.join(LAST_WORDS_S)
        return ChildEndedError(f"exit status {self._process.exitcode}")


def give_way() -> None:
    """Run after everything else on this machine, on the processor and on the disk, and be the first that runs out of memory."""
    with contextlib.suppress(OSError):
        os.nice(NICEST)
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")
    import psutil

    with contextlib.suppress(psutil.Error, OSError, AttributeError):
        psutil.Process().ionice(psutil.IOPRIO_CLASS_IDLE)


def serve(connection: multiprocessing.connection.Connection) -> None:
    """The child: load the candidate's models, then answer image after image until the parent hangs up."""
    give_way()
    from edge.errors import EdgeError
    from edge.inspection.pipeline import Pipeline
    from edge.service.isolated import end_with_parent

    threading.Thread(target=end_with_parent, name="parent", daemon=True).start()
    settings, precision = connection.recv()
    try:
        with Pipeline(settings, precision=precision) as pipeline:
            connection.send(Opened((pipeline.models.backend, pipeline.models.precision)))
            while True:
                judged, least_weight = connection.recv()
                connection.send(_sides(pipeline, settings, judged, least_weight))
    except EOFError:
        return
    except EdgeError as error:  # a model that cannot be used; whatever else escapes is told by the exit status and the log
        connection.send(str(error))


def _sides(pipeline: Any, settings: Settings, judged: Judged, least_weight: float) -> Sides:
    """Raises BackendError."""
    import json

    from edge.compare.changes import Change, difference
    from edge.inspection import overlay
    from edge.wire.flat import flat
    from edge.wire.inspection import encode_inspection

    inspection = pipeline.inspect(judged.micrograph, judged.source)
    document = encode_inspection(inspection, inspection_id=judged.inspection_id, epoch=None, seq=None, device=settings.device)
    said, says = json.loads(judged.document), json.loads(document)
    change = Change(flat(said), flat(says))
    one, other = change.answers
    wanted = change.is_one and change.weight >= least_weight
    return Sides(
        before=dict(change.before),
        after=dict(change.after),
        models=(_models(said), _models(says)),
        settings_sha256=said["settings_sha256"],
        weight=change.weight,
        agrees=None if one == other == "not_run" else one == other,
        area_change=difference(change, "area_fraction"),
        picture=overlay.encode(overlay.draw(inspection), "webp") if wanted else None,
    )


def _models(document: dict[str, Any]) -> dict[str, str | None]:
    stages = ("segmenter", "classifier", "regions", "taught")
    return {stage: (document["model"].get(stage) or {}).get("sha256") for stage in stages}
