"""Numbers are never given twice, whatever older copy comes back."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from edge.journal import Journal, Kept
from tests.journal.examples import inspected, one

EARLIER, LATER = "2026-01-01T00:00:00.000Z", "2026-01-01T00:10:00.000Z"
STRANGER = "99999999-8888-7777-6666-555555555555"


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
        verdicts = [row for row in journal.outbox.unsent() if row.role == "verdict"]
        assert [(row.epoch, row.seq) for row in verdicts] == [(epoch, 1), (journal.epoch, 1)]


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


def test_a_witness_that_lags_behind_after_a_power_cut_is_no_new_epoch(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Journal.open(folder) as journal:
        inspected(journal)
        epoch, old = journal.epoch, (folder / "witness").read_bytes()
        inspected(journal, "b.tif")
    (folder / "witness").write_bytes(old)
    monkeypatch.setattr("edge.journal.witness.boot_id", lambda: STRANGER)
    with Journal.open(folder) as journal:
        assert journal.epoch == epoch


def overwritten(backup: Path, folder: Path) -> None:
    """As `cp -a` does: every file keeps its inode."""
    for file in backup.rglob("*"):
        if file.is_file():
            shutil.copy2(file, folder / file.relative_to(backup))


def replaced(backup: Path, folder: Path) -> None:
    shutil.rmtree(folder)
    shutil.copytree(backup, folder)


def renamed(backup: Path, folder: Path) -> None:
    """As rsync does: a new file takes the place of each."""
    for file in backup.rglob("*"):
        if file.is_file():
            shutil.copy2(file, folder / f".{file.name}")
            (folder / f".{file.name}").replace(folder / file.relative_to(backup))


def database_alone(backup: Path, folder: Path) -> None:
    for log in folder.glob("journal.sqlite3-*"):
        log.unlink()
    shutil.copy2(backup / "journal.sqlite3", folder / "journal.sqlite3")


def database_with_log(backup: Path, folder: Path) -> None:
    for file in backup.glob("journal.sqlite3*"):
        shutil.copy2(file, folder / file.name)


def database_with_witness(backup: Path, folder: Path) -> None:
    database_with_log(backup, folder)
    shutil.copy2(backup / "witness", folder / "witness")


def left_running(folder: Path, work: Callable[[Journal], None]) -> None:
    """A life that ends with a kill: what it wrote is there, and nothing was closed."""
    child = os.fork()
    if child == 0:
        try:
            work(Journal.open(folder))
        finally:
            os._exit(0)
    assert os.waitpid(child, 0)[1] == 0


@pytest.mark.parametrize("restore", [overwritten, replaced, renamed, database_alone, database_with_log, database_with_witness])
@pytest.mark.parametrize("taken_while", ["running", "closed"])
def test_whatever_part_of_an_older_state_comes_back_no_number_is_given_twice(
    restore: Callable[[Path, Path], None], taken_while: str, folder: Path, tmp_path: Path
) -> None:
    def first_life(journal: Journal) -> None:
        inspected(journal, "before.tif")
        if taken_while == "running":
            shutil.copytree(folder, tmp_path / "backup")

    left_running(folder, first_life)
    if taken_while == "closed":
        Journal.open(folder).close()
        shutil.copytree(folder, tmp_path / "backup")
    with Journal.open(folder) as journal:
        epoch = journal.epoch
        given = [(epoch, inspected(journal, f"{number}.tif")) for number in range(3)]
    restore(tmp_path / "backup", folder)
    with Journal.open(folder) as journal:
        assert journal.renewed
        assert (journal.epoch, inspected(journal, "another.tif", one("other"))) not in given
    with Journal.open(folder) as journal:
        assert not journal.renewed, "it is noticed once"


@pytest.mark.parametrize("closed", [True, False])
@pytest.mark.parametrize("boot", ["the same", "another"])
def test_a_reboot_a_kill_and_reading_the_state_begin_no_new_epoch(
    closed: bool, boot: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def life(journal: Journal) -> None:
        inspected(journal)
        if closed:
            journal.close()

    left_running(folder, life)
    shutil.copytree(folder, tmp_path / "backup")
    if boot == "another":
        monkeypatch.setattr("edge.journal.witness.boot_id", lambda: STRANGER)
    with Journal.open(folder) as journal:
        assert not journal.renewed
        assert inspected(journal, "b.tif") == 2


def test_the_witness_of_an_older_release_is_taken_over(folder: Path) -> None:
    with Journal.open(folder) as journal:
        inspected(journal)
        epoch = journal.epoch
    words = (folder / "witness").read_text().split()
    (folder / "witness").write_text(f"{' '.join(words[:3])}\n")
    for _ in range(2):
        with Journal.open(folder) as journal:
            assert (journal.epoch, journal.renewed) == (epoch, False)


# What the broker keeps


def compared(journal: Journal) -> None:
    journal.connecting(EARLIER)
    journal.compared([])


def test_a_higher_seq_of_our_epoch_is_a_contradiction_and_one_that_was_given_is_none(journal: Journal) -> None:
    seq = inspected(journal)
    assert journal.contradiction([Kept(journal.epoch, seq, None)]) is None
    assert "seq 2" in (journal.contradiction([Kept(journal.epoch, seq + 1, None)]) or "")
    assert "seq" in (journal.contradiction([Kept(journal.epoch, 2**70, None)]) or "")


def test_a_connection_that_is_not_remembered_is_a_contradiction(folder: Path) -> None:
    with Journal.open(folder) as journal:
        compared(journal)
    with Journal.open(folder) as journal:
        assert journal.contradiction([Kept(journal.epoch, None, EARLIER)]) is None
        assert journal.contradiction([Kept(journal.epoch, None, LATER)])
        assert journal.contradiction([Kept(journal.epoch, None, "2025-01-01T00:00:00.000Z")]) is None, "it is forgotten"
        journal.connecting(LATER)
        assert journal.contradiction([Kept(journal.epoch, 99, LATER)]) is None, "we said it ourselves"


def test_an_epoch_of_another_is_met_once(journal: Journal) -> None:
    stranger = Kept(STRANGER, 7, LATER)
    assert journal.contradiction([stranger]) is None, "this epoch was never on the wire"
    compared(journal)
    assert journal.contradiction([stranger])
    journal.compared([stranger])
    assert journal.contradiction([stranger]) is None
