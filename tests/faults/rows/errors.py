"""The n-th call of a kind fails while the journal is written to: a trial in, what of the told is not there out."""

from __future__ import annotations

from typing import Final

from tests.faults import disks
from tests.faults.breaking import Injection
from tests.faults.kept import Writer, earlier_life, kept
from tests.faults.row import Outcome, Row, Trial

CALLS: Final = {
    "write": "write,pwrite64,writev",
    "fsync": "fsync,fdatasync",
    "rename": "rename,renameat,renameat2",
    "open": "open,openat",
}
ERRORS: Final = ("ENOSPC", "EIO")
CASES: Final = tuple(f"{error} at {call}" for call in CALLS for error in ERRORS)
NUMBERS: Final = (*range(1, 61), *range(70, 401, 10))
"""Which of the calls fails: each up to 60, then each tenth up to 400."""
MORE: Final = 3
"""So many verdicts more are stored after the fault, where the writer goes on."""


def call_fails(trial: Trial) -> Outcome:
    """The writer works from the opening of its journal until that call was reached, and then a little longer.

    As a daemon does, it tries again where the disk is full, and ends where the state cannot be used. Either way all that it
    told must be there when the state is opened without a fault, and work must go on.
    """
    chance = trial.chance
    error, _, call = trial.case.partition(" at ")
    number = NUMBERS[trial.number // len(CASES) % len(NUMBERS)]
    with disks.in_memory() as place:
        state = place / "state"
        told = earlier_life(state, chance, 40) if chance.random() < 0.3 else []
        writer = Writer(state, chance.getrandbits(32), "--bytes", "5000")
        writer.until(lambda: writer.count("ready") > 0)
        trace = place / "trace"
        injection = Injection(writer.process.pid, CALLS[call], error, first=number, step=0, trace=trace)
        writer.begin()
        writer.until(injection.reached)
        until = writer.count("stored") + MORE
        writer.until(lambda: writer.count("stored") >= until)
        reached, ended = injection.reached(), writer.process.poll() is not None
        problems = writer.end()
        injection.stop()
        writer.close()
        if not reached:
            problems.append(f"bench: {call} number {number} was not reached: {writer.told[-2:]}")
        found = kept(state, [*told, *writer.told])
    counts = {"ended by themselves": int(ended), "went on": int(not ended)}
    return Outcome(problems + found.problems, {**found.counts, **counts})


ROWS: Final = (
    Row("nth-errors", "ENOSPC and EIO at the n-th write, fsync, rename and open of the journal, n to 400", len(NUMBERS),
        call_fails, CASES, networks=False, in_ci=8, seconds=1),
)  # fmt: skip
