"""Days without a broker, or minutes at full speed, in; what was lost, how long it took and what grew, out."""

from __future__ import annotations

import contextlib
import math
import sqlite3
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import psutil

from tests.faults.bench import Bench
from tests.faults.row import Outcome, Row, Trial
from tests.faults.rows.kills import outcome

DAYS, A_DAY = 3, 2000
DAY_S: Final = 86400.0
MIB: Final = 2**20
AHEAD: Final = 40
"""So many images wait at the most: the daemon is never idle, and a clock that is driven shows about when each was taken."""
MINUTES: Final = 10.0
WARM_UP: Final = 1 / 3
WARM_IMAGES: Final = 500
"""Before so many, what is loaded, cached and pooled still grows."""
A_MONTH: Final = 30 * A_DAY
MOST_MIB_A_MONTH: Final = 64.0
MOST_MIB_AWAY: Final = 100.0
MOST_MORE: Final = 2
SAMPLE_S: Final = 5.0


@dataclass
class Samples:
    """What the daemon and its children held, again and again.

    images: verdicts so far.  rss: MiB.  descriptors, threads: of all of them.
    """

    images: list[int] = field(default_factory=list)
    rss: list[float] = field(default_factory=list)
    descriptors: list[int] = field(default_factory=list)
    threads: list[int] = field(default_factory=list)

    def take(self, pid: int, images: int) -> None:
        """One more; none where the process is gone."""
        with contextlib.suppress(psutil.Error):
            daemon = psutil.Process(pid)
            family = [daemon, *daemon.children(recursive=True)]
            held = [(one.memory_info().rss, one.num_fds(), one.num_threads()) for one in family]
            rss, descriptors, threads = (sum(column) for column in zip(*held, strict=True))
            self.images.append(images)
            self.rss.append(rss / MIB)
            self.descriptors.append(descriptors)
            self.threads.append(threads)


def away_for_three_days(trial: Trial) -> Outcome:
    """The broker is away while 6,000 images come, 2,000 a day by a clock that is driven; then it is back."""
    return away(trial, DAYS * A_DAY)


def away(trial: Trial, images: int) -> Outcome:
    """All verdicts wait, none is forgotten, and they come in order. Flat is: at most 100 MiB more than with a broker."""
    with Bench(trial.folder, trial.chance.getrandbits(32), command=trial.command, clock=True) as bench:
        assert bench.clock is not None
        samples = Samples()
        bench.wait_until_online()
        bench.arrive(10)
        bench.until(lambda: bench.judged().settled, "verdicts while the broker is there")
        bench.broker.stop()
        before = bench.judged().verdicts
        samples.take(bench.pid, before)
        written = before
        while (done := _last_seq(bench.service.state)) < images + before:
            bench.supervise()
            for _ in range(min(AHEAD - (written - done), images + before - written)):
                bench.arrive()
                bench.clock.pass_by(DAY_S / A_DAY)
                written += 1
            samples.take(bench.pid, done)
            time.sleep(0.2)
        state_mib = _bytes_in(bench.service.state) / MIB
        bench.broker.start()
        began = time.monotonic()
        while len(bench.payloads()) < images + before and time.monotonic() < began + 3600:
            bench.supervise()
            samples.take(bench.pid, images)
            time.sleep(0.2)
        seconds = time.monotonic() - began
        found = outcome(bench, pictures=False)
        span_s = _span_s(bench)
    wanted_s = images * DAY_S / A_DAY
    if span_s < 0.9 * wanted_s:
        found.problems.append(f"bench: the verdicts span {span_s / DAY_S:.2f} days of {wanted_s / DAY_S:.2f}")
    more = max(samples.rss) - samples.rss[0]
    if more > MOST_MIB_AWAY:
        found.problems.append(f"memory: {more:.0f} MiB more than before the broker went")
    figures = {"s until all had come": seconds, "MiB of memory more than with a broker": more, "MiB of state": state_mib}
    found.worst |= {name: round(value, 1) for name, value in figures.items()}
    return found


def _bytes_in(folder: Path) -> int:
    """Of all files there, but for those that a running daemon removes or renames just now."""
    sizes = []
    for file in folder.rglob("*"):
        with contextlib.suppress(FileNotFoundError):
            sizes.append(file.stat().st_size if file.is_file() else 0)
    return sum(sizes)


def soak_for_minutes(trial: Trial) -> Outcome:
    """The daemon is never idle for 10 minutes."""
    return soak(trial, MINUTES)


