"""A process of its own, to be killed at any moment, or on a disk that fills up; see test_journal.py and test_disk.py."""

from __future__ import annotations

import contextlib
import itertools
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from edge.errors import StateFullError
from edge.journal import Journal, Message, Verdict
from edge.records import Fingerprint


def verdicts(journal: Journal, name: str, payload_bytes: int = 20_000) -> Callable[[int], Sequence[Verdict]]:
    """An inspection with all its messages, whose id says the number that it took."""

    def make(seq: int) -> Sequence[Verdict]:
        text = f"{journal.epoch}/{seq}/{name}".encode()
        journal.pictures.write(f"{seq}.png", b"picture")
        return [
            Verdict(
                f"{journal.epoch}/{seq}",
                "inspection",
                (
                    Message("verdict", "inspection", text + b" " * payload_bytes),
                    Message("overlay", f"overlay/{seq}", None, f"{seq}.png"),
                    Message("summary", "summary", text),
                ),
            )
        ]

    return make


def conclude_for_ever(folder: Path) -> None:
    """Print each `seq` once it is stored, after the epoch."""
    with Journal.open(folder) as journal:
        journal.ledger.recover()
        print("epoch", journal.epoch, flush=True)
        for number in itertools.count(len(journal.ledger.entries())):
            for entry in [*journal.ledger.waiting(limit=1), journal.ledger.admit(f"{number}.tif", Fingerprint(1, number))]:
                assert entry is not None
                journal.ledger.begin(entry.path)
                print("seq", *journal.ledger.conclude(entry.path, verdicts(journal, entry.path)), flush=True)


def take_what_is_left(folder: Path) -> None:
    """Something else fills the disk, to the last byte."""
    with (folder / "foreign").open("wb", buffering=0) as foreign, contextlib.suppress(OSError):
        while foreign.write(b"x" * 4096):
            pass


def fill_the_disk(folder: Path) -> None:
    """Conclude until the disk is full, then show that sending and pruning go on and that room brings admission back."""
    with Journal.open(folder) as journal:
        assert (folder / "reserve").exists()
        stored = []
        try:
            for number in itertools.count():
                entry = journal.ledger.admit(f"{number}.tif", Fingerprint(1, number))
                assert entry is not None
                journal.ledger.begin(entry.path)
                stored += journal.ledger.conclude(entry.path, verdicts(journal, entry.path, payload_bytes=300_000))
        except StateFullError as error:
            print("full:", error)
        take_what_is_left(folder)
        assert os.statvfs(folder).f_bavail == 0
        assert journal.info()["last_seq"] == len(stored)
        assert [row.seq for row in journal.outbox.unsent(limit=10_000) if row.role == "verdict"] == stored
        try:
            journal.pictures.write("large.png", b"x" * 1_000_000)
        except StateFullError:
            assert len(list(journal.pictures.folder.iterdir())) <= len(stored) + 1
            assert not (journal.pictures.folder / "large.png").exists()
        else:
            raise AssertionError("a picture was written to a full disk")
        for row in journal.outbox.unsent(limit=10_000):
            journal.outbox.acknowledge([row.id])
        assert journal.outbox.unsent_count() == 0
        report = journal.prune(keep_days=0, max_bytes=1 << 30, now=9e9)
        assert report.messages == 2 * len(stored), report
        (folder / "foreign").unlink()
        (entry,) = [*journal.ledger.recover(), *journal.ledger.waiting()][:1]
        journal.ledger.begin(entry.path)
        assert journal.ledger.conclude(entry.path, verdicts(journal, entry.path)) == [len(stored) + 1]
        journal.prune(keep_days=1, max_bytes=1 << 30, now=9e9)
        print("reserve:", (folder / "reserve").exists())
        take_what_is_left(folder)
    with Journal.open(folder) as journal:  # a daemon that is restarted while the disk is full
        assert journal.outbox.unsent_count() == 2
        journal.outbox.acknowledge([row.id for row in journal.outbox.unsent()])
        assert journal.outbox.unsent_count() == 0
        assert not journal.renewed
    print("stored", len(stored))


if __name__ == "__main__":
    {"conclude": conclude_for_ever, "fill": fill_the_disk}[sys.argv[1]](Path(sys.argv[2]))
