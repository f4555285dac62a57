"""Images come in as paths and fingerprints; what is to be done, and messages that outlive every crash, come out.

One SQLite file is both the ledger of images and the outbox of messages, so that a verdict and its messages are stored
together or not at all. It knows nothing of MQTT nor of pictures. In the state folder stand

    journal.sqlite3  the database (write-ahead log, synchronous=FULL: what was committed survives a power cut)
    pictures/        overlays that wait to be sent or are kept; the database refers to them by file name
    lock             held as long as a journal is open for writing; holds the process id
    witness          the highest `seq` given away and which file the database was: tells that an older copy came back
    reserve          space set aside, given up when the disk is full, so that what frees space can still be written down
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import itertools
import os
import sqlite3
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Literal, NamedTuple, TypeVar
from urllib.parse import quote

from edge.errors import StateError, StateFullError
from edge.records import Fingerprint

SCHEMA_VERSION: Final = 1
RESERVE_BYTES: Final = 8 << 20
CHECKED_AT_OPEN_BYTES: Final = 64 << 20
PRUNE_STEP_ROWS: Final = 200
VACUUM_ABOVE_BYTES: Final = 16 << 20
VACUUM_STEP_BYTES: Final = 4 << 20

State = Literal["waiting", "running", "done", "ignored"]
Role = Literal["verdict", "overlay", "summary", "channel"]
Kind = Literal["inspection", "failure"]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Entry:
    """One image in the ledger.

    path: below the watched folder, as `os.fsdecode` gives it.  revision: 1, rising when the content changes.
    run: 1, rising with each commanded repeat.  attempts: how often it was begun and not yet concluded.
    deaths: how often the process that inspected it was seen to die.  backlog: it was there before the first start.
    """

    path: str
    fingerprint: Fingerprint
    state: State
    revision: int
    run: int
    attempts: int
    deaths: int
    backlog: bool


@dataclass(frozen=True, slots=True)
class Message:
    """One message to be sent: either a payload or the name of a file in the pictures folder. topic: below the prefix."""

    role: Role
    topic: str
    payload: bytes | None
    picture: str | None = None
    channel: str = ""
    retain: bool = False

    def __post_init__(self) -> None:
        if (self.payload is None) == (self.picture is None):
            raise ValueError(f"a message to {self.topic} needs either a payload or a picture")
        if self.payload is None and self.role != "overlay":
            raise ValueError(f"a {self.role} needs a payload: only an overlay can be a picture")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What takes one `seq`: an inspection or a failure, and its messages in the order in which they are to be sent."""

    verdict_id: str
    kind: Kind
    messages: tuple[Message, ...]

    def __post_init__(self) -> None:
        if sum(message.role == "verdict" for message in self.messages) != 1:
            raise ValueError(f"{self.kind} {self.verdict_id} needs exactly one message of the role verdict")


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message that the broker has not acknowledged yet.

    id: rises in the order of sending.  tries: as counted by `Journal.tried`.
    suspect: connections that died while this was the only message in flight.
    epoch: the one that `seq` belongs to; an older one after the state was restored.
    """

    id: int
    seq: int
    verdict_id: str
    role: Role
    topic: str
    payload: bytes | None
    picture: str | None
    tries: int
    suspect: int
    epoch: str = ""


class Undrawn(NamedTuple):
    """An overlay that waits to be sent without its picture: the process ended between the verdict and the drawing.

    id, tries: of its row in the outbox.  path: of the image.  verdict: the message with the same seq.
    """

    id: int
    picture: str
    tries: int
    path: str
    verdict: bytes


class DeadLetter(NamedTuple):
    """A message that the broker can never take. ts: when it was given up, seconds since 1970."""

    seq: int
    verdict_id: str
    topic: str
    reason: str
    ts: float


class Summary(NamedTuple):
    """The newest inspection's flat message, which is retained by the broker."""

    seq: int
    payload: bytes
    sent: bool


@dataclass(frozen=True, slots=True)
class PruneReport:
    """What `Journal.prune` did. full: more than the allowed bytes are in use and nothing more may go."""

    messages: int
    pictures: int
    freed_bytes: int
    used_bytes: int
    full: bool


_SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE epoch (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, began_at REAL NOT NULL);
CREATE TABLE image (
    id INTEGER PRIMARY KEY,
    path BLOB NOT NULL UNIQUE,
    size INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL,
    readable INTEGER NOT NULL,
    sidecar BLOB NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('waiting', 'running', 'done', 'ignored')),
    revision INTEGER NOT NULL,
    run INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    deaths INTEGER NOT NULL,
    backlog INTEGER NOT NULL,
    turn INTEGER NOT NULL,     -- order of admission among those that wait
    begun_revision INTEGER,    -- what is being inspected while running: the file may be admitted anew meanwhile
    begun_run INTEGER
);
CREATE INDEX image_queue ON image (attempts > 0, attempts = 0 AND backlog, turn) WHERE state IN ('waiting', 'running');
CREATE TABLE verdict (
    epoch INTEGER NOT NULL REFERENCES epoch,
    seq INTEGER NOT NULL,
    verdict_id TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    image INTEGER NOT NULL REFERENCES image,
    revision INTEGER NOT NULL,
    run INTEGER NOT NULL,
    made_at REAL NOT NULL,
    PRIMARY KEY (epoch, seq)
) WITHOUT ROWID;
CREATE TABLE outbox (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    epoch INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    role TEXT NOT NULL,
    topic TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('unsent', 'acked', 'dead')),  -- none longer than the first: see `acknowledge`
    queued_at REAL NOT NULL,
    tries INTEGER NOT NULL DEFAULT 0,
    suspect INTEGER NOT NULL DEFAULT 0,
    picture TEXT,
    payload BLOB,              -- last, so that the columns above are read without its pages
    FOREIGN KEY (epoch, seq) REFERENCES verdict
);
CREATE INDEX outbox_seq ON outbox (epoch, seq);
CREATE INDEX outbox_unsent ON outbox (id) WHERE state = 'unsent';
CREATE INDEX outbox_kept ON outbox (queued_at) WHERE state <> 'unsent';
CREATE INDEX outbox_picture ON outbox (picture) WHERE picture IS NOT NULL;
CREATE TABLE dead_letter (
    id INTEGER PRIMARY KEY,    -- that of its row in the outbox
    epoch INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    topic TEXT NOT NULL,
    reason TEXT NOT NULL,
    died_at REAL NOT NULL,
    payload BLOB,              -- the original, where a tombstone took its place in the outbox
    FOREIGN KEY (epoch, seq) REFERENCES verdict
);
CREATE TABLE summary (
    slot INTEGER PRIMARY KEY CHECK (slot = 1),
    seq INTEGER NOT NULL,
    sent INTEGER NOT NULL,
    payload BLOB NOT NULL
);
"""

_ENTRY = "path, size, mtime_ns, readable, sidecar, state, revision, run, attempts, deaths, backlog"


def _entry(row: tuple[Any, ...]) -> Entry:
    path, size, mtime_ns, readable, sidecar, state, revision, run, attempts, deaths, backlog = row
    fingerprint = Fingerprint(size, mtime_ns, bool(readable), os.fsdecode(sidecar))
    return Entry(os.fsdecode(path), fingerprint, state, revision, run, attempts, deaths, bool(backlog))


class Journal:
    """The ledger and the outbox of one daemon. Thread-safe; not to be carried over a fork.

    Every method raises StateError when the database cannot be used, and StateFullError when the disk is full; then
    nothing of that call was stored. `with` closes it.

    folder, pictures: where it lives.  epoch: random name of this run of `seq`, renewed when older state came back.
    renewed: this opening began a new epoch in an existing database.
    first_start: nothing was ever admitted before this opening, so files that are there now are backlog.
    """

    def __init__(self, folder: Path, database: sqlite3.Connection, clock: Callable[[], float]) -> None:
        """Use `open` or `view`."""
        self.folder = folder
        self.pictures = folder / "pictures"
        self.renewed = False
        self._database = database
        self._mutex = threading.RLock()
        self._lock_file: int | None = None
        self._witness: int | None = None
        self._inode = 0
        self._clock = clock
        self.first_start = not self._read("SELECT 1 FROM meta WHERE key = 'first_admission_at'")
        self._admitted_before = not self.first_start
        queue = "SELECT COALESCE(MAX(turn), 0) FROM image WHERE state IN ('waiting', 'running')"
        self._turns = itertools.count(self._read(queue)[0][0] + 1)
        self._epoch_id, self.epoch = self._newest_epoch()

    # Opening and closing

    @classmethod
    def open(cls, folder: Path, *, clock: Callable[[], float] = time.time) -> Journal:
        """The journal in `folder`, made if there is none, locked against a second one. clock: seconds since 1970.

        Raises StateError when another process holds it, when it is damaged or of a newer version, or when the folder
        cannot be written.
        """
        with _disk(folder):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            (folder / "pictures").mkdir(mode=0o700, exist_ok=True)
            lock = _take_lock(folder)
        try:
            try:
                journal = cls._open_locked(folder, clock)
            except StateFullError:
                (folder / "reserve").unlink(missing_ok=True)
                journal = cls._open_locked(folder, clock)
        except BaseException:
            os.close(lock)
            raise
        journal._lock_file = lock
        return journal

    @classmethod
    def view(cls, folder: Path) -> Journal:
        """The journal in `folder` for reading alone, also while a daemon holds it. Raises StateError if there is none."""
        if not (folder / "journal.sqlite3").is_file():
            raise StateError(f"there is no journal in {folder}: is it the state folder of a daemon that ran before?")
        database = _connect(folder, read_only=True)
        try:
            with _translated(folder):
                _check_version(database, folder)
            return cls(folder, database, time.time)
        except BaseException:
            database.close()
            raise

    @classmethod
    def _open_locked(cls, folder: Path, clock: Callable[[], float]) -> Journal:
        with _disk(folder):
            # SQLite would make it readable for all.
            os.close(os.open(folder / "journal.sqlite3", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            _sync_folder(folder)
        with contextlib.suppress(OSError):  # The folder above may be closed to the service's user.
            _sync_folder(folder.absolute().parent)
        database = _connect(folder, read_only=False)
        try:
            with _translated(folder):
                _prepare(database, folder, clock())
            journal = cls(folder, database, clock)
        except BaseException:
            database.close()
            raise
        try:
            journal._testify()
            journal._remove_orphans()
            journal._restock_reserve()
        except BaseException:
            journal.close()
            raise
        return journal

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the database and give the lock back. May be called twice."""
        with self._mutex:
            with contextlib.suppress(sqlite3.Error):  # A full disk can refuse the last checkpoint; the log is kept then.
                self._database.close()
            for descriptor in (self._witness, self._lock_file):
                if descriptor is not None:
                    os.close(descriptor)
            self._witness = self._lock_file = None

    # The ledger

    def lookup(self, path: str) -> Entry | None:
        """The entry of `path`, None if it was never admitted."""
        rows = self._read(f"SELECT {_ENTRY} FROM image WHERE path = ?", os.fsencode(path))
        return _entry(rows[0]) if rows else None

    def entries(self) -> dict[str, Entry]:
        """All entries by path."""
        return {entry.path: entry for entry in map(_entry, self._read(f"SELECT {_ENTRY} FROM image"))}

    def waiting(self, limit: int | None = None) -> list[Entry]:
        """What is to be inspected: new files, then the backlog, then suspects (begun before); each in order of admission."""
        rows = self._read(
            f"SELECT {_ENTRY} FROM image WHERE state IN ('waiting', 'running') AND state = 'waiting'"
            " ORDER BY attempts > 0, attempts = 0 AND backlog, turn LIMIT ?",
            -1 if limit is None else limit,
        )
        return [_entry(row) for row in rows]

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
                self._database.execute("INSERT OR IGNORE INTO meta VALUES ('first_admission_at', ?)", (str(self._clock()),))
            admitted = (self._admit(path, fingerprint, backlog=backlog, ignore=ignore) for path, fingerprint in batch)
            return [entry for entry in admitted if entry is not None]

        if not batch and self._admitted_before:
            return []
        admitted = self._write(work)
        self._admitted_before = True
        return admitted

    def _admit(self, path: str, fingerprint: Fingerprint, *, backlog: bool, ignore: bool) -> Entry | None:
        old = self._find(path)
        if old is not None and old.fingerprint == fingerprint:
            return None
        state: State = "running" if old is not None and old.state == "running" else "ignored" if ignore else "waiting"
        revision = 1 if old is None else old.revision + 1
        self._database.execute(
            "INSERT INTO image (path, size, mtime_ns, readable, sidecar, state, revision, run, attempts, deaths, backlog, turn)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, 1, 0, 0, ?, ?)"
            " ON CONFLICT (path) DO UPDATE SET size = excluded.size, mtime_ns = excluded.mtime_ns,"
            " readable = excluded.readable, sidecar = excluded.sidecar, state = excluded.state,"
            " revision = excluded.revision, run = 1, attempts = 0, deaths = 0, backlog = excluded.backlog,"
            " turn = excluded.turn",
            (
                os.fsencode(path),
                fingerprint.size,
                fingerprint.mtime_ns,
                fingerprint.readable,
                os.fsencode(fingerprint.sidecar),
                state,
                revision,
                backlog,
                next(self._turns),
            ),
        )
        return Entry(path, fingerprint, state, revision, 1, 0, 0, backlog)

    def again(self, verdict_id: str) -> Entry | None:
        """Have the image of an earlier verdict inspected once more, as its next run; None if no such verdict is known.

        A repeat that waits already is not asked for twice, because a command can be delivered twice.
        """

        def work() -> Entry | None:
            found = self._database.execute(
                "SELECT path, verdict.revision, verdict.run FROM verdict JOIN image ON image.id = image WHERE verdict_id = ?",
                (verdict_id,),
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
                f" backlog = 0, turn = {next(self._turns)}",
            )
            return self._need(path)

        return self._write(work)

    def begin(self, path: str) -> Entry:
        """Count an attempt, durably, before anything risky touches the file. Raises StateError unless it waits."""

        def work() -> Entry:
            self._need(path, "waiting")
            self._set(path, "state = 'running', attempts = attempts + 1, begun_revision = revision, begun_run = run")
            return self._need(path)

        return self._write(work)

    def release(self, path: str) -> None:
        """A clean stop: what was begun waits again, and the attempt does not count."""

        def work() -> None:
            self._stop(path, "attempts = MAX(0, attempts - 1)")
            self._set(path, "begun_revision = NULL, begun_run = NULL")

        self._write(work, reserve=True)

    def died(self, path: str) -> Entry:
        """The process that inspected it was seen to die: it waits again, as a suspect, and the death counts.

        A failure that is concluded now is about what was begun, also when the file was admitted anew in between.
        """
        return self._write(lambda: self._stop(path, "deaths = deaths + 1"), reserve=True)

    def _stop(self, path: str, effect: str) -> Entry:
        self._need(path, "running")
        if self._is_as_begun(path):  # else the effect would hit a newer content that was never tried
            self._set(path, effect)
        self._set(path, "state = 'waiting'")
        return self._need(path)

    def recover(self) -> list[Entry]:
        """At start: whatever ran when the last process ended waits again, as a suspect. Returns those."""

        def work() -> list[Entry]:
            rows = self._database.execute(
                "SELECT path FROM image WHERE state IN ('waiting', 'running') AND state = 'running' ORDER BY turn"
            ).fetchall()
            paths = [os.fsdecode(path) for (path,) in rows]
            for path in paths:
                self._set(path, "state = 'waiting', begun_revision = NULL, begun_run = NULL")
            return [self._need(path) for path in paths]

        return self._write(work, reserve=True)

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
                (os.fsencode(path),),
            ).fetchone()
            first = self._last_seq() + 1
            verdicts = make(first)
            if not verdicts:
                raise ValueError(f"no verdict on {path!r}: every image that is concluded needs one")
            now = self._clock()
            for seq, verdict in enumerate(verdicts, first):
                self._database.execute(
                    "INSERT INTO verdict VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                    (self._epoch_id, seq, verdict.verdict_id, verdict.kind, image, revision, run, now),
                )
                self._insert_messages(seq, verdict.messages, now)
            state = "done" if (revision, run) == (entry.revision, entry.run) else "waiting"
            self._set(path, f"state = '{state}', begun_revision = NULL, begun_run = NULL")
            return list(range(first, first + len(verdicts)))

        with self._mutex:
            seqs = self._write(work)
            self._write_witness(seqs[-1])
        return seqs

    def _insert_messages(self, seq: int, messages: Iterable[Message], now: float) -> None:
        for message in messages:
            if message.role == "summary":
                self._database.execute("INSERT OR REPLACE INTO summary VALUES (1, ?, 0, ?)", (seq, message.payload))
            else:
                self._database.execute(
                    "INSERT INTO outbox (epoch, seq, role, topic, state, queued_at, picture, payload)"
                    " VALUES (?, ?, ?, ?, 'unsent', ?, ?, ?)",
                    (self._epoch_id, seq, message.role, message.topic, now, message.picture, message.payload),
                )

    # The outbox

    def unsent(self, after: int = 0, limit: int = 100) -> list[Outgoing]:
        """Messages that the broker has not acknowledged, in order of id, from the first id above `after`.

        A replay puts rows back below ids that were read before: ask again from 0 after it.
        """
        rows = self._read(
            "SELECT outbox.id, seq, verdict_id, role, topic, payload, picture, tries, suspect, epoch.name FROM outbox"
            " JOIN verdict USING (epoch, seq) JOIN epoch ON epoch.id = outbox.epoch"
            " WHERE state = 'unsent' AND outbox.id > ? ORDER BY outbox.id LIMIT ?",
            after,
            limit,
        )
        return [Outgoing(*row) for row in rows]

    def undrawn(self) -> list[Undrawn]:
        """Overlays that wait to be sent and whose pictures are not there, in order of id."""
        rows = self._read("SELECT id, picture FROM outbox WHERE state = 'unsent' AND picture IS NOT NULL ORDER BY id")
        with _disk(self.folder):
            missing = [id for id, picture in rows if not (self.pictures / picture).exists()]  # noqa: A001 - the row's own name
        found = []
        for row in missing:  # few; the verdicts of all that wait for a broker would not fit into memory
            ((id, picture, tries, path, verdict),) = self._read(  # noqa: A001
                "SELECT overlay.id, overlay.picture, overlay.tries, image.path, told.payload FROM outbox AS overlay"
                " JOIN verdict USING (epoch, seq) JOIN image ON image.id = verdict.image"
                " JOIN outbox AS told ON told.epoch = overlay.epoch AND told.seq = overlay.seq AND told.role = 'verdict'"
                " WHERE overlay.id = ?",
                row,
            )
            found.append(Undrawn(id, picture, tries, os.fsdecode(path), verdict))
        return found

    def unsent_count(self) -> int:
        """How many messages wait to be sent."""
        return int(self._read("SELECT COUNT(*) FROM outbox WHERE state = 'unsent'")[0][0])

    def oldest_unsent(self) -> float | None:
        """When the first message that waits was queued, seconds since 1970."""
        rows = self._read("SELECT queued_at FROM outbox WHERE state = 'unsent' ORDER BY id LIMIT 1")
        return float(rows[0][0]) if rows else None

    def acknowledge(self, ids: Iterable[int]) -> None:
        """The broker took these: they are kept for a replay until they are pruned.

        The row does not grow by it, so that it seldom needs space.
        """
        self._write_each("UPDATE outbox SET state = 'acked', suspect = 0 WHERE id = ? AND state = 'unsent'", ids)

    def tried(self, ids: Iterable[int]) -> None:
        """Count that these were handed to a connection."""
        self._write_each("UPDATE outbox SET tries = tries + 1 WHERE id = ? AND state = 'unsent'", ids)

    def mark_suspect(self, id: int) -> int:  # noqa: A002 - the row's own name
        """A connection died while this was the only message in flight. Returns how often that happened (0: not unsent)."""

        def work() -> int:
            self._database.execute("UPDATE outbox SET suspect = suspect + 1 WHERE id = ? AND state = 'unsent'", (id,))
            row = self._database.execute("SELECT suspect FROM outbox WHERE id = ? AND state = 'unsent'", (id,)).fetchone()
            return int(row[0]) if row else 0

        return self._write(work, reserve=True)

    def bury(self, id: int, reason: str, tombstone: Message | None) -> None:  # noqa: A002 - the row's own name
        """Give up a message that the broker can never take.

        tombstone: a small message that is sent in its place, so that its `seq` is not missing; the original is put aside.
        None: nothing is sent (an overlay). A tombstone that is buried in turn is replaced; the original stays on record.
        """

        def work() -> None:
            row = self._database.execute(
                "SELECT epoch, seq, topic, payload FROM outbox WHERE id = ? AND state = 'unsent'", (id,)
            ).fetchone()
            if row is None:
                return
            epoch, seq, topic, payload = row
            self._database.execute(
                "INSERT OR IGNORE INTO dead_letter VALUES (?, ?, ?, ?, ?, ?, ?)",
                (id, epoch, seq, topic, reason, self._clock(), payload if tombstone else None),
            )
            if tombstone is None:
                self._database.execute("UPDATE outbox SET state = 'dead' WHERE id = ?", (id,))
            else:
                self._database.execute(
                    "UPDATE outbox SET topic = ?, payload = ?, picture = ?, tries = 0, suspect = 0 WHERE id = ?",
                    (tombstone.topic, tombstone.payload, tombstone.picture, id),
                )

        self._write(work, reserve=True)

    def dead_letters(self) -> list[DeadLetter]:
        """Messages that were given up, oldest first."""
        rows = self._read(
            "SELECT seq, verdict_id, topic, reason, died_at FROM dead_letter JOIN verdict USING (epoch, seq) ORDER BY id"
        )
        return [DeadLetter(*row) for row in rows]

    def summary(self) -> Summary | None:
        """The newest inspection's flat message, None before the first."""
        rows = self._read("SELECT seq, payload, sent FROM summary")
        return Summary(rows[0][0], rows[0][1], bool(rows[0][2])) if rows else None

    def summary_sent(self, seq: int) -> None:
        """The broker took the summary of `seq`; without effect when a newer one has taken its place."""
        self._write(lambda: self._database.execute("UPDATE summary SET sent = 1 WHERE seq = ?", (seq,)), reserve=True)

    def replay(self, epoch: str, first_seq: int, last_seq: int) -> int:
        """Have the acknowledged verdicts from `first_seq` to `last_seq` sent again, under their own ids; return how many.

        Overlays and summaries are not repeated. 0 when `epoch` is not the present one, or all were pruned.
        """
        if epoch != self.epoch:
            return 0

        def work() -> int:
            return self._database.execute(
                "UPDATE outbox SET state = 'unsent', queued_at = ?, tries = 0, suspect = 0"
                " WHERE epoch = ? AND seq BETWEEN ? AND ? AND role = 'verdict' AND state = 'acked'",
                (self._clock(), self._epoch_id, first_seq, last_seq),
            ).rowcount

        return self._write(work, reserve=True)

    def verdict_payload(self, seq: int) -> bytes | None:
        """What was to be sent as verdict `seq` of this epoch, None when it was pruned or never given."""
        rows = self._read(
            "SELECT COALESCE(dead_letter.payload, outbox.payload) FROM outbox LEFT JOIN dead_letter USING (id)"
            " WHERE outbox.epoch = ? AND outbox.seq = ? AND role = 'verdict'",
            self._epoch_id,
            seq,
        )
        return rows[0][0] if rows else None

    # Upkeep

    def write_picture(self, name: str, data: bytes) -> None:
        """Store a file in the pictures folder, whole or not at all, readable for this user alone.

        name: a plain file name. Raises StateFullError when the disk is full. One that no message names is removed at the
        next opening.
        """
        if "/" in name or name.startswith(".") or not name:
            raise ValueError(f"{name!r} is no plain file name")
        part = self.pictures / f".{name}.part"
        with _disk(self.folder):
            try:
                with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb") as stream:
                    stream.write(data)
                    stream.flush()
                    os.fsync(stream.fileno())
                part.replace(self.pictures / name)
                _sync_folder(self.pictures)
            except OSError:
                part.unlink(missing_ok=True)
                raise

    def prune(self, keep_days: float, max_bytes: int, now: float) -> PruneReport:
        """Forget what may be forgotten; unsent messages and the ledger's own rows never.

        First acknowledged messages and their pictures older than `keep_days`; then, while messages and pictures use more
        than `max_bytes`, the oldest acknowledged overlays, then the oldest acknowledged verdicts.
        now: seconds since 1970. Also refills the reserve when there is room again.
        """
        cutoff = now - keep_days * 86400
        pictures = self._picture_sizes()
        removed = _Removed()
        self._forget("state <> 'unsent' AND queued_at < ? ORDER BY queued_at", (cutoff,), pictures, removed)
        self._write(
            lambda: self._database.execute(
                "UPDATE dead_letter SET payload = NULL WHERE payload IS NOT NULL AND died_at < ?", (cutoff,)
            ),
            reserve=True,
        )
        for which in ("role = 'overlay'", "role <> 'overlay'"):
            gone = True
            while gone and (excess := self._database_bytes() + sum(pictures.values()) - max_bytes) > 0:
                gone = self._forget(f"state <> 'unsent' AND {which} ORDER BY id", (), pictures, removed, excess)
        self._give_back_pages()
        self._restock_reserve()
        used = self._database_bytes() + sum(pictures.values())
        return PruneReport(removed.messages, removed.pictures, removed.freed_bytes, used, full=used > max_bytes)

    def _forget(
        self, which: str, values: tuple[Any, ...], pictures: dict[str, int], removed: _Removed, enough: float = float("inf")
    ) -> bool:
        """Delete rows of the outbox and their files, first ones first, until about `enough` bytes are free or none is left.

        `pictures` and `removed` are brought up to date. Returns whether anything was deleted.
        """
        freed = 0
        while freed < enough:
            rows = self._read(
                f"SELECT id, picture, COALESCE(LENGTH(payload), 0) FROM outbox WHERE {which} LIMIT ?", *values, PRUNE_STEP_ROWS
            )
            doomed: list[tuple[int, str | None]] = []
            for row, picture, payload_bytes in rows:
                if freed >= enough:
                    break
                doomed.append((row, picture))
                freed += max(1, payload_bytes + pictures.get(picture or "", 0))
            if not doomed:
                break
            self._write_each("DELETE FROM outbox WHERE id = ? AND state <> 'unsent'", [row for row, _ in doomed])
            removed.messages += len(doomed)
            with _disk(self.folder):
                for _, picture in doomed:
                    if picture is not None and pictures.pop(picture, None) is not None:
                        (self.pictures / picture).unlink(missing_ok=True)
                        removed.pictures += 1
        removed.freed_bytes += freed
        return freed > 0

    def info(self) -> dict[str, Any]:
        """Counts and sizes, for health messages and edge-doctor."""
        states = dict(self._read("SELECT state, COUNT(*) FROM image GROUP BY state"))
        return {
            "epoch": self.epoch,
            "last_seq": self._last_seq(),
            "images": {state: states.get(state, 0) for state in ("waiting", "running", "done", "ignored")},
            "suspects": int(
                self._read(
                    "SELECT COUNT(*) FROM image WHERE state IN ('waiting', 'running') AND state = 'waiting' AND attempts > 0"
                )[0][0]
            ),
            "unsent": self.unsent_count(),
            "oldest_unsent": self.oldest_unsent(),
            "dead_letters": int(self._read("SELECT COUNT(*) FROM dead_letter")[0][0]),
            "database_bytes": self._database_bytes(),
            "pictures": self._picture_count(),
            "reserve": (self.folder / "reserve").exists(),
        }

    # Inside

    def _read(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        with self._mutex, _translated(self.folder):
            return self._database.execute(sql, values).fetchall()

    def _write(self, work: Callable[[], T], *, reserve: bool = False) -> T:
        """Run `work` in one transaction. reserve: on a full disk give up the reserve and try once more."""
        with self._mutex:
            try:
                return self._transact(work)
            except StateFullError:
                if not (reserve and self._spend_reserve()):
                    raise
                return self._transact(work)

    def _transact(self, work: Callable[[], T]) -> T:
        with _translated(self.folder):
            self._database.execute("BEGIN IMMEDIATE")
            try:
                result = work()
                self._database.execute("COMMIT")
            except BaseException:
                with contextlib.suppress(sqlite3.Error):  # SQLite may have rolled back by itself.
                    self._database.execute("ROLLBACK")
                raise
        return result

    def _write_each(self, sql: str, ids: Iterable[int]) -> None:
        rows = [(row,) for row in ids]
        if rows:
            self._write(lambda: self._database.executemany(sql, rows), reserve=True)

    def _find(self, path: str) -> Entry | None:
        row = self._database.execute(f"SELECT {_ENTRY} FROM image WHERE path = ?", (os.fsencode(path),)).fetchone()
        return None if row is None else _entry(row)

    def _need(self, path: str, *states: State) -> Entry:
        entry = self._find(path)
        if entry is None:
            raise StateError(f"{path!r} is not in the ledger: admit it first")
        if states and entry.state not in states:
            raise StateError(f"{path!r} is {entry.state}, not {' or '.join(states)}")
        return entry

    def _set(self, path: str, assignments: str) -> None:
        self._database.execute(f"UPDATE image SET {assignments} WHERE path = ?", (os.fsencode(path),))

    def _is_as_begun(self, path: str) -> bool:
        sql = "SELECT (revision, run) = (begun_revision, begun_run) FROM image WHERE path = ?"
        return bool(self._database.execute(sql, (os.fsencode(path),)).fetchone()[0])

    def _last_seq(self) -> int:
        return int(self._read("SELECT COALESCE(MAX(seq), 0) FROM verdict WHERE epoch = ?", self._epoch_id)[0][0])

    def _newest_epoch(self) -> tuple[int, str]:
        row = self._read("SELECT id, name FROM epoch ORDER BY id DESC LIMIT 1")[0]
        return row[0], row[1]

    def _database_bytes(self) -> int:
        """What is in use; the file itself may be larger."""
        pages, free, size = (self._read(f"PRAGMA {name}")[0][0] for name in ("page_count", "freelist_count", "page_size"))
        return int((pages - free) * size)

    def _give_back_pages(self) -> None:
        """Shrink the file when much of it is empty, in steps, so that nobody waits long; on a full disk, not now."""
        size = self._read("PRAGMA page_size")[0][0]
        before, free = None, self._read("PRAGMA freelist_count")[0][0]
        with contextlib.suppress(StateFullError):
            while free != before and free * size > VACUUM_ABOVE_BYTES:
                self._read(f"PRAGMA incremental_vacuum({VACUUM_STEP_BYTES // size})")
                before, free = free, self._read("PRAGMA freelist_count")[0][0]

    def _picture_sizes(self) -> dict[str, int]:
        sizes: dict[str, int] = {}
        with _disk(self.folder), os.scandir(self.pictures) as listing:
            for entry in listing:
                with contextlib.suppress(FileNotFoundError):  # renamed or removed meanwhile
                    sizes[entry.name] = entry.stat(follow_symlinks=False).st_size
        return sizes

    def _picture_count(self) -> int:
        """Without asking for each one's size: this is called every few seconds, and there may be a hundred thousand."""
        with _disk(self.folder), os.scandir(self.pictures) as listing:
            return sum(1 for _ in listing)

    def _remove_orphans(self) -> None:
        """A picture whose row was forgotten just before the power went is still there."""
        named = {name for (name,) in self._read("SELECT picture FROM outbox WHERE picture IS NOT NULL")}
        with _disk(self.folder):
            for name in self._picture_sizes().keys() - named:
                (self.pictures / name).unlink(missing_ok=True)

    # The reserve

    def _spend_reserve(self) -> bool:
        try:
            (self.folder / "reserve").unlink()
        except OSError:
            return False
        return True

    def _restock_reserve(self) -> None:
        reserve = self.folder / "reserve"
        try:
            if reserve.exists() or _free_bytes(self.folder) < 2 * RESERVE_BYTES:
                return
            descriptor = os.open(reserve, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.posix_fallocate(descriptor, 0, RESERVE_BYTES)
            except OSError:
                reserve.unlink()
                raise
            finally:
                os.close(descriptor)
        except OSError:
            return  # No room, or a file system that cannot set space aside: intake still pauses when the disk is full.

    # The witness

    def _testify(self) -> None:
        """Begin a new epoch when the database is not the one, or not as far, as the witness remembers.

        Numbers that were given away would otherwise be given again, and a subscriber would drop new verdicts as repeats.
        The inode is compared, the device is not: device numbers of the same disk differ from boot to boot.
        """
        path = self.folder / "witness"
        with _disk(self.folder):
            self._inode = (self.folder / "journal.sqlite3").stat().st_ino
            self._witness = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            known = os.pread(self._witness, 1024, 0).decode("ascii", "replace").split()
        as_left = (
            len(known) == 3
            and known[0] == self.epoch
            and known[1].isdigit()
            and int(known[1]) <= self._last_seq()
            and known[2] == f"{self._inode:020d}"
        )
        unused = not known and not self._read("SELECT 1 FROM verdict LIMIT 1")
        if not as_left and not unused:
            self._write(lambda: _begin_epoch(self._database, self._clock()), reserve=True)
            self._epoch_id, self.epoch = self._newest_epoch()
            self.renewed = True
        with _disk(self.folder):
            os.pwrite(self._witness, self._testimony(self._last_seq()), 0)
            os.ftruncate(self._witness, len(self._testimony(0)))
            os.fsync(self._witness)
            _sync_folder(self.folder)

    def _write_witness(self, seq: int) -> None:
        """Not synced: it may lag behind the database after a power cut, which is harmless, but never be ahead of it."""
        with contextlib.suppress(OSError):
            if self._witness is not None:
                os.pwrite(self._witness, self._testimony(seq), 0)

    def _testimony(self, seq: int) -> bytes:
        """Always of one length, so that writing it needs no space."""
        return f"{self.epoch} {seq:020d} {self._inode:020d}\n".encode("ascii")


@dataclass(slots=True)
class _Removed:
    messages: int = 0
    pictures: int = 0
    freed_bytes: int = 0


def _connect(folder: Path, *, read_only: bool) -> sqlite3.Connection:
    uri = f"file:{quote(os.fsencode(folder.absolute() / 'journal.sqlite3'))}?mode={'ro' if read_only else 'rw'}"
    with _translated(folder):
        database = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False, timeout=10.0)
        database.execute("PRAGMA temp_store = MEMORY")  # A full disk has no room for temporary files.
        return database


def _prepare(database: sqlite3.Connection, folder: Path, now: float) -> None:
    """Settings of the connection; the tables, if the file is empty; a look at whether it is sound."""
    if not _check_version(database, folder):
        database.execute("PRAGMA auto_vacuum = INCREMENTAL")
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = FULL")
    database.execute("PRAGMA foreign_keys = ON")
    # Debian's SQLite overwrites what it deletes, which on a full disk needs as much room again.
    database.execute("PRAGMA secure_delete = OFF")
    if not _check_version(database, folder):
        database.execute("BEGIN IMMEDIATE")
        for statement in _SCHEMA.split(";\n"):
            database.execute(statement)
        _begin_epoch(database, now)
        database.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        database.execute("COMMIT")
    elif (folder / "journal.sqlite3").stat().st_size <= CHECKED_AT_OPEN_BYTES:  # A large one would take minutes.
        (verdict,) = database.execute("PRAGMA quick_check(1)").fetchone()
        if verdict != "ok":
            raise sqlite3.DatabaseError(f"malformed: {verdict}")


def _check_version(database: sqlite3.Connection, folder: Path) -> bool:
    """False when the file is still empty. Raises StateError for a file that is not of this version."""
    (version,) = database.execute("PRAGMA user_version").fetchone()
    (tables,) = database.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()
    if version == SCHEMA_VERSION:
        return True
    if version == 0 and tables == 0:
        return False
    raise StateError(
        f"{folder / 'journal.sqlite3'} is of version {version}, this program writes {SCHEMA_VERSION}:"
        " install the version that wrote it, or name another state.folder"
    )


def _begin_epoch(database: sqlite3.Connection, now: float) -> None:
    database.execute("INSERT INTO epoch (name, began_at) VALUES (?, ?)", (str(uuid.uuid4()), now))


def _take_lock(folder: Path) -> int:
    descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip() or "unknown"
        os.close(descriptor)
        raise StateError(
            f"{folder} is in use by process {holder}: stop that daemon first, or give this one its own state.folder"
        ) from None
    with contextlib.suppress(OSError):  # A full disk must not keep the daemon from starting.
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode("ascii"), 0)
    return descriptor


