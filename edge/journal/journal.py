"""A state folder in; out come its ledger of images and its outbox of messages, over one database.

A verdict and its messages are stored together or not at all. Nothing here knows of MQTT or of how a picture is drawn.
In the state folder stand

    journal.sqlite3  the database (write-ahead log, synchronous=FULL: what was committed survives a power cut)
    journal.sqlite3.v4  what it was before a newer program took it over: see `edge.journal.former`
    pictures/        overlays that wait to be sent or are kept; the database refers to them by file name
    lock             held, as is the folder, while a journal is open for writing; holds the process id
    reviewed/        the files of reviewed images, never pruned: see `edge.service.reviewed`
    taught/          adaptations and which one is chosen, never pruned: see `edge.inspection.taught_shelf`
    requests/        what people ask for while a daemon holds the lock: see `edge.journal.requests`
    problems.json    why the daemon is degraded, for edge-doctor: see `edge.journal.problems`
    witness          the highest `seq` given away and which file the database was: shows that an older copy came back
    reserve          space set aside, given up when the disk is full, so that what frees space can still be written down
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import Any

from edge.errors import StateFullError
from edge.journal import disk, former
from edge.journal.database import Database
from edge.journal.ledger import Ledger
from edge.journal.lock import FolderLock
from edge.journal.numbering import Numbering
from edge.journal.outbox import Outbox
from edge.journal.pictures import Pictures
from edge.journal.quarantine import Quarantine
from edge.journal.records import Kept, PruneReport, Unsent, Verdict
from edge.journal.renewal import renew
from edge.journal.retention import Pruning
from edge.journal.reviews import Reviews
from edge.journal.tally import Tally
from edge.journal.trusted_clock import TrustedClock
from edge.journal.verdicts import Verdicts


class Journal:
    """The ledger, the outbox and the pictures of one daemon. Thread-safe; not to be carried over a fork.

    Every method, also of the parts, raises StateError when the database cannot be used, and StateFullError when the disk
    is full; then nothing of that call was stored. `with` closes it.

    folder: where it lives.
    ledger, outbox, pictures, quarantine, tally, reviews, verdicts: its parts.
    clock: whether an age can be told now.
    renewed: this opening began a new epoch in an existing database.
    """

    def __init__(
        self, database: Database, numbering: Numbering, clock: Callable[[], float], lock: FolderLock | None = None
    ) -> None:
        """Use `open` or `view`."""
        self.folder = database.folder
        self.renewed = numbering.renewed
        self.clock = TrustedClock(database, clock)
        self.outbox = Outbox(database, numbering, clock, self.clock.least)
        self.ledger = Ledger(database, numbering, self.outbox, clock)
        self.pictures = Pictures(database)
        self.quarantine = Quarantine(database)
        self.tally = Tally(database)
        self.reviews = Reviews(database, clock)
        self.verdicts = Verdicts(database)
        self._database = database
        self._numbering = numbering
        self._clock = clock
        self._lock = lock

    @property
    def epoch(self) -> str:
        """The epoch that numbers are given from. It changes while the journal is open when `renew` is called."""
        return self._numbering.epoch

    @classmethod
    def open(cls, folder: Path, *, clock: Callable[[], float] = time.time, alive: Callable[[], None] = lambda: None) -> Journal:
        """The journal in `folder`, made if there is none, locked against a second one. clock: seconds since 1970.

        alive: called now and then while one of an older version is taken over, which may take minutes.

        Raises StateError when another process holds it, when it is damaged or of a newer version, or when the folder
        cannot be written.
        """
        with disk.translated_os_errors(folder):
            disk.make_private_folder(folder)
            disk.make_private_folder(folder / "pictures")
            lock = FolderLock(folder)
        try:
            try:
                return cls._open_locked(folder, clock, lock, alive)
            except StateFullError:
                disk.Reserve(folder).spend()
                return cls._open_locked(folder, clock, lock, alive)
        except BaseException:
            lock.close()
            raise

    @classmethod
    def _open_locked(cls, folder: Path, clock: Callable[[], float], lock: FolderLock, alive: Callable[[], None]) -> Journal:
        with contextlib.ExitStack() as on_error:
            database = Database.open(folder, clock(), alive)
            on_error.callback(database.close)
            numbering = Numbering(database)
            on_error.callback(numbering.close)
            numbering.compare_witness(clock)
            journal = cls(database, numbering, clock, lock)
            journal.pictures.remove_orphans()
            database.reserve.restock()
            on_error.pop_all()
        return journal

    @classmethod
    def view(cls, folder: Path) -> Journal:
        """The journal in `folder` for reading alone, also while a daemon holds it. Raises StateError if there is none."""
        database = Database.view(folder)
        try:
            return cls(database, Numbering(database), time.time)
        except BaseException:
            database.close()
            raise

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the database and give the lock back. May be called twice."""
        with self._database.mutex:
            self._database.close()
            self._numbering.close()
            if self._lock is not None:
                self._lock.close()

    def keep_lock(self) -> None:
        """Put the lock file back if somebody removed it. Raises StateError when the folder is no longer this journal's."""
        if self._lock is not None:
            self._lock.keep()

    def contradiction(self, kept: Iterable[Kept]) -> str | None:
        """Why the broker's retained messages show that this state is older than what was sent, None when they do not."""
        return self._numbering.contradiction(kept)

    def connecting(self, at: str) -> None:
        """Remember a connection before anything is said on it. at: as the status and the last will say it."""
        self._numbering.connecting(at)

    def compared(self, kept: Iterable[Kept]) -> None:
        """Remember that what the broker keeps was no `contradiction`."""
        self._numbering.compared(kept)

    def renew(self, rewrite: Callable[[Unsent], Verdict]) -> int:
        """Begin a new epoch and give every verdict that was not sent a number in it; return how many.

        rewrite: the same verdict under its new number; see `edge.journal.renewal`.
        """
        return renew(self._database, self._numbering, self._clock(), rewrite)

    def prune(self, keep_days: float, max_bytes: int, now: float | None) -> PruneReport:
        """Forget what may be forgotten; unsent messages and the ledger's own rows never.

        First acknowledged messages and their pictures older than `keep_days`. Then, while messages and pictures use more
        than `max_bytes`, acknowledged ones by age: those of other channels, then overlays, then verdicts.
        now: seconds since 1970, None when ages cannot be told: then nothing goes by its age.
        Also refills the reserve when there is room again.
        """
        pruning = Pruning(self._database, self.pictures)
        if now is not None:
            pruning.older_than(now - keep_days * 86400)
            former.forget_older_than(self.folder, now - keep_days * 86400)
        pruning.down_to(max_bytes)
        return pruning.finish(max_bytes)

    def info(self) -> dict[str, Any]:
        """Counts and sizes, for health messages and edge-doctor."""
        return {
            "epoch": self.epoch,
            "last_seq": self._numbering.last_seq(),
            "images": self.ledger.counts(),
            "suspects": self.ledger.suspect_count(),
            "unsent": self.outbox.unsent_count(),
            "oldest_unsent": self.outbox.oldest_unsent(),
            "dead_letters": self.outbox.dead_letter_count(),
            "database_bytes": self._database.used_bytes(),
            "pictures": self.pictures.count(),
            "reserve": self._database.reserve.exists(),
        }
