"""A folder in, its tables out: Ray Data hands batches of files to workers, here or on a cluster.

What is done is what stands in the tables, so a run that was ended, however, is taken up where it was.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from edge.archive import identity, tables
from edge.archive.identity import Identity
from edge.archive.work import BEGUN, Inspecting, Job
from edge.config import CommandSettings
from edge.errors import ConfigError, EdgeError
from edge.folder.scan import scan
from edge.inspection.pipeline import Pipeline
from edge.inspector import opener_for, precision_for
from edge.wire.encode import display_path

FILES_A_BATCH: Final = 16
"""What a killed worker costs, and the least that is written at a time."""
MOST_BLOCKS: Final = 2000
TRIES: Final = 3


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done. address: of a Ray cluster, None for this machine.  cores: of each worker."""

    source: Path
    out: Path
    name: str
    workers: int = 1
    cores: int = 1
    address: str | None = None
    pictures: bool = False
    files_a_batch: int = FILES_A_BATCH


@dataclass(slots=True)
class Outcome:
    """What a run came to. found: files.  before: of them, those that an earlier run had done."""

    found: int
    before: int
    verdicts: int = 0
    failed: int = 0


def listed(source: Path, settings: CommandSettings) -> list[str]:
    """Every image below `source`, sorted; raises ConfigError where the folder cannot be listed."""
    if not source.is_dir():
        raise ConfigError(f"{source} is no folder")
    try:
        found = scan(source, settings.watch.patterns, settings.watch.recursive)
        return sorted(sighting.path for sighting in found if sighting.kind != "not_a_file")
    except OSError as error:
        raise ConfigError(f"{source} cannot be listed: {error.strerror or error}") from error


def inspect(plan: Plan, settings: CommandSettings, told: Callable[[int, int], None]) -> Outcome:
    """Inspect what is not done. told: hears files done and files to do, as they go. Raises EdgeError."""
    with Pipeline(settings, precision=precision_for(settings), open_network=opener_for(settings)) as pipeline:
        wanted = identity.identity_of(plan.name, plan.source, settings, pipeline)
    paths = listed(plan.source, settings)
    if identity.claim(plan.out, wanted):
        done = tables.done_paths(plan.out)
        left = [path for path in paths if display_path(path) not in done]
    else:
        left = paths
    outcome = Outcome(len(paths), len(paths) - len(left))
    told(outcome.before, len(paths))
    if left:
        _run(plan, settings, wanted, left, outcome, told)
    with contextlib.suppress(OSError):
        shutil.rmtree(plan.out / BEGUN)
    return outcome


def _run(
    plan: Plan,
    settings: CommandSettings,
    wanted: Identity,
    left: Sequence[str],
    outcome: Outcome,
    told: Callable[[int, int], None],
) -> None:
    job = Job(settings, wanted.epoch, plan.source.resolve(), plan.out.resolve(), plan.pictures)
    batches = [list(left[at : at + plan.files_a_batch]) for at in range(0, len(left), plan.files_a_batch)]
    done = outcome.before
    with _ray(plan) as ray:
        data = ray.data.from_items([{"paths": batch} for batch in batches], override_num_blocks=min(len(batches), MOST_BLOCKS))
        workers = min(plan.workers, len(batches))
        results = data.map(
            Inspecting, fn_constructor_args=(job,), num_cpus=plan.cores,
            compute=ray.data.ActorPoolStrategy(size=workers, max_tasks_in_flight_per_actor=2),
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
def _ray(plan: Plan) -> Iterator[Any]:
    """Ray, started where it is not, quiet, and without its usage statistics."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # its C++ half writes to stderr past every logger
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise ConfigError(f"ray cannot be imported ({error}): pip install 'sem-corrosion-edge[archive]'") from error
    cores = plan.workers * plan.cores + 1  # one to hand batches out
    here = {} if plan.address else {"num_cpus": cores, "include_dashboard": False}
    former = signal.getsignal(signal.SIGTERM)
    logging.getLogger("ray").setLevel(logging.ERROR)
    _begin(ray, plan.address, here)
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    context.enable_operator_progress_bars = False
    try:
        yield ray
    finally:
        ray.shutdown()
        signal.signal(signal.SIGTERM, former)
        sys.stderr.flush()


def _begin(ray: Any, address: str | None, here: Mapping[str, Any]) -> None:
    """Start Ray, or find its cluster; on a busy machine it may need more than one try. Raises ConfigError."""
    for left in reversed(range(TRIES)):
        try:
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, **here)
        except Exception as error:  # Ray's own errors share no base class
            ray.shutdown()
            if not left:
                where = f"at {address}" if address else "on this machine"
                raise ConfigError(f"Ray does not start {where}: {error}") from error
        else:
            return
