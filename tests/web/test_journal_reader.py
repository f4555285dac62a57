"""The journal as the page reads it: told why it cannot be, opened anew when its file is another one."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import pytest

from edge.errors import StateError
from edge.journal import Journal
from edge.web.journal_reader import JournalReader
from tests.journal.examples import inspected


@pytest.fixture
def state(tmp_path: Path) -> Path:
    with Journal.open(tmp_path / "state") as journal:
        inspected(journal)
    return tmp_path / "state"


def newest(reader: JournalReader) -> object:
    return reader.use(lambda journal: journal.verdicts.newest())


def test_before_it_is_opened_and_after_it_is_closed_it_says_why(state: Path) -> None:
    reader = JournalReader(state)
    with pytest.raises(StateError, match="not looked at yet"):
        newest(reader)
    reader.open()
    assert newest(reader) == (1, 1)
    assert reader.why is None
    reader.close("the page ends")
    with pytest.raises(StateError, match="the page ends"):
        newest(reader)


def test_what_fails_closes_it_so_that_the_next_one_need_not_wait(state: Path) -> None:
    reader = JournalReader(state)
    reader.open()

    def fails(_journal: Journal) -> None:
        raise StateError("damaged")

    with pytest.raises(StateError, match="damaged"):
        reader.use(fails)
    assert reader.why == "damaged"
    reader.open()
    assert newest(reader) == (1, 1)


def test_a_journal_that_another_process_holds_is_said_soon(state: Path) -> None:
    other = sqlite3.connect(state / "journal.sqlite3", isolation_level=None)
    other.execute("PRAGMA locking_mode = EXCLUSIVE")
    other.execute("BEGIN EXCLUSIVE")
    reader = JournalReader(state)
    with pytest.raises(StateError, match="locked"):
        reader.open()
    other.close()
    reader.open()
    assert newest(reader) == (1, 1)


def test_a_copy_that_is_put_back_in_place_is_told(state: Path) -> None:
    file, copy = state / "journal.sqlite3", state.parent / "copy"
    shutil.copyfile(file, copy)
    reader = JournalReader(state)
    reader.open()
    assert not reader.rewritten()
    file.write_bytes(b"no database" * 1000)
    assert reader.rewritten()
    with pytest.raises(StateError, match="damaged"):
        reader.open()
    shutil.copyfile(copy, file)
    reader.open()
    assert newest(reader) == (1, 1)
    file.unlink()
    with pytest.raises(StateError, match="moved away"):
        reader.rewritten()
    file.write_bytes(copy.read_bytes() + b"\0" * 4096)
    with pytest.raises(StateError, match="moved away"):
        reader.rewritten()
    reader.close(None)
