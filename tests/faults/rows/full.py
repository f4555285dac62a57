"""States of a full disk below the state folder: a trial in, what was lost and what did not go on by itself out."""

from __future__ import annotations

import random
import time
from pathlib import Path
from typing import Final

from tests.faults import disks
from tests.faults.bench import Bench
from tests.faults.breaking import PAGE, fill
from tests.faults.kept import Told, Writer, earlier_life, kept
from tests.faults.row import Outcome, Row, Trial
from tests.faults.rows.kills import outcome

CASES: Final = ("at the first start", "at a start", "at work", "at work, without the reserve", "killed while full")
KINDS: Final = ("tmpfs", "ext4", "xfs")
MORE: Final = 3
WITHIN_S: Final = 240.0
"""How long work may take to go on, on a machine with much else to do; then the trial says that it does not."""
STATE_MIB: Final = 112
FULL: Final = "is full: free some space"


def pages(chance: random.Random) -> int:
    """How many are left free: none, a few, or as many as run out between two writes of the journal."""
    return chance.choice((0, 0, chance.randint(0, 8), chance.randint(0, 100), chance.randint(0, 400)))


def journal_full(trial: Trial) -> Outcome:
    """Something else fills the disk to a page, and takes what becomes free; then it goes, and the writer works on by itself.

    Wherever the space runs out, in the log, in the database at a checkpoint or in a picture, all that was told is kept.
    """
    chance = trial.chance
    with disks.at_hand() as (place, mounts, _):
        kind = chance.choice(KINDS)
        folder = mounts.small(kind, place, place / "disk")
        lives = _Lives(folder / "state", mounts, chance)
        told = [] if trial.case == CASES[0] else earlier_life(folder / "state", chance, 40, enter=mounts.enter)
        if trial.case in CASES[2:]:
            enough = chance.randint(1, 20)
            writer = lives.another()
            writer.until(lambda: writer.count("stored") >= enough)
        if trial.case == CASES[3]:
            (mounts.inside(folder) / "state" / "reserve").unlink(missing_ok=True)
        filler = mounts.inside(folder) / "foreign"
        fill(filler, pages(chance) * PAGE)
        lives.while_full(filler, killed=trial.case == CASES[4])
        filler.unlink()
        lives.with_room()
        told += lives.told()
        found = mounts.within(lambda: kept(folder / "state", told))
        mounts.unmount(folder)
        if kind != "tmpfs":
            found.problems += disks.check(kind, place / "image")
    counts = {
        name: sum(one["did"] == did for one in told) for did, name in (("full", "waited"), ("broke", "ended by themselves"))
    }
    if not any(counts.values()):
        lives.problems.append("bench: nobody met the full disk")
    return Outcome(lives.problems + found.problems, {**found.counts, **counts})


class _Lives:
    """Writers on one state folder, one after the other: who ends is started again, as systemd does."""

    def __init__(self, state: Path, mounts: disks.Mounts, chance: random.Random) -> None:
        self._state, self._mounts, self._chance = state, mounts, chance
        self._writers: list[Writer] = []
        self.problems: list[str] = []

    def another(self) -> Writer:
        """A life that begins; one that still lasts is killed."""
        if self._writers:
            self._end(kill=True)
        self._writers.append(Writer(self._state, self._chance.getrandbits(32), enter=self._mounts.enter))
        self._writers[-1].begin()
        return self._writers[-1]

    def while_full(self, filler: Path, *, killed: bool) -> None:
        """Until a life has met the full disk and waits, or a few have ended by it. killed: so are those that wait."""
        for _ in range(self._chance.randint(1, 3)):
            writer = self._writers[-1] if self._writers else self.another()

            def met(writer: Writer = writer) -> bool:
                fill(filler, 0)
                return writer.count("full") > writer.count("room")

            if writer.until(met) and not killed:
                return
            self.another()

    def with_room(self) -> None:
        """The last life goes on by itself, or one that is started in its place does."""
        for _ in range(MORE):
            writer = self._writers[-1]
            enough = writer.count("stored") + MORE
            if _stores(writer, enough):
                break
            if writer.process.poll() is None:
                self.problems.append(f"stuck: no verdict for {WITHIN_S:.0f} s, though there is room: {writer.told[-2:]}")
                break
            self.another()
        else:
            self.problems.append(f"stuck: {MORE} lives ended, though there is room: {self._writers[-2].told[-1:]}")
        self._end(kill=False)

    def told(self) -> list[Told]:
        """By all of them, in order."""
        return [one for writer in self._writers for one in writer.told]

    def _end(self, *, kill: bool) -> None:
        self.problems += self._writers[-1].end(kill=kill)
        self._writers[-1].close()


def _stores(writer: Writer, enough: int) -> bool:
    """Whether it comes so far."""
    return writer.until(lambda: writer.count("stored") >= enough, within_s=WITHIN_S)


def daemon_full(trial: Trial) -> Outcome:
    """The same of a whole daemon and its broker: room alone, and nobody's hand, brings every verdict."""
    chance = trial.chance
    bench = Bench(trial.folder, chance.getrandbits(32), command=trial.command, state_mib=STATE_MIB)
    assert bench.disk is not None
    leave_mib = pages(chance) * PAGE / (1 << 20)
    if trial.case == CASES[0]:
        bench.disk.fill(leave_mib)
    with bench:
        if trial.case == CASES[1]:
            bench.wait_until_online()
            bench.service.kill()
            bench.disk.fill(leave_mib)
            bench.start()
        elif trial.case != CASES[0]:
            bench.wait_until_online()
            bench.arrive(chance.randint(1, 4))
            bench.work(chance.uniform(0, 1))
            if trial.case == CASES[3]:
                (bench.disk.inside / "reserve").unlink(missing_ok=True)
            bench.disk.fill(leave_mib)
        _until_it_says_so(bench)
        if trial.case == CASES[4]:
            bench.kill()
            _until_it_says_so(bench)
        bench.work(chance.uniform(0, 2.0))
        (bench.disk.inside / "foreign").unlink()
        bench.arrive()
        found = outcome(bench)
        return Outcome(found.problems, {**found.counts, "restarts": bench.restarts})


def _until_it_says_so(bench: Bench) -> None:
    """Images arrive, and what becomes free is taken, until the daemon says that its disk is full, in its log or its status."""
    assert bench.disk is not None
    logged, heard = len(bench.service.log_text()), len(bench.listener.heard)
    deadline = time.monotonic() + WITHIN_S
    while FULL not in bench.service.log_text()[logged:] and not any(
        FULL.encode() in one.payload for one in list(bench.listener.heard)[heard:]
    ):
        if time.monotonic() > deadline:
            raise AssertionError(f"the daemon did not meet its full disk within {WITHIN_S:.0f} s")
        bench.disk.fill()
        bench.work(0.5, images_s=2)


ROWS: Final = (
    Row("disk-full", "a full disk below the state, to the page, and room again: the daemon goes on by itself", 10, daemon_full,
        CASES, in_ci=1, seconds=10),
    Row("journal-full", "the same of the journal alone, on tmpfs, ext4 and xfs", 40, journal_full,
        CASES, networks=False, in_ci=5, seconds=2),
)  # fmt: skip
