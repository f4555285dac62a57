"""The ledger and the outbox, on real files, through kills and full disks."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from edge.errors import StateError, StateFullError
from edge.journal import Entry, Journal, Message, Verdict
from edge.journal import journal as journal_module
from edge.records import Fingerprint
from tests import ROOT

CRASH = Path(__file__).with_name("crash.py")
A = Fingerprint(10, 1_000)
B = Fingerprint(20, 2_000)
DAY_S = 86400.0


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def journal(folder: Path, clock: Clock) -> Iterator[Journal]:
    with Journal.open(folder, clock=clock) as journal:
        yield journal


def one(name: str = "v", *, picture: str | None = None, payload: bytes = b"verdict") -> Callable[[int], Sequence[Verdict]]:
    """An inspection with an overlay and a summary, its id made of `name` and its seq."""

    def make(seq: int) -> Sequence[Verdict]:
        overlay = Message("overlay", f"overlay/{name}", None if picture else b"png", picture)
        summary = Message("summary", "summary", f"summary {seq}".encode())
        return [Verdict(f"{name}-{seq}", "inspection", (Message("verdict", "inspection", payload), overlay, summary))]

    return make


def failure(name: str) -> Callable[[int], Sequence[Verdict]]:
    return lambda seq: [Verdict(f"{name}-{seq}", "failure", (Message("verdict", "failure", b"failed"),))]


def inspected(journal: Journal, path: str = "a.tif", make: Callable[[int], Sequence[Verdict]] | None = None) -> int:
    """Admit, begin and conclude; the seq it took."""
    assert journal.admit(path, Fingerprint(1, random.getrandbits(60))) is not None
    journal.begin(path)
    (seq,) = journal.conclude(path, make or one())
    return seq


def paths(entries: Sequence[Entry]) -> list[str]:
    return [entry.path for entry in entries]


def seqs(journal: Journal) -> list[int]:
    return [row.seq for row in journal.unsent(limit=10_000) if row.role == "verdict"]


def admitted(journal: Journal, path: str, fingerprint: Fingerprint = A, **how: bool) -> Entry:
    entry = journal.admit(path, fingerprint, **how)
    assert entry is not None
    return entry


def found(journal: Journal, path: str) -> Entry:
    entry = journal.lookup(path)
    assert entry is not None
    return entry


# The folder


def test_the_folder_is_made_for_this_user_alone(folder: Path, journal: Journal) -> None:
    journal.write_picture("a.png", b"png")
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.name: path.stat().st_mode & 0o077 for path in folder.rglob("*")} == dict.fromkeys(
        [path.name for path in folder.rglob("*")], 0
    )


def test_a_second_journal_on_the_folder_is_refused_and_told_who_holds_it(folder: Path, journal: Journal) -> None:
    with pytest.raises(StateError, match=f"in use by process {os.getpid()}"):
        Journal.open(folder)


def test_a_closed_journal_can_be_opened_again_and_remembers(folder: Path) -> None:
    with Journal.open(folder) as first:
        seq = inspected(first)
        epoch = first.epoch
    with Journal.open(folder) as second:
        assert (second.epoch, seqs(second), second.renewed) == (epoch, [seq], False)


def test_a_closed_journal_says_so(folder: Path) -> None:
    journal = Journal.open(folder)
    journal.close()
    journal.close()
    with pytest.raises(StateError, match="closed"):
        journal.unsent()


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


def test_a_failed_opening_gives_the_lock_back(folder: Path) -> None:
    Journal.open(folder).close()
    good = (folder / "journal.sqlite3").read_bytes()
    (folder / "journal.sqlite3").write_bytes(b"no database" * 1000)
    with pytest.raises(StateError):
        Journal.open(folder)
    (folder / "journal.sqlite3").write_bytes(good)
    Journal.open(folder).close()


def test_a_folder_that_cannot_be_made_is_a_state_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StateError, match="cannot be used"):
        Journal.open(tmp_path / "file" / "state")


def test_a_journal_can_be_viewed_while_it_is_held_but_not_written(folder: Path, journal: Journal) -> None:
    seq = inspected(journal)
    with Journal.view(folder) as view:
        assert (view.epoch, seqs(view), view.info()["last_seq"]) == (journal.epoch, [seq], seq)
        with pytest.raises(StateError, match="readonly"):
            view.admit("b.tif", A)


def test_a_journal_can_be_viewed_after_the_daemon_ended(folder: Path) -> None:
    with Journal.open(folder) as journal:
        inspected(journal)
    with Journal.view(folder) as view:
        assert view.info()["images"]["done"] == 1


def test_viewing_where_there_is_no_journal_is_a_state_error(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="no journal"):
        Journal.view(tmp_path)
    assert not list(tmp_path.iterdir())


# The epoch


def test_an_older_copy_put_back_in_place_begins_a_new_epoch_at_one(folder: Path, tmp_path: Path) -> None:
    with Journal.open(folder) as journal:
        inspected(journal)
        epoch = journal.epoch
    shutil.copyfile(folder / "journal.sqlite3", tmp_path / "backup")
    with Journal.open(folder) as journal:
        assert inspected(journal) == 2
    shutil.copyfile(tmp_path / "backup", folder / "journal.sqlite3")  # keeps the inode
    with Journal.open(folder) as journal:
        assert journal.renewed
        assert journal.epoch != epoch
        assert inspected(journal, "new.tif", one("after")) == 1
        assert [(row.epoch, row.seq) for row in journal.unsent() if row.role == "verdict"] == [(epoch, 1), (journal.epoch, 1)]


def test_a_copied_folder_begins_a_new_epoch_once(folder: Path, tmp_path: Path) -> None:
    with Journal.open(folder) as journal:
        inspected(journal)
        epoch = journal.epoch
    shutil.copytree(folder, tmp_path / "copy")
    with Journal.open(tmp_path / "copy") as copy:
        assert copy.epoch != epoch
        renewed = copy.epoch
    with Journal.open(tmp_path / "copy") as copy:
        assert (copy.epoch, copy.renewed) == (renewed, False)
    with Journal.open(folder) as journal:
        assert journal.epoch == epoch


def test_a_database_without_its_witness_begins_a_new_epoch(folder: Path) -> None:
    with Journal.open(folder) as journal:
        inspected(journal)
        epoch = journal.epoch
    (folder / "witness").unlink()
    with Journal.open(folder) as journal:
        assert journal.epoch != epoch


def test_a_witness_that_lags_behind_after_a_power_cut_is_no_new_epoch(folder: Path) -> None:
    with Journal.open(folder) as journal:
        inspected(journal)
        epoch, old = journal.epoch, (folder / "witness").read_bytes()
        inspected(journal, "b.tif")
    (folder / "witness").write_bytes(old)
    with Journal.open(folder) as journal:
        assert journal.epoch == epoch


# The ledger


def test_the_first_start_lasts_until_something_was_admitted_or_nothing_was_there(folder: Path) -> None:
    with Journal.open(folder) as journal:
        assert journal.first_start
    with Journal.open(folder) as journal:
        assert journal.first_start
        journal.admit_many([])
    with Journal.open(folder) as journal:
        assert not journal.first_start


def test_a_new_path_waits_as_revision_one(journal: Journal) -> None:
    assert journal.admit("a.tif", A) == Entry("a.tif", A, "waiting", 1, 1, 0, 0, backlog=False)
    assert journal.lookup("a.tif") == Entry("a.tif", A, "waiting", 1, 1, 0, 0, backlog=False)
    assert journal.lookup("b.tif") is None


def test_a_known_fingerprint_is_nothing_to_do(journal: Journal) -> None:
    journal.admit("a.tif", A)
    assert journal.admit("a.tif", A) is None
    inspected_once = journal.begin("a.tif")
    journal.conclude(inspected_once.path, one())
    assert journal.admit("a.tif", A) is None


@pytest.mark.parametrize(
    "changed",
    [Fingerprint(11, 1_000), Fingerprint(10, 999), Fingerprint(10, 1_000, readable=False), Fingerprint(10, 1_000, sidecar="x")],
    ids=["size", "mtime", "readable", "sidecar"],
)
def test_whatever_changed_is_a_new_revision(journal: Journal, changed: Fingerprint) -> None:
    admitted(journal, "a.tif", A, backlog=True)
    journal.begin("a.tif")
    journal.conclude("a.tif", one())
    assert journal.admit("a.tif", changed) == Entry("a.tif", changed, "waiting", 2, 1, 0, 0, backlog=False)


def test_what_is_ignored_waits_only_once_it_changes(journal: Journal) -> None:
    assert admitted(journal, "a.tif", A, ignore=True).state == "ignored"
    assert journal.waiting() == []
    assert admitted(journal, "a.tif", B).state == "waiting"


def test_many_are_admitted_at_once_and_known_ones_left_out(journal: Journal) -> None:
    journal.admit("b.tif", A)
    assert paths(journal.admit_many([("a.tif", A), ("b.tif", A), ("c.tif", A)], backlog=True)) == ["a.tif", "c.tif"]
    assert {path: entry.backlog for path, entry in journal.entries().items()} == {"b.tif": False, "a.tif": True, "c.tif": True}


@pytest.mark.parametrize("name", [os.fsdecode(b"\xff.tif"), "line\nbreak.tif", "µ/ß.tif", "quote'.tif"])
def test_any_path_and_sidecar_that_a_file_system_allows_is_kept(journal: Journal, name: str) -> None:
    journal.admit(name, Fingerprint(1, -5, sidecar=name))
    assert list(journal.entries()) == [name]
    assert found(journal, name).fingerprint == Fingerprint(1, -5, sidecar=name)


def test_new_files_go_before_the_backlog_and_suspects_last(journal: Journal) -> None:
    journal.admit("suspect.tif", A)
    journal.admit_many([("old1.tif", A), ("old2.tif", A)], backlog=True)
    journal.admit_many([("new1.tif", A), ("new2.tif", A)])
    journal.begin("suspect.tif")
    journal.recover()
    assert paths(journal.waiting()) == ["new1.tif", "new2.tif", "old1.tif", "old2.tif", "suspect.tif"]
    assert paths(journal.waiting(limit=1)) == ["new1.tif"]


def test_begin_counts_the_attempt_before_anything_else(folder: Path, journal: Journal) -> None:
    journal.admit("a.tif", A)
    begun = journal.begin("a.tif")
    assert (begun.state, begun.attempts) == ("running", 1)
    with Journal.view(folder) as seen_by_others:
        assert found(seen_by_others, "a.tif") == begun


def test_what_does_not_wait_cannot_be_begun(journal: Journal) -> None:
    with pytest.raises(StateError, match="not in the ledger"):
        journal.begin("a.tif")
    journal.admit("a.tif", A)
    journal.begin("a.tif")
    with pytest.raises(StateError, match="is running"):
        journal.begin("a.tif")


def test_a_clean_stop_takes_the_attempt_back(journal: Journal) -> None:
    journal.admit("a.tif", A)
    journal.begin("a.tif")
    journal.release("a.tif")
    assert (found(journal, "a.tif").state, found(journal, "a.tif").attempts) == ("waiting", 0)


def test_a_death_that_was_seen_counts(journal: Journal) -> None:
    journal.admit("a.tif", A)
    journal.begin("a.tif")
    died = journal.died("a.tif")
    assert (died.state, died.attempts, died.deaths) == ("waiting", 1, 1)


def test_what_ran_when_the_process_ended_waits_as_a_suspect_without_a_death(folder: Path) -> None:
    with Journal.open(folder) as journal:
        journal.admit_many([("a.tif", A), ("b.tif", A)])
        journal.begin("a.tif")
    with Journal.open(folder) as journal:
        (suspect,) = journal.recover()
        assert (suspect.path, suspect.state, suspect.attempts, suspect.deaths) == ("a.tif", "waiting", 1, 0)
        assert journal.recover() == []
        assert paths(journal.waiting()) == ["b.tif", "a.tif"]


def test_a_file_that_changes_while_it_runs_waits_again_once_that_is_concluded(journal: Journal) -> None:
    journal.admit("a.tif", A)
    journal.begin("a.tif")
    again = admitted(journal, "a.tif", B)
    assert (again.state, again.revision) == ("running", 2)
    assert journal.waiting() == []
    assert journal.conclude("a.tif", one()) == [1]
    assert journal.waiting() == [Entry("a.tif", B, "waiting", 2, 1, 0, 0, backlog=False)]
    journal.begin("a.tif")
    journal.conclude("a.tif", one())
    assert found(journal, "a.tif").state == "done"


@pytest.mark.parametrize("end", ["release", "died", "recover"])
def test_a_newer_content_does_not_inherit_what_befell_the_older(journal: Journal, end: str) -> None:
    journal.admit("a.tif", A)
    journal.begin("a.tif")
    journal.admit("a.tif", B)
    journal.recover() if end == "recover" else getattr(journal, end)("a.tif")
    assert found(journal, "a.tif") == Entry("a.tif", B, "waiting", 2, 1, 0, 0, backlog=False)


def test_a_file_that_changed_after_it_killed_its_process_is_not_concluded_with_the_old_content(journal: Journal) -> None:
    journal.admit("a.tif", A)
    journal.begin("a.tif")
    journal.died("a.tif")
    journal.admit("a.tif", B)
    journal.conclude("a.tif", failure("crashed"))
    assert journal.waiting() == [Entry("a.tif", B, "waiting", 2, 1, 0, 0, backlog=False)]
    journal.conclude("a.tif", failure("crashed"))
    assert journal.waiting() == []


def test_the_order_of_admission_outlives_a_restart(folder: Path) -> None:
    for name in ("c.tif", "a.tif", "b.tif"):
        with Journal.open(folder) as journal:
            journal.admit(name, A)
    with Journal.view(folder) as view:
        assert paths(view.waiting()) == ["c.tif", "a.tif", "b.tif"]


def test_a_repeat_is_the_next_run(journal: Journal) -> None:
    inspected(journal, "a.tif")
    again = journal.again("v-1")
    assert again is not None
    assert (again.state, again.revision, again.run) == ("waiting", 1, 2)
    journal.begin("a.tif")
    assert journal.conclude("a.tif", one()) == [2]


def test_a_repeat_that_waits_already_is_not_asked_for_twice(journal: Journal) -> None:
    inspected(journal, "a.tif")
    assert journal.again("v-1") == journal.again("v-1")
    journal.begin("a.tif")
    assert journal.again("v-1") == found(journal, "a.tif")
    assert found(journal, "a.tif").run == 2


def test_a_repeat_of_an_unknown_verdict_is_none(journal: Journal) -> None:
    assert journal.again("v-1") is None


def test_begun_files_keep_their_numbers_when_concluded(journal: Journal) -> None:
    journal.admit("a.tif", A)
    journal.begin("a.tif")
    journal.conclude("a.tif", one())
    assert found(journal, "a.tif") == Entry("a.tif", A, "done", 1, 1, 1, 0, backlog=False)


# Verdicts


def test_verdicts_take_consecutive_numbers_and_their_messages_keep_their_order(journal: Journal) -> None:
    journal.admit_many([("pages.tif", A), ("b.tif", A)])
    journal.begin("pages.tif")
    assert journal.conclude("pages.tif", lambda first: [*one("p")(first), *one("p")(first + 1)]) == [1, 2]
    journal.begin("b.tif")
    assert journal.conclude("b.tif", failure("f")) == [3]
    rows = journal.unsent()
    assert [(row.seq, row.role, row.topic) for row in rows] == [
        (1, "verdict", "inspection"),
        (1, "overlay", "overlay/p"),
        (2, "verdict", "inspection"),
        (2, "overlay", "overlay/p"),
        (3, "verdict", "failure"),
    ]
    assert [row.id for row in rows] == sorted(row.id for row in rows)
    assert (rows[0].verdict_id, rows[0].payload, rows[0].tries, rows[0].suspect) == ("p-1", b"verdict", 0, 0)
    assert rows[0].epoch == journal.epoch


def test_when_making_a_verdict_fails_no_number_is_consumed(journal: Journal) -> None:
    journal.admit("a.tif", A)
    before = journal.begin("a.tif")

    def breaks(seq: int) -> Sequence[Verdict]:
        raise OSError("no such overlay")

    with pytest.raises(OSError, match="no such overlay"):
        journal.conclude("a.tif", breaks)
    assert (found(journal, "a.tif"), journal.unsent()) == (before, [])
    assert journal.conclude("a.tif", one()) == [1]


def test_when_storing_a_verdict_fails_nothing_of_it_is_stored(journal: Journal) -> None:
    inspected(journal, "a.tif", lambda seq: [Verdict("same", "failure", (Message("verdict", "failure", b"x"),))])
    journal.admit("b.tif", A)
    before = journal.begin("b.tif")
    with pytest.raises(StateError):
        journal.conclude("b.tif", lambda seq: [*one("new")(seq), Verdict("same", "failure", one()(1)[0].messages)])
    assert (found(journal, "b.tif"), seqs(journal), journal.summary()) == (before, [1], None)


def test_an_image_cannot_be_concluded_without_a_verdict(journal: Journal) -> None:
    journal.admit("a.tif", A)
    journal.begin("a.tif")
    with pytest.raises(ValueError, match="no verdict"):
        journal.conclude("a.tif", lambda seq: [])


def test_an_image_that_was_never_begun_can_fail(journal: Journal) -> None:
    journal.admit("folder.tif", A)
    assert journal.conclude("folder.tif", failure("f")) == [1]
    assert found(journal, "folder.tif").state == "done"


def test_an_image_is_concluded_only_once(journal: Journal) -> None:
    inspected(journal)
    with pytest.raises(StateError, match="is done"):
        journal.conclude("a.tif", one())


def test_a_message_needs_a_payload_and_only_an_overlay_may_be_a_picture() -> None:
    with pytest.raises(ValueError, match="either"):
        Message("verdict", "inspection", None)
    with pytest.raises(ValueError, match="only an overlay"):
        Message("verdict", "inspection", None, "a.png")
    with pytest.raises(ValueError, match="exactly one"):
        Verdict("v", "inspection", (Message("overlay", "overlay/v", b"png"),))


def test_the_summary_is_the_newest_alone_and_is_sent_once(journal: Journal) -> None:
    assert journal.summary() is None
    inspected(journal, "a.tif")
    inspected(journal, "b.tif")
    assert journal.summary() == (2, b"summary 2", False)
    journal.summary_sent(1)
    assert journal.summary() == (2, b"summary 2", False)
    journal.summary_sent(2)
    assert journal.summary() == (2, b"summary 2", True)
    inspected(journal, "c.tif", failure("f"))
    assert journal.summary() == (2, b"summary 2", True)


# The outbox


def test_what_is_acknowledged_is_not_sent_again(journal: Journal) -> None:
    inspected(journal, "a.tif")
    inspected(journal, "b.tif")
    first, *rest = journal.unsent()
    journal.acknowledge([first.id])
    assert journal.unsent() == rest
    assert journal.unsent_count() == 3
    assert journal.unsent(after=rest[0].id, limit=1) == [rest[1]]


def test_the_oldest_unsent_is_told_by_its_time(journal: Journal, clock: Clock) -> None:
    assert journal.oldest_unsent() is None
    inspected(journal, "a.tif")
    clock.now += 60
    inspected(journal, "b.tif")
    assert journal.oldest_unsent() == 1_000_000.0
    journal.acknowledge([row.id for row in journal.unsent() if row.seq == 1])
    assert journal.oldest_unsent() == 1_000_060.0


def test_tries_and_suspicions_are_counted(journal: Journal) -> None:
    inspected(journal)
    row, other = journal.unsent()
    journal.tried([row.id, other.id])
    assert [journal.mark_suspect(row.id), journal.mark_suspect(row.id)] == [1, 2]
    assert [(row.tries, row.suspect) for row in journal.unsent()] == [(1, 2), (1, 0)]
    journal.acknowledge([row.id])
    assert journal.mark_suspect(row.id) == 0


def test_a_buried_verdict_is_replaced_by_its_tombstone_in_its_place(journal: Journal, clock: Clock) -> None:
    inspected(journal, "a.tif", one(payload=b"too large"))
    inspected(journal, "b.tif")
    row = journal.unsent()[0]
    journal.mark_suspect(row.id)
    journal.bury(row.id, "larger than the broker takes", Message("verdict", "failure", b"tombstone"))
    stone = journal.unsent()[0]
    assert (stone.id, stone.seq, stone.topic, stone.payload, stone.suspect) == (row.id, row.seq, "failure", b"tombstone", 0)
    assert journal.dead_letters() == [(1, "v-1", "inspection", "larger than the broker takes", clock.now)]
    assert journal.verdict_payload(1) == b"too large"


def test_a_buried_tombstone_keeps_the_original_on_record(journal: Journal) -> None:
    inspected(journal, "a.tif", one(payload=b"original"))
    row = journal.unsent()[0]
    journal.bury(row.id, "too large", Message("verdict", "failure", b"stone"))
    journal.bury(row.id, "denied", None)
    assert [letter.reason for letter in journal.dead_letters()] == ["too large"]
    assert journal.verdict_payload(1) == b"original"
    assert seqs(journal) == []


def test_a_buried_overlay_leaves_no_tombstone(journal: Journal) -> None:
    inspected(journal)
    verdict, overlay = journal.unsent()
    journal.bury(overlay.id, "denied", None)
    assert journal.unsent() == [verdict]
    assert [(letter.topic, letter.reason) for letter in journal.dead_letters()] == [("overlay/v", "denied")]


def test_what_was_acknowledged_meanwhile_cannot_be_buried(journal: Journal) -> None:
    inspected(journal)
    row = journal.unsent()[0]
    journal.acknowledge([row.id])
    journal.bury(row.id, "late", None)
    assert journal.dead_letters() == []


def test_a_replay_sends_the_acknowledged_verdicts_of_the_range_again_and_nothing_else(journal: Journal) -> None:
    for name in "abcd":
        inspected(journal, f"{name}.tif")
    before = {row.seq: row for row in journal.unsent() if row.role == "verdict"}
    journal.acknowledge([row.id for row in journal.unsent() if row.seq != 3])
    journal.summary_sent(4)
    assert journal.replay(journal.epoch, 2, 3) == 1
    assert [row for row in journal.unsent() if row.seq == 2] == [before[2]]
    assert seqs(journal) == [2, 3]
    assert journal.summary() == (4, b"summary 4", True)


def test_a_replay_of_another_epoch_is_none(journal: Journal) -> None:
    inspected(journal)
    journal.acknowledge([row.id for row in journal.unsent()])
    assert journal.replay("another", 1, 1) == 0
    assert journal.unsent() == []


def test_a_verdict_can_be_read_again_by_number(journal: Journal) -> None:
    inspected(journal, make=one(payload=b"first"))
    assert (journal.verdict_payload(1), journal.verdict_payload(2)) == (b"first", None)


# Upkeep


def test_pictures_are_written_whole_or_not_at_all(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    journal.write_picture("a.png", b"old")

    def fails(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as full:
        full.setattr(os, "fsync", fails)
        with pytest.raises(StateFullError):
            journal.write_picture("a.png", b"new")
    assert {path.name: path.read_bytes() for path in journal.pictures.iterdir()} == {"a.png": b"old"}


@pytest.mark.parametrize("name", ["", "../a.png", ".a.png", "a/b.png"])
def test_a_picture_needs_a_plain_name(journal: Journal, name: str) -> None:
    with pytest.raises(ValueError, match="plain file name"):
        journal.write_picture(name, b"")


def test_pictures_that_nothing_names_are_removed_at_the_next_opening(folder: Path) -> None:
    with Journal.open(folder) as journal:
        for name in ("named.png", "orphan.png"):
            journal.write_picture(name, b"png")
        (journal.pictures / ".half.png.part").write_bytes(b"")
        inspected(journal, make=one(picture="named.png"))
    with Journal.open(folder) as journal:
        assert [path.name for path in journal.pictures.iterdir()] == ["named.png"]
        assert [row.picture for row in journal.unsent() if row.role == "overlay"] == ["named.png"]


def test_prune_forgets_acknowledged_messages_by_age_and_nothing_unsent(journal: Journal, clock: Clock) -> None:
    for number in (1, 2):
        journal.write_picture(f"{number}.png", b"x" * 100)
        inspected(journal, f"{number}.tif", one(picture=f"{number}.png"))
    journal.acknowledge([row.id for row in journal.unsent() if row.seq == 1])
    report = journal.prune(keep_days=90, max_bytes=1 << 30, now=clock.now + 91 * DAY_S)
    assert (report.messages, report.pictures, report.full) == (2, 1, False)
    assert report.freed_bytes == 100 + len(b"verdict")
    assert [path.name for path in journal.pictures.iterdir()] == ["2.png"]
    assert seqs(journal) == [2]
    assert (journal.verdict_payload(1), journal.again("v-1") is not None) == (None, True)
    assert inspected(journal, "3.tif") == 3


def test_prune_keeps_what_is_young_enough(journal: Journal, clock: Clock) -> None:
    inspected(journal)
    journal.acknowledge([row.id for row in journal.unsent()])
    assert journal.prune(keep_days=90, max_bytes=1 << 30, now=clock.now + 89 * DAY_S).messages == 0
    assert journal.replay(journal.epoch, 1, 1) == 1


def test_over_the_limit_the_oldest_acknowledged_pictures_go_first_and_only_as_many_as_needed(journal: Journal) -> None:
    for number in range(1, 5):
        journal.write_picture(f"{number}.png", b"x" * 1_000_000)
        inspected(journal, f"{number}.tif", one(picture=f"{number}.png"))
    journal.acknowledge([row.id for row in journal.unsent() if row.seq != 1])
    limit = journal.info()["database_bytes"] + 3_100_000
    report = journal.prune(keep_days=90, max_bytes=limit, now=0)
    assert (report.pictures, report.full) == (1, False)
    assert sorted(path.name for path in journal.pictures.iterdir()) == ["1.png", "3.png", "4.png"]
    assert journal.verdict_payload(2) is not None


def test_over_the_limit_acknowledged_verdicts_go_when_no_picture_is_left(journal: Journal) -> None:
    for number in range(1, 5):
        inspected(journal, f"{number}.tif", one(payload=b"x" * 1_000_000))
    journal.acknowledge([row.id for row in journal.unsent()])
    report = journal.prune(keep_days=90, max_bytes=journal.info()["database_bytes"] - 1_500_000, now=0)
    assert not report.full
    assert [seq for seq in range(1, 5) if journal.verdict_payload(seq)] == [3, 4]


def test_over_the_limit_with_nothing_that_may_go_is_full(journal: Journal) -> None:
    journal.write_picture("1.png", b"x" * 1_000_000)
    inspected(journal, make=one(picture="1.png"))
    report = journal.prune(keep_days=90, max_bytes=500_000, now=9e9)
    assert (report.full, report.messages) == (True, 0)
    assert report.used_bytes > 1_000_000
    assert len(journal.unsent()) == 2


def test_prune_drops_the_originals_of_old_dead_letters_but_not_the_record(journal: Journal, clock: Clock) -> None:
    inspected(journal)
    row = journal.unsent()[0]
    journal.bury(row.id, "too large", Message("verdict", "failure", b"stone"))
    journal.acknowledge([row.id])
    journal.prune(keep_days=90, max_bytes=1 << 30, now=clock.now + 91 * DAY_S)
    assert [letter.reason for letter in journal.dead_letters()] == ["too large"]
    assert journal.verdict_payload(1) is None


def test_the_database_file_shrinks_after_much_was_pruned(
    folder: Path, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_module, "VACUUM_ABOVE_BYTES", 500_000)
    monkeypatch.setattr(journal_module, "VACUUM_STEP_BYTES", 300_000)
    for number in range(3):
        inspected(journal, f"{number}.tif", one(payload=b"x" * 1_000_000))
    journal.acknowledge([row.id for row in journal.unsent()])
    journal.prune(keep_days=0, max_bytes=1 << 40, now=9e9)
    journal.close()
    assert (folder / "journal.sqlite3").stat().st_size < 1_000_000


def test_info_counts(journal: Journal) -> None:
    inspected(journal, "a.tif")
    journal.admit("b.tif", A)
    info = journal.info()
    assert info["images"] == {"waiting": 1, "running": 0, "done": 1, "ignored": 0}
    assert (info["last_seq"], info["unsent"], info["dead_letters"], info["pictures"]) == (1, 2, 0, 0)


def test_threads_may_share_a_journal(journal: Journal) -> None:
    errors: list[BaseException] = []

    def work(name: str) -> None:
        try:
            for number in range(20):
                inspected(journal, f"{name}{number}.tif", one(name))
                journal.acknowledge([row.id for row in journal.unsent(limit=3)])
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert journal.info()["last_seq"] == 80


# Crashes and full disks


def run(*arguments: str | Path) -> list[str | Path]:
    return [sys.executable, CRASH, *arguments]


ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


def test_nothing_that_was_stored_is_lost_when_the_process_is_killed_at_any_moment(folder: Path) -> None:
    chance = random.Random(5)
    told: list[int] = []
    epochs: set[str] = set()
    for _ in range(10):
        with subprocess.Popen(run("conclude", folder), stdout=subprocess.PIPE, text=True, env=ENVIRONMENT) as process:
            assert process.stdout is not None
            lines = [process.stdout.readline() for _ in range(chance.randrange(1, 12))]
            process.kill()
            lines += process.stdout.readlines()
        epochs |= {line.split()[1] for line in lines if line.startswith("epoch")}
        told += [int(line.split()[1]) for line in lines if line.startswith("seq") and line.endswith("\n")]
    with Journal.open(folder) as journal:
        last = journal.info()["last_seq"]
        assert last >= len(told) > 10
        assert told == sorted(set(told))
        assert set(told) <= set(range(1, last + 1))
        assert seqs(journal) == list(range(1, last + 1))
        assert epochs == {journal.epoch}
        rows = journal.unsent(limit=10_000)
        assert [row.role for row in rows] == ["verdict", "overlay"] * last
        assert all((journal.pictures / row.picture).exists() for row in rows if row.picture)


def test_on_a_full_database_nothing_is_consumed_and_the_outbox_still_works(folder: Path, journal: Journal) -> None:
    journal._database.execute("PRAGMA max_page_count = 200")
    stored = 0
    with pytest.raises(StateFullError, match="is full"):  # noqa: PT012 - how many fit is not known before
        while True:
            inspected(journal, f"{stored}.tif", one(payload=b"x" * 20_000))
            stored += 1
    assert seqs(journal) == list(range(1, stored + 1))
    assert [found(journal, path).state for path in paths(journal.recover())] in (["waiting"], [])
    journal._database.execute("PRAGMA max_page_count = 208")  # a little, as the reserve gives on a real disk
    journal.acknowledge([row.id for row in journal.unsent(limit=1000)])
    assert journal.unsent_count() == 0
    assert journal.prune(keep_days=0, max_bytes=1 << 30, now=9e9).messages == 2 * stored
    assert inspected(journal, "later.tif") == stored + 1


def test_on_a_full_disk_intake_stops_sending_and_pruning_go_on_and_room_brings_it_back(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = f"mount -t tmpfs -o size=64m tmpfs '{disk}'"
    if shutil.which("unshare") is None or subprocess.run(["unshare", "-m", "sh", "-c", mount], capture_output=True).returncode:
        pytest.skip("a small disk can only be mounted as root")
    script = f'{mount} && exec "$@"'
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", script, "sh", *run("fill", disk)], capture_output=True, text=True, env=ENVIRONMENT
    )
    assert done.returncode == 0, done.stderr
    assert "full: the disk that holds" in done.stdout
    assert "reserve: True" in done.stdout
