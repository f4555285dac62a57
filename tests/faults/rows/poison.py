"""A file that no reader survives, and three restarts: a trial in, whether it was told once and held up nobody out."""

from __future__ import annotations

import contextlib
import signal
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from subprocess import TimeoutExpired
from typing import Final

from edge.service.pulse import VARIABLE
from edge.wire.encode import display_path
from tests import ROOT
from tests.faults.bench import Bench
from tests.faults.poisons import POISONS, Poison
from tests.faults.row import Outcome, Row, Trial

RESTARTS: Final = 3
SILENT_S: Final = 15.0
"""A daemon that says nothing for so long is ended, as systemd's watchdog would."""
SIGNALS: Final = frozenset(-one for one in (signal.SIGSEGV, signal.SIGABRT, signal.SIGKILL, signal.SIGBUS, signal.SIGFPE,
                                            signal.SIGILL))  # fmt: skip


class Watched(Bench):
    """A bench that knows that a poisoned process may end by any signal; with a watchdog where the poison makes it hang."""

    def __init__(self, trial: Trial, some: Sequence[Poison], seed: int) -> None:
        """some: what is put into its folder."""
        self.hangs = any(one.hangs for one in some)
        options = [*(["--real"] if trial.real else []), *(["--hangs"] if self.hangs else [])]
        command = [sys.executable, str(ROOT / "tests" / "faults" / "poisoned.py"), *options]
        super().__init__(trial.folder, seed, command=command, watch={"incomplete_s": 1.0})
        self.pulse = self.base / "pulse"
        self.usual_ends |= SIGNALS | {0, 3}
        self.bites = 0

    def start(self) -> None:
        """Start the daemon; nothing is heard of it before it is ready."""
        self.pulse.unlink(missing_ok=True)
        self._heard_at, self._heard = time.monotonic(), ""
        self._log_began = len(self.service.log_text())
        self.service.start({VARIABLE: str(self.pulse)})

    def supervise(self) -> None:
        """End a daemon that was alive and says nothing more; start one that has ended."""
        with contextlib.suppress(OSError):
            if (heard := self.pulse.read_text()) != self._heard:
                self._heard, self._heard_at = heard, time.monotonic()
        if self.hangs and self._heard and time.monotonic() > self._heard_at + SILENT_S:
            self.bites += 1
            self.service.kill()
        super().supervise()

    def stop_or_kill(self) -> None:
        """As systemd ends a service: asked, and killed where that does not help."""
        try:
            self.service.stop(20.0)
        except TimeoutExpired:
            self.service.kill()


def poison(trial: Trial) -> Outcome:
    """One class."""
    return poisoned(trial, [trial.case])


def poisoned(trial: Trial, names: Sequence[str]) -> Outcome:
    """Poison arrives before or behind good images; after each of three restarts the next good image still comes."""
    chance = trial.chance
    some = [POISONS[name] for name in names]
    bench = Watched(trial, some, chance.getrandbits(32))
    with bench:
        if chance.random() < 0.5:
            bench.wait_until_online()
        paths = [None if (path := one.put(bench.folder)) is None else display_path(path) for one in some]
        for path in paths:
            if path is not None:
                bench.book.spoilt(path)
        for _ in range(RESTARTS):
            _next_image_comes(bench)
            time.sleep(chance.choice((0.0, 0.0, 1.0)) * chance.random())
            if chance.random() < 0.5:
                bench.service.kill()
            else:
                bench.stop_or_kill()
            bench.start()
        _next_image_comes(bench)
        found = bench.settle()
        told = _told(bench)
        problems = found.all_problems()
        for path, one in zip(paths, some, strict=True):
            if path is not None:
                problems = _with(problems, path, one, told.get(path, []))
        if bench.restarts > (allowed := sum(one.ends for one in some)):
            problems.append(f"ended {bench.restarts} times by itself, {allowed} are allowed")
    counts = {"restarts": RESTARTS, "ends by itself": bench.restarts, "bites of the watchdog": bench.bites}
    return Outcome(problems, {**counts, "images behind it": RESTARTS + 1})


def _with(problems: list[str], path: str, one: Poison, told: list[str]) -> list[str]:
    """The problems, with those of one poison. Its pixels may be whole: then it needs no doubt where it may be inspected."""
    found = [problem for problem in problems if not ("inspected" in one.told and problem.startswith(f"partial: {path} "))]
    if len(told) != 1:
        found.append(f"told {len(told)} times: {path}: {told}")
    if not set(told) <= one.told:
        found.append(f"told wrongly: {path}: {told}, not {sorted(one.told)}")
    return found


def _next_image_comes(bench: Bench) -> None:
    (path,) = bench.arrive()
    bench.until(lambda: bench.heard_of(path), f"a verdict on {path}, which came behind the poison")


def _told(bench: Bench) -> dict[str, list[str]]:
    """What was told of each path, repeats left out."""
    told: dict[str, dict[str, str]] = defaultdict(dict)
    for verdict in bench.verdicts():
        name = verdict.get("inspection_id") or verdict["failure_id"]
        told[verdict["image"]["path"]][name] = verdict.get("error", {}).get("code", "inspected")
    return {path: list(codes.values()) for path, codes in told.items()}


ROWS: Final = (
    Row(
        "poison",
        f"one file that no reader survives, of {len(POISONS)} classes, each over three restarts",
        1,
        poison,
        cases=tuple(POISONS),
        seconds=15,
    ),
)