def soak(trial: Trial, minutes: float) -> Outcome:
    """Images always wait. What is held is sampled, and its growth fitted over the verdicts, after a third for warming up.

    Flat is: memory grows, by the lower end of the 95 % interval of its slope, by no more than 64 MiB in a month of 2,000
    images a day; the medians of descriptors and threads in the last third are no more than 2 above those in the third before.
    """
    with Bench(trial.folder, trial.chance.getrandbits(32), command=trial.command) as bench:
        samples = Samples()
        bench.wait_until_online()
        written, began = 0, time.monotonic()
        next_sample = began
        while (now := time.monotonic()) < began + 60 * minutes:
            bench.supervise()
            done = _last_seq(bench.service.state)
            bench.arrive(max(0, AHEAD - (written - done)))
            written = max(written, done + AHEAD)
            if now >= next_sample:
                samples.take(bench.pid, done)
                next_sample += min(SAMPLE_S, minutes)
            time.sleep(0.1)
        found = outcome(bench, pictures=False)
        restarts = bench.restarts
    found.counts |= {"minutes at full speed": round(minutes), "samples": len(samples.images)}
    if restarts:
        found.problems.append(f"restarts: the daemon ended by itself {restarts} times")
    _see_growth(samples, found)
    return found


def _see_growth(samples: Samples, found: Outcome) -> None:
    """Figures and problems of all that is held."""
    cold = sum(images < WARM_IMAGES for images in samples.images)
    first = max(cold, round(len(samples.images) * WARM_UP))
    slope, error = slope_of(samples.images[first:], samples.rss[first:])
    monthly, doubt = slope * A_MONTH, 1.96 * error * A_MONTH
    if monthly - doubt > MOST_MIB_A_MONTH:
        found.problems.append(f"memory: grows by {monthly:.0f} ± {doubt:.0f} MiB in a month of 2,000 images a day")
    figures = {"MiB of memory": max(samples.rss)}
    if math.isfinite(doubt):
        figures |= {"MiB of growth a month, fitted": monthly, "MiB of growth a month, upper end of 95 %": monthly + doubt}
    third = round(len(samples.images) * WARM_UP)
    for name, values in (("descriptors", samples.descriptors), ("threads", samples.threads)):
        more = _median(values[-third:]) - _median(values[third : 2 * third])
        if more > MOST_MORE:
            found.problems.append(f"{name}: {more:g} more in the last third than before")
        figures[name] = max(values)
        figures[f"{name} more in the last third"] = more
    found.worst |= {name: round(value, 1) for name, value in figures.items()}


def slope_of(xs: Sequence[float], ys: Sequence[float]) -> tuple[float, float]:
    """Least squares: the slope of y over x, and its standard error; 0 and infinity where nothing can be told."""
    count = len(xs)
    if count < 3 or len(set(xs)) < 2:
        return 0.0, math.inf
    mean_x, mean_y = sum(xs) / count, sum(ys) / count
    spread = sum((x - mean_x) ** 2 for x in xs)
    slope = sum((x - mean_x) * (y - mean_y) for x, y in zip(xs, ys, strict=True)) / spread
    rest = sum((y - mean_y - slope * (x - mean_x)) ** 2 for x, y in zip(xs, ys, strict=True))
    return slope, math.sqrt(rest / (count - 2) / spread)


def _median(values: Sequence[int]) -> float:
    ordered = sorted(values)
    return float(ordered[len(ordered) // 2]) if ordered else 0.0


def _last_seq(state: Path) -> int:
    """Of the journal, read beside the daemon."""
    with contextlib.closing(sqlite3.connect(f"file:{state / 'journal.sqlite3'}?mode=ro", uri=True)) as database:
        return int(database.execute("SELECT COALESCE(MAX(seq), 0) FROM verdict").fetchone()[0])


def _span_s(bench: Bench) -> float:
    """From the first verdict's time to the last one's."""
    moments = [one.body["ts_ms"] for one in bench.listener.on("/inspection")]
    return (max(moments) - min(moments)) / 1000


ROWS: Final = (
    Row(
        "away",
        "no broker for three days at 2,000 images a day, by a clock that is driven",
        1,
        away_for_three_days,
        seconds=1500,
    ),
    Row(
        "soak",
        "full speed: memory, descriptors and threads stay flat",
        6,
        soak_for_minutes,
        seconds=60 * MINUTES,
        unit="runs of 10 minutes",
    ),
)
