"""The stored verdicts of a journal in, for those who only read: in their order, one by one, with what was sent."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from edge.journal.database import Database

Key = tuple[int, int]
"""An epoch's row and a seq in it: the order of verdicts."""
FIRST: Final[Key] = (0, 0)
BEYOND: Final[Key] = (1 << 62, 0)

_SENT: Final = """
COALESCE((SELECT dead_letter.payload FROM dead_letter WHERE dead_letter.id = sent.id AND dead_letter.payload IS NOT NULL),
    sent.payload)
"""
"""A dead letter keeps the original, where a tombstone took its place."""


class Told(NamedTuple):
    """One verdict. made_at: seconds since 1970.  sent: the JSON of its message, None where it is no longer kept."""

    key: Key
    verdict_id: str
    epoch: str
    kind: str
    path: str
    revision: int
    run: int
    made_at: float
    sent: bytes | None


class Kept(NamedTuple):
    """A verdict whose message is still there. picture: the name of its overlay among `Pictures`."""

    kind: str
    sent: bytes
    picture: str | None


class Verdicts:
    """The verdicts of one journal, for reading. Errors and threads: see `Journal`."""

    def __init__(self, database: Database) -> None:
        """Touches nothing."""
        self._database = database

    def changes(self) -> int:
        """A number that is another one when somebody else has written into the database since."""
        return int(self._database.read("PRAGMA data_version")[0][0])

    def newest(self) -> Key | None:
        """The last verdict that was stored, None before the first."""
        rows = self._database.read("SELECT epoch, seq FROM verdict ORDER BY epoch DESC, seq DESC LIMIT 1")
        return (int(rows[0][0]), int(rows[0][1])) if rows else None

    def between(self, above: Key, below: Key, limit: int) -> list[Told]:
        """At most `limit` verdicts between two keys, both left out, the newest first."""
        rows = self._database.read(
            "SELECT verdict.epoch, verdict.seq, verdict_id, epoch.name, kind, path, verdict.revision, verdict.run, made_at,"
            f" {_SENT} FROM verdict JOIN image ON image.id = verdict.image JOIN epoch ON epoch.id = verdict.epoch"
            " LEFT JOIN outbox AS sent ON sent.epoch = verdict.epoch AND sent.seq = verdict.seq"
            " AND sent.role = 'verdict' AND sent.channel = ''"
            " WHERE (verdict.epoch, verdict.seq) > (?, ?) AND (verdict.epoch, verdict.seq) < (?, ?)"
            " ORDER BY verdict.epoch DESC, verdict.seq DESC LIMIT ?",
            *above,
            *below,
            limit,
        )
        return [_told(row) for row in rows]

    def kept(self) -> Iterator[Kept]:
        """All whose messages are still there, in the order in which they were made, read one at a time."""
        for epoch, seq in self._database.read("SELECT epoch, seq FROM verdict ORDER BY made_at, epoch, seq"):
            rows = self._database.read(
                f"SELECT kind, {_SENT}, verdict_id FROM verdict JOIN outbox AS sent ON sent.epoch = verdict.epoch"
                " AND sent.seq = verdict.seq AND sent.role = 'verdict' AND sent.channel = ''"
                " WHERE verdict.epoch = ? AND verdict.seq = ?",
                epoch,
                seq,
            )
            if rows and rows[0][1] is not None:
                yield Kept(rows[0][0], bytes(rows[0][1]), self.picture(rows[0][2]))

    def sent(self, verdict_id: str) -> bytes | None:
        """The JSON of one verdict's message, None where it is not known or no longer kept."""
        rows = self._database.read(
            f"SELECT {_SENT} FROM verdict JOIN outbox AS sent ON sent.epoch = verdict.epoch AND sent.seq = verdict.seq"
            " AND sent.role = 'verdict' AND sent.channel = '' WHERE verdict_id = ?",
            verdict_id,
        )
        return bytes(rows[0][0]) if rows and rows[0][0] is not None else None

    def picture(self, verdict_id: str) -> str | None:
        """The name of its overlay among `Pictures`, None where it has none or it is no longer kept."""
        rows = self._database.read(
            "SELECT picture FROM outbox JOIN verdict USING (epoch, seq) WHERE verdict_id = ? AND picture IS NOT NULL LIMIT 1",
            verdict_id,
        )
        return str(rows[0][0]) if rows else None

    def keys(self) -> set[Key]:
        """All that are known."""
        return {(int(epoch), int(seq)) for epoch, seq in self._database.read("SELECT epoch, seq FROM verdict")}

    def moved(self) -> set[Key]:
        """Those that were never sent under their number, because a later epoch gave them another one: see `renewal`."""
        if len(set(self.identity())) == 1:
            return set()
        rows = self._database.read(
            "SELECT old.epoch, old.seq FROM verdict AS old JOIN verdict AS new USING (image, revision, run, kind, made_at)"
            " WHERE new.epoch > old.epoch AND NOT EXISTS (SELECT 1 FROM outbox AS sent WHERE sent.epoch = old.epoch"
            " AND sent.seq = old.seq AND sent.role = 'verdict')"
        )
        return {(int(epoch), int(seq)) for epoch, seq in rows}

    def identity(self) -> tuple[str, str]:
        """The names of the first epoch, which is this journal's, and of the last."""
        names = [str(name) for (name,) in self._database.read("SELECT name FROM epoch ORDER BY id")]
        return (names[0], names[-1]) if names else ("", "")


def _told(row: tuple[Any, ...]) -> Told:
    epoch, seq, verdict_id, name, kind, path, revision, run, made_at, sent = row
    body = None if sent is None else bytes(sent)
    return Told((epoch, seq), verdict_id, name, kind, os.fsdecode(path), revision, run, made_at, body)
