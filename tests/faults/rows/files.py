"""Files that are many, slow or bad: a trial in, what a subscriber missed or was told wrongly out."""

from __future__ import annotations

import importlib.util
import random
import re
import subprocess
import sys
import threading
from collections import defaultdict
from typing import Final

from tests import ROOT
from tests.faults.bad_files import BAD, Bad
from tests.faults.bench import Bench
from tests.faults.breaking import Unavailable
from tests.faults.row import Outcome, Row, Trial
from tests.faults.writers import Plan, Planned
from tests.fuzz.readers import READERS

WRITERS: Final = 10
BAD_FILES: Final = 100
PAUSES_S: Final = {"short": 0.02, "longer than settle_s": 0.35, "longer than incomplete_s": 1.2}
"""Of writers, where `settle_s` is 0.3 and `incomplete_s` 1."""


def slow_writers(trial: Trial) -> Outcome:
    """Several slow writers side by side, each with a plan of its own; some have begun before the daemon is there."""
    chance = trial.chance
    with _bench(trial, chance) as bench:
        planned = [Planned(Plan.drawn(chance), bench.folder, bench.book, chance, PAUSES_S) for _ in range(WRITERS)]
        threads = [threading.Thread(target=one.write) for one in planned]
        early = chance.choice((0, 0, 3))
        for thread in threads[:early]:
            thread.start()
        bench.wait_until_online()
        for thread in threads[early:]:
            thread.start()
        for thread in threads:
            thread.join()
        found = bench.settle()
        plans = {one.name: str(one.plan) for one in planned}
        problems = [_with_plan(problem, plans) for problem in found.all_problems()]
        problems += [f"unseen: {one.name} ({one.plan})" for one in planned if not bench.heard_of(one.name)]
    counts = {"verdicts": found.verdicts, "judged early": found.verdicts - WRITERS, "doubted": found.doubted}
    return Outcome(problems, counts)


def _with_plan(problem: str, plans: dict[str, str]) -> str:
    return next((f"{problem} ({plan})" for name, plan in plans.items() if name in problem), problem)


def bad_files(trial: Trial) -> Outcome:
    """A hundred bad files of all classes and a few good ones, put in at random before and while the daemon runs."""
    chance = trial.chance
    kinds = [*BAD, *(chance.choice(list(BAD)) for _ in range(BAD_FILES - len(BAD)))]
    chance.shuffle(kinds)
    with _bench(trial, chance) as bench:
        online_at = chance.choice((0, BAD_FILES // 2))
        put: dict[str, str] = {}
        for number, kind in enumerate(kinds):
            if number == online_at:
                bench.wait_until_online()
            put[_put(bench, BAD[kind], number, chance)] = kind
            if number % 20 == 0:
                bench.arrive()
        found = bench.settle()
        problems = found.all_problems() + _wrongly_told(bench, put)
    counts = {"verdicts": found.verdicts, "failures": found.failures, "doubted": found.doubted}
    return Outcome(problems, counts)


def _put(bench: Bench, bad: Bad, number: int, chance: random.Random) -> str:
    """Let a bad file arrive in one of two ways; its path."""
    extension, data = bad.make(chance, number)
    name = f"bad_{number:04d}{extension}"
    if bad.whole:
        bench.book.whole(name, data)
    else:
        bench.book.spoilt(name)
    if chance.random() < 0.5:
        (bench.folder / name).write_bytes(data)
    else:
        part = bench.folder / f"{name}.part"
        part.write_bytes(data)
        part.rename(bench.folder / name)
    return name


def _wrongly_told(bench: Bench, put: dict[str, str]) -> list[str]:
    """Bad files that were told twice, or as something that they are not."""
    told: dict[str, dict[str, str]] = defaultdict(dict)
    for verdict in bench.verdicts():
        name = verdict.get("inspection_id") or verdict["failure_id"]
        told[verdict["image"]["path"]][name] = verdict.get("error", {}).get("code", "inspected")
    problems = []
    for path, kind in put.items():
        codes = list(told[path].values())
        if len(codes) > 1:
            problems.append(f"told twice: {path} ({kind}): {codes}")
        if not set(codes) <= BAD[kind].told:
            problems.append(f"told wrongly: {path} ({kind}): {codes}")
    return problems


def fuzzed(trial: Trial) -> Outcome:
    """A minute of one reader on inputs that are led by what they cover of its code; readers take turns."""
    if importlib.util.find_spec("atheris") is None:
        raise Unavailable("atheris is not installed (pip install 'sem-corrosion-edge[fuzz]')")
    reader = READERS[trial.number % len(READERS)].name
    options = ["--minutes", "1", "--seed", str(trial.chance.randrange(1, 1 << 24)), "--corpus", str(trial.folder)]
    done = subprocess.run([sys.executable, "-m", "tests.fuzz", reader, *options], cwd=ROOT, capture_output=True, check=False)
    said = (done.stdout + done.stderr).decode(errors="replace")
    inputs = sum(map(int, re.findall(r"stat::number_of_executed_units:\s*(\d+)", said)))
    problems = [] if done.returncode == 0 else [f"broken: {reader}: {said[-1500:]}"]
    if done.returncode == 0 and not inputs:
        problems.append(f"bench: no input was tried: {said[-1500:]}")
    return Outcome(problems, {"inputs": inputs})


def _bench(trial: Trial, chance: random.Random) -> Bench:
    return Bench(trial.folder, chance.getrandbits(32), command=trial.command, watch={"incomplete_s": 1.0})


ROWS: Final = (
    Row(
        "slow-writers",
        "slow writers: order × space taken first × pauses × end, ten side by side",
        50,
        slow_writers,
        seconds=8,
        each=WRITERS,
        unit="files",
    ),
    Row(
        "bad-files",
        f"bad files of {len(BAD)} classes, a hundred at a time",
        20,
        bad_files,
        seconds=8,
        each=BAD_FILES,
        unit="files",
    ),
    Row(
        "fuzzing",
        "readers on inputs that are led by what they cover of the code (atheris), a minute each",
        30,
        fuzzed,
        networks=False,
        in_ci=0,
        seconds=65,
        unit="minutes",
    ),
)
