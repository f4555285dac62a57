"""Verdicts that are stored in, how many there were in a stretch of time out; nothing is counted twice, nor all of it read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from edge.journal.database import Database
from edge.journal.records import Counts

STEP: Final = 1000
"""So many verdicts in a row that are not of the stretch end the way back: a few may have been stored under a wrong clock."""


@dataclass(frozen=True, slots=True)
class _Counted:
    """What was counted of one stretch, up to the verdict with this epoch and seq."""

    since: float
    until: float
    epoch: int
    seq: int
    counts: Counts


class Tally:
    """Counts of verdicts by time. Errors and threads: see `Journal`."""

    def __init__(self, database: Database) -> None:
        """Touches nothing."""
        self._database = database
        self._counted = _Counted(0.0, 0.0, 0, 0, Counts(0, 0))

    def between(self, since: float, until: float) -> Counts:
        """How many verdicts were stored in the time from `since` to before `until`, seconds since 1970.

        The first call reads back from the newest verdict to `since`; the next ones of the same stretch read what is new.
        """
        with self._database.mutex:
            last = self._counted
            if (last.since, last.until) != (since, until):
                newest = self._database.read("SELECT epoch, seq FROM verdict ORDER BY epoch DESC, seq DESC LIMIT 1")
                epoch, seq = newest[0] if newest else (0, 0)
                self._counted = _Counted(since, until, epoch, seq, self._counted_back(since, until, epoch, seq))
                return self._counted.counts
            rows = self._database.read(
                "SELECT epoch, seq, kind, made_at FROM verdict WHERE (epoch, seq) > (?, ?) ORDER BY epoch, seq",
                last.epoch,
                last.seq,
            )
            if rows:
                new = _count([row[2:] for row in rows], since, until)
                counts = Counts(last.counts.inspections + new.inspections, last.counts.failures + new.failures)
                self._counted = _Counted(since, until, rows[-1][0], rows[-1][1], counts)
            return self._counted.counts

    def _counted_back(self, since: float, until: float, epoch: int, seq: int) -> Counts:
        total = Counts(0, 0)
        while True:
            rows = self._database.read(
                "SELECT epoch, seq, kind, made_at FROM verdict WHERE (epoch, seq) <= (?, ?)"
                " ORDER BY epoch DESC, seq DESC LIMIT ?",
                epoch,
                seq,
                STEP,
            )
            found = _count([row[2:] for row in rows], since, until)
            total = Counts(total.inspections + found.inspections, total.failures + found.failures)
            if len(rows) < STEP or found == Counts(0, 0):
                return total
            epoch, seq = rows[-1][0], rows[-1][1] - 1

    def last_image_at(self) -> float | None:
        """When the newest verdict on an image that nobody asked for again was stored, seconds since 1970; None before it."""
        rows = self._database.read("SELECT made_at FROM verdict WHERE run = 1 ORDER BY epoch DESC, seq DESC LIMIT 1")
        return float(rows[0][0]) if rows else None

    def newest_at(self) -> float | None:
        """When the newest verdict was stored, seconds since 1970; None before the first."""
        rows = self._database.read("SELECT made_at FROM verdict ORDER BY epoch DESC, seq DESC LIMIT 1")
        return float(rows[0][0]) if rows else None

    def first_admission_at(self) -> float | None:
        """When the folder was looked at for the first time, seconds since 1970; None before that."""
        rows = self._database.read("SELECT value FROM meta WHERE key = 'first_admission_at'")
        return float(rows[0][0]) if rows else None


def _count(rows: list[tuple[str, float]], since: float, until: float) -> Counts:
    kinds = [kind for kind, made_at in rows if since <= made_at < until]
    return Counts(kinds.count("inspection"), kinds.count("failure"))
