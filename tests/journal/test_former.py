"""What is kept of a journal when a newer version takes it over."""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
from pathlib import Path

import pytest

from edge.errors import StateError, StateFullError
from edge.journal import Journal, disk, former, schema
from tests.journal import next_version, version_1
from tests.journal.examples import inspected

NOW = schema.SCHEMA_VERSION


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> None:
    """This process is a later version."""
    monkeypatch.setattr(schema, "SCHEMA_VERSION", schema.SCHEMA_VERSION)  # so that it is put back
    monkeypatch.setattr(schema, "MIGRATIONS", dict(schema.MIGRATIONS))
    next_version.become()


def rows(file: Path) -> list[str]:
    database = sqlite3.connect(file)
    try:
        return list(database.iterdump())
    finally:
        database.close()


def test_a_journal_of_this_version_is_not_copied(folder: Path) -> None:
    for _ in range(2):
        Journal.open(folder).close()
    assert not former.copies(folder)


def test_the_copy_is_what_the_older_version_had_and_is_private(folder: Path) -> None:
    version_1.write(folder)
    before = rows(folder / "journal.sqlite3")
    Journal.open(folder).close()
    (copy,) = former.copies(folder)
    assert copy.name == "journal.sqlite3.v1"
    assert rows(copy) == before
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert not list(folder.glob("*copying*"))


@pytest.mark.usefixtures("later")
def test_what_only_the_log_holds_is_in_the_copy(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schema, "SCHEMA_VERSION", NOW)
    with Journal.open(folder) as journal:
        inspected(journal, "1.tif")
        killed = tmp_path / "killed"
        shutil.copytree(folder, killed)
    monkeypatch.setattr(schema, "SCHEMA_VERSION", NOW + 1)
    assert (killed / "journal.sqlite3-wal").stat().st_size > 0
    Journal.open(killed).close()
    (copy,) = former.copies(killed)
    assert any(b"1.tif".hex().upper() in row for row in rows(copy) if row.startswith('INSERT INTO "image"'))


def test_a_copy_of_another_version_goes_and_an_unfinished_one_too(folder: Path) -> None:
    version_1.write(folder)
    for name in ("journal.sqlite3.v0", "journal.sqlite3.copying", "journal.sqlite3.video"):
        (folder / name).write_bytes(b"x")
    Journal.open(folder).close()
    assert sorted(path.name for path in folder.glob("journal.sqlite3?*")) == ["journal.sqlite3.v1", "journal.sqlite3.video"]


def test_without_room_for_the_copy_nothing_is_changed_and_the_sentence_says_how_much(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    version_1.write(folder)
    before = rows(folder / "journal.sqlite3")
    monkeypatch.setattr(disk, "free_bytes", lambda _: 0)
    with pytest.raises(StateFullError, match=r"free \d+ MB .* nothing is lost"):
        Journal.open(folder)
    assert rows(folder / "journal.sqlite3") == before
    monkeypatch.undo()
    Journal.open(folder).close()


@pytest.mark.usefixtures("later")
def test_the_older_version_refuses_and_names_the_way_back_which_it_then_takes(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema, "SCHEMA_VERSION", NOW)
    with Journal.open(folder) as journal:
        epoch = journal.epoch
        inspected(journal, "before.tif")
    monkeypatch.setattr(schema, "SCHEMA_VERSION", NOW + 1)
    with Journal.open(folder) as journal:
        inspected(journal, "after.tif")
    monkeypatch.setattr(schema, "SCHEMA_VERSION", NOW)
    monkeypatch.delitem(schema.MIGRATIONS, NOW)
    with pytest.raises(StateError, match=f"version {NOW + 1}, this program writes {NOW}") as raised:
        Journal.open(folder)
    assert os.system(str(raised.value).split("replaced: ")[1].split(";")[0]) == 0
    with Journal.open(folder) as journal:
        assert journal.renewed
        assert journal.epoch != epoch
        assert [os.fsdecode(entry.path) for entry in journal.ledger.entries().values()] == ["before.tif"]
    assert (folder / "newer" / "journal.sqlite3").is_file()


def test_without_a_copy_there_is_no_way_back_to_name(tmp_path: Path) -> None:
    assert former.way_back(tmp_path, 4) == ""


def test_a_copy_is_forgotten_when_messages_of_its_age_are(folder: Path) -> None:
    version_1.write(folder)
    with Journal.open(folder) as journal:
        (copy,) = former.copies(folder)
        made = copy.stat().st_mtime
        journal.prune(keep_days=1, max_bytes=1 << 40, now=made + 86000)
        assert copy.exists()
        journal.prune(keep_days=1, max_bytes=1 << 40, now=made + 87000)
        assert not copy.exists()


def test_signs_of_life_are_given_while_a_journal_is_taken_over(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    version_1.write(folder)
    monkeypatch.setattr(former, "STEP_PAGES", 1)
    heard: list[None] = []
    Journal.open(folder, alive=lambda: heard.append(None)).close()
    assert len(heard) > 5
