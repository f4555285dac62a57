"""Images from their admission to their verdict."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from edge.errors import StateError
from edge.journal import Entry, Journal, Message, Verdict
from edge.records import Fingerprint
from tests.journal.examples import A, B, admitted, failure, found, inspected, one, paths, seqs


@pytest.mark.parametrize("name", [os.fsdecode(b"\xff.tif"), "line\nbreak.tif", "µ/ß.tif", "quote'.tif"])
def test_any_path_and_sidecar_that_a_file_system_allows_is_kept(journal: Journal, name: str) -> None:
    journal.ledger.admit(name, Fingerprint(1, -5, sidecar=name))
    assert list(journal.ledger.entries()) == [name]
    assert found(journal, name).fingerprint == Fingerprint(1, -5, sidecar=name)


def test_new_files_go_first_then_suspects_then_the_backlog_newest_first(journal: Journal) -> None:
    for path in ("suspect.tif", "machine_killer.tif"):
        journal.ledger.admit(path, A)
    journal.ledger.admit_many([(f"old{day}.tif", Fingerprint(1, day)) for day in (2, 3, 1)], backlog=True)
    journal.ledger.admit_many([("new1.tif", B), ("new2.tif", A)])
    for path in ("suspect.tif", *("machine_killer.tif",) * 4):
        journal.ledger.begin(path)
        journal.ledger.recover()
    assert paths(journal.ledger.waiting()) == [
        *("new1.tif", "new2.tif", "suspect.tif"),
        *("old3.tif", "old2.tif", "old1.tif", "machine_killer.tif"),
    ]
    assert paths(journal.ledger.waiting(limit=1)) == ["new1.tif"]


def test_what_is_held_is_not_begun_and_what_grows_meanwhile_keeps_its_revision(folder: Path, journal: Journal) -> None:
    for size in (1, 2, 3):
        assert admitted(journal, "slow.tif", Fingerprint(size, 1)).revision == 1
        assert journal.ledger.begin("slow.tif").attempts == 1
        journal.ledger.hold("slow.tif")
        assert journal.ledger.waiting() == []
    journal.ledger.resume(["slow.tif", "never seen"])
    (entry,) = journal.ledger.waiting()
    assert (entry.revision, entry.attempts) == (1, 0)
    journal.ledger.begin("slow.tif")
    journal.ledger.conclude("slow.tif", one())
    assert admitted(journal, "slow.tif", Fingerprint(4, 1)).revision == 2


def test_what_changed_before_it_could_be_held_is_not_held(journal: Journal) -> None:
    journal.ledger.admit("slow.tif", A)
    journal.ledger.begin("slow.tif")
    journal.ledger.admit("slow.tif", B)
    journal.ledger.hold("slow.tif")
    assert [(entry.fingerprint, entry.attempts) for entry in journal.ledger.waiting()] == [(B, 0)]


def test_what_was_held_is_looked_at_once_more_after_a_restart(folder: Path, journal: Journal) -> None:
    journal.ledger.admit("slow.tif", A)
    journal.ledger.begin("slow.tif")
    journal.ledger.hold("slow.tif")
    journal.close()
    with Journal.open(folder) as again:
        assert again.ledger.recover() == []
        assert paths(again.ledger.waiting()) == ["slow.tif"]


def test_begin_counts_the_attempt_before_anything_else(folder: Path, journal: Journal) -> None:
    journal.ledger.admit("a.tif", A)
    begun = journal.ledger.begin("a.tif")
    assert (begun.state, begun.attempts) == ("running", 1)
    with Journal.view(folder) as seen_by_others:
        assert found(seen_by_others, "a.tif") == begun


def test_what_does_not_wait_cannot_be_begun(journal: Journal) -> None:
    with pytest.raises(StateError, match="not in the ledger"):
        journal.ledger.begin("a.tif")
    journal.ledger.admit("a.tif", A)
    journal.ledger.begin("a.tif")
    with pytest.raises(StateError, match="is running"):
        journal.ledger.begin("a.tif")


def test_a_clean_stop_takes_the_attempt_back(journal: Journal) -> None:
    journal.ledger.admit("a.tif", A)
    journal.ledger.begin("a.tif")
    journal.ledger.release("a.tif")
    assert (found(journal, "a.tif").state, found(journal, "a.tif").attempts) == ("waiting", 0)


def test_a_death_that_was_seen_counts(journal: Journal) -> None:
    journal.ledger.admit("a.tif", A)
    journal.ledger.begin("a.tif")
    died = journal.ledger.died("a.tif")
    assert (died.state, died.attempts, died.deaths) == ("waiting", 1, 1)


def test_what_ran_when_the_process_ended_waits_as_a_suspect_without_a_death(folder: Path) -> None:
    with Journal.open(folder) as journal:
        journal.ledger.admit_many([("a.tif", A), ("b.tif", A)])
        journal.ledger.begin("a.tif")
    with Journal.open(folder) as journal:
        (suspect,) = journal.ledger.recover()
        assert (suspect.path, suspect.state, suspect.attempts, suspect.deaths) == ("a.tif", "waiting", 1, 0)
        assert journal.ledger.recover() == []
        assert paths(journal.ledger.waiting()) == ["b.tif", "a.tif"]


def test_a_file_that_changes_while_it_runs_waits_again_once_that_is_concluded(journal: Journal) -> None:
    journal.ledger.admit("a.tif", A)
    journal.ledger.begin("a.tif")
    again = admitted(journal, "a.tif", B)
    assert (again.state, again.revision) == ("running", 2)
    assert journal.ledger.waiting() == []
    assert journal.ledger.conclude("a.tif", one()) == [1]
    assert journal.ledger.waiting() == [Entry("a.tif", B, "waiting", 2, 1, 0, 0, backlog=False)]
    journal.ledger.begin("a.tif")
    journal.ledger.conclude("a.tif", one())
    assert found(journal, "a.tif").state == "done"


@pytest.mark.parametrize("end", ["release", "died", "recover"])
def test_a_newer_content_does_not_inherit_what_befell_the_older(journal: Journal, end: str) -> None:
    journal.ledger.admit("a.tif", A)
    journal.ledger.begin("a.tif")
    journal.ledger.admit("a.tif", B)
    journal.ledger.recover() if end == "recover" else getattr(journal.ledger, end)("a.tif")
    assert found(journal, "a.tif") == Entry("a.tif", B, "waiting", 2, 1, 0, 0, backlog=False)


def test_a_file_that_changed_after_it_killed_its_process_is_not_concluded_with_the_old_content(journal: Journal) -> None:
    journal.ledger.admit("a.tif", A)
    journal.ledger.begin("a.tif")
    journal.ledger.died("a.tif")
    journal.ledger.admit("a.tif", B)
    journal.ledger.conclude("a.tif", failure("crashed"))
    assert journal.ledger.waiting() == [Entry("a.tif", B, "waiting", 2, 1, 0, 0, backlog=False)]
    journal.ledger.conclude("a.tif", failure("crashed"))
    assert journal.ledger.waiting() == []


def test_the_order_of_admission_outlives_a_restart(folder: Path) -> None:
    for name in ("c.tif", "a.tif", "b.tif"):
        with Journal.open(folder) as journal:
            journal.ledger.admit(name, A)
    with Journal.view(folder) as view:
        assert paths(view.ledger.waiting()) == ["c.tif", "a.tif", "b.tif"]


def test_a_repeat_is_the_next_run(journal: Journal) -> None:
    inspected(journal, "a.tif")
    again = journal.ledger.again("v-1")
    assert again is not None
    assert (again.state, again.revision, again.run) == ("waiting", 1, 2)
    journal.ledger.begin("a.tif")
    assert journal.ledger.conclude("a.tif", one()) == [2]


def test_a_repeat_that_waits_already_is_not_asked_for_twice(journal: Journal) -> None:
    inspected(journal, "a.tif")
    assert journal.ledger.again("v-1") == journal.ledger.again("v-1")
    journal.ledger.begin("a.tif")
    assert journal.ledger.again("v-1") == found(journal, "a.tif")
    assert found(journal, "a.tif").run == 2


def test_a_repeat_of_an_unknown_verdict_is_none(journal: Journal) -> None:
    assert journal.ledger.again("v-1") is None


def test_begun_files_keep_their_numbers_when_concluded(journal: Journal) -> None:
    journal.ledger.admit("a.tif", A)
    journal.ledger.begin("a.tif")
    journal.ledger.conclude("a.tif", one())
    assert found(journal, "a.tif") == Entry("a.tif", A, "done", 1, 1, 1, 0, backlog=False)


def test_verdicts_take_consecutive_numbers_and_their_messages_keep_their_order(journal: Journal) -> None:
    journal.ledger.admit_many([("pages.tif", A), ("b.tif", A)])
    journal.ledger.begin("pages.tif")
    assert journal.ledger.conclude("pages.tif", lambda first: [*one("p")(first), *one("p")(first + 1)]) == [1, 2]
    journal.ledger.begin("b.tif")
    assert journal.ledger.conclude("b.tif", failure("f")) == [3]
    rows = journal.outbox.unsent()
    assert [(row.seq, row.role, row.topic) for row in rows] == [
        (1, "verdict", "inspection"),
        (1, "overlay", "overlay/p"),
        (2, "verdict", "inspection"),
        (2, "overlay", "overlay/p"),
        (3, "verdict", "failure"),
    ]
    assert [row.id for row in rows] == sorted(row.id for row in rows)
    assert (rows[0].verdict_id, rows[0].payload, rows[0].lost_connections) == ("p-1", b"verdict", 0)
    assert rows[0].epoch == journal.epoch


def test_when_making_a_verdict_fails_no_number_is_consumed(journal: Journal) -> None:
    journal.ledger.admit("a.tif", A)
    before = journal.ledger.begin("a.tif")

    def breaks(seq: int) -> Sequence[Verdict]:
        raise OSError("no such overlay")

    with pytest.raises(OSError, match="no such overlay"):
        journal.ledger.conclude("a.tif", breaks)
    assert (found(journal, "a.tif"), journal.outbox.unsent()) == (before, [])
    assert journal.ledger.conclude("a.tif", one()) == [1]


def test_when_storing_a_verdict_fails_nothing_of_it_is_stored(journal: Journal) -> None:
    inspected(journal, "a.tif", lambda seq: [Verdict("same", "failure", (Message("verdict", "failure", b"x"),))])
    journal.ledger.admit("b.tif", A)
    before = journal.ledger.begin("b.tif")
    with pytest.raises(StateError):
        journal.ledger.conclude("b.tif", lambda seq: [*one("new")(seq), Verdict("same", "failure", one()(1)[0].messages)])
    assert (found(journal, "b.tif"), seqs(journal), journal.outbox.summary()) == (before, [1], None)


def test_an_image_cannot_be_concluded_without_a_verdict(journal: Journal) -> None:
    journal.ledger.admit("a.tif", A)
    journal.ledger.begin("a.tif")
    with pytest.raises(ValueError, match="no verdict"):
        journal.ledger.conclude("a.tif", lambda seq: [])


def test_an_image_that_was_never_begun_can_fail(journal: Journal) -> None:
    journal.ledger.admit("folder.tif", A)
    assert journal.ledger.conclude("folder.tif", failure("f")) == [1]
    assert found(journal, "folder.tif").state == "done"


def test_an_image_is_concluded_only_once(journal: Journal) -> None:
    inspected(journal)
    with pytest.raises(StateError, match="is done"):
        journal.ledger.conclude("a.tif", one())


@pytest.mark.parametrize("mtime_ns", [10**19, 1 << 63, -(10**18), -(1 << 63) - 1])
def test_a_file_of_any_date_is_known_again_after_a_restart(folder: Path, mtime_ns: int) -> None:
    dated = Fingerprint(10, mtime_ns)
    with Journal.open(folder) as journal:
        admitted(journal, "a.tif", dated)
    with Journal.open(folder) as journal:
        assert journal.ledger.entries()["a.tif"].fingerprint == dated
        assert journal.ledger.admit("a.tif", dated) is None
        assert journal.ledger.admit("a.tif", Fingerprint(10, mtime_ns + 1)) is not None
