"""The journal as others open it: made, closed, viewed, shared by threads, and killed at any moment."""

from __future__ import annotations

import random
import subprocess
import threading
from pathlib import Path

import pytest

from edge.errors import StateError
from edge.journal import Journal
from tests.journal.examples import CRASH_ENVIRONMENT, A, crash_command, inspected, one, seqs


def test_the_folder_is_made_for_this_user_alone(folder: Path, journal: Journal) -> None:
    journal.pictures.write("a.png", b"png")
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.name: path.stat().st_mode & 0o077 for path in folder.rglob("*")} == dict.fromkeys(
        [path.name for path in folder.rglob("*")], 0
    )


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
        journal.outbox.unsent()


def test_a_journal_can_be_viewed_while_it_is_held_but_not_written(folder: Path, journal: Journal) -> None:
    seq = inspected(journal)
    with Journal.view(folder) as view:
        assert (view.epoch, seqs(view), view.info()["last_seq"]) == (journal.epoch, [seq], seq)
        with pytest.raises(StateError, match="readonly"):
            view.ledger.admit("b.tif", A)


def test_a_journal_can_be_viewed_after_the_daemon_ended(folder: Path) -> None:
    with Journal.open(folder) as journal:
        inspected(journal)
    with Journal.view(folder) as view:
        assert view.info()["images"]["done"] == 1


def test_viewing_where_there_is_no_journal_is_a_state_error(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="no journal"):
        Journal.view(tmp_path)
    assert not list(tmp_path.iterdir())


def test_info_counts(journal: Journal) -> None:
    inspected(journal, "a.tif")
    journal.ledger.admit("b.tif", A)
    info = journal.info()
    assert info["images"] == {"waiting": 1, "running": 0, "done": 1, "ignored": 0}
    assert (info["last_seq"], info["unsent"], info["dead_letters"], info["pictures"]) == (1, 2, 0, 0)


def test_threads_may_share_a_journal(journal: Journal) -> None:
    errors: list[BaseException] = []

    def work(name: str) -> None:
        try:
            for number in range(20):
                inspected(journal, f"{name}{number}.tif", one(name))
                journal.outbox.acknowledge([row.id for row in journal.outbox.unsent(limit=3)])
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert journal.info()["last_seq"] == 80


def test_nothing_that_was_stored_is_lost_when_the_process_is_killed_at_any_moment(folder: Path) -> None:
    chance = random.Random(5)
    printed: list[int] = []
    epochs: set[str] = set()
    for _ in range(10):
        with subprocess.Popen(
            crash_command("conclude", folder), stdout=subprocess.PIPE, text=True, env=CRASH_ENVIRONMENT
        ) as process:
            assert process.stdout is not None
            lines = [process.stdout.readline() for _ in range(chance.randrange(1, 12))]
            process.kill()
            lines += process.stdout.readlines()
        epochs |= {line.split()[1] for line in lines if line.startswith("epoch")}
        printed += [int(line.split()[1]) for line in lines if line.startswith("seq") and line.endswith("\n")]
    with Journal.open(folder) as journal:
        last = journal.info()["last_seq"]
        assert last >= len(printed) > 10
        assert printed == sorted(set(printed))
        assert set(printed) <= set(range(1, last + 1))
        assert seqs(journal) == list(range(1, last + 1))
        assert epochs == {journal.epoch}
        rows = journal.outbox.unsent(limit=10_000)
        assert [row.role for row in rows] == ["verdict", "overlay"] * last
        assert all((journal.pictures.folder / row.picture).exists() for row in rows if row.picture)
