"""The verdicts of a journal in, one flat row of each out, quickly and for as long as wanted.

A journal forgets messages after `keep_days` and reading 10,000 of them takes seconds. So their rows stand in an index, a
database of its own: a cache that may be deleted at any time, filled newest first, so that what is looked at comes at once.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from edge.errors import StateError
from edge.journal import disk, wal_index
from edge.journal.verdicts import BEYOND, FIRST, Key, Told, Verdicts

VERSION: Final = 3
STEP: Final = 200
"""Verdicts that are read at once: some tens of megabytes where there are thousands of regions in each."""

BUSY_S: Final = 2.0
"""So long another process that writes the index is waited for."""
ROOM_BYTES: Final = 16 << 20
"""With less room on the disk the stand-in stays."""

_TABLES: Final = """
CREATE TABLE row (epoch INTEGER NOT NULL, seq INTEGER NOT NULL, id TEXT NOT NULL, place TEXT NOT NULL, at REAL NOT NULL,
    doubtful INTEGER NOT NULL, found TEXT NOT NULL, told TEXT NOT NULL,
    kind TEXT, label TEXT, own_class TEXT, state TEXT, PRIMARY KEY (epoch, seq)) WITHOUT ROWID;
CREATE UNIQUE INDEX row_id ON row (id);
CREATE INDEX row_place ON row (place, epoch, seq);
CREATE INDEX row_doubtful ON row (epoch, seq) WHERE doubtful;
CREATE INDEX row_at ON row (at, kind, label, own_class, state);
CREATE TABLE gap (above_epoch INTEGER, above_seq INTEGER, below_epoch INTEGER, below_seq INTEGER);
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
INSERT INTO meta VALUES ('epochs', ''), ('journal', '');
"""

_SUPERSEDED: Final = """
EXISTS (SELECT 1 FROM row AS newer WHERE newer.place = row.place AND (newer.epoch, newer.seq) > (row.epoch, row.seq))
"""
"""Whether an image has a newer verdict than this row's."""

_COUNTED: Final = ("kind", "label", "own_class", "state")
"""Columns that verdicts are counted by."""

Flatten = Callable[[Told], dict[str, Any]]
Row = dict[str, Any]


class Count(NamedTuple):
    """So many verdicts are of one kind, label, class of the plant's own and state."""

    kind: str
    label: str | None
    own_class: str | None
    state: str | None
    verdicts: int


