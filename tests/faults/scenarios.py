"""The table of what is broken: a running bench and seconds in, faults done to it; the judgement and counts out."""

from __future__ import annotations

import contextlib
import shutil
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

from tests.faults.bench import SETTLE_S, Bench
from tests.faults.breaking import Injection, paused
from tests.faults.judge import counted
from tests.faults.writers import CHANGING, SLOW, Writer
from tests.service.running_daemon import PREFIX

DAY_S: Final = 86400.0
TINY_MIB, ENOUGH_MIB = 4, 112


def broker_chaos(bench: Bench, seconds: float) -> None:
    """The network between daemon and broker is cut, stalled, slowed, deaf, half open, refusing."""
    chaos, chance = bench.chaos, bench.chance
    kinds = ("cut", "half open", "stalled", "slow", "deaf", "refusing")
    for kind in _in_turn(bench, kinds, seconds):
        if kind == "cut":
            chaos.cut()
        elif kind == "half open":
            chaos.half_open()
        else:
            setattr(chaos, kind, True)
        bench.work(chance.uniform(0.3, 2.0))
        if kind in ("deaf", "refusing", "stalled"):  # what was swallowed is only sent again on another connection
            chaos.cut()
        chaos.calm()
        bench.work(chance.uniform(0.2, 1.5))


def kills(bench: Bench, seconds: float) -> None:
    """kill -9 and SIGSTOP of the daemon, kill -9 of the broker, at any moment."""
    chance, service = bench.chance, bench.service
    for kind in _in_turn(bench, ("daemon killed", "daemon stopped", "broker killed", "daemon asked to end"), seconds):
        if kind == "daemon killed":
            bench.kill()
        elif kind == "daemon stopped" and service.process is not None:
            paused(service.process, chance.uniform(0.2, 2.0))
        elif kind == "broker killed":
            bench.broker.kill()
            bench.work(chance.uniform(0.1, 1.5))
            bench.broker.start()
        else:
            service.stop()
            bench.start()
        bench.work(chance.uniform(0.5, 4.0))


def writers(bench: Bench, seconds: float) -> None:
    """Programs that write badly, many at once."""
    _write_with(bench, {**SLOW, **CHANGING}, seconds)


def full_state(bench: Bench, seconds: float) -> None:
    """The disk of the state folder is tiny, then large enough, then filled by something else, then has room again."""
    assert bench.disk is not None
    bench.do("a state folder of 4 MiB")
    bench.work(seconds / 4)
    bench.disk.grow(ENOUGH_MIB)
    bench.work(seconds / 4)
    for leave_mib in (20.0, 0.0):
        bench.do(f"{leave_mib:.0f} MiB left")
        filler = bench.disk.fill(leave_mib)
        bench.work(seconds / 8)
        bench.do("killed while it is full")
        bench.kill()
        bench.work(seconds / 8)
        filler.unlink()


def full_folder(bench: Bench, seconds: float) -> None:
    """The export folder's disk is full in the middle of files; and it is away for a while, as a share that is not mounted."""
    assert bench.disk is not None
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        bench.do("full folder")
        filler = bench.disk.fill(0.03)
        cut_off = []
        for _ in range(3):
            name, data = bench.book.new_image(".tif")
            try:
                (bench.folder / name).write_bytes(data)
                bench.book.whole(name, data)
            except OSError:
                bench.book.spoilt(name)
                cut_off.append((name, data))
        bench.work(bench.chance.uniform(0.5, 2.0), 0)
        filler.unlink()
        for name, data in cut_off[:-1]:  # the last one stays as it is
            bench.book.whole(name, data)
            (bench.folder / name).write_bytes(data)
        bench.do("folder away")
        bench.disk.cover()
        bench.work(bench.chance.uniform(0.5, 2.0), 0)
        bench.disk.uncover()
        bench.work(1.0, 2)


