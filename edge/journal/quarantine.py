"""Verdicts in; out come the images that could not be inspected, and why, until they can be or change."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Final

from edge.journal.database import Database
from edge.journal.records import Quarantined, Suspect, Verdict
from edge.journal.schema import QUEUED

LONGEST_MESSAGE: Final = 1000
_THERE: Final = "FROM quarantine JOIN image ON image.id = quarantine.image WHERE image.state = 'done'"
"""What was changed, or asked for again, waits: it is in quarantine no longer, and its row goes with its next verdict."""


class Quarantine:
    """The images whose newest verdict is a failure, and those that may become one. Errors and threads: see `Journal`."""

    def __init__(self, database: Database) -> None:
        """Touches nothing."""
        self._database = database

    def images(self, limit: int | None = None) -> list[Quarantined]:
        """Those that were given up, the newest first. limit: None for all."""
        rows = self._database.read(
            "SELECT path, code, message, made_at, verdict.revision, verdict.run, attempts, deaths, verdict_id"
            f" {_THERE.replace(' WHERE', ' JOIN verdict USING (verdict_id) WHERE')} ORDER BY made_at DESC, path LIMIT ?",
            -1 if limit is None else limit,
        )
        return [Quarantined(os.fsdecode(path), *rest) for path, *rest in rows]

    def counts(self) -> dict[str, int]:
        """How many were given up, by the code of their failure."""
        return dict(self._database.read(f"SELECT code, COUNT(*) {_THERE} GROUP BY code ORDER BY code"))

    def suspects(self, limit: int | None = None) -> list[Suspect]:
        """Those that were begun and not finished, and wait to be tried alone. limit: None for all."""
        rows = self._database.read(
            f"SELECT path, attempts, deaths FROM image WHERE {QUEUED} AND state = 'waiting' AND attempts > 0 LIMIT ?",
            -1 if limit is None else limit,
        )
        return [Suspect(os.fsdecode(path), attempts, deaths) for path, attempts, deaths in rows]


def note(database: Database, image: int, verdicts: Sequence[Verdict]) -> None:
    """Put an image into quarantine or take it out, as its verdicts are. Only inside the transaction that stores them."""
    database.execute("DELETE FROM quarantine WHERE image = ?", image)
    for verdict in verdicts:
        if verdict.kind == "failure":
            database.execute(
                "INSERT OR REPLACE INTO quarantine VALUES (?, ?, ?, ?)",
                image,
                verdict.verdict_id,
                verdict.code or "unknown",
                verdict.message[:LONGEST_MESSAGE].encode("utf-8", "replace").decode(),
            )