class History:
    """Rows of verdicts. Thread-safe. Every method raises StateError when the index cannot be used; delete it then.

    flatten: makes a row of one verdict, with JSON's values; in it `place` names the image and page that it is of, and
    `needs_review` says whether it is doubtful.
    why: why its file cannot be used now, so that a stand-in is, which ends with this process; None where it is.
    """

    def __init__(self, file: Path, flatten: Flatten) -> None:
        """Open the index, made anew where there is none, or one that cannot be used."""
        self._flatten, self._file = flatten, file
        self._mutex = threading.RLock()
        self._moved: set[Key] | None = None  # found out at the first look
        self.why: str | None = None
        self._connection = self._opened()

    def _opened(self) -> sqlite3.Connection:
        try:
            connection = _from_file(self._file)
        except (OSError, sqlite3.Error) as error:
            self.why = _why(error)
            return _stand_in()
        self.why = None
        return connection

    def return_to_file(self) -> None:
        """From the stand-in, where there is room for the file again; what it lacks is filled in as usual."""
        with self._mutex:
            if self.why is None or disk.free_bytes(self._file.parent.parent) < ROOM_BYTES:
                return
            try:
                connection = _from_file(self._file)
            except (OSError, sqlite3.Error) as error:
                self.why = _why(error)
                return
            self._connection.close()
            self._connection, self._moved, self.why = connection, None, None

    def close(self) -> None:
        """Close it."""
        with self._mutex, contextlib.suppress(sqlite3.Error):
            self._connection.close()

    def fill(self, verdicts: Verdicts) -> list[tuple[Key, Row]]:
        """Take in at most `STEP` verdicts that are missing, the newest first; their rows, the newest first."""
        used = self._connection
        try:
            return self._fill(verdicts)
        except StateError:
            if self._connection is used:
                raise
            return self._fill(verdicts)  # into what took its place

    def _fill(self, verdicts: Verdicts) -> list[tuple[Key, Row]]:
        with self._translated():
            self._look_for_news(verdicts)
            gap = self._connection.execute(
                "SELECT rowid, * FROM gap ORDER BY below_epoch DESC, below_seq DESC LIMIT 1"
            ).fetchone()
        if gap is None:
            return []
        number, above, below = gap[0], (gap[1], gap[2]), (gap[3], gap[4])
        found = verdicts.between(above, below, STEP)
        rows = [(one, self._flatten(one)) for one in found if one.key not in (self._moved or ())]
        with self._translated(), self._connection:
            self._connection.executemany(
                "INSERT OR REPLACE INTO row VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [
                    (
                        *one.key,
                        one.verdict_id,
                        _writable(row["place"]),
                        one.made_at,
                        bool(row["needs_review"]),
                        _searchable(row),
                        json.dumps(row),
                        *(None if row.get(name) is None else _writable(str(row[name])) for name in _COUNTED),
                    )
                    for one, row in rows
                ],
            )
            if len(found) < STEP:
                self._connection.execute("DELETE FROM gap WHERE rowid = ?", (number,))
            else:
                self._connection.execute(
                    "UPDATE gap SET below_epoch = ?, below_seq = ? WHERE rowid = ?", (*found[-1].key, number)
                )
        return [(one.key, row) for one, row in rows]

    def complete(self) -> bool:
        """Whether nothing was left out when it was last filled."""
        with self._translated():
            return not self._connection.execute("SELECT COUNT(*) FROM gap").fetchone()[0]

    def page(
        self, *, before: Key | None = None, limit: int = 50, doubtful: bool = False, search: str = ""
    ) -> list[tuple[Key, Row]]:
        """Rows before a key, the newest first. search: letters that stand in path, label, sample or reasons."""
        wanted = ["(epoch, seq) < (?, ?)"]
        values: list[Any] = [*(before or BEYOND)]
        if doubtful:
            wanted.append("doubtful")
        for word in _writable(search.casefold()).split()[:8]:
            wanted.append("found LIKE ? ESCAPE '!'")
            values.append("%" + word.replace("!", "!!").replace("%", "!%").replace("_", "!_") + "%")
        with self._translated():
            rows = self._connection.execute(
                f"SELECT epoch, seq, told FROM row WHERE {' AND '.join(wanted)} ORDER BY epoch DESC, seq DESC LIMIT ?",
                (*values, limit),
            ).fetchall()
        return [((epoch, seq), json.loads(told)) for epoch, seq, told in rows]

    def row(self, verdict_id: str) -> Row | None:
        """The row of one verdict, None where it is not known."""
        with self._translated():
            found = self._connection.execute("SELECT told FROM row WHERE id = ?", (verdict_id,)).fetchone()
        return None if found is None else dict(json.loads(found[0]))

    def after(self, key: Key) -> Iterator[tuple[Key, Row]]:
        """All rows after a key, the oldest first, read in steps."""
        while True:
            with self._translated():
                rows = self._connection.execute(
                    "SELECT epoch, seq, told FROM row WHERE (epoch, seq) > (?, ?) ORDER BY epoch, seq LIMIT 2000", key
                ).fetchall()
            for epoch, seq, told in rows:
                yield (epoch, seq), json.loads(told)
            if len(rows) < 2000:
                return
            key = rows[-1][:2]

    def counts_since(self, at: float) -> list[Count]:
        """How many verdicts made from `at`, seconds since 1970, on are alike."""
        with self._translated():
            rows = self._connection.execute(
                "SELECT kind, label, own_class, state, COUNT(*) FROM row WHERE at >= ? GROUP BY 1, 2, 3, 4", (at,)
            ).fetchall()
        return [Count(*row) for row in rows]

    def doubtful_since(self, at: float) -> list[str]:
        """Inspections made from `at`, seconds since 1970, on that are doubtful and the newest of their image."""
        with self._translated():
            rows = self._connection.execute(
                f"SELECT id FROM row WHERE at >= ? AND doubtful AND kind = 'inspection' AND NOT {_SUPERSEDED}", (at,)
            ).fetchall()
        return [name for (name,) in rows]

    def superseded(self, ids: list[str]) -> set[str]:
        """Those of these verdicts whose image has a newer one."""
        marks = ", ".join("?" * len(ids))
        with self._translated():
            rows = self._connection.execute(f"SELECT id FROM row WHERE id IN ({marks}) AND {_SUPERSEDED}", ids).fetchall()
        return {name for (name,) in rows}

    def gaps(self) -> list[tuple[int, int, int]]:
        """Epoch's row, first and last `seq` of what is missing between two rows of one epoch."""
        with self._translated():
            rows = self._connection.execute(
                "SELECT epoch, earlier + 1, seq - 1 FROM (SELECT epoch, seq, LAG(seq) OVER (PARTITION BY epoch ORDER BY seq)"
                " AS earlier FROM row) WHERE earlier IS NOT NULL AND seq > earlier + 1 ORDER BY epoch, seq LIMIT 1000"
            ).fetchall()
        return [(int(epoch), int(first), int(last)) for epoch, first, last in rows]

    def _look_for_news(self, verdicts: Verdicts) -> None:
        """What came since is a gap at the end; after a new epoch, what was renumbered or taken back goes."""
        journal, epochs = verdicts.identity()
        known_as = dict(self._connection.execute("SELECT key, value FROM meta").fetchall())
        if journal != known_as["journal"]:
            with self._connection:  # another journal took its place: its numbers begin anew
                self._connection.execute("DELETE FROM row")
                self._connection.execute("DELETE FROM gap")
                self._connection.execute("UPDATE meta SET value = ? WHERE key = 'journal'", (journal,))
            self._moved = None
        if self._moved is None or epochs != known_as["epochs"]:
            self._moved = verdicts.moved()
        if epochs != known_as["epochs"]:
            known = verdicts.keys() - self._moved
            ours = self._connection.execute("SELECT epoch, seq FROM row").fetchall()
            with self._connection:
                self._connection.executemany(
                    "DELETE FROM row WHERE epoch = ? AND seq = ?", [key for key in ours if key not in known]
                )
                self._connection.execute("UPDATE meta SET value = ? WHERE key = 'epochs'", (epochs,))
        newest = verdicts.newest()
        last = self._connection.execute("SELECT epoch, seq FROM row ORDER BY epoch DESC, seq DESC LIMIT 1").fetchone()
        end: Key = tuple(last) if last else FIRST
        if newest is not None and newest > end:
            with self._connection:  # a gap at the end that is still being filled stays one of its own, below this one
                self._connection.execute(  # once, also where filling it failed
                    "INSERT INTO gap SELECT ?1, ?2, ?3, ?4 WHERE NOT EXISTS (SELECT 1 FROM gap WHERE above_epoch = ?1"
                    " AND above_seq = ?2 AND below_epoch = ?3 AND below_seq = ?4)",
                    (*end, *BEYOND),
                )

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        with self._mutex:
            try:
                yield
            except sqlite3.Error as error:
                self._step_aside(error)
                raise StateError(f"the index of the live page cannot be used: {error}") from error

    def _step_aside(self, error: sqlite3.Error) -> None:
        """A damaged file is made anew; on a full disk a stand-in takes what is there."""
        if type(error) is sqlite3.DatabaseError:
            self._connection.close()
            self._connection, self._moved = self._opened(), None
        elif self.why is None and isinstance(error, sqlite3.OperationalError) and "locked" not in str(error):
            copy = _stand_in(empty=True)
            try:
                self._connection.backup(copy)
            except sqlite3.Error:
                copy.close()
                copy = _stand_in()
            self._connection.close()
            self._connection, self._moved, self.why = copy, None, _why(error)


