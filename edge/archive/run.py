"""A folder in, its tables out: Ray Data hands batches of files to workers, here or on a cluster.

What is done is what stands in the tables, so a run that was ended, however, is taken up where it was.
"""

from __future__ import annotations

import contextlib
import logging
import math
import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import psutil

from edge.archive import identity, listing, spool
from edge.archive.turn import Turn
from edge.archive.work import Inspecting, Job, recover
from edge.config import CommandSettings
from edge.errors import ConfigError, EdgeError

LEAST_A_BATCH: Final = 16
MOST_A_BATCH: Final = 128
"""Files that one worker is given at a time, which become one Parquet file."""
BATCHES_A_WORKER: Final = 4
"""At least, so that no worker waits long for the last one."""
MOST_BLOCKS: Final = 2000
TRIES: Final = 4
"""Ray ends its own start where processes of its own need over 15 s, which no setting changes (its issue 65983)."""
RAY: Final = {
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_BACKEND_LOG_LEVEL": "fatal",  # its C++ half writes to stderr past every logger
    "RAY_DASHBOARD_STARTUP_TIMEOUT_S": "600",  # a part of it always starts; a machine under load needs minutes
    "RAY_agent_register_timeout_ms": "300000",
    "RAY_worker_register_timeout_seconds": "600",
}
"""What Ray is told by its environment, where the user's own does not say otherwise, before it is imported."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done. address: of a Ray cluster, None for this machine.  cores: of each worker.

    workers: side by side; None for as many as there are cores.
    """

    source: Path
    out: Path
    name: str
    workers: int | None = None
    cores: int = 1
    address: str | None = None
    pictures: bool = False


@dataclass(slots=True)
class Outcome:
    """What a run came to. found: files.  before: of them, those that an earlier run had done.

    denied: names that could not be looked at.  changed, gone: see `Left`.
    """

    found: int
    before: int
    denied: int
    changed: int = 0
    gone: int = 0
    verdicts: int = 0
    failed: int = 0


def inspect(plan: Plan, settings: CommandSettings, told: Callable[[int, int], None]) -> Outcome:
    """Inspect what is not done. told: hears files done and files to do, as they go. Raises EdgeError."""
    listing.require_apart(plan.source, plan.out)
    wanted = identity.identity_of(plan.name, plan.source, settings)
    found = listing.listed(plan.source, settings)
    identity.claim(plan.out, wanted)
    try:
        with Turn(plan.out) as turn:
            recover(plan.out)
            left = listing.left_of(found, plan.out, wanted.epoch)
            files = len(found.files)
            outcome = Outcome(files, files - len(left.paths), len(found.denied), left.changed, left.gone)
            told(outcome.before, files)
            if left.paths:
                job = Job(settings, wanted.epoch, plan.source.resolve(), plan.out.resolve(), turn.word, plan.pictures)
                _run(plan, job, left.paths, outcome, told)
            with contextlib.suppress(OSError):
                (plan.out / spool.FOLDER).rmdir()
    except OSError as error:
        raise ConfigError(f"{plan.out} cannot be written: {error.strerror or error}") from error
    return outcome


def batches_of(paths: Sequence[str], workers: int) -> list[list[bytes]]:
    """The files, raw, as they are handed out: in large batches where there are many."""
    size = min(MOST_A_BATCH, max(LEAST_A_BATCH, math.ceil(len(paths) / (workers * BATCHES_A_WORKER))))
    raw = [os.fsencode(path) for path in paths]
    return [raw[at : at + size] for at in range(0, len(raw), size)]


def _run(plan: Plan, job: Job, left: Sequence[str], outcome: Outcome, told: Callable[[int, int], None]) -> None:
    done = outcome.before
    with _ray(plan) as (ray, workers):
        batches = batches_of(left, workers)
        data = ray.data.from_items([{"paths": batch} for batch in batches], override_num_blocks=min(len(batches), MOST_BLOCKS))
        results = data.map(
            Inspecting, fn_constructor_args=(job,), num_cpus=plan.cores,
            compute=ray.data.ActorPoolStrategy(size=min(workers, len(batches)), max_tasks_in_flight_per_actor=2),
        )  # fmt: skip
        try:
            for row in results.iter_rows():
                done += row["files"]
                outcome.verdicts += row["verdicts"]
                outcome.failed += row["failed"]
                told(done, outcome.found)
        except ray.exceptions.RayError as error:
            raise _reason(error, plan) from error


def _reason(error: Exception, plan: Plan) -> EdgeError:
    """What ended a worker, in a sentence."""
    inner: Any = error
    while (cause := getattr(inner, "cause", None)) is not None and isinstance(cause, BaseException):
        inner = cause
    text = str(inner).strip().splitlines()
    last = text[-1] if text else type(inner).__name__
    return ConfigError(f"the archive is not done: {last}. What is done is kept in {plan.out}: mend it and say the same again")


@contextlib.contextmanager
def _ray(plan: Plan) -> Iterator[tuple[Any, int]]:
    """Ray, started where it is not, quiet, and without its usage statistics; and how many workers it gets."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # nothing is sent to its makers
    for name, value in RAY.items():
        os.environ.setdefault(name, value)
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise ConfigError(f"ray cannot be imported ({error}): pip install 'sem-corrosion-edge[archive]'") from error
    workers = plan.workers or max(1, _usable_cores() // plan.cores)
    reserved = workers * plan.cores + 1  # one to hand batches out
    here = {} if plan.address else {"num_cpus": reserved, "include_dashboard": False}
    former = signal.getsignal(signal.SIGTERM)
    logging.getLogger("ray").setLevel(logging.ERROR)
    _begin(ray, plan.address, here)
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    context.enable_operator_progress_bars = False
    if plan.address and not plan.workers:
        workers = max(1, int(ray.cluster_resources().get("CPU", 1)) // plan.cores)
    try:
        yield ray, workers
    finally:
        ray.shutdown()
        signal.signal(signal.SIGTERM, former)
        sys.stderr.flush()


def _usable_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _begin(ray: Any, address: str | None, here: Mapping[str, Any]) -> None:
    """Start Ray, which may need more than one try on a busy machine, or find its cluster. Raises ConfigError."""
    for left in reversed(range(1 if address else TRIES)):
        try:
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, **here)
        except Exception as error:  # Ray's own errors share no base class
            ray.shutdown()
            _end_what_was_started()
            if address:
                token = (
                    "" if os.environ.get("RAY_AUTH_MODE") else "; where the cluster asks for a token, set RAY_AUTH_MODE=token"
                )
                raise ConfigError(f"there is no Ray at {address} that answers: {error}{token}") from error
            if not left:
                raise ConfigError(f"Ray does not start here: {error} Try again when this machine is less busy") from error
        else:
            return


def _end_what_was_started() -> None:
    """A start that failed leaves processes behind, which would make the next one slower still."""
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            process.kill()
