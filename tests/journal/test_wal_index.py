"""A file system whose blocks are smaller than SQLite's steps: a full one is an error, and no signal."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from edge.errors import StateFullError
from edge.journal import Journal, wal_index
from edge.journal.disk import Reserve
from tests import ROOT
from tests.faults import disks
from tests.faults.breaking import Unavailable, fill
from tests.journal.examples import inspected

LOOKS_LONG = """
import sys
from pathlib import Path
from edge.journal import Journal
with Journal.view(Path(sys.argv[1])) as journal:
    print(len(journal.ledger.fingerprints()), flush=True)
    sys.stdin.readline()
    print(len(journal.ledger.fingerprints()), flush=True)
"""
MADE = """
import sys
from pathlib import Path
from edge.journal import Journal
Journal.open(Path(sys.argv[1])).close()
"""
FILLS_UP = """
import sys
from pathlib import Path
from edge.errors import StateFullError
from edge.journal.database import Database
database = Database.open(Path(sys.argv[1]), 0.0)
print("open", flush=True)
sys.stdin.readline()
try:
    for number in range(200):
        database.write(lambda: database.execute("INSERT INTO meta VALUES (?, ?)", f"{number}", "x" * 10_000))
except StateFullError as error:
    print(error)
"""
LOOKED_AT = """
import sys
from pathlib import Path
from edge.errors import StateFullError
from edge.journal import Journal
try:
    Journal.view(Path(sys.argv[1])).close()
except StateFullError as error:
    print(error)
"""


class Disk(NamedTuple):
    """A small file system. state: a folder on it with a journal that was closed, as the commands see it."""

    mounts: disks.Mounts
    state: Path

    def fill(self, kib: int) -> None:
        """So many KiB stay free."""
        fill(self.mounts.inside(self.state.parent) / "foreign", kib << 10)

    def command(self, script: str) -> list[str]:
        """What runs a script with the state folder as its argument."""
        return [*self.mounts.enter, "env", f"PYTHONPATH={ROOT}", sys.executable, "-c", script, str(self.state)]


@pytest.fixture
def small_blocks() -> Iterator[Disk]:
    with contextlib.ExitStack() as open_:
        try:
            place, mounts, _ = open_.enter_context(disks.at_hand())
            disk = Disk(mounts, mounts.small("ext4", place, place / "disk") / "state")
        except Unavailable as absent:
            pytest.skip(str(absent))  # a disk can only be mounted as root, with loop devices
        assert os.statvfs(mounts.inside(disk.state.parent)).f_frsize < wal_index.SQLITE_STEP
        subprocess.run(disk.command(MADE), check=True)
        yield disk


def test_a_disk_that_fills_up_behind_an_open_journal_is_an_error(small_blocks: Disk) -> None:
    with subprocess.Popen(small_blocks.command(FILLS_UP), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        small_blocks.fill(0)
        said, _ = process.communicate("go\n")
    assert process.returncode == 0
    assert "is full: free some space" in said


@pytest.mark.parametrize("kib", [0, 8, 24])
def test_who_looks_at_a_journal_on_a_full_disk_is_told(small_blocks: Disk, kib: int) -> None:
    small_blocks.fill(kib)
    done = subprocess.run(small_blocks.command(LOOKED_AT), capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert "is full: free some space" in done.stdout


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch) -> None:
    """The folders of this machine as if their blocks were small."""
    monkeypatch.setattr(wal_index, "SQLITE_STEP", 1 << 30)


@pytest.mark.usefixtures("played")
def test_an_open_journal_has_the_blocks_of_its_index_and_leaves_nothing_else(folder: Path) -> None:
    with Journal.open(folder):
        index = (folder / "journal.sqlite3-shm").stat()
        assert index.st_size == wal_index.HELD_BYTES
        assert index.st_blocks * 512 >= wal_index.HELD_BYTES
        Journal.view(folder).close()
        assert not list(folder.glob("*-room"))
    assert not list(folder.glob("*-shm"))


@pytest.mark.usefixtures("played")
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_without_room_the_reserve_is_given_up_before_anything_fails(
    folder: Path, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    Journal.open(folder).close()
    assert Reserve(folder).exists()

    reserves: list[bool] = []

    def refused(*_: object) -> None:
        reserves.append(Reserve(folder).exists())
        if reserves[-1] or always:
            raise OSError(code, os.strerror(code))

    monkeypatch.setattr(wal_index, "_take", refused)
    always = False
    Journal.open(folder).close()
    assert reserves == [True, False]
    always = True
    with pytest.raises(StateFullError):
        Journal.open(folder)


@pytest.mark.usefixtures("played")
def test_a_file_system_that_cannot_do_this_is_left_as_it_is(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Journal.open(folder).close()

    def refused(*_: object) -> None:
        raise OSError(errno.EOPNOTSUPP, "Operation not supported")

    monkeypatch.setattr("os.posix_fallocate", refused)
    monkeypatch.setattr("fcntl.fcntl", refused)
    with Journal.open(folder) as journal:
        inspected(journal, "a.tif")
        Journal.view(folder).close()


@pytest.mark.usefixtures("played")
def test_what_a_killed_life_left_in_the_index_is_not_believed(folder: Path) -> None:
    with Journal.open(folder) as journal:
        inspected(journal, "a.tif")
        left = (folder / "journal.sqlite3-shm").read_bytes()
        kept = shutil.copytree(folder, folder.parent / "killed")  # as a kill leaves it: the log is not in the database
    index = kept / "journal.sqlite3-shm"
    index.write_bytes(left[:96] + bytes(byte ^ 0x55 for byte in left[96:]) + b"more")
    with Journal.open(kept) as journal:
        assert journal.ledger.fingerprints().keys() == {"a.tif"}
        assert {row.seq for row in journal.outbox.unsent()} == {1}
        assert index.stat().st_size == wal_index.HELD_BYTES


@pytest.mark.usefixtures("played")
def test_an_index_that_another_process_has_open_is_kept(folder: Path) -> None:
    with Journal.open(folder) as journal:
        inspected(journal, "a.tif")
        reader = subprocess.Popen(
            [sys.executable, "-c", LOOKS_LONG, str(folder)], env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        with reader:
            assert reader.stdout is not None
            assert reader.stdout.readline() == "1\n"
            journal.close()
            with Journal.open(folder) as later:
                inspected(later, "b.tif")
                said, _ = reader.communicate("again\n")
                assert said == "2\n"
                assert later.ledger.fingerprints().keys() == {"a.tif", "b.tif"}


@pytest.mark.usefixtures("played")
def test_a_reader_does_not_take_the_index_for_an_abandoned_one(folder: Path) -> None:
    with Journal.open(folder) as journal:
        inspected(journal, "a.tif")
        for number in range(3):
            inspected(journal, f"{number}.tif")
            done = subprocess.run(
                [sys.executable, "-c", LOOKS_LONG, str(folder)], env={**os.environ, "PYTHONPATH": str(ROOT)},
                input="again\n", capture_output=True, text=True,
            )  # fmt: skip
            assert done.stdout == f"{number + 2}\n" * 2
        assert (folder / "journal.sqlite3-shm").stat().st_size == wal_index.HELD_BYTES


def test_on_other_file_systems_nothing_is_done(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wal_index, "SQLITE_STEP", 1)
    Journal.open(folder).close()
    monkeypatch.setattr("os.posix_fallocate", lambda *_: pytest.fail("it asked for room"))
    with Journal.open(folder):
        assert (folder / "journal.sqlite3-shm").stat().st_size == wal_index.REGION_BYTES
