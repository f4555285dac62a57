"""A file that no reader survives, and three restarts: a trial in, whether it was told once and held up nobody out."""

from __future__ import annotations

import contextlib
import signal
import sys
import time
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

    def __init__(self, trial: Trial, seed: int) -> None:
        """Runs what the case of the trial wants."""
        self.hangs = POISONS[trial.case].hangs
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
            self.service.stop()
        except TimeoutExpired:
            self.service.kill()


def poison(trial: Trial) -> Outcome:
    """The poison arrives before or behind good images; after each of three restarts the next good image still comes."""
    chance, one = trial.chance, POISONS[trial.case]
    bench = Watched(trial, chance.getrandbits(32))
    with bench:
        if chance.random() < 0.5:
            bench.wait_until_online()
        name = one.put(bench.folder)
        path = None if name is None else display_path(name)
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
        told = _told(bench, path)
        problems = [problem for problem in found.all_problems() if not _of_poison(problem, path, one)]
        if path is not None and len(told) != 1:
            problems.append(f"told {len(told)} times: {path}: {told}")
        if not set(told) <= one.told:
            problems.append(f"told wrongly: {path}: {told}, not {sorted(one.told)}")
        if bench.restarts > one.ends:
            problems.append(f"ended {bench.restarts} times by itself, {one.ends} are allowed")
    counts = {"restarts": RESTARTS, "ends by itself": bench.restarts, "bites of the watchdog": bench.bites}
    return Outcome(problems, {**counts, "images behind it": RESTARTS + 1})


def _next_image_comes(bench: Bench) -> None:
    (path,) = bench.arrive()
    bench.until(lambda: bench.heard_of(path), f"a verdict on {path}, which came behind the poison")


def _told(bench: Bench, path: str | None) -> list[str]:
    """What was told of the poison, repeats left out."""
    told = {}
    for verdict in bench.verdicts():
        if verdict["image"]["path"] == path:
            name = verdict.get("inspection_id") or verdict["failure_id"]
            told[name] = verdict.get("error", {}).get("code", "inspected")
    return list(told.values())


def _of_poison(problem: str, path: str | None, one: Poison) -> bool:
    """Whether a poison that may be inspected was, without a doubt: its pixels are whole."""
    return "inspected" in one.told and path is not None and problem.startswith(f"partial: {path} ")


ROWS: Final = (
    Row(
        "poison",
        f"one file that no reader survives, of {len(POISONS)} classes, each over three restarts",
        1,
        poison,
        cases=tuple(POISONS),
        in_ci=4,
        seconds=15,
    ),
)
