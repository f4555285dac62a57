"""A full disk, and a folder that cannot be used."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from edge.errors import StateError, StateFullError
from edge.journal import Journal
from edge.journal.database import Database
from edge.journal.disk import RESERVE_BYTES, Reserve
from tests.journal.examples import CRASH_ENVIRONMENT, crash_command, found, inspected, one, paths, seqs


def test_a_folder_that_cannot_be_made_is_a_state_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StateError, match="cannot be used"):
        Journal.open(tmp_path / "file" / "state")


def test_on_a_full_database_nothing_is_consumed_and_the_outbox_still_works(folder: Path, journal: Journal) -> None:
    journal._database.execute("PRAGMA max_page_count = 200")
    stored = 0
    with pytest.raises(StateFullError, match="is full"):  # noqa: PT012 - how many fit is not known before
        while True:
            inspected(journal, f"{stored}.tif", one(payload=b"x" * 20_000))
            stored += 1
    assert seqs(journal) == list(range(1, stored + 1))
    assert [found(journal, path).state for path in paths(journal.ledger.recover())] in (["waiting"], [])
    journal._database.execute("PRAGMA max_page_count = 208")  # a little, as the reserve gives on a real disk
    journal.outbox.acknowledge([row.id for row in journal.outbox.unsent(limit=1000)])
    assert journal.outbox.unsent_count() == 0
    assert journal.prune(keep_days=0, max_bytes=1 << 30, now=9e9).messages == 2 * stored
    assert inspected(journal, "later.tif") == stored + 1


def test_on_a_full_disk_admission_stops_sending_and_pruning_go_on_and_room_brings_it_back(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = f"mount -t tmpfs -o size=64m tmpfs '{disk}'"
    if shutil.which("unshare") is None or subprocess.run(["unshare", "-m", "sh", "-c", mount], capture_output=True).returncode:
        pytest.skip("a small disk can only be mounted as root")
    script = f'{mount} && exec "$@"'
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", script, "sh", *crash_command("fill", disk)],
        capture_output=True,
        text=True,
        env=CRASH_ENVIRONMENT,
    )
    assert done.returncode == 0, done.stderr
    assert "full: the disk that holds" in done.stdout
    assert "reserve: True" in done.stdout


def test_the_reserve_is_spent_once_and_restocked(tmp_path: Path) -> None:
    reserve = Reserve(tmp_path)
    assert not reserve.spend()
    reserve.restock()
    assert (tmp_path / "reserve").stat().st_blocks * 512 >= RESERVE_BYTES
    assert (reserve.spend(), reserve.exists(), reserve.spend()) == (True, False, False)


def test_a_disk_that_no_longer_answers_is_a_state_error_wherever_the_journal_looks(
    folder: Path, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    inspected(journal)
    real = os.stat

    def stat(path: Any, **how: Any) -> os.stat_result:
        if str(path).startswith(str(folder)):
            raise OSError(errno.EIO, os.strerror(errno.EIO), str(path))
        return real(path, **how)

    monkeypatch.setattr("os.stat", stat)
    with pytest.raises(StateError, match="Input/output error"):
        journal.prune(keep_days=0, max_bytes=1 << 30, now=9e9)
    assert not journal.info()["reserve"]
    with pytest.raises(StateError, match="Input/output error"):
        Database.open(folder, 0.0)
    with pytest.raises(StateError, match="Input/output error"):
        Database.view(folder)


def test_a_journal_opened_again_has_its_reserve_again(folder: Path) -> None:
    Journal.open(folder).close()
    (folder / "reserve").unlink()
    with Journal.open(folder) as journal:
        assert journal.info()["reserve"]
