"""A state folder belongs to one process at a time."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

import pytest

from edge.errors import StateError
from edge.journal import Journal
from edge.journal import lock as lock_file


def test_a_second_journal_on_the_folder_is_refused_and_told_who_holds_it(folder: Path, journal: Journal) -> None:
    with pytest.raises(StateError, match=f"in use by process {os.getpid()}"):
        Journal.open(folder)


def test_a_failed_opening_gives_the_lock_back(folder: Path) -> None:
    Journal.open(folder).close()
    good = (folder / "journal.sqlite3").read_bytes()
    (folder / "journal.sqlite3").write_bytes(b"no database" * 1000)
    with pytest.raises(StateError):
        Journal.open(folder)
    (folder / "journal.sqlite3").write_bytes(good)
    Journal.open(folder).close()


def test_a_second_journal_is_refused_though_somebody_removed_the_lock_file(folder: Path, journal: Journal) -> None:
    (folder / "lock").unlink()
    with pytest.raises(StateError, match="in use by process"):
        Journal.open(folder)
    assert not (folder / "lock").exists()  # whoever is refused leaves nothing


def test_a_lock_file_that_was_removed_is_put_back_and_held(folder: Path, journal: Journal) -> None:
    for _ in range(2):
        (folder / "lock").unlink()
        journal.keep_lock()
        assert (folder / "lock").read_text().strip() == str(os.getpid())
        with (folder / "lock").open() as other, pytest.raises(BlockingIOError):
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_a_lock_file_that_was_put_back_is_given_back(folder: Path) -> None:
    with Journal.open(folder) as journal:
        (folder / "lock").unlink()
        journal.keep_lock()
    Journal.open(folder).close()


def test_a_lock_file_that_another_process_took_meanwhile_is_noticed(folder: Path, journal: Journal) -> None:
    (folder / "lock").unlink()
    with (folder / "lock").open("w") as other:  # as an older release does, which does not look at the folder
        fcntl.flock(other, fcntl.LOCK_EX)
        other.write("4711\n")
        other.flush()
        with pytest.raises(StateError, match="in use by process 4711"):
            journal.keep_lock()


def test_a_folder_that_was_moved_away_is_noticed(folder: Path, journal: Journal) -> None:
    folder.rename(folder.with_name("old"))
    with pytest.raises(StateError, match="removed or replaced"):
        journal.keep_lock()
    folder.mkdir()
    with pytest.raises(StateError, match="removed or replaced"):
        journal.keep_lock()


def test_a_file_that_is_removed_between_opening_and_locking_is_not_taken_for_the_lock(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock, removed = fcntl.flock, []

    def remove_first(descriptor: int, how: int) -> None:
        if not removed and (folder / "lock").exists():
            removed.append((folder / "lock").unlink())
        lock(descriptor, how)

    monkeypatch.setattr(lock_file.fcntl, "flock", remove_first)
    with Journal.open(folder):
        assert removed
        assert (folder / "lock").exists()


def test_where_the_file_system_locks_no_folders_the_file_is_the_lock(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock = fcntl.flock

    def files_alone(descriptor: int, how: int) -> None:
        if os.path.isdir(descriptor):  # noqa: PTH112
            raise OSError(errno.EBADF, "as NFS says")
        lock(descriptor, how)

    monkeypatch.setattr(lock_file.fcntl, "flock", files_alone)
    with Journal.open(folder), pytest.raises(StateError, match="in use by process"):
        Journal.open(folder)
