"""A database in, numbers out that are never given twice: the epoch, the last `seq`, and their witness outside of it."""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import Callable

from edge.journal import disk, schema
from edge.journal.database import Database


class Numbering:
    """Which epoch the numbers belong to, and which was the last.

    epoch: random name of this run of `seq`, renewed when older state came back.
    epoch_id: of its row.
    renewed: `compare_witness` began a new epoch.
    """

    def __init__(self, database: Database) -> None:
        """Reads alone: the newest epoch of the database."""
        self._database = database
        self._witness: int | None = None
        self._inode = 0
        self.renewed = False
        self.epoch_id, self.epoch = self._newest_epoch()

    def last_seq(self) -> int:
        """The highest number of this epoch, 0 before the first."""
        return int(self._database.read("SELECT COALESCE(MAX(seq), 0) FROM verdict WHERE epoch = ?", self.epoch_id)[0][0])

    def compare_witness(self, clock: Callable[[], float]) -> None:
        """Begin a new epoch when the database is not the one, or not as far, as the witness remembers; then keep it open.

        Numbers that were given away would otherwise be given again, and a subscriber would drop new verdicts as repeats.
        The inode is compared, the device is not: device numbers of the same disk differ from boot to boot.
        """
        folder = self._database.folder
        with disk.translated_os_errors(folder):
            self._inode = (folder / "journal.sqlite3").stat().st_ino
            self._witness = os.open(folder / "witness", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            known = os.pread(self._witness, 1024, 0).decode("ascii", "replace").split()
        as_left = (
            len(known) == 3
            and known[0] == self.epoch
            and known[1].isdigit()
            and int(known[1]) <= self.last_seq()
            and known[2] == f"{self._inode:020d}"
        )
        unused = not known and not self._database.read("SELECT 1 FROM verdict LIMIT 1")
        if not as_left and not unused:
            self._database.write(
                lambda: self._database.execute(schema.NEW_EPOCH, str(uuid.uuid4()), clock()),
                reserve=True,
            )
            self.epoch_id, self.epoch = self._newest_epoch()
            self.renewed = True
        with disk.translated_os_errors(folder):
            os.pwrite(self._witness, self._testimony(self.last_seq()), 0)
            os.ftruncate(self._witness, len(self._testimony(0)))
            os.fsync(self._witness)
            disk.sync_folder(folder)

    def record(self, seq: int) -> None:
        """Have the witness know that `seq` is stored.

        Not synced: it may lag behind the database after a power cut, which is harmless, but never be ahead of it.
        """
        with contextlib.suppress(OSError):
            if self._witness is not None:
                os.pwrite(self._witness, self._testimony(seq), 0)

    def close(self) -> None:
        """Close the witness. May be called twice."""
        if self._witness is not None:
            os.close(self._witness)
            self._witness = None

    def _newest_epoch(self) -> tuple[int, str]:
        row = self._database.read("SELECT id, name FROM epoch ORDER BY id DESC LIMIT 1")[0]
        return row[0], row[1]

    def _testimony(self, seq: int) -> bytes:
        """Always of one length, so that writing it needs no space."""
        return f"{self.epoch} {seq:020d} {self._inode:020d}\n".encode("ascii")
