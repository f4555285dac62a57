"""Stored verdicts for those who only read."""

from __future__ import annotations

from edge.journal import Journal, Message
from edge.journal.verdicts import BEYOND, FIRST
from tests.journal.examples import inspected, one


def test_they_come_newest_first_with_what_was_sent_and_between_two_keys(journal: Journal) -> None:
    assert journal.verdicts.newest() is None
    for number in range(4):
        inspected(journal, f"{number}.tif", one(payload=b"%d" % number))
    newest = journal.verdicts.newest()
    assert newest is not None
    found = journal.verdicts.between(FIRST, BEYOND, 3)
    assert [(told.key[1], told.sent, told.path, told.kind) for told in found] == [
        (4, b"3", "3.tif", "inspection"),
        (3, b"2", "2.tif", "inspection"),
        (2, b"1", "1.tif", "inspection"),
    ]
    assert found[0].key == newest
    assert [told.key[1] for told in journal.verdicts.between(FIRST, found[-1].key, 3)] == [1]
    assert journal.verdicts.keys() >= {told.key for told in found}
    assert journal.verdicts.identity() == (journal.epoch, journal.epoch)


def test_a_dead_letter_is_told_as_it_was(journal: Journal) -> None:
    inspected(journal, make=one(payload=b"original"))
    (row,) = [row for row in journal.outbox.unsent() if row.role == "verdict"]
    journal.outbox.bury(row.id, "refused", Message("verdict", "failure", b"tombstone"))
    assert journal.verdicts.sent("v-1") == b"original"
    assert journal.verdicts.between(FIRST, BEYOND, 1)[0].sent == b"original"


def test_a_picture_is_known_by_its_verdict(journal: Journal) -> None:
    inspected(journal, make=one("a", picture="a.webp"))
    inspected(journal, "b.tif", one("b"))
    assert journal.verdicts.picture("a-1") == "a.webp"
    assert journal.verdicts.picture("b-2") is None
    assert journal.verdicts.picture("none") is None
    assert journal.verdicts.sent("none") is None
