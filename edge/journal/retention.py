"""An age and a number of bytes in; out goes what is older, and what is too much, but nothing that waits to be sent."""

from __future__ import annotations

from typing import Any, Final

from edge.journal.database import Database
from edge.journal.pictures import Pictures
from edge.journal.records import PruneReport

PRUNE_STEP_ROWS: Final = 200


class Pruning:
    """One pass over the outbox and the pictures. Errors: see `Journal`."""

    def __init__(self, database: Database, pictures: Pictures) -> None:
        """Look at the pictures, remove nothing."""
        self._database = database
        self._pictures = pictures
        self._sizes = pictures.sizes()
        self._messages = 0
        self._removed_pictures = 0
        self._freed_bytes = 0

    def older_than(self, cutoff: float) -> None:
        """Forget acknowledged and buried messages that were queued before, and originals of dead letters.

        cutoff: seconds since 1970.
        """
        self._forget("state <> 'unsent' AND queued_at < ? ORDER BY queued_at", (cutoff,))
        self._database.write(
            lambda: self._database.execute(
                "UPDATE dead_letter SET payload = NULL WHERE payload IS NOT NULL AND died_at < ?", cutoff
            ),
            reserve=True,
        )

    def down_to(self, max_bytes: int) -> None:
        """While more bytes are used, forget what was sent: other channels' messages, overlays, verdicts; oldest first."""
        for role in ("channel", "overlay", "verdict"):  # what no replay needs goes first
            gone = True
            while gone and (excess := self._used_bytes() - max_bytes) > 0:
                gone = self._forget("state <> 'unsent' AND role = ? ORDER BY id", (role,), excess)

    def finish(self, max_bytes: int) -> PruneReport:
        """Give the space back, set the reserve aside again, and count."""
        self._database.give_back_pages()
        self._database.reserve.restock()
        used = self._used_bytes()
        return PruneReport(self._messages, self._removed_pictures, self._freed_bytes, used, full=used > max_bytes)

    def _used_bytes(self) -> int:
        return self._database.used_bytes() + sum(self._sizes.values())

    def _forget(self, which: str, values: tuple[Any, ...], enough: float = float("inf")) -> bool:
        """Delete rows of the outbox and their files, first ones first, until about `enough` bytes are free or none is left.

        Returns whether anything was deleted.
        """
        freed = 0
        while freed < enough:
            rows = self._database.read(
                f"SELECT id, picture, COALESCE(LENGTH(payload), 0) FROM outbox WHERE {which} LIMIT ?", *values, PRUNE_STEP_ROWS
            )
            doomed: list[tuple[int, str | None]] = []
            for row, picture, payload_bytes in rows:
                if freed >= enough:
                    break
                doomed.append((row, picture))
                freed += max(1, payload_bytes + self._sizes.get(picture or "", 0))
            if not doomed:
                break
            self._database.write_each("DELETE FROM outbox WHERE id = ? AND state <> 'unsent'", [row for row, _ in doomed])
            self._messages += len(doomed)
            for _, picture in doomed:
                if picture is not None and self._sizes.pop(picture, None) is not None:
                    self._pictures.remove(picture)
                    self._removed_pictures += 1
        self._freed_bytes += freed
        return freed > 0
