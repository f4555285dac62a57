"""A row's name, a number of trials and a seed in; the row counted, and a line in the committed log, out.

    make faults ROW=daemon-kills TRIALS=30 SEED=7
    python -m tests.faults.count daemon-kills --trials 30 --seed 7 --log
    python -m tests.faults.count --table            # docs/reliability.md from the log
    python -m tests.faults.count daemon-kills --seed 7 --only 12   # trial 12 alone, as it was

Trials go on where the row's last run with this seed ended. Ctrl+C or SIGTERM ends a run after its last whole trial. Exit
status 0: none failed; 1: one did; 2: wrong usage; 3: this machine cannot.
"""

from __future__ import annotations

import argparse
import datetime
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from tests.faults import log
from tests.faults.breaking import Unavailable
from tests.faults.log import Run
from tests.faults.row import Outcome, Row
from tests.faults.rows import BY_NAME, ROWS


def main(arguments: Sequence[str]) -> int:
    """Count, or write the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.count", description=__doc__.partition("\n")[0])
    parser.add_argument("row", nargs="?", choices=list(BY_NAME), help="one row")
    parser.add_argument("--trials", type=int, help="so many more; else what is left of the row's aim")
    parser.add_argument("--minutes", type=float, help="begin no trial after so many minutes")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", type=int, help="one trial alone; nothing is logged")
    parser.add_argument("--log", action="store_true", help="append the run to docs/reliability-counts.jsonl")
    parser.add_argument("--anew", action="store_true", help="after a fault was mended: earlier runs of the row count no more")
    parser.add_argument("--table", action="store_true", help="write the table of docs/reliability.md")
    asked = parser.parse_args(arguments)
    if asked.table:
        log.put_into_page(log.table(ROWS, log.read()))
        return 0
    if asked.row is None:
        parser.error("name a row: " + ", ".join(BY_NAME))
    row = BY_NAME[asked.row]
    first = asked.only if asked.only is not None else 0 if asked.anew else next_number(row, log.read(), asked.seed)
    trials = 1 if asked.only is not None else asked.trials or max(0, row.wanted - done(row, log.read(), anew=asked.anew))
    try:
        run = counted(row, first, trials, asked.seed, minutes=asked.minutes, anew=asked.anew)
    except Unavailable as absent:
        print(f"{row.name}: cannot run here: {absent}", file=sys.stderr)
        return 3
    print(f"{row.name}: {run.trials} trials, {run.failed} failed, in {run.seconds:g} s; {run.counts} {run.worst}")
    if asked.log and asked.only is None and run.trials:
        log.append(run)
    return int(bool(run.failed))


def next_number(row: Row, runs: Sequence[Run], seed: int) -> int:
    """Where this seed goes on."""
    return max((run.first + run.trials for run in runs if run.row == row.name and run.seed == seed), default=0)


def done(row: Row, runs: Sequence[Run], *, anew: bool) -> int:
    """Trials that count already."""
    known = log.sums(runs).get(row.name)
    return 0 if anew or known is None else known.trials


def counted(row: Row, first: int, trials: int, seed: int, *, minutes: float | None = None, anew: bool = False) -> Run:
    """So many trials, each said with its outcome. Raises Unavailable."""
    began = time.monotonic()
    cases: Counter[str] = Counter()
    counts: Counter[str] = Counter()
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    run = Run(row.name, today, version("sem-corrosion-edge"), seed, first, 0, 0, 0.0, anew=anew)
    for number in range(first, first + trials):
        if minutes is not None and time.monotonic() > began + 60 * minutes:
            break
        try:
            with tempfile.TemporaryDirectory(prefix="edge-count-", ignore_cleanup_errors=True) as folder:
                trial = row.trial(seed, number, Path(folder))
                outcome = _one(row, seed, number, Path(folder))
        except KeyboardInterrupt:
            break
        print(f"{row.name} {number} (seed {seed}) {trial.case}: {'; '.join(outcome.problems) or 'passed'}", flush=True)
        run.trials += 1
        run.real += trial.real
        run.failed += min(len(outcome.problems), row.each)
        run.problems += [f"{number} {trial.case}: {problem}"[:400] for problem in outcome.problems]
        cases[trial.case] += 1
        counts.update(outcome.counts)
        for name, value in outcome.worst.items():
            run.worst[name] = max(value, run.worst.get(name, value))
    run.by_case = {case: count for case, count in cases.items() if case}
    run.counts, run.seconds = dict(counts), round(time.monotonic() - began, 1)
    return run


def _one(row: Row, seed: int, number: int, folder: Path) -> Outcome:
    """One trial; an exception of the bench itself is a problem too."""
    try:
        return row.one(row.trial(seed, number, folder))
    except Unavailable:
        raise
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        traceback.print_exc()
        return Outcome([f"bench: {type(error).__name__}: {str(error)[:300]}"])


if __name__ == "__main__":
    for ending in (signal.SIGINT, signal.SIGTERM):  # also where a shell in the background had the first ignored
        signal.signal(ending, signal.default_int_handler)
    sys.exit(main(sys.argv[1:]))
