"""Finished files in, images that wait for their inspection out; what is known already stays as it is."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Collection, Iterable
from typing import Any, Final

from edge.errors import StateError
from edge.journal.database import Database
from edge.journal.records import Comparison, Entry, ImageState
from edge.journal.schema import QUEUED
from edge.records import Fingerprint

ENTRY: Final = (
    "path, size, mtime_ns, readable, sidecar, ctime_ns, inode, state, revision, run, attempts, deaths, backlog, content"
)
BURST: Final = 64
"""When more new images than these wait, all of them are backlog: the next one goes before them."""
_LONG_AGO: Final = -(1 << 62)
_OF_THE_BACKLOG: Final = f"MIN(-1, MAX({_LONG_AGO}, -MAX(mtime_ns, -{1 << 62})))"
"""The turn of an image of the backlog: the newest has the lowest, and all are negative, so that no count runs over."""


class Admission:
    """The images that were ever admitted, as a `Ledger` takes them in and finds them. Errors and threads: see `Journal`.

    first_start: nothing was ever admitted before this opening, so files that are there now are backlog.
    """

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        """Reads alone. clock: seconds since 1970."""
        self._database = database
        self._clock = clock
        self.first_start = not database.read("SELECT 1 FROM meta WHERE key = 'first_admission_at'")
        self._admitted_before = not self.first_start
        (last_turn,) = database.read(f"SELECT MAX(0, COALESCE(MAX(turn), 0)) FROM image WHERE {QUEUED}")[0]
        self._turns = itertools.count(last_turn + 1)

    def fingerprints(self, paths: Collection[str] | None = None) -> dict[str, Fingerprint]:
        """What is known of each path that is known. paths: of these, at most some thousands; None: of all."""
        sql = "SELECT path, size, mtime_ns, readable, sidecar, ctime_ns, inode FROM image"
        if paths is not None:
            sql += f" WHERE path IN ({', '.join('?' * len(paths))})"
        rows = self._database.read(sql, *map(os.fsencode, paths or ()))
        return {os.fsdecode(path): _fingerprint(*rest) for path, *rest in rows}

    def admit(
        self, path: str, fingerprint: Fingerprint, *, backlog: bool = False, ignore: bool = False, changed: bool = False
    ) -> Entry | None:
        """Take in a finished file; None if it is known as it is.

        A new path becomes revision 1; another fingerprint the next revision, run 1, with attempts and deaths forgotten. A
        content that was never judged keeps its number for the next one: a file that is written slowly is one revision.
        It waits, or is ignored until it changes. A path that is running stays so, and waits once that is concluded.
        changed: the content is another one although the fingerprint is the same.
        """
        return next(iter(self.admit_many([(path, fingerprint)], backlog=backlog, ignore=ignore, changed=changed)), None)

    def admit_many(
        self,
        files: Iterable[tuple[str, Fingerprint]],
        *,
        backlog: bool = False,
        ignore: bool = False,
        changed: bool = False,
    ) -> list[Entry]:
        """Like `admit`, for many files in one transaction; those that are known as they are, are left out.

        The first call ever, be it with no file at all, ends the first start: see `first_start`.
        When more than `BURST` new images wait then, those become backlog.
        """
        batch = list(files)

        def work() -> list[Entry]:
            if not self._admitted_before:
                self._database.execute("INSERT OR IGNORE INTO meta VALUES ('first_admission_at', ?)", str(self._clock()))
            admitted = [
                entry
                for path, fingerprint in batch
                if (entry := self._admit(path, fingerprint, backlog=backlog, ignore=ignore, changed=changed)) is not None
            ]
            if admitted and not (backlog or ignore):
                self._thin_out()
            return admitted

        if not batch and self._admitted_before:
            return []
        admitted = self._database.write(work)
        self._admitted_before = True
        return admitted

    def _admit(self, path: str, fingerprint: Fingerprint, *, backlog: bool, ignore: bool, changed: bool) -> Entry | None:
        old = self._find(path)
        if old is not None and old.fingerprint == fingerprint and not changed:
            return None
        state: ImageState = "ignored" if ignore else "waiting"
        if old is not None and old.state == "running":
            state = "running"
        self._database.execute(
            "INSERT INTO image (path, size, mtime_ns, readable, sidecar, ctime_ns, inode, state, revision, run, attempts,"
            f" deaths, backlog, turn, judged) VALUES (?, ?, ?, ?, ?, ?, ?, ?, 1, 1, 0, 0, ?, ?, {int(ignore)})"
            " ON CONFLICT (path) DO UPDATE SET size = excluded.size, mtime_ns = excluded.mtime_ns,"
            " readable = excluded.readable, sidecar = excluded.sidecar, ctime_ns = excluded.ctime_ns, inode = excluded.inode,"
            " state = excluded.state, revision = MAX(judged, COALESCE(begun_revision, 0)) + 1, run = 1, attempts = 0,"
            " deaths = 0, backlog = excluded.backlog, turn = excluded.turn, held = 0,"
            f" judged = MAX(judged, {int(ignore)} * (MAX(judged, COALESCE(begun_revision, 0)) + 1))",
            os.fsencode(path),
            fingerprint.size,
            fingerprint.mtime_ns,
            fingerprint.readable,
            os.fsencode(fingerprint.sidecar),
            fingerprint.ctime_ns,
            fingerprint.inode,
            state,
            backlog,
            next(self._turns),
        )
        if backlog:
            self._set(path, f"turn = {_OF_THE_BACKLOG}")
        return self._need(path)

    def _thin_out(self) -> None:
        """After a burst of new images, all of them are backlog; what a command asked for is not."""
        new = f"{QUEUED} AND state = 'waiting' AND held = 0 AND attempts = 0 AND NOT backlog AND run = 1"
        (many,) = self._database.execute(f"SELECT COUNT(*) FROM (SELECT 1 FROM image WHERE {new} LIMIT {BURST + 1})").fetchone()
        if many > BURST:
            self._database.execute(f"UPDATE image SET backlog = 1, turn = {_OF_THE_BACKLOG} WHERE {new}")

    def adopt(self, files: Iterable[tuple[str, Fingerprint]]) -> None:
        """Their content is what it was, the marks of the file system are new: see `Fingerprint.marks`."""
        batch = list(files)

        def work() -> None:
            for path, fingerprint in batch:
                self._database.execute(
                    "UPDATE image SET ctime_ns = ?, inode = ? WHERE path = ?", *fingerprint.marks, os.fsencode(path)
                )

        if batch:
            self._database.write(work)

    def compare(self, path: str, fingerprint: Fingerprint, content: str) -> Comparison:
        """Whether the content of `path`, whose fingerprint is known but for its marks, is another one: then it is admitted.

        content: sha256 of it now. Where none is kept, this one is from now on, and nothing is inspected.
        "later": it is being inspected, so nobody knows yet of which content.
        """

        def work() -> Comparison:
            entry = self._find(path)
            if entry is None or entry.fingerprint != fingerprint or entry.state == "waiting":
                return "same"  # It is read anew in any case.
            if entry.state == "running":
                return "later"
            if entry.content is not None and entry.content != content:
                self._admit(path, fingerprint, backlog=False, ignore=False, changed=True)
                return "changed"
            self._database.execute(
                "UPDATE image SET ctime_ns = ?, inode = ?, content = CASE state WHEN 'done' THEN ? END WHERE path = ?",
                *fingerprint.marks,
                content,
                os.fsencode(path),
            )
            return "same"

        return self._database.write(work)

    # Inside a transaction

    def _find(self, path: str) -> Entry | None:
        row = self._database.execute(f"SELECT {ENTRY} FROM image WHERE path = ?", os.fsencode(path)).fetchone()
        return None if row is None else entry_of(row)

    def _need(self, path: str, *states: ImageState) -> Entry:
        entry = self._find(path)
        if entry is None:
            raise StateError(f"{path!r} is not in the ledger: admit it first")
        if states and entry.state not in states:
            raise StateError(f"{path!r} is {entry.state}, not {' or '.join(states)}")
        return entry

    def _set(self, path: str, assignments: str) -> None:
        self._database.execute(f"UPDATE image SET {assignments} WHERE path = ?", os.fsencode(path))


def entry_of(row: tuple[Any, ...]) -> Entry:
    """An entry of the columns `ENTRY`."""
    path, *known = row[:7]
    state, revision, run, attempts, deaths, backlog, content = row[7:]
    return Entry(os.fsdecode(path), _fingerprint(*known), state, revision, run, attempts, deaths, bool(backlog), content)


def _fingerprint(
    size: int, mtime_ns: int, readable: int, sidecar: bytes, ctime_ns: int | None, inode: int | None
) -> Fingerprint:
    return Fingerprint(size, mtime_ns, bool(readable), os.fsdecode(sidecar), ctime_ns, inode)
