"""The index of verdicts: newest first, in steps, and never in the way of what it is made from."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edge.errors import StateError
from edge.journal import Journal, history
from edge.journal.history import History
from edge.journal.verdicts import Told
from tests.journal.examples import DAY_S, Clock, failure, inspected, one


def flat(told: Told) -> dict[str, Any]:
    """A row that says what it is of."""
    kind = told.kind
    return {
        "id": told.verdict_id,
        "place": told.path,
        "path": told.path,
        "kind": kind,
        "label": None if kind == "failure" else "low",
        "state": "failed" if kind == "failure" else "judged",
        "needs_review": kind == "failure",
        "sent": None if told.sent is None else told.sent.decode(),
        "sample": {"coupon": "\udc80 50%_a"},
        "reasons": [],
    }


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "web" / "index.sqlite3"


@pytest.fixture
def index(file: Path) -> Iterator[History]:
    index = History(file, flat)
    yield index
    index.close()


def filled(index: History, journal: Journal) -> list[int]:
    """All that was taken in, in the order in which it was."""
    seqs: list[int] = []
    while True:
        rows = index.fill(journal.verdicts)
        seqs += [key[1] for key, _ in rows]
        if not rows and index.complete():
            return seqs


def shown(index: History, **how: Any) -> list[int]:
    return [key[1] for key, _ in index.page(**how)]


def test_it_takes_in_the_newest_first_in_steps_and_what_comes_meanwhile(
    index: History, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "STEP", 3)
    assert filled(index, journal) == []
    for number in range(7):
        inspected(journal, f"{number}.tif")
    assert [key[1] for key, _ in index.fill(journal.verdicts)] == [7, 6, 5]
    assert not index.complete()
    inspected(journal, "late.tif")
    assert filled(index, journal) == [8, 4, 3, 2, 1]
    assert shown(index) == [8, 7, 6, 5, 4, 3, 2, 1]
    assert shown(index, limit=2, before=index.page(limit=3)[-1][0]) == [5, 4]
    assert [key[1] for key, _ in index.after((1, 6))] == [7, 8]


def test_rows_stay_when_the_journal_forgets_the_messages(
    index: History, journal: Journal, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    inspected(journal)
    filled(index, journal)
    journal.outbox.acknowledge([row.id for row in journal.outbox.unsent()])
    clock.now += 100 * DAY_S
    journal.prune(1.0, 1 << 30, clock.now)
    assert journal.verdicts.sent("v-1") is None
    filled(index, journal)
    row = index.row("v-1")
    assert row is not None
    assert row["sent"] == "verdict"


def test_what_is_looked_for_is_found_letter_by_letter(index: History, journal: Journal) -> None:
    inspected(journal, "AN_60/A.tif")
    inspected(journal, "100%.tif", failure("f"))
    filled(index, journal)
    assert shown(index, search="an_60") == [1]
    assert shown(index, search="100%") == [2]
    assert shown(index, search="%") == [2, 1], "the coupon holds one, too"
    assert shown(index, search="a.tif coupon") == [1]
    assert shown(index, search="\udc80") == [2, 1]
    assert shown(index, search="x' OR 1=1 --") == []
    assert shown(index, doubtful=True) == [2]


def test_an_image_shows_which_of_its_verdicts_is_the_newest(index: History, journal: Journal, clock: Clock) -> None:
    for name in ("a.tif", "b.tif"):
        inspected(journal, name)
    inspected(journal, "a.tif")
    filled(index, journal)
    assert index.superseded(["v-1", "v-2", "v-3", "none"]) == {"v-1"}
    assert index.superseded([]) == set()


def test_counts_are_by_kind_label_and_state_from_a_time_on(index: History, journal: Journal, clock: Clock) -> None:
    inspected(journal, "a.tif")
    clock.now += 10
    for name in ("b.tif", "c.tif"):
        inspected(journal, name)
    inspected(journal, "d.tif", failure("f"))
    filled(index, journal)
    assert sorted(index.counts_since(clock.now - 1), key=str) == [
        ("failure", None, None, "failed", 1),
        ("inspection", "low", None, "judged", 2),
    ]


def test_what_is_doubtful_counts_once_an_image_and_no_failure_does(file: Path, journal: Journal, clock: Clock) -> None:
    index = History(file, lambda told: {**flat(told), "needs_review": True})
    inspected(journal, "early.tif")
    clock.now += 10
    for name in ("a.tif", "b.tif", "a.tif"):
        inspected(journal, name)
    inspected(journal, "d.tif", failure("f"))
    filled(index, journal)
    assert index.doubtful_since(clock.now - 1) == ["v-3", "v-4"]
    index.close()


def test_a_new_epoch_takes_back_what_was_renumbered_and_another_journal_begins_anew(
    index: History, journal: Journal, tmp_path: Path
) -> None:
    for number in range(3):
        inspected(journal, f"{number}.tif")
    filled(index, journal)
    again = iter(range(100))
    journal.renew(lambda unsent: one(f"again{next(again)}")(0)[0])
    filled(index, journal)
    assert len(shown(index)) == 3
    assert all(row["id"].startswith("again") for _, row in index.page())
    fresh = History(tmp_path / "fresh.sqlite3", flat)
    filled(fresh, journal)
    assert fresh.page() == index.page()
    fresh.close()
    with Journal.open(tmp_path / "other") as other:
        inspected(other, "x.tif")
        filled(index, other)
        assert [row["path"] for _, row in index.page()] == ["x.tif"]


def test_gaps_are_numbers_that_no_row_has(index: History, journal: Journal) -> None:
    for number in range(4):
        inspected(journal, f"{number}.tif")
    filled(index, journal)
    assert index.gaps() == []
    index._connection.execute("DELETE FROM row WHERE seq IN (2, 3)")
    ((_, first, last),) = index.gaps()
    assert (first, last) == (2, 3)


@pytest.mark.parametrize("garbage", [b"", b"no database at all" * 1000, b"SQLite format 3\0" + b"\xff" * 5000])
def test_an_index_that_cannot_be_used_is_made_anew(file: Path, journal: Journal, garbage: bytes) -> None:
    file.parent.mkdir()
    file.write_bytes(garbage)
    inspected(journal)
    index = History(file, flat)
    assert filled(index, journal) == [1]
    index.close()
    with sqlite3.connect(file) as database:
        database.execute("PRAGMA user_version = 99")
    database.close()
    index = History(file, flat)
    assert shown(index) == []
    index.close()


def test_filling_leaves_nothing_open_in_the_journal(index: History, journal: Journal) -> None:
    inspected(journal)
    with Journal.view(journal.folder) as view:
        filled(index, view)
        inspected(journal, "b.tif")
        with sqlite3.connect(journal.folder / "journal.sqlite3") as database:
            busy, left, moved = database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        database.close()
        assert (busy, left - moved) == (0, 0)
        before = view.verdicts.changes()
        inspected(journal, "c.tif")
        assert view.verdicts.changes() != before
        assert filled(index, view) == [3, 2]


def test_a_key_of_today_is_not_slow(index: History, journal: Journal) -> None:
    """Its plan, not its time: the counts read an index and no row."""
    plan = index._connection.execute(
        "EXPLAIN QUERY PLAN SELECT kind, label, own_class, state, COUNT(*) FROM row WHERE at >= ? GROUP BY 1, 2, 3, 4",
        (time.time(),),
    ).fetchall()
    assert any("COVERING INDEX row_at" in line[-1] for line in plan)


def test_on_a_full_disk_a_stand_in_takes_over_and_later_the_file_is_used_again(
    index: History, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    inspected(journal)
    filled(index, journal)
    (pages,) = index._connection.execute("PRAGMA page_count").fetchone()
    index._connection.execute(f"PRAGMA max_page_count = {pages}")
    for number in range(60):
        inspected(journal, f"{number}{'x' * 200}.tif")
    assert len(filled(index, journal)) == 60
    assert index.why is not None
    assert "full" in index.why
    assert len(shown(index, limit=100)) == 61
    monkeypatch.setattr(history, "ROOM_BYTES", 1 << 60)
    index.return_to_file()
    assert index.why is not None
    monkeypatch.setattr(history, "ROOM_BYTES", 0)
    index.return_to_file()
    assert index.why is None
    assert len(filled(index, journal)) == 60
    assert len(shown(index, limit=100)) == 61


def test_where_no_file_can_be_a_stand_in_is_used_and_says_why(tmp_path: Path, journal: Journal) -> None:
    inspected(journal)
    (tmp_path / "web").write_text("in the way")
    index = History(tmp_path / "web" / "index.sqlite3", flat)
    assert filled(index, journal) == [1]
    assert "cannot be kept" in str(index.why)
    (tmp_path / "web").unlink()
    index.return_to_file()  # the folder is made, too
    index.close()


def test_one_that_is_damaged_while_it_is_used_is_made_anew(index: History, file: Path, journal: Journal) -> None:
    for number in range(40):
        inspected(journal, f"{number}{'x' * 300}.tif")
    filled(index, journal)
    index._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    index._connection.execute("PRAGMA cache_size = 0")
    size = file.stat().st_size
    with file.open("r+b") as stream:
        stream.seek(4096)
        stream.write(b"\xa5" * (size - 4096))
    with pytest.raises(StateError, match="index"):
        shown(index)
    assert len(filled(index, journal)) == 40
    assert len(shown(index, limit=100)) == 40
