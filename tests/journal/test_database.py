"""The database file: damaged, of another version, much emptied."""

from __future__ import annotations

import random
import sqlite3
from pathlib import Path

import pytest

from edge.errors import StateError
from edge.journal import Journal
from edge.journal import database as database_module
from tests.journal.examples import inspected, one


@pytest.mark.parametrize("damage", [slice(0, 100), slice(4096, None)], ids=["header", "pages"])
def test_a_damaged_database_is_refused_with_a_cure_and_left_as_it_is(folder: Path, damage: slice) -> None:
    with Journal.open(folder) as journal:
        for number in range(20):
            inspected(journal, f"{number}.tif")
    file = folder / "journal.sqlite3"
    data = bytearray(file.read_bytes())
    length = len(data[damage])
    data[damage] = random.Random(1).randbytes(length)
    file.write_bytes(data)
    with pytest.raises(StateError, match=r"damaged.*backup"):
        Journal.open(folder)
    assert file.read_bytes() == data


def test_a_database_of_a_newer_version_is_refused(folder: Path) -> None:
    Journal.open(folder).close()
    with sqlite3.connect(folder / "journal.sqlite3") as database:
        database.execute("PRAGMA user_version = 99")
    database.close()
    with pytest.raises(StateError, match="version 99"):
        Journal.open(folder)


def test_the_database_file_shrinks_after_much_was_pruned(
    folder: Path, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database_module, "VACUUM_ABOVE_BYTES", 500_000)
    monkeypatch.setattr(database_module, "VACUUM_STEP_BYTES", 300_000)
    for number in range(3):
        inspected(journal, f"{number}.tif", one(payload=b"x" * 1_000_000))
    journal.outbox.acknowledge([row.id for row in journal.outbox.unsent()])
    journal.prune(keep_days=0, max_bytes=1 << 40, now=9e9)
    journal.close()
    assert (folder / "journal.sqlite3").stat().st_size < 1_000_000
