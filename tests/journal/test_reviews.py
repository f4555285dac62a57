"""Reviews in the journal: stored once, sent behind the verdicts, and known by a pseudonym."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from edge.journal import Journal
from edge.journal.reviews import FIRST_ROW

SHA = "a" * 64


def encode(seq: int) -> bytes:
    return b"sent %d" % seq


def test_a_review_is_stored_once_and_waits_until_it_is_acknowledged(tmp_path: Path) -> None:
    with Journal.open(tmp_path) as journal:
        assert journal.reviews.add("r1", SHA, b"said", encode) == 1
        assert journal.reviews.add("r1", SHA, b"said", encode) is None
        with pytest.raises(ValueError, match="other content"):
            journal.reviews.add("r1", SHA, b"other", encode)
        assert journal.reviews.add("r2", SHA, b"said", encode) == 2
        rows = journal.outbox.unsent()
        assert [(row.seq, row.topic, row.payload, row.epoch) for row in rows] == [
            (1, "review", b"sent 1", journal.epoch),
            (2, "review", b"sent 2", journal.epoch),
        ]
        assert journal.outbox.unsent(without={"review"}) == []
        assert journal.outbox.unsent_count() == 2
        journal.outbox.acknowledge([rows[0].id])
        assert journal.outbox.count_lost_connection(rows[1].id) == 1
    with Journal.open(tmp_path) as journal:
        assert [row.id for row in journal.outbox.unsent()] == [FIRST_ROW + 2]
        journal.outbox.bury(rows[1].id, "refused", None)
        assert [one.state for one in journal.reviews.all()] == ["acked", "dead"]


def test_a_pseudonym_stays_and_does_not_show_the_name(tmp_path: Path) -> None:
    with Journal.open(tmp_path / "one") as journal, Journal.open(tmp_path / "two") as other:
        name = journal.reviews.pseudonym("anna")
        assert name == journal.reviews.pseudonym("anna") != other.reviews.pseudonym("anna")
        assert "anna" not in name


def test_a_journal_of_the_version_before_is_read_as_it_is_and_gets_its_table_when_opened(tmp_path: Path) -> None:
    Journal.open(tmp_path).close()
    with sqlite3.connect(tmp_path / "journal.sqlite3") as database:
        database.execute("DROP TABLE review")
        database.execute("PRAGMA user_version = 3")
    database.close()
    with Journal.view(tmp_path) as journal:
        assert journal.reviews.all() == []
        assert journal.outbox.unsent_count() == 0
    with Journal.open(tmp_path) as journal:
        assert journal.reviews.add("r1", SHA, b"said", encode) == 1
