"""Finished files in, what is to be inspected next out; what was inspected becomes a verdict with its messages.

Every attempt is counted, durably, before anything risky touches the file.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from edge.errors import StateError
from edge.journal.database import Database
from edge.journal.numbering import Numbering
from edge.journal.outbox import Outbox
from edge.journal.records import Comparison, Entry, ImageState, Verdict
from edge.journal.schema import LANES, QUEUED
from edge.records import Fingerprint

_ENTRY: Final = (
    "path, size, mtime_ns, readable, sidecar, ctime_ns, inode, state, revision, run, attempts, deaths, backlog, content"
)
BURST: Final = 64
"""When more new images than these wait, all of them are backlog: the next one goes before them."""
_LONG_AGO: Final = -(1 << 62)
_OF_THE_BACKLOG: Final = f"MIN(-1, MAX({_LONG_AGO}, -MAX(mtime_ns, -{1 << 62})))"
"""The turn of an image of the backlog: the newest has the lowest, and all are negative, so that no count runs over."""


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
        (last_turn,) = database.read(f"SELECT MAX(0, COALESCE(MAX(turn), 0)) FROM image WHERE {QUEUED}")[0]
        self._turns = itertools.count(last_turn + 1)

    # What is known

    def entries(self) -> dict[str, Entry]:
        """All entries by path."""
        return {entry.path: entry for entry in map(_entry, self._database.read(f"SELECT {_ENTRY} FROM image"))}

    def fingerprints(self) -> dict[str, Fingerprint]:
        """What is known of each path."""
        sql = "SELECT path, size, mtime_ns, readable, sidecar, ctime_ns, inode FROM image"
        return {os.fsdecode(path): _fingerprint(*rest) for path, *rest in self._database.read(sql)}

    def waiting(self, limit: int | None = None) -> list[Entry]:
        """What is to be inspected now: new files, then suspects (begun before), then the backlog, the newest first.

        What is held is left out. New files and suspects are in order of admission. What was begun more than three times is
        last: it may take the machine with it.
        """
        rows = self._database.read(
            f"SELECT {_ENTRY} FROM image WHERE {QUEUED} AND state = 'waiting' AND held = 0 ORDER BY {LANES} LIMIT ?",
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

    def again(self, verdict_id: str) -> Entry | None:
        """Have the image of an earlier verdict inspected once more, as its next run; None if no such verdict is known.

        A repeat that waits already is not asked for twice, because a command can be delivered twice.
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
                "run = run + 1, state = CASE state WHEN 'running' THEN state ELSE 'waiting' END, attempts = 0, deaths = 0,"
                f" held = 0, backlog = 0, turn = {next(self._turns)}",
            )
            return self._need(path)

        return self._database.write(work)

    # What is inspected

    def begin(self, path: str) -> Entry:
        """Count an attempt, durably, before anything risky touches the file. Raises StateError unless it waits."""

        def work() -> Entry:
            self._need(path, "waiting")
            self._set(path, "state = 'running', held = 0, attempts = attempts + 1, begun_revision = revision, begun_run = run")
            return self._need(path)

        return self._database.write(work)

    def release(self, path: str) -> None:
        """A clean stop: what was begun waits again, and the attempt does not count."""

        def work() -> None:
            self._stop(path, "attempts = MAX(0, attempts - 1)")
            self._set(path, "begun_revision = NULL, begun_run = NULL")

        self._database.write(work, reserve=True)

    def hold(self, path: str) -> None:
        """What was begun may still be growing: the attempt does not count, and it is not begun before `resume`.

        When it was admitted anew in the meantime, it is not held.
        """

        def work() -> None:
            self._stop(path, "attempts = MAX(0, attempts - 1), held = 1")
            self._set(path, "begun_revision = NULL, begun_run = NULL")

        self._database.write(work, reserve=True)

    def resume(self, paths: Iterable[str]) -> None:
        """These may be begun, if they wait."""
        batch = list(paths)

        def work() -> None:
            for path in batch:
                self._set(path, "held = 0")

        if batch:
            self._database.write(work, reserve=True)

    def unchanged(self, path: str) -> None:
        """What was begun is, to the byte, what was inspected last: it takes that revision's number again, and no verdict."""

        def work() -> None:
            self._need(path, "running")
            if self._is_as_begun(path):
                self._set(path, "state = 'done', revision = judged, attempts = 0, deaths = 0")
            else:
                self._set(path, "state = 'waiting'")
            self._set(path, "begun_revision = NULL, begun_run = NULL")

        self._database.write(work, reserve=True)

    def died(self, path: str) -> Entry:
        """The process that inspected it was seen to die: it waits again, as a suspect, and the death counts.

        A failure that is concluded now is about what was begun, also when the file was admitted anew in between.
        """
        return self._database.write(lambda: self._stop(path, "deaths = deaths + 1"), reserve=True)

    def recover(self) -> list[Entry]:
        """At start: whatever ran when the last process ended waits again, as a suspect. Returns those.

        What was held is looked at once more, because nobody knows any longer since when it has been quiet.
        """

        def work() -> list[Entry]:
            self._database.execute(f"UPDATE image SET held = 0 WHERE {QUEUED} AND held = 1")
            rows = self._database.execute(
                f"SELECT path FROM image WHERE {QUEUED} AND state = 'running' ORDER BY turn"
            ).fetchall()
            paths = [os.fsdecode(path) for (path,) in rows]
            for path in paths:
                self._set(path, "state = 'waiting', begun_revision = NULL, begun_run = NULL")
            return [self._need(path) for path in paths]

        return self._database.write(work, reserve=True)

    def conclude(self, path: str, make: Callable[[int], Sequence[Verdict]], content: str | None = None) -> list[int]:
        """Store the verdicts on an image that runs or waits, and their messages, in one transaction; return their `seq`s.

        make: gets the first free `seq` and returns at least one verdict; the second takes the next `seq`, and so on. It
        must not write to this journal. When it or the storing fails, no `seq` is consumed and the image stays as it was.
        The verdicts are about the revision and run that were begun; when the image was admitted anew since, it waits.
        content: sha256 of what was inspected; None where that failed.
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
            state = "done" if (revision, run) == (entry.revision, entry.run) else "waiting"
            self._set(path, f"state = '{state}', held = 0, begun_revision = NULL, begun_run = NULL")
            self._database.execute(
                "UPDATE image SET judged = MAX(judged, ?), content = ? WHERE id = ?", revision, content, image
            )
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
    path, *known = row[:7]
    state, revision, run, attempts, deaths, backlog, content = row[7:]
    return Entry(os.fsdecode(path), _fingerprint(*known), state, revision, run, attempts, deaths, bool(backlog), content)


def _fingerprint(
    size: int, mtime_ns: int, readable: int, sidecar: bytes, ctime_ns: int | None, inode: int | None
) -> Fingerprint:
    return Fingerprint(size, mtime_ns, bool(readable), os.fsdecode(sidecar), ctime_ns, inode)