def _why(error: Exception) -> str:
    return f"the index of the live page cannot be kept: {getattr(error, 'strerror', None) or error}"


def _from_file(file: Path) -> sqlite3.Connection:
    """The index, made anew where it is damaged or of another version: it is a cache. Raises OSError, sqlite3.Error."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        return _connected(file)
    except sqlite3.OperationalError:  # locked, or on a full disk: not damaged
        raise
    except sqlite3.DatabaseError:
        for suffix in ("", "-wal", "-shm"):
            file.with_name(file.name + suffix).unlink(missing_ok=True)
        return _connected(file)


def _stand_in(*, empty: bool = False) -> sqlite3.Connection:
    """A database of this process alone, in memory as far as that goes, else among the system's temporary files."""
    connection = sqlite3.connect("", check_same_thread=False)
    if not empty:
        connection.executescript(f"BEGIN; {_TABLES} COMMIT;")
    return connection


def _connected(file: Path) -> sqlite3.Connection:
    try:
        wal_index.make_room(file)
    except OSError as error:
        raise sqlite3.OperationalError("database or disk is full") from error
    connection = sqlite3.connect(file, check_same_thread=False, timeout=BUSY_S)
    try:
        file.chmod(0o600)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version == 0:
            connection.executescript(f"BEGIN; {_TABLES} PRAGMA user_version = {VERSION}; COMMIT;")
        elif version != VERSION or not _complete(connection):
            raise sqlite3.DatabaseError(f"version {version}")
        connection.execute("UPDATE meta SET value = value WHERE key = 'journal'")  # can it be written?
        connection.commit()
    except BaseException:
        connection.close()
        raise
    return connection


def _complete(connection: sqlite3.Connection) -> bool:
    found = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    return {name for (name,) in found} >= {"row", "gap", "meta"}


def _searchable(row: Mapping[str, Any]) -> str:
    words = [
        row.get("path"),
        row.get("label"),
        row.get("own_class"),
        row.get("state"),
        row.get("message"),
        *(row.get("reasons") or ()),
    ]
    words += [f"{name}={value}" for name, value in (row.get("sample") or {}).items()]
    return _writable(" ".join(str(word) for word in words if word is not None).casefold())


def _writable(text: str) -> str:
    """SQLite takes no lone surrogate, and a name or a message may hold one."""
    return text.encode("utf-8", "backslashreplace").decode()
