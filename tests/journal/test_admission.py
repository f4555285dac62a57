"""What is taken in, and what is known already."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.journal import Entry, Journal
from edge.journal.admission import BURST
from edge.records import Fingerprint
from tests.journal.examples import A, B, admitted, found, inspected, one, paths


def test_the_first_start_lasts_until_something_was_admitted_or_nothing_was_there(folder: Path) -> None:
    with Journal.open(folder) as journal:
        assert journal.ledger.first_start
    with Journal.open(folder) as journal:
        assert journal.ledger.first_start
        journal.ledger.admit_many([])
    with Journal.open(folder) as journal:
        assert not journal.ledger.first_start


def test_a_new_path_waits_as_revision_one(journal: Journal) -> None:
    assert journal.ledger.admit("a.tif", A) == Entry("a.tif", A, "waiting", 1, 1, 0, 0, backlog=False)
    assert journal.ledger.entries() == {"a.tif": Entry("a.tif", A, "waiting", 1, 1, 0, 0, backlog=False)}


def test_a_known_fingerprint_is_nothing_to_do(journal: Journal) -> None:
    journal.ledger.admit("a.tif", A)
    assert journal.ledger.admit("a.tif", A) is None
    inspected_once = journal.ledger.begin("a.tif")
    journal.ledger.conclude(inspected_once.path, one())
    assert journal.ledger.admit("a.tif", A) is None


@pytest.mark.parametrize(
    "changed",
    [Fingerprint(11, 1_000), Fingerprint(10, 999), Fingerprint(10, 1_000, readable=False), Fingerprint(10, 1_000, sidecar="x")],
    ids=["size", "mtime", "readable", "sidecar"],
)
def test_whatever_changed_is_a_new_revision(journal: Journal, changed: Fingerprint) -> None:
    admitted(journal, "a.tif", A, backlog=True)
    journal.ledger.begin("a.tif")
    journal.ledger.conclude("a.tif", one())
    assert journal.ledger.admit("a.tif", changed) == Entry("a.tif", changed, "waiting", 2, 1, 0, 0, backlog=False)


def test_what_is_ignored_waits_only_once_it_changes(journal: Journal) -> None:
    assert admitted(journal, "a.tif", A, ignore=True).state == "ignored"
    assert journal.ledger.waiting() == []
    assert admitted(journal, "a.tif", B).state == "waiting"


def test_many_are_admitted_at_once_and_known_ones_left_out(journal: Journal) -> None:
    journal.ledger.admit("b.tif", A)
    assert paths(journal.ledger.admit_many([("a.tif", A), ("b.tif", A), ("c.tif", A)], backlog=True)) == ["a.tif", "c.tif"]
    assert {path: entry.backlog for path, entry in journal.ledger.entries().items()} == {
        "b.tif": False,
        "a.tif": True,
        "c.tif": True,
    }


def test_after_a_burst_the_next_new_file_goes_before_it(journal: Journal) -> None:
    journal.ledger.admit("asked.tif", A)
    journal.ledger.begin("asked.tif")
    journal.ledger.conclude("asked.tif", one("asked"))
    assert journal.ledger.again("asked-1") is not None
    journal.ledger.admit_many([(f"{day}.tif", Fingerprint(1, day)) for day in range(1, BURST + 2)])
    journal.ledger.admit("new.tif", Fingerprint(1, -7))
    order = paths(journal.ledger.waiting())
    assert order[:3] == ["asked.tif", "new.tif", f"{BURST + 1}.tif"]
    assert order[-1] == "1.tif"
    assert len(order) == BURST + 3


@pytest.mark.parametrize("mtime_ns", [-(1 << 63), -1, 0, (1 << 63) - 1, 1 << 90])
def test_no_date_of_a_file_spoils_the_order(folder: Path, journal: Journal, mtime_ns: int) -> None:
    journal.ledger.admit("dated.tif", Fingerprint(1, mtime_ns), backlog=True)
    journal.ledger.admit("new.tif", A)
    journal.close()
    with Journal.open(folder) as again:
        again.ledger.admit("newer.tif", A)
        assert paths(again.ledger.waiting()) == ["new.tif", "newer.tif", "dated.tif"]


def test_equal_content_takes_its_revision_again_and_no_verdict(journal: Journal) -> None:
    journal.ledger.admit("a.tif", A)
    journal.ledger.begin("a.tif")
    journal.ledger.conclude("a.tif", one(), "content")
    assert admitted(journal, "a.tif", B).content == "content"
    journal.ledger.begin("a.tif")
    journal.ledger.unchanged("a.tif")
    entry = found(journal, "a.tif")
    assert (entry.state, entry.revision, entry.fingerprint) == ("done", 1, B)
    assert admitted(journal, "a.tif", A).revision == 2


MARKED = Fingerprint(10, 1_000, ctime_ns=5, inode=6)


@pytest.mark.parametrize(("content", "comparison"), [("content", "same"), ("other", "changed")])
def test_new_marks_are_a_reason_to_compare_and_other_content_alone_to_inspect(
    journal: Journal, content: str, comparison: str
) -> None:
    admitted(journal, "a.tif", A)
    journal.ledger.begin("a.tif")
    assert journal.ledger.compare("a.tif", MARKED, content) == "later"
    journal.ledger.conclude("a.tif", one(), "content")
    assert journal.ledger.admit("a.tif", MARKED) is None
    assert journal.ledger.compare("a.tif", MARKED, content) == comparison
    entry = found(journal, "a.tif")
    assert (entry.state, entry.revision) == (("waiting", 2) if comparison == "changed" else ("done", 1))
    assert journal.ledger.fingerprints()["a.tif"].marks == (5, 6)


def test_where_no_content_is_kept_it_is_kept_from_the_first_comparison_on(journal: Journal) -> None:
    inspected(journal, "a.tif")
    fingerprint = found(journal, "a.tif").fingerprint
    assert journal.ledger.compare("a.tif", fingerprint, "content") == "same"
    assert journal.ledger.compare("a.tif", fingerprint, "other") == "changed"


def test_marks_alone_can_be_adopted(journal: Journal) -> None:
    journal.ledger.admit("a.tif", A)
    journal.ledger.adopt([("a.tif", MARKED), ("never seen", MARKED)])
    assert journal.ledger.fingerprints() == {"a.tif": MARKED}
    assert journal.ledger.fingerprints()["a.tif"].marks == (5, 6)
