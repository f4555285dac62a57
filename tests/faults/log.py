"""Finished runs of a row in; the committed log, its sums, and the table of docs/reliability.md out.

The log has one line of JSON for each run. A row that failed is mended and counted anew: a line with `anew` begins its sums
again.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

from tests import ROOT
from tests.faults.row import Row

LOG: Final = ROOT / "docs" / "reliability-counts.jsonl"
PAGE: Final = ROOT / "docs" / "reliability.md"
BEGIN, END = "<!-- counts: made by `python -m tests.faults.count --table` -->", "<!-- end of counts -->"


@dataclass
class Run:
    """One line. first, trials: the numbers that it did.  real: how many of them with the real networks.

    failed: trials with a problem; where a trial does many at once, so many of those.  problems: their words.
    by_case: trials of each case.
    """

    row: str
    date: str
    version: str
    seed: int
    first: int
    trials: int
    real: int
    seconds: float
    failed: int = 0
    problems: list[str] = field(default_factory=list)
    by_case: dict[str, int] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    worst: dict[str, float] = field(default_factory=dict)
    anew: bool = False


@dataclass
class Sum:
    """All runs of a row since it was last begun anew."""

    runs: list[Run]

    @property
    def trials(self) -> int:
        """How many."""
        return sum(run.trials for run in self.runs)

    @property
    def failed(self) -> int:
        """How many had a problem."""
        return sum(run.failed for run in self.runs)

    @property
    def real(self) -> int:
        """How many with the real networks."""
        return sum(run.real for run in self.runs)

    @property
    def counts(self) -> dict[str, int]:
        """Sums."""
        total: Counter[str] = Counter()
        for run in self.runs:
            total.update(run.counts)
        return dict(total)

    @property
    def worst(self) -> dict[str, float]:
        """Greatest values."""
        greatest: dict[str, float] = {}
        for run in self.runs:
            for name, value in run.worst.items():
                greatest[name] = max(value, greatest.get(name, -math.inf))
        return greatest


def read(log: Path = LOG) -> list[Run]:
    """All lines."""
    if not log.exists():
        return []
    return [Run(**json.loads(line)) for line in log.read_text(encoding="utf-8").splitlines() if line.strip()]


def append(run: Run, log: Path = LOG) -> None:
    """One more line."""
    with log.open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(asdict(run)) + "\n")


def sums(runs: Iterable[Run]) -> dict[str, Sum]:
    """By row's name."""
    found: dict[str, Sum] = {}
    for run in runs:
        if run.anew or run.row not in found:
            found[run.row] = Sum([])
        found[run.row].runs.append(run)
    return found


def upper_bound(failed: int, trials: int) -> float:
    """The share of failures that 95 % of such series would stay below: 3/n where none failed (the rule of three).

    With failures it is Clopper and Pearson's one-sided bound, by bisection.
    """
    if not trials:
        return 1.0
    if not failed:
        return min(1.0, 3 / trials)
    low, high = failed / trials, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _at_most(failed, trials, middle) > 0.05 else (low, middle)
    return high


def _at_most(failed: int, trials: int, share: float) -> float:
    """The chance of so many failures at the most."""
    if share >= 1.0:
        return float(failed >= trials)
    logs = [
        math.lgamma(trials + 1) - math.lgamma(k + 1) - math.lgamma(trials - k + 1)
        + (k * math.log(share) if k else 0.0) + (trials - k) * math.log1p(-share)
        for k in range(failed + 1)
    ]  # fmt: skip
    return sum(math.exp(value) for value in logs)


def table(rows: Sequence[Row], runs: Iterable[Run]) -> str:
    """The page's table: every row, counted or not yet."""
    found = sums(runs)
    lines = [
        "| fault | done of aim | with the real networks | failed | 95 % upper bound | what was counted "
        "| last run, seeds | `make faults ROW=` |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        one = found.get(row.name)
        if one is None:
            lines.append(
                f"| {row.fault} | 0 of {row.wanted * row.each:,} {row.unit} | – | – | – | not counted yet | – | `{row.name}` |"
            )
            continue
        counted = ", ".join(
            [f"{value:,} {name}" for name, value in one.counts.items()]
            + [f"at most {value:g} {name}" for name, value in one.worst.items()]
        )
        seeds = ", ".join(sorted({str(run.seed) for run in one.runs}))
        real = str(one.real * row.each) if row.networks else "none runs"
        done = one.trials * row.each
        share = 100 * upper_bound(one.failed, done)
        bound = f"{share:.{3 if share >= 99.5 else 2}g} %"  # two digits; 100 is not 1e+02
        last = max(run.date for run in one.runs)
        lines.append(
            f"| {row.fault} | {done:,} of {row.wanted * row.each:,} {row.unit} | {real} | {one.failed} | {bound} | "
            f"{counted or '–'} | {last}, {seeds} | `{row.name}` |"
        )
    return "\n".join(lines)


def put_into_page(text: str, page: Path = PAGE) -> None:
    """The table between its two marks."""
    old = page.read_text(encoding="utf-8")
    before, _, rest = old.partition(BEGIN)
    after = rest.partition(END)[2]
    page.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", encoding="utf-8")
