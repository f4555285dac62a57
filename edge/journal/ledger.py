"""Finished files in, what is to be inspected next out; what was inspected becomes a verdict with its messages.

Every attempt is counted, durably, before anything risky touches the file.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from edge.errors import StateError
from edge.journal.database import Database
from edge.journal.numbering import Numbering
from edge.journal.outbox import Outbox
from edge.journal.quarantine import note
from edge.journal.records import Entry, ImageState, Verdict
from edge.journal.schema import QUEUED
from edge.records import Fingerprint

_ENTRY = "path, size, mtime_ns, readable, sidecar, state, revision, run, attempts, deaths, backlog"


class Ledger:
    """The images that were ever admitted, each with what became of it. Errors and threads: see `Journal`.

    first_start: nothing was ever admitted before this opening, so files that are there now are backlog.
    """

    def __init__(self, database: Database, numbering: Numbering, outbox: Outbox, clock: Callable[[], float]) -> None:
        """Reads alone. clock: seconds since 1970."""
        self._database = database
        self._numbering = numbering
        self._outbox = outbox
        self._clock = clock
        self.first_start = not database.read("SELECT 1 FROM meta WHERE key = 'first_admission_at'")
        self._admitted_before = not self.first_start
        (last_turn,) = database.read(f"SELECT COALESCE(MAX(turn), 0) FROM image WHERE {QUEUED}")[0]
        self._turns = itertools.count(last_turn + 1)

    # What is known

    def entries(self) -> dict[str, Entry]:
        """All entries by path."""
        return {entry.path: entry for entry in map(_entry, self._database.read(f"SELECT {_ENTRY} FROM image"))}

    def waiting(self, limit: int | None = None) -> list[Entry]:
        """What is to be inspected: new files, then the backlog, then suspects (begun before); each in order of admission."""
        rows = self._database.read(
            f"SELECT {_ENTRY} FROM image WHERE {QUEUED} AND state = 'waiting'"
            " ORDER BY attempts > 0, attempts = 0 AND backlog, turn LIMIT ?",
            -1 if limit is None else limit,
        )
        return [_entry(row) for row in rows]

    def counts(self) -> dict[ImageState, int]:
        """How many images there are in each state."""
        found = dict(self._database.read("SELECT state, COUNT(*) FROM image GROUP BY state"))
        states: tuple[ImageState, ...] = ("waiting", "running", "done", "ignored")
        return {state: found.get(state, 0) for state in states}

    def suspect_count(self) -> int:
        """How many of those that wait were begun before: any of them may have killed its process."""
        sql = f"SELECT COUNT(*) FROM image WHERE {QUEUED} AND state = 'waiting' AND attempts > 0"
        return int(self._database.read(sql)[0][0])

    # What is taken in

    def admit(self, path: str, fingerprint: Fingerprint, *, backlog: bool = False, ignore: bool = False) -> Entry | None:
        """Take in a finished file; None if it is known as it is.

        A new path becomes revision 1; another fingerprint the next revision, run 1, with attempts and deaths forgotten.
        It waits, or is ignored until it changes. A path that is running stays so, and waits once that is concluded.
        """
        return next(iter(self.admit_many([(path, fingerprint)], backlog=backlog, ignore=ignore)), None)

    def admit_many(
        self, files: Iterable[tuple[str, Fingerprint]], *, backlog: bool = False, ignore: bool = False
    ) -> list[Entry]:
        """Like `admit`, for many files in one transaction; those that are known as they are, are left out.

        The first call ever, be it with no file at all, ends the first start: see `first_start`.
        """
        batch = list(files)

        def work() -> list[Entry]:
            if not self._admitted_before:
                self._database.execute("INSERT OR IGNORE INTO meta VALUES ('first_admission_at', ?)", str(self._clock()))
            admitted = (self._admit(path, fingerprint, backlog=backlog, ignore=ignore) for path, fingerprint in batch)
            return [entry for entry in admitted if entry is not None]

        if not batch and self._admitted_before:
            return []
        admitted = self._database.write(work)
        self._admitted_before = True
        return admitted

    def _admit(self, path: str, fingerprint: Fingerprint, *, backlog: bool, ignore: bool) -> Entry | None:
        old = self._find(path)
        if old is not None and old.fingerprint == fingerprint:
            return None
        state: ImageState = "ignored" if ignore else "waiting"
        if old is not None and old.state == "running":
            state = "running"
        revision = 1 if old is None else old.revision + 1
        self._database.execute(
            "INSERT INTO image (path, size, mtime_ns, readable, sidecar, state, revision, run, attempts, deaths, backlog, turn)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, 1, 0, 0, ?, ?)"
            " ON CONFLICT (path) DO UPDATE SET size = excluded.size, mtime_ns = excluded.mtime_ns,"
            " readable = excluded.readable, sidecar = excluded.sidecar, state = excluded.state,"
            " revision = excluded.revision, run = 1, attempts = 0, deaths = 0, backlog = excluded.backlog,"
            " turn = excluded.turn",
            os.fsencode(path),
            fingerprint.size,
            fingerprint.mtime_ns,
            fingerprint.readable,
            os.fsencode(fingerprint.sidecar),
            state,
            revision,
            backlog,
            next(self._turns),
        )
        return Entry(path, fingerprint, state, revision, 1, 0, 0, backlog)

    def again(self, verdict_id: str, *, backlog: bool = False) -> Entry | None:
        """Have the image of an earlier verdict inspected once more, as its next run; None if no such verdict is known.

        A repeat that waits already is not asked for twice, because a command can be delivered twice. What killed its process
        is a suspect at once, or it would take the daemon with it again.
        backlog: it is one of many, and new images go first.
        """

        def work() -> Entry | None:
            found = self._database.execute(
                "SELECT path, verdict.revision, verdict.run FROM verdict JOIN image ON image.id = image WHERE verdict_id = ?",
                verdict_id,
            ).fetchone()
            if found is None:
                return None
            path, revision, run = os.fsdecode(found[0]), found[1], found[2]
            entry = self._need(path)
            if entry.state in ("waiting", "running") and (entry.revision, entry.run) > (revision, run):
                return entry
            self._set(
                path,
                "run = run + 1, state = CASE state WHEN 'running' THEN state ELSE 'waiting' END,"
                f" attempts = MIN(deaths, 1), deaths = 0, backlog = {int(backlog)}, turn = {next(self._turns)}",
            )
            return self._need(path)

        return self._database.write(work)

    # What is inspected

    def begin(self, path: str) -> Entry:
        """Count an attempt, durably, before anything risky touches the file. Raises StateError unless it waits."""

        def work() -> Entry:
            self._need(path, "waiting")
            self._set(path, "state = 'running', attempts = attempts + 1, begun_revision = revision, begun_run = run")
            return self._need(path)

        return self._database.write(work)

    def release(self, path: str) -> None:
        """A clean stop: what was begun waits again, and the attempt does not count."""

        def work() -> None:
            self._stop(path, "attempts = MAX(0, attempts - 1)")
            self._set(path, "begun_revision = NULL, begun_run = NULL")

        self._database.write(work, reserve=True)

    def died(self, path: str) -> Entry:
        """The process that inspected it was seen to die: it waits again, as a suspect, and the death counts.

        A failure that is concluded now is about what was begun, also when the file was admitted anew in between.
        """
        return self._database.write(lambda: self._stop(path, "deaths = deaths + 1"), reserve=True)

    def recover(self) -> list[Entry]:
        """At start: whatever ran when the last process ended waits again, as a suspect. Returns those."""

        def work() -> list[Entry]:
            rows = self._database.execute(
                f"SELECT path FROM image WHERE {QUEUED} AND state = 'running' ORDER BY turn"
            ).fetchall()
            paths = [os.fsdecode(path) for (path,) in rows]
            for path in paths:
                self._set(path, "state = 'waiting', begun_revision = NULL, begun_run = NULL")
            return [self._need(path) for path in paths]

        return self._database.write(work, reserve=True)

    def conclude(self, path: str, make: Callable[[int], Sequence[Verdict]]) -> list[int]:
        """Store the verdicts on an image that runs or waits, and their messages, in one transaction; return their `seq`s.

        make: gets the first free `seq` and returns at least one verdict; the second takes the next `seq`, and so on. It
        must not write to this journal. When it or the storing fails, no `seq` is consumed and the image stays as it was.
        The verdicts are about the revision and run that were begun; when the image was admitted anew since, it waits.
        """

        def work() -> list[int]:
            entry = self._need(path, "running", "waiting")
            image, revision, run = self._database.execute(
                "SELECT id, COALESCE(begun_revision, revision), COALESCE(begun_run, run) FROM image WHERE path = ?",
                os.fsencode(path),
            ).fetchone()
            first = self._numbering.last_seq() + 1
            verdicts = make(first)
            if not verdicts:
                raise ValueError(f"no verdict on {path!r}: every image that is concluded needs one")
            now = self._clock()
            for seq, verdict in enumerate(verdicts, first):
                self._database.execute(
                    "INSERT INTO verdict VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                    self._numbering.epoch_id,
                    seq,
                    verdict.verdict_id,
                    verdict.kind,
                    image,
                    revision,
                    run,
                    now,
                )
                self._outbox.insert(seq, verdict.messages, now)
            note(self._database, image, verdicts)
            state = "done" if (revision, run) == (entry.revision, entry.run) else "waiting"
            self._set(path, f"state = '{state}', begun_revision = NULL, begun_run = NULL")
            return list(range(first, first + len(verdicts)))

        with self._database.mutex:
            seqs = self._database.write(work)
            self._numbering.record(seqs[-1])
        return seqs

    # Inside a transaction

    def _stop(self, path: str, effect: str) -> Entry:
        self._need(path, "running")
        if self._is_as_begun(path):  # else the effect would hit a newer content that was never tried
            self._set(path, effect)
        self._set(path, "state = 'waiting'")
        return self._need(path)

    def _find(self, path: str) -> Entry | None:
        row = self._database.execute(f"SELECT {_ENTRY} FROM image WHERE path = ?", os.fsencode(path)).fetchone()
        return None if row is None else _entry(row)

    def _need(self, path: str, *states: ImageState) -> Entry:
        entry = self._find(path)
        if entry is None:
            raise StateError(f"{path!r} is not in the ledger: admit it first")
        if states and entry.state not in states:
            raise StateError(f"{path!r} is {entry.state}, not {' or '.join(states)}")
        return entry

    def _set(self, path: str, assignments: str) -> None:
        self._database.execute(f"UPDATE image SET {assignments} WHERE path = ?", os.fsencode(path))

    def _is_as_begun(self, path: str) -> bool:
        sql = "SELECT (revision, run) = (begun_revision, begun_run) FROM image WHERE path = ?"
        return bool(self._database.execute(sql, os.fsencode(path)).fetchone()[0])


def _entry(row: tuple[Any, ...]) -> Entry:
    path, size, mtime_ns, readable, sidecar, state, revision, run, attempts, deaths, backlog = row
    fingerprint = Fingerprint(size, mtime_ns, bool(readable), os.fsdecode(sidecar))
    return Entry(os.fsdecode(path), fingerprint, state, revision, run, attempts, deaths, bool(backlog))
