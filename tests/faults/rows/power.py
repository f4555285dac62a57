"""Power cuts and forced shutdowns of the disk that holds the state: a trial in, what of the told is not there out."""

from __future__ import annotations

import fcntl
import os
import random
import struct
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tests.faults import disks
from tests.faults.kept import Told, Writer, boot_file, earlier_life, kept
from tests.faults.recorded import Written, cut
from tests.faults.row import Outcome, Row, Trial

SYSTEMS: Final = ("ext4", "xfs")
SHUT_DOWN: Final = 0x8004587D
"""EXT4_IOC_SHUTDOWN and XFS_IOC_GOINGDOWN: _IOR('X', 125, __u32)."""
WITH_LOG, WITHOUT_LOG = 1, 2
MOST_STORED: Final = 60
DONE: Final = ("admitted", "stored", "drew")
"""What a writer tells after it did it; the rest is told before."""


def power_cut(trial: Trial) -> Outcome:
    """A writer works on a recorded disk; at a random write the power goes, and what was not flushed is kept or lost by chance.

    Not a copy of the image, which would have every write that came before: a disk's cache may lose any of those
    since the last flush. What this cannot show is a disk that lies about a flush, and a power cut within a sector.
    """
    return with_writer(trial)


def with_writer(trial: Trial, *arguments: str) -> Outcome:
    """The trial with further arguments of the writer."""
    chance = trial.chance
    with disks.at_hand() as (place, mounts, open_):
        image = disks.empty(trial.case, place / "image")
        told = _earlier_life(place, mounts, image, chance)
        before = disks.copied(image, place / "before")
        writers: list[Writer] = []
        disk = mounts.recorded(image, place / "recorded", lambda: writers[0].hear() if writers else None)
        open_.callback(disk.close)
        state = mounts.mount(disk.file, place / "at-work") / "state"
        boot = boot_file(place, 2)
        writer = Writer(
            state, chance.getrandbits(32), "--boot", boot, *arguments, enter=mounts.enter, moment=lambda: len(disk.log)
        )
        writers.append(writer)
        began, most = len(disk.log), chance.randint(1, MOST_STORED)
        writer.begin()
        writer.until(lambda: writer.count("stored") >= most, hearing=False)
        problems = writer.end(kill=True, hearing=False)
        log = disk.log[: _moment(disk.log, began, chance)]
        mounts.unmount(place / "at-work")
        disk.close()
        writer.close()
        lost = cut(before, log, chance, chance.choice((0.0, 0.5, chance.random(), 1.0)))
        told += [one for one, at in zip(writer.told, writer.heard_at, strict=True) if at <= len(log)]
        found = _afterwards(place, mounts, trial.case, before, told)
    return Outcome(problems + found.problems, {**found.counts, "sectors lost": lost})


def shut_down(trial: Trial) -> Outcome:
    """The file system itself is shut down in the midst of the work, mostly with the log that it had not written yet.

    The writer's calls fail from then on, so it has to end as a daemon does, and all that it told before is kept.
    What it told later proves nothing. Both file systems may answer a sync that is under way with success, and lose its
    data, if the log is given up before they wait for it. Plain files show it too.
    """
    chance = trial.chance
    with disks.at_hand() as (place, mounts, _):
        image = disks.empty(trial.case, place / "image")
        told = _earlier_life(place, mounts, image, chance)
        folder = mounts.mount(image, place / "at-work")
        writer = Writer(folder / "state", chance.getrandbits(32), "--boot", boot_file(place, 2), enter=mounts.enter)
        most = chance.randint(0, MOST_STORED)
        writer.begin()
        writer.until(lambda: writer.count("stored") >= most and writer.count("opened") > 0)
        time.sleep(chance.uniform(0, 0.02))
        how = chance.choice((WITHOUT_LOG, WITHOUT_LOG, WITH_LOG))
        writer.hear()
        before = len(writer.told)
        mounts.within(lambda: _shut_down(folder, how))
        writer.until(lambda: False)
        problems = writer.end()
        writer.close()
        if not (writer.told and writer.told[-1]["did"] == "broke"):
            problems.append(f"ended: it told {writer.told[-1:]}, though its disk was gone")
        mounts.unmount(place / "at-work")
        later = [one for one in writer.told[before:] if one["did"] in DONE]
        believed = [one for at, one in enumerate(writer.told) if at < before or one["did"] not in DONE]
        # The witness may know of a verdict whose sync was none.
        found = _afterwards(place, mounts, trial.case, image, [*told, *believed], same_epoch=not later)
    return Outcome(problems + found.problems, {**found.counts, "told while it went down": len(later)})


def _moment(log: Sequence[Written], began: int, chance: random.Random) -> int:
    """How much of a log the disk has taken when the power goes: any, or just before a flush, when most can be lost."""
    flushes = [number for number, one in enumerate(log) if one is None and number >= began]
    return chance.choice(flushes) if flushes and chance.random() < 0.5 else chance.randint(began, len(log))


def _shut_down(folder: Path, how: int) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.ioctl(descriptor, SHUT_DOWN, struct.pack("I", how))
    finally:
        os.close(descriptor)


def _earlier_life(place: Path, mounts: disks.Mounts, image: Path, chance: random.Random) -> list[Told]:
    """In half of the trials the state is there already; what its writer told."""
    if chance.random() < 0.5:
        return []
    state = mounts.mount(image, place / "earlier") / "state"
    told = earlier_life(state, chance, MOST_STORED, "--boot", boot_file(place, 1), enter=mounts.enter)
    mounts.unmount(place / "earlier")
    return told


def _afterwards(
    place: Path, mounts: disks.Mounts, kind: str, image: Path, told: list[Told], *, same_epoch: bool = True
) -> Outcome:
    """The machine starts again: the file system is mounted, which replays its log, and the journal opened."""
    state = mounts.mount(image, place / "afterwards") / "state"
    found = mounts.within(lambda: kept(state, told, boot=boot_file(place, 3), same_epoch=same_epoch))
    mounts.unmount(place / "afterwards")
    found.problems += disks.check(kind, image)
    return found


ROWS: Final = (
    Row("power-cuts", "power cuts of the disk with the state: writes since the last flush are lost, ext4 and xfs", 150,
        power_cut, SYSTEMS, networks=False, in_ci=1, each_in_ci=True, seconds=2),
    Row("shutdowns", "forced shutdown of the file system with the state, ext4 and xfs", 50, shut_down,
        SYSTEMS, networks=False, in_ci=1, each_in_ci=True, seconds=2),
)  # fmt: skip
