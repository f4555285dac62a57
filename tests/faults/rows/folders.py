"""A watched folder that goes, is replaced or comes back in; what a subscriber missed or was told twice, out.

A share can be unmounted and mounted again, or restored from a copy: its files then have other inodes, another device, or
none for a while. None of that is a new image, and none a deleted one. What is mounted has a `watch.marker` here, as the
pages on shares advise: without one nobody can tell an empty place from a folder whose files were deleted.
"""

from __future__ import annotations

import contextlib
import random
import sqlite3
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from tests.faults.bench import Bench
from tests.faults.row import Outcome, Row, Trial
from tests.faults.rows.kills import outcome

MIB: Final = 8
MARKER: Final = ".export"
Between = Callable[[], None]


def folder_lost(trial: Trial) -> Outcome:
    """Images arrive; the folder goes while some of them wait, and comes back, or another does; more arrive."""
    chance = trial.chance
    mounted = trial.case in MOUNTED
    needs: dict[str, Any] = {"folder_mib": MIB, "watch": {"marker": MARKER}} if mounted else {}
    with Bench(trial.folder, chance.getrandbits(32), command=trial.command, **needs) as bench:
        (bench.folder / MARKER).touch()
        bench.wait_until_online()
        bench.arrive(chance.randint(1, 4))
        bench.work(chance.uniform(0.0, 1.2), images_s=4)

        def between() -> None:
            if killed:
                bench.do("killed while the folder is away")
                bench.kill()
            bench.work(chance.uniform(0.1, 2.0), images_s=0)

        killed = chance.random() < 0.3
        bench.do(trial.case)
        KINDS[trial.case](bench, chance, between)
        bench.arrive(chance.randint(1, 3))
        bench.work(chance.uniform(0.0, 0.5), images_s=4)
        deleted = [path for path, page in bench.book.pages().items() if page.last is None]
        undrawable = deleted if killed else ()
        found = outcome(bench, also=lambda: _none_waits(bench.service.state), undrawable=undrawable)
        told = any("folder" in reason for reason in _reasons(bench))
        gone = [f"blamed: {path}: unreadable" for path in deleted]
    found.problems = [one for one in found.problems if one not in gone]  # deleted for good, it may have a failure
    found.counts |= {"daemons killed while it was away": int(killed), "told by the status": int(told)}
    return found


def _none_waits(state: Path) -> bool:
    """What was deleted before it was read has its failure, too."""
    with contextlib.closing(sqlite3.connect(f"file:{state / 'journal.sqlite3'}?mode=ro", uri=True)) as database:
        return not database.execute("SELECT 1 FROM image WHERE state IN ('waiting', 'running') LIMIT 1").fetchone()


def _renamed(bench: Bench, _: random.Random, between: Between) -> None:
    away = bench.folder.with_name("away")
    bench.folder.rename(away)
    between()
    away.rename(bench.folder)


def _made_anew(bench: Bench, _: random.Random, between: Between) -> None:
    _gone(bench)
    bench.folder.rename(bench.folder.with_name("deleted"))
    between()
    bench.folder.mkdir()


def _replaced(bench: Bench, chance: random.Random, between: Between) -> None:
    """Another folder is there at once, with images of its own."""
    _gone(bench)
    bench.folder.rename(bench.folder.with_name("deleted"))
    bench.folder.mkdir()
    bench.arrive(chance.randint(1, 3))
    between()


def _covered(bench: Bench, _: random.Random, between: Between) -> None:
    assert bench.disk is not None
    bench.disk.cover()
    between()
    bench.disk.uncover()


def _remounted(bench: Bench, _: random.Random, between: Between) -> None:
    assert bench.disk is not None
    kept = bench.base / "kept"
    bench.disk.keep(kept)
    bench.disk.uncover()
    between()
    bench.disk.mount(kept)


def _from_a_copy(bench: Bench, _: random.Random, between: Between) -> None:
    assert bench.disk is not None
    bench.disk.cover()
    between()
    bench.disk.uncover()
    bench.disk.move_to_another(MIB)


def _gone(bench: Bench) -> None:
    """What lies there may have a verdict or none."""
    for path in bench.book.pages():
        bench.book.gone(path)


def _reasons(bench: Bench) -> list[str]:
    return [reason for one in bench.listener.on("/status") for reason in one.body["reasons"]]


KINDS: Final[Mapping[str, Callable[[Bench, random.Random, Between], None]]] = {
    "renamed away and back": _renamed,
    "deleted and made anew": _made_anew,
    "another folder in its place": _replaced,
    "an empty disk over it for a while": _covered,
    "unmounted and mounted again": _remounted,
    "back from a copy, on another disk": _from_a_copy,
}
MOUNTED: Final = tuple(KINDS)[3:]


def broker_frozen(trial: Trial, longest_s: float = 50.0) -> Outcome:
    """The broker is stopped in its tracks, or all packets to and from it vanish; then it goes on."""
    chance = trial.chance
    with Bench(trial.folder, chance.getrandbits(32), command=trial.command) as bench:
        bench.wait_until_online()
        bench.arrive(chance.randint(1, 4))
        bench.work(chance.uniform(0.0, 0.8), images_s=4)
        seconds = min(longest_s, chance.choice((chance.uniform(0.5, 4.0), chance.uniform(20.0, 50.0))))
        bench.do(f"{trial.case} for {seconds:.0f} s")
        before = bench.chaos.connections
        if trial.case == "frozen":
            bench.broker.freeze()
        else:
            bench.chaos.stalled = True
        bench.work(seconds, images_s=4 / seconds)
        if chance.random() < 0.2:
            bench.kill()
        if trial.case == "frozen":
            bench.broker.thaw()
        else:
            bench.chaos.calm()
        bench.arrive(chance.randint(1, 3))
        found = outcome(bench)
    found.counts["connections given up meanwhile"] = bench.chaos.connections - before
    return found


ROWS: Final = (
    Row("folders", "the watched folder is lost, replaced, remounted", 17, folder_lost, cases=tuple(KINDS), seconds=6),
    Row("frozen", "the broker is frozen, or black-holed", 25, broker_frozen, cases=("frozen", "black-holed"), seconds=25),
)
