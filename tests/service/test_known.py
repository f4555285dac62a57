"""What counts as known of a path: the ledger's word, and for a few another one."""

from __future__ import annotations

from dataclasses import replace

from edge.journal import Journal
from edge.records import Fingerprint
from edge.service.known import Known
from tests.journal.examples import failure

SEEN = Fingerprint(5, 7, ctime_ns=8, inode=9)


def known(journal: Journal, *paths: str) -> Known:
    for path in paths:
        journal.ledger.admit(path, SEEN)
    return Known(journal.ledger)


def test_paths_at_hand_are_known_as_the_ledger_has_them(journal: Journal) -> None:
    files = known(journal, "a.tif", "b.tif", "\udcff.tif")
    files.look_up(["a.tif", "new.tif", "\udcff.tif"])
    assert [files.get(path) for path in ("a.tif", "\udcff.tif", "new.tif", "b.tif")] == [SEEN, SEEN, None, None]
    files.look_up([])
    assert files.get("a.tif") is None


def test_what_is_held_counts_until_the_ledger_has_it_too(journal: Journal) -> None:
    files, touched = known(journal, "a.tif"), replace(SEEN, ctime_ns=88)
    files.hold("a.tif", touched)
    files.look_up(["a.tif"])
    found = files.get("a.tif")
    assert found is not None
    assert found.marks == touched.marks
    journal.ledger.adopt([("a.tif", touched)])
    files.look_up(["a.tif"])
    journal.ledger.adopt([("a.tif", SEEN)])
    files.look_up(["a.tif"])
    found = files.get("a.tif")
    assert found is not None
    assert found.marks == SEEN.marks


def test_what_is_let_go_is_known_as_the_ledger_has_it(journal: Journal) -> None:
    files = known(journal, "a.tif")
    files.hold("a.tif", replace(SEEN, size=6))
    files.let_go("a.tif")
    files.let_go("never held.tif")
    files.look_up(["a.tif"])
    assert files.get("a.tif") == SEEN


def test_what_was_gone_is_new_when_it_comes_back_unless_it_is_held_as_readable(journal: Journal) -> None:
    files = known(journal, "a.tif")
    journal.ledger.begin("a.tif")
    journal.ledger.conclude("a.tif", failure("gone"), gone=True)
    files.look_up(["a.tif"])
    assert files.get("a.tif") != SEEN
    files.hold_as_readable("a.tif")
    files.look_up(["a.tif"])
    assert files.get("a.tif") == SEEN
    files.hold_as_readable("not in the ledger.tif")
    assert files.get("not in the ledger.tif") is None
