"""A journal in; every verdict that it still keeps out, oldest first, with the name of its picture."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from edge.journal.database import Database


class PastVerdict(NamedTuple):
    """One verdict. kind: inspection or failure.  payload: its document as JSON.  picture: file name below `pictures`."""

    kind: str
    payload: bytes
    picture: str | None


class Past:
    """The verdicts of one journal, for whoever looks back. Errors and threads: see `Journal`."""

    def __init__(self, database: Database) -> None:
        """Touches nothing."""
        self._database = database

    def verdicts(self) -> Iterator[PastVerdict]:
        """All that are kept, in the order in which they were made; of a dead letter its original, not the tombstone."""
        keys = self._database.read("SELECT epoch, seq FROM verdict ORDER BY made_at, epoch, seq")
        for epoch, seq in keys:  # one at a time: all payloads together need not fit into memory
            rows = self._database.read(
                "SELECT verdict.kind, COALESCE(dead.payload, said.payload), overlay.picture FROM verdict"
                " JOIN outbox AS said ON said.epoch = verdict.epoch AND said.seq = verdict.seq"
                " AND said.role = 'verdict' AND said.channel = ''"
                " LEFT JOIN dead_letter AS dead ON dead.id = said.id"
                " LEFT JOIN outbox AS overlay ON overlay.epoch = verdict.epoch AND overlay.seq = verdict.seq"
                " AND overlay.role = 'overlay' AND overlay.channel = ''"
                " WHERE verdict.epoch = ? AND verdict.seq = ? LIMIT 1",
                epoch,
                seq,
            )
            if rows and rows[0][1] is not None:
                yield PastVerdict(rows[0][0], bytes(rows[0][1]), rows[0][2])
