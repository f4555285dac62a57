"""What a row of counts is: a seed, a number and a folder in; one trial of one fault, and what was wrong with it, out."""

from __future__ import annotations

import random
import sys
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests import ROOT
from tests.service.running_daemon import COMMAND

STAND_IN: Final = [sys.executable, str(ROOT / "tests" / "faults" / "stand_in.py")]
REAL_EVERY: Final = 10
"""One trial in so many runs with the real networks, where a row uses networks at all."""


@dataclass(frozen=True)
class Trial:
    """One of a row. number: from 0, over all runs of the row.  case: one of the row's, "" where it has none.

    folder: an empty one of its own.  real: whether the daemon's networks are the real ones.
    """

    row: str
    seed: int
    number: int
    case: str
    folder: Path
    real: bool

    @property
    def chance(self) -> random.Random:
        """Every trial's own, of the seed, the row and the number alone: it is done again by these three."""
        return random.Random(zlib.crc32(f"{self.row}/{self.seed}/{self.number}".encode()) | self.seed << 32)

    @property
    def command(self) -> list[str]:
        """What starts the daemon."""
        return COMMAND if self.real else STAND_IN


@dataclass
class Outcome:
    """What one trial came to.

    problems: what a plant must never see, in words, `kind: …`; empty means passed.  counts: summed over trials, such as
    images, verdicts, repeats.  worst: the greatest over trials, such as seconds or megabytes, with its unit in the name.
    """

    problems: list[str] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    worst: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Row:
    """One fault, and how often it is to be done.

    name: in `make faults ROW=…`.  fault: the table's words.  aim: how many trials, of each case where there are cases.
    one: does one trial; raises `Unavailable` where this machine cannot.  cases: taken in turn.  networks: whether it uses any.
    in_ci: how many trials a test does, for each case where `each_in_ci`.  seconds: about so long a trial takes.
    each, unit: one trial does so many of these, side by side; they are what the table counts.
    """

    name: str
    fault: str
    aim: int
    one: Callable[[Trial], Outcome]
    cases: Sequence[str] = ()
    networks: bool = True
    in_ci: int = 1
    each_in_ci: bool = False
    seconds: float = 1.0
    unit: str = "trials"
    each: int = 1

    @property
    def wanted(self) -> int:
        """All trials of all cases."""
        return self.aim * max(1, len(self.cases))

    def trial(self, seed: int, number: int, folder: Path) -> Trial:
        """The trial with this number."""
        case = self.cases[number % len(self.cases)] if self.cases else ""
        counted = number // max(1, len(self.cases)) if self.aim > 1 else number
        return Trial(self.name, seed, number, case, folder, real=self.networks and counted % REAL_EVERY == REAL_EVERY - 1)


def problems_by_kind(problems: Sequence[str]) -> Mapping[str, int]:
    """How many of each kind."""
    kinds: dict[str, int] = {}
    for problem in problems:
        kind = problem.partition(":")[0]
        kinds[kind] = kinds.get(kind, 0) + 1
    return kinds
