"""What the journal's tests store and ask for."""

from __future__ import annotations

import os
import random
import sqlite3
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from edge.journal import Entry, Journal, Message, Verdict
from edge.records import Fingerprint
from tests import ROOT

A = Fingerprint(10, 1_000)
B = Fingerprint(20, 2_000)
DAY_S = 86400.0
CRASH_ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


class Clock:
    """Stands still until a test moves it. now: seconds since 1970."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def one(name: str = "v", *, picture: str | None = None, payload: bytes = b"verdict") -> Callable[[int], Sequence[Verdict]]:
    """An inspection with an overlay and a summary, its id made of `name` and its seq."""

    def make(seq: int) -> Sequence[Verdict]:
        overlay = Message("overlay", f"overlay/{name}", None if picture else b"png", picture)
        summary = Message("summary", "summary", f"summary {seq}".encode())
        return [Verdict(f"{name}-{seq}", "inspection", (Message("verdict", "inspection", payload), overlay, summary))]

    return make


def failure(name: str) -> Callable[[int], Sequence[Verdict]]:
    """A failure, its id made of `name` and its seq."""
    return lambda seq: [Verdict(f"{name}-{seq}", "failure", (Message("verdict", "failure", b"failed"),))]


def on_channels(*channels: str) -> Callable[[int], Sequence[Verdict]]:
    """An inspection that other channels speak of, too: each says its own name, retained."""

    def make(seq: int) -> Sequence[Verdict]:
        others = [Message("channel", f"{name}/{seq}", name.encode(), channel=name, retain=True) for name in channels]
        return [Verdict(f"c-{seq}", "inspection", (*others, Message("verdict", "inspection", b"verdict")))]

    return make


def inspected(journal: Journal, path: str = "a.tif", make: Callable[[int], Sequence[Verdict]] | None = None) -> int:
    """Admit, begin and conclude; the seq it took."""
    assert journal.ledger.admit(path, Fingerprint(1, random.getrandbits(60))) is not None
    journal.ledger.begin(path)
    (seq,) = journal.ledger.conclude(path, make or one())
    return seq


def admitted(journal: Journal, path: str, fingerprint: Fingerprint = A, **how: bool) -> Entry:
    """Admit what must be new."""
    entry = journal.ledger.admit(path, fingerprint, **how)
    assert entry is not None
    return entry


def found(journal: Journal, path: str) -> Entry:
    """The entry of a path that must be known."""
    return journal.ledger.entries()[path]


def paths(entries: Sequence[Entry]) -> list[str]:
    """Of each entry, in the same order."""
    return [entry.path for entry in entries]


def seqs(journal: Journal) -> list[int]:
    """Of the verdicts that wait to be sent."""
    return [row.seq for row in journal.outbox.unsent(limit=10_000) if row.role == "verdict"]


def verdict_payload(journal: Journal, seq: int) -> bytes | None:
    """What was to be sent as verdict `seq` of this epoch, None when it was pruned or never given."""
    with sqlite3.connect(journal.folder / "journal.sqlite3") as database:
        row = database.execute(
            "SELECT COALESCE(dead_letter.payload, outbox.payload) FROM outbox LEFT JOIN dead_letter USING (id)"
            " JOIN epoch ON epoch.id = outbox.epoch WHERE epoch.name = ? AND outbox.seq = ? AND role = 'verdict'",
            (journal.epoch, seq),
        ).fetchone()
    database.close()
    return row[0] if row else None


def crash_command(*arguments: str | Path) -> list[str | Path]:
    """Runs crash.py as a process of its own; needs `CRASH_ENVIRONMENT`."""
    return [sys.executable, Path(__file__).with_name("crash.py"), *arguments]
