"""Numbers are never given twice, whatever older copy comes back."""

from __future__ import annotations

import shutil
from pathlib import Path

from edge.journal import Journal
from tests.journal.examples import inspected, one


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


def test_a_witness_that_lags_behind_after_a_power_cut_is_no_new_epoch(folder: Path) -> None:
    with Journal.open(folder) as journal:
        inspected(journal)
        epoch, old = journal.epoch, (folder / "witness").read_bytes()
        inspected(journal, "b.tif")
    (folder / "witness").write_bytes(old)
    with Journal.open(folder) as journal:
        assert journal.epoch == epoch
