"""The database file: damaged, of another version, much emptied."""

from __future__ import annotations

import random
import sqlite3
from pathlib import Path

import pytest

from edge.errors import StateError
from edge.journal import DeadLetter, Journal, Outgoing, schema
from edge.journal import database as database_module
from tests.journal import version_1
from tests.journal.examples import A, inspected, one, seqs


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


UNSENT_OF_VERSION_1 = [
    Outgoing(2, 2, "v-2", "verdict", "inspection", b"second" + bytes(20_000), None, 2, version_1.EPOCH),
    Outgoing(3, 2, "v-2", "overlay", "overlay/v-2", None, "2.webp", 0, version_1.EPOCH),
]


def user_version(folder: Path) -> int:
    database = sqlite3.connect(folder / "journal.sqlite3")
    (version,) = database.execute("PRAGMA user_version").fetchone()
    database.close()
    return int(version)


def test_a_database_of_version_1_is_carried_on_and_its_unsent_messages_are_sent(folder: Path) -> None:
    version_1.write(folder)
    with Journal.open(folder) as journal:
        assert (journal.epoch, journal.renewed, journal.ledger.first_start) == (version_1.EPOCH, False, False)
        assert journal.outbox.unsent() == UNSENT_OF_VERSION_1
        assert journal.outbox.dead_letters() == [DeadLetter(3, "v-3", "inspection", "too large", 2.0)]
        assert journal.outbox.summary() == (3, b"{}", False)
        assert journal.ledger.counts()["done"] == 3
        journal.outbox.acknowledge([2, 3])
        assert journal.outbox.replay(version_1.EPOCH, 1, 2) == 2
        assert inspected(journal, "4.tif") == 4
    assert user_version(folder) == schema.SCHEMA_VERSION
    with Journal.open(folder) as journal:
        assert seqs(journal) == [1, 2, 4]
        assert {entry.revision for entry in journal.ledger.entries().values()} == {1}
        changed = journal.ledger.admit("4.tif", A)
        assert changed is not None
        assert changed.revision == 2


def test_a_migrated_database_has_the_columns_and_indexes_of_a_new_one(folder: Path, tmp_path: Path) -> None:
    version_1.write(folder)
    Journal.open(folder).close()
    Journal.open(tmp_path / "new").close()
    found = []
    for place in (folder, tmp_path / "new"):
        database = sqlite3.connect(place / "journal.sqlite3")
        columns = {row[1:5] for table in ("outbox", "image") for row in database.execute(f"PRAGMA table_info({table})")}
        names = ("outbox_unsent", "outbox_kept", "image_queue")
        indexes = {name: database.execute(f"PRAGMA index_info({name})").fetchall() for name in names}
        found.append((columns, {name: [row[2] for row in rows] for name, rows in indexes.items()}))
        database.close()
    assert found[0] == found[1]


def test_a_migration_that_fails_leaves_the_older_version_as_it_was(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    version_1.write(folder)
    with monkeypatch.context() as broken:
        broken.setattr(schema, "MIGRATIONS", {**schema.MIGRATIONS, 2: schema.MIGRATIONS[2] + "DROP TABLE nothing;\n"})
        with pytest.raises(StateError, match="nothing"):
            Journal.open(folder)
    assert user_version(folder) == 1
    with Journal.open(folder) as journal:
        assert journal.outbox.unsent() == UNSENT_OF_VERSION_1


def test_a_database_of_version_1_can_be_viewed_and_stays_so(folder: Path) -> None:
    version_1.write(folder)
    with Journal.view(folder) as view:
        assert view.outbox.unsent() == UNSENT_OF_VERSION_1
        assert view.outbox.unsent(channel="other") == []
        assert (view.info()["unsent"], view.info()["oldest_unsent"], view.info()["dead_letters"]) == (2, 1.0, 1)
        assert view.pictures.undrawn() == []
        assert view.ledger.waiting() == []
        assert len(view.ledger.fingerprints()) == 3
        with pytest.raises(StateError, match=r"readonly|is a view"):
            view.ledger.admit("b.tif", A)
    assert user_version(folder) == 1