@contextlib.contextmanager
def _translated(folder: Path) -> Iterator[None]:
    """sqlite3's errors as ours."""
    try:
        yield
    except sqlite3.Error as error:
        raise _from_sqlite_error(error, folder) from error


@contextlib.contextmanager
def _disk(folder: Path) -> Iterator[None]:
    """The operating system's errors as ours."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StateFullError(f"the disk that holds {folder} is full: free some space; nothing is lost") from error
        raise StateError(
            f"the state folder {folder} cannot be used: {error.strerror or error}; the service's user must be able to write"
            " there"
        ) from error


def _from_sqlite_error(error: sqlite3.Error, folder: Path) -> StateError:
    text, file = str(error), folder / "journal.sqlite3"
    # SQLite calls a full disk an input/output error where it is its shared memory that cannot grow.
    if "is full" in text or ("disk I/O error" in text and _free_bytes(folder) < 1 << 20):
        return StateFullError(f"the disk that holds {folder} is full: free some space; nothing is lost")
    if "malformed" in text or "not a database" in text:
        return StateError(
            f"{file} is damaged ({text}): stop the daemon, keep a copy of {folder}, then put back a backup or move the file"
            " away to begin a new journal; a new one does not know what was sent before"
        )
    if "closed database" in text:
        return StateError(f"the journal in {folder} is closed")
    return StateError(f"{file} cannot be used: {text}; see that the disk works and the service's user may write there")


def _free_bytes(folder: Path) -> int:
    try:
        disk = os.statvfs(folder)
    except OSError:
        return 0
    return disk.f_bavail * disk.f_frsize


def _sync_folder(folder: Path) -> None:
    """Make names that were created or renamed in it outlive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