def errors(bench: Bench, seconds: float) -> None:
    """System calls of the daemon fail, now and then, on the disk of the state and on the images."""
    chance, state, folder = bench.chance, bench.service.state, bench.service.folder
    database = tuple(state / name for name in ("journal.sqlite3", "journal.sqlite3-wal", "journal.sqlite3-shm"))
    kinds: dict[str, tuple[str, str, tuple[Path, ...]]] = {
        "fsync: EIO": ("fsync,fdatasync", "EIO", ()),
        "write to the journal: EIO": ("pwrite64", "EIO", database),
        "write to the journal: ENOSPC": ("pwrite64,ftruncate", "ENOSPC", database),
        "read of the journal: EIO": ("pread64", "EIO", database),
        "read of images: EIO": ("read,readv", "EIO", ()),
        "open: EMFILE": ("openat", "EMFILE", ()),
        "list of the folder: EIO": ("getdents64", "EIO", (folder,)),
        "send: ECONNRESET": ("sendto,sendmsg", "ECONNRESET", ()),
        "memory: ENOMEM": ("mmap", "ENOMEM", ()),
    }
    for kind in _in_turn(bench, tuple(kinds), seconds):
        calls, error, paths = kinds[kind]
        if kind == "read of images: EIO":
            names = list(bench.book.pages())[-2:]
            extra = [bench.book.new_image() for _ in range(2)]
            for name, data in extra:
                bench.book.whole(name, data)
            paths = tuple(folder / name for name in [*names, *(name for name, _ in extra)])
        else:
            extra = []
        first, step = (1, 1) if extra else (chance.randint(1, 5), chance.randint(1, 4))
        injection = Injection(bench.pid, calls, error, first=first, step=step, paths=paths)
        for name, data in extra:
            (folder / name).write_bytes(data)
        bench.work(chance.uniform(0.5, 1.5))
        injection.stop()
        for name, _ in extra:  # what could not be read is told as such; it is exported again
            again = bench.book.new_image()[1]
            bench.book.whole(name, again)
            (folder / name).write_bytes(again)
        bench.work(chance.uniform(0.5, 1.5))


def clock(bench: Bench, seconds: float) -> None:
    """The clock jumps by minutes, months and years, also over a restart; afterwards all verdicts can be replayed."""
    assert bench.clock is not None
    bench.work(seconds / 4)
    jumps = {
        "91 days ahead": 91 * DAY_S,
        "back": 0.0,
        "a year behind": -365 * DAY_S,
        "an hour ahead": 3600.0,
        "to 2040": 14 * 365 * DAY_S,
    }
    for kind in _in_turn(bench, tuple(jumps), seconds / 2):
        bench.clock.jump(jumps[kind])
        if bench.chance.random() < 0.5:
            bench.kill()
        bench.work(bench.chance.uniform(0.5, 2.0))
    bench.clock.jump(91 * DAY_S)
    bench.kill()
    bench.wait_until_online()
    bench.work(seconds / 8)
    bench.clock.jump(0)


def replayed_whole(bench: Bench) -> list[str]:
    """Ask for every verdict again: what does not come was forgotten."""
    bench.until(lambda: bench.judged().settled, "all verdicts")
    found = bench.judged()
    (epoch, last), *others = found.highest.items()
    if others:
        return [f"epochs: {1 + len(others)} of them, though no state was restored"]
    before = found.repeats
    bench.listener.say(f"{PREFIX}/command/replay", f'{{"epoch": "{epoch}", "first": 1, "last": {last}}}')
    deadline = time.monotonic() + 30
    while bench.judged().repeats < before + last and time.monotonic() < deadline:
        time.sleep(0.2)
    missing = before + last - bench.judged().repeats
    return [f"forgotten: {missing} of {last} verdicts could not be replayed"] if missing > 0 else []


def restore(bench: Bench, seconds: float, *, in_place: bool) -> None:
    """The whole state folder comes back as it was a while ago, with its witness: as new files, or within the old ones."""
    copy = bench.base / "copy"
    bench.work(seconds / 3)
    bench.until(lambda: bench.judged().settled, "all verdicts before the copy")
    bench.service.stop()
    shutil.copytree(bench.service.state, copy)
    bench.start()
    bench.work(seconds / 3)
    bench.until(lambda: bench.judged().settled, "all verdicts after the copy")
    bench.service.kill()
    if in_place:
        bench.do("state restored in place, as a snapshot does")
        _put_back(copy, bench.service.state)
    else:
        bench.do("state restored as new files")
        shutil.rmtree(bench.service.state)
        copy.rename(bench.service.state)
    bench.start()
    bench.work(seconds / 3)


