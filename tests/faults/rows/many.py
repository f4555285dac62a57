"""Many files and one new image: a trial in, how long its verdict took, and whether any file was forgotten, out."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections import Counter
from pathlib import Path
from typing import Final

import psutil

from edge.journal import Journal
from tests.faults.bench import VERDICT_TOPICS, Bench
from tests.faults.row import Outcome, Row, Trial

MANY: Final = 100_000
IMAGES: Final = 100
"""One in so many is an image; the others are small texts with an image's name."""
OLD_S: Final = 400 * 86400
LOOK_S: Final = 0.25
CASES: Final = ("young, running", "old, running", "young, after downtime", "old, after downtime")


def behind_many(trial: Trial, *, many: int = MANY) -> Outcome:
    """Many files come while the daemon runs, or while it does not; an image is taken at once, another once all are known.

    young, old: modified now, or more than a year ago. After the verdicts on those images the daemon is stopped: its ledger
    must hold every file, and every verdict until then must be right.
    """
    chance = trial.chance
    age, when = trial.case.split(", ")
    with Bench(trial.folder, chance.getrandbits(32), command=trial.command, watch={"incomplete_s": 1.0}) as bench:
        bench.wait_until_online()
        before = bench.arrive(2)
        bench.until(lambda: all(map(bench.heard_of, before)), "verdicts on what was there before")
        if when == "after downtime":
            bench.service.stop()
        folder = _written(bench, many, OLD_S if age == "old" else 0)
        folder.rename(bench.folder / "many")
        if when == "after downtime":
            bench.start()
            bench.wait_until_online()
        at_once_s, mib = _until_heard_of(bench, *bench.arrive())
        while _known(bench) < many:
            bench.supervise()
            time.sleep(LOOK_S)
        behind_s, more_mib = _until_heard_of(bench, *bench.arrive())
        verdicts = sum(one.topic in VERDICT_TOPICS for one in list(bench.listener.heard))
        if bench.service.stop() != 0:
            bench.odd_ends.append("ended: a stop that was asked for did not end with status 0")
        found = bench.judged()
        problems = found.problems + [f"gap: seq {seqs} of epoch {epoch}" for epoch, seqs in found.missing.items()]
        problems += _forgotten(bench)
    worst = {f"s for an image taken at once ({trial.case})": at_once_s, f"s once all are known ({trial.case})": behind_s}
    return Outcome(problems, {"files": many, "verdicts": verdicts}, {**worst, "MiB of memory": max(mib, more_mib)})


def _known(bench: Bench) -> int:
    """How many files the running daemon's ledger knows."""
    database = bench.service.state / "journal.sqlite3"
    with contextlib.closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as journal:
        return int(journal.execute("SELECT COUNT(*) FROM image").fetchone()[0])


def _written(bench: Bench, many: int, age_s: float) -> Path:
    """A folder beside the watched one, which the files are written into and moved with."""
    folder, when = bench.base / "many", time.time() - age_s
    for number in range(many):
        if number % 1000 == 0:
            (folder / str(number // 1000)).mkdir(parents=True)
        name = f"{number // 1000}/{number:06d}.png"
        if number % IMAGES == 0:
            _, data = bench.book.new_image(".png")
        else:
            data = b"no image, number %d" % number
        bench.book.whole(f"many/{name}", data)
        (folder / name).write_bytes(data)
        if age_s:
            os.utime(folder / name, (when, when))
    return folder


def _until_heard_of(bench: Bench, path: str) -> tuple[float, float]:
    """Seconds until there is a verdict on `path`, and the most memory that the daemon had, MiB."""
    began, known, most = time.monotonic(), 0, 0.0
    wanted = f'"{path}"'.encode()
    while True:
        heard = bench.listener.heard[known:]
        known += len(heard)
        if any(wanted in one.payload for one in heard if one.topic in VERDICT_TOPICS):
            return round(time.monotonic() - began, 2), round(most)
        bench.supervise()
        most = max(most, psutil.Process(bench.pid).memory_info().rss / 2**20)
        time.sleep(LOOK_S)


def _forgotten(bench: Bench) -> list[str]:
    """Files that the stopped daemon's ledger does not know, or believes to be inspected though nobody heard of it."""
    with Journal.open(bench.service.state) as journal:
        entries = journal.ledger.entries()
        unsent = journal.outbox.unsent_count()
    problems = [f"forgotten: {path}" for path in bench.book.pages() if path not in entries][:5]
    states = Counter(entry.state for entry in entries.values())
    told = {one.body["image"]["path"] for one in list(bench.listener.heard) if one.topic in VERDICT_TOPICS and one.payload}
    silent = [path for path, entry in entries.items() if entry.state == "done" and path not in told]
    if len(silent) > unsent:
        problems.append(
            f"lost: {len(silent)} of {states['done']} files count as inspected, unheard and not waiting: {silent[:3]}"
        )
    return problems


ROWS: Final = (
    Row(
        "many-files",
        f"{MANY:,} files, young and old, that come while it runs and while it does not; then a new image",
        1,
        behind_many,
        cases=CASES,
        seconds=600,
        unit="runs",
    ),
)
