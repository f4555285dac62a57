"""A state folder belongs to one process at a time."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edge.errors import StateError
from edge.journal import Journal


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