def _put_back(copy: Path, folder: Path) -> None:
    """The contents of `copy` into the very files of `folder`; what is not in `copy` goes."""
    kept = {one.relative_to(copy) for one in copy.rglob("*")}
    for one in folder.rglob("*"):
        if one.is_file() and one.relative_to(folder) not in kept:
            one.unlink()
    for one in copy.rglob("*"):
        if one.is_file():
            there = folder / one.relative_to(copy)
            with there.open("r+b" if there.exists() else "wb") as stream:
                stream.write(one.read_bytes())
                stream.truncate()


@dataclass(frozen=True)
class Scenario:
    """One row.

    run: does the faults.  afterwards: further checks, before the daemon is stopped.  needs: arguments of `Bench`.
    seconds: in the tests.
    """

    name: str
    run: Callable[[Bench, float], None]
    seconds: float
    needs: Mapping[str, Any] = field(default_factory=dict)
    afterwards: Callable[[Bench], list[str]] = lambda bench: []


SCENARIOS: Final = (
    Scenario("broker", broker_chaos, 12),
    Scenario("kills", kills, 14),
    Scenario("writers", writers, 8),
    Scenario("full-state", full_state, 10, {"state_mib": TINY_MIB}),
    Scenario("full-folder", full_folder, 6, {"folder_mib": 6}),
    Scenario("errors", errors, 14),
    Scenario("clock", clock, 8, {"clock": True}, replayed_whole),
    Scenario("restore", partial(restore, in_place=False), 3),
    Scenario("snapshot", partial(restore, in_place=True), 3),
)
BY_NAME: Final = {scenario.name: scenario for scenario in SCENARIOS}


def run(scenario: Scenario, base: Path, seed: int, seconds: float | None = None) -> dict[str, Any]:
    """One round of one scenario; what is counted, and the problems under `problems`. Raises Unavailable."""
    began = time.monotonic()
    lasting = scenario.seconds if seconds is None else seconds
    print(f"fault bench: {scenario.name}, seed {seed}, {lasting:g} s of faults", flush=True)
    with Bench(base, seed, **scenario.needs) as bench:
        if "state_mib" not in scenario.needs:
            bench.wait_until_online()
        scenario.run(bench, lasting)
        bench.chaos.calm()
        further = scenario.afterwards(bench)
        found = bench.settle(SETTLE_S)
        found.problems += further
        log = bench.service.log_text()
    result = found.to_dict()
    return {
        "scenario": scenario.name,
        "seed": seed,
        "seconds": round(time.monotonic() - began, 1),
        "faults": dict(bench.faults),
        "figures": bench.figures,
        "restarts": bench.restarts,
        "replays": bench.replays,
        "connections": bench.chaos.connections,
        **{key: result[key] for key in ("images", "verdicts", "inspections", "failures", "repeats", "epochs", "doubted")},
        "problems": result["problems"],
        "kinds": counted(result["problems"]),
        "log": log if result["problems"] else "",
    }


def _in_turn(bench: Bench, kinds: tuple[str, ...], seconds: float) -> Any:
    """Kinds of faults, each once in a random order, then at random, until the time is over."""
    until = time.monotonic() + seconds
    first = bench.chance.sample(kinds, len(kinds))
    while time.monotonic() < until:
        kind = first.pop() if first else bench.chance.choice(kinds)
        bench.do(kind)
        yield kind


def _write_with(bench: Bench, table: Mapping[str, Writer], seconds: float) -> None:
    """Every writer of a table again and again, all side by side, until the time is over; begun ones finish."""
    until = time.monotonic() + seconds

    def again(name: str, seed: int) -> None:
        import random

        chance = random.Random(seed)
        while time.monotonic() < until:
            bench.do(name)
            with contextlib.suppress(FileNotFoundError):
                table[name](bench.folder, bench.book, chance, 1.5)

    threads = [threading.Thread(target=again, args=(name, bench.chance.getrandbits(32))) for name in table]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        bench.work(0.5, 0)
