"""A database in, numbers out that are never given twice: the epoch, the last `seq`, and who remembers more of them.

Two witnesses know of numbers that a restored state has forgotten: the file beside the database, and the broker, which keeps
the newest status and summary.
"""

from __future__ import annotations

import contextlib
import json
import uuid
from collections.abc import Callable, Iterable
from typing import Final

from edge.journal import disk, schema
from edge.journal.database import Database
from edge.journal.records import Kept
from edge.journal.witness import Witness

REMEMBERED: Final = 16
"""So many connections, and so many epochs of others, are remembered."""


class Numbering:
    """Which epoch the numbers belong to, and which was the last.

    epoch: random name of this run of `seq`, renewed when older state came back. Any thread may read it.
    epoch_id: of its row.
    renewed: `compare_witness` began a new epoch.
    """

    def __init__(self, database: Database) -> None:
        """Reads alone: the newest epoch of the database."""
        self._database = database
        self._witness: Witness | None = None
        self._own: set[str] = set()
        self.renewed = False
        self.epoch_id, self.epoch = self._newest_epoch()

    def last_seq(self) -> int:
        """The highest number of this epoch, 0 before the first."""
        return int(self._database.read("SELECT COALESCE(MAX(seq), 0) FROM verdict WHERE epoch = ?", self.epoch_id)[0][0])

    # The witness beside the database

    def compare_witness(self, clock: Callable[[], float]) -> None:
        """Begin a new epoch when the database is not the one, or not as far, as the witness remembers; then keep it open.

        Numbers that were given away would otherwise be given again, and a subscriber would drop new verdicts as repeats.
        """
        folder = self._database.folder
        with disk.translated_os_errors(folder):
            self._witness = witness = Witness(folder)
        unused = witness.empty and not self._database.read("SELECT 1 FROM verdict LIMIT 1")
        if not unused and not witness.agrees(self.epoch, self.last_seq()):
            self._database.write(lambda: self.begin_epoch(clock()), reserve=True)
            self.adopt_newest()
            self.renewed = True
        with disk.translated_os_errors(folder):
            witness.write(self.epoch, self.last_seq(), synced=True)
            disk.sync_folder(folder)

    def record(self, seq: int) -> None:
        """Have the witness know that `seq` is stored."""
        with contextlib.suppress(OSError):
            if self._witness is not None:
                self._witness.write(self.epoch, seq, synced=False)

    def close(self) -> None:
        """Close the witness. May be called twice."""
        if self._witness is not None:
            self._witness.close()

    # What the broker keeps

    def contradiction(self, kept: Iterable[Kept]) -> str | None:
        """What the broker knows of this journal and the journal does not, in words; None when all of it is known.

        It knows of a higher `seq` of this epoch, of a connection, or of an epoch that this state does not remember: a later
        life of this state has spoken, so numbers from here on were given away. What another device says under our
        prefix is met once, and known from then on. An epoch that was never compared has given nothing away to speak of.
        """
        connections, epochs = self._remembered("connections"), self._remembered("epochs")
        compared, oldest = self.epoch in epochs, min(connections, default="")  # connections before it are forgotten
        own_epochs = {name for (name,) in self._database.read("SELECT name FROM epoch")}
        for one in kept:
            if one.epoch != self.epoch:
                if compared and one.epoch not in own_epochs and one.epoch not in epochs:
                    return f"the broker keeps an epoch {one.epoch} that is not known here"
            elif one.connected_at is not None and one.connected_at in self._own:
                continue  # said by this very process
            elif one.last_seq is not None and one.last_seq > (last := self.last_seq()):
                return f"the broker has seq {one.last_seq} of this epoch, and the last one here is {last}"
            elif compared and one.connected_at not in connections and (one.connected_at or "") > oldest:
                return f"the broker keeps a connection of {one.connected_at} that is not known here"
        return None

    def connecting(self, at: str) -> None:
        """Remember, durably, a connection that the last will and the status are going to speak of. at: as they say it."""
        self._own.add(at)
        self._database.write(lambda: self._remember("connections", [at]), reserve=True)

    def compared(self, kept: Iterable[Kept]) -> None:
        """Remember that this epoch agrees with the broker, and whose epochs else are kept there."""
        epochs = [self.epoch, *(one.epoch for one in kept)]
        if not set(epochs) <= set(self._remembered("epochs")):
            self._database.write(lambda: self._remember("epochs", epochs), reserve=True)

    def _remembered(self, key: str) -> list[str]:
        rows = self._database.read("SELECT value FROM meta WHERE key = ?", key)
        return list(json.loads(rows[0][0])) if rows else []

    def _remember(self, key: str, names: list[str]) -> None:
        """Inside a transaction."""
        row = self._database.execute("SELECT value FROM meta WHERE key = ?", key).fetchone()
        known = list(json.loads(row[0])) if row else []
        added = [name for name in dict.fromkeys(names) if name not in known]
        if added:
            value = json.dumps([*known, *added][-REMEMBERED:])
            self._database.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", key, value)

    # Beginning anew

    def begin_epoch(self, now: float) -> tuple[int, str]:
        """Store a new epoch, inside a transaction; its row and name. `adopt_newest` follows once that is committed."""
        name = str(uuid.uuid4())
        row = self._database.execute(schema.NEW_EPOCH, name, now).lastrowid
        assert row is not None
        self._database.execute("DELETE FROM meta WHERE key = 'connections'")  # none has spoken of the new one yet
        return row, name

    def adopt_newest(self) -> None:
        """Give numbers from the newest epoch on."""
        self.epoch_id, self.epoch = self._newest_epoch()

    def _newest_epoch(self) -> tuple[int, str]:
        row = self._database.read("SELECT id, name FROM epoch ORDER BY id DESC LIMIT 1")[0]
        return row[0], row[1]
