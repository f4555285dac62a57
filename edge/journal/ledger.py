"""Finished files in, what is to be inspected next out; what was inspected becomes a verdict with its messages.

Every attempt is counted, durably, before anything risky touches the file.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence

from edge.journal.admission import ENTRY, Admission, entry_of
from edge.journal.database import Database
from edge.journal.numbering import Numbering
from edge.journal.outbox import Outbox
from edge.journal.quarantine import note
from edge.journal.records import Entry, ImageState, Verdict
from edge.journal.schema import LANES, QUEUED


class Ledger(Admission):
    """The images that were ever admitted, each with what became of it. Errors and threads: see `Journal`.

    What is taken in stands in `Admission`.
    """

    def __init__(self, database: Database, numbering: Numbering, outbox: Outbox, clock: Callable[[], float]) -> None:
        """Reads alone. clock: seconds since 1970."""
        super().__init__(database, clock)
        self._numbering = numbering
        self._outbox = outbox

    # What is known

    def entries(self) -> dict[str, Entry]:
        """All entries by path."""
        return {entry.path: entry for entry in map(entry_of, self._database.read(f"SELECT {ENTRY} FROM image"))}

    def waiting(self, limit: int | None = None, *, suspects: bool = True) -> list[Entry]:
        """What is to be inspected now: new files, then suspects (begun before), then the backlog, the newest first.

        suspects: they are among them.
        What is held is left out. New files and suspects are in order of admission. What was begun more than three times is
        last: it may take the machine with it.
        """
        fresh = "" if suspects else " AND attempts = 0"
        rows = self._database.read(
            f"SELECT {ENTRY} FROM image WHERE {QUEUED} AND state = 'waiting' AND held = 0{fresh} ORDER BY {LANES} LIMIT ?",
            -1 if limit is None else limit,
        )
        return [entry_of(row) for row in rows]

    def counts(self) -> dict[ImageState, int]:
        """How many images there are in each state."""
        found = dict(self._database.read("SELECT state, COUNT(*) FROM image GROUP BY state"))
        states: tuple[ImageState, ...] = ("waiting", "running", "done", "ignored")
        return {state: found.get(state, 0) for state in states}

    def suspect_count(self) -> int:
        """How many of those that wait were begun before: any of them may have killed its process."""
        sql = f"SELECT COUNT(*) FROM image WHERE {QUEUED} AND state = 'waiting' AND attempts > 0"
        return int(self._database.read(sql)[0][0])

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
                "run = run + 1, state = CASE state WHEN 'running' THEN state ELSE 'waiting' END, held = 0,"
                f" attempts = MIN(deaths, 1), deaths = 0, backlog = {int(backlog)}, turn = {next(self._turns)}",
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

    def conclude(
        self, path: str, make: Callable[[int], Sequence[Verdict]], content: str | None = None, *, gone: bool = False
    ) -> list[int]:
        """Store the verdicts on an image that runs or waits, and their messages, in one transaction; return their `seq`s.

        make: gets the first free `seq` and returns at least one verdict; the second takes the next `seq`, and so on. It
        must not write to this journal. When it or the storing fails, no `seq` is consumed and the image stays as it was.
        The verdicts are about the revision and run that were begun; when the image was admitted anew since, it waits.
        content: sha256 of what was inspected; None where that failed.
        gone: it failed because the file was not there; if it comes back as it was, it is new.
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
            self._set(path, f"state = '{state}', held = 0, begun_revision = NULL, begun_run = NULL")
            self._database.execute(
                "UPDATE image SET judged = MAX(judged, ?), content = ?, readable = readable AND NOT ? WHERE id = ?",
                revision,
                content,
                gone and state == "done",
                image,
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

    def _is_as_begun(self, path: str) -> bool:
        sql = "SELECT (revision, run) = (begun_revision, begun_run) FROM image WHERE path = ?"
        return bool(self._database.execute(sql, os.fsencode(path)).fetchone()[0])
