"""Statements in, rows out, whole transactions alone: the one connection to the database, and sqlite3's errors as ours."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import uuid
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import quote

from edge.errors import StateError, StateFullError
from edge.journal import disk, former, schema, wal_index

CHECKED_AT_OPEN_BYTES: Final = 64 << 20
VACUUM_ABOVE_BYTES: Final = 16 << 20
VACUUM_STEP_BYTES: Final = 4 << 20
ALIVE_STEPS: Final = 10_000_000
"""Of SQLite's machine: a second or less."""
BUSY_S: Final = 10.0
VIEW_BUSY_S: Final = 2.0
"""Who only reads waits for nobody but a process that holds the whole file, and tells a person so soon."""

T = TypeVar("T")


class Database:
    """The file `journal.sqlite3` in a state folder. Thread-safe; not to be carried over a fork.

    Every method raises StateError when the database cannot be used, and StateFullError when the disk is full; then
    nothing of that call was stored.

    folder: the state folder.
    mutex: held during every call; may be held over several of them.
    reserve: what is given up on a full disk.
    """

    def __init__(self, folder: Path, connection: sqlite3.Connection, index: wal_index.Held | None = None) -> None:
        """Use `open` or `view`."""
        self.folder = folder
        self.mutex = threading.RLock()
        self.reserve = disk.Reserve(folder)
        self._connection = connection
        self._index = index

    @classmethod
    def open(cls, folder: Path, now: float, alive: Callable[[], None] = lambda: None) -> Database:
        """The database in `folder`, made if there is none. The caller holds the folder's lock.

        now: seconds since 1970, when the first epoch of a new one begins.  alive: called now and then meanwhile.
        One of an older version becomes one of this version, and is kept beside as it was: see `edge.journal.former`.
        Raises StateError when it is damaged or of a newer version.
        """
        with disk.translated_os_errors(folder):
            # SQLite would make it readable for all.
            os.close(os.open(_file(folder), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            disk.sync_folder(folder)
            index = wal_index.Held(_file(folder))
        with contextlib.suppress(OSError):  # The folder above may be closed to the service's user.
            disk.sync_folder(folder.absolute().parent)
        try:
            with _closed_on_error(_connect(folder, read_only=False)) as connection, _translated_errors(folder):
                _prepare(connection, folder, now, alive)
        except BaseException:
            index.close()
            raise
        return cls(folder, connection, index)

    @classmethod
    def view(cls, folder: Path) -> Database:
        """The database in `folder` for reading alone, also one of an older version, which stays so.

        Raises StateError if there is none or it is of a newer version.
        """
        with disk.translated_os_errors(folder):
            if not _file(folder).is_file():
                raise StateError(f"there is no journal in {folder}: is it the state folder of a daemon that ran before?")
            wal_index.make_room(_file(folder))
        with _closed_on_error(_connect(folder, read_only=True)) as connection, _translated_errors(folder):
            for statement in schema.STAND_INS.get(_version(connection, folder), ()):
                connection.execute(statement)
        return cls(folder, connection)

    def close(self) -> None:
        """Close it. May be called twice."""
        with self.mutex:
            with contextlib.suppress(sqlite3.Error):  # A full disk can refuse the last checkpoint: the log is kept.
                self._connection.close()
            if self._index is not None:
                self._index.close()

    def read(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """The rows of one query."""
        with self.mutex, _translated_sqlite_errors(self.folder):
            return self._connection.execute(sql, values).fetchall()

    def write(self, work: Callable[[], T], *, reserve: bool = False) -> T:
        """Run `work` in one transaction. reserve: on a full disk give up the reserve and try once more."""
        with self.mutex:
            try:
                return self._transact(work)
            except StateFullError:
                if not (reserve and self.reserve.spend()):
                    raise
                return self._transact(work)

    def write_each(self, sql: str, ids: Iterable[int]) -> None:
        """Run one statement for each id, all in one transaction, which may give up the reserve."""
        rows = [(row,) for row in ids]
        if rows:
            self.write(lambda: self._connection.executemany(sql, rows), reserve=True)

    def execute(self, sql: str, *values: Any) -> sqlite3.Cursor:
        """One statement of the transaction that is under way: only for the `work` of `write`."""
        return self._connection.execute(sql, values)

    def used_bytes(self) -> int:
        """What is in use; the file itself may be larger."""
        pages, free, size = (self.read(f"PRAGMA {name}")[0][0] for name in ("page_count", "freelist_count", "page_size"))
        return int((pages - free) * size)

    def give_back_pages(self) -> None:
        """Shrink the file when much of it is empty, in steps, so that nobody waits long; on a full disk, not now."""
        size = self.read("PRAGMA page_size")[0][0]
        before, free = None, self.read("PRAGMA freelist_count")[0][0]
        with contextlib.suppress(StateFullError):
            while free != before and free * size > VACUUM_ABOVE_BYTES:
                self.read(f"PRAGMA incremental_vacuum({VACUUM_STEP_BYTES // size})")
                before, free = free, self.read("PRAGMA freelist_count")[0][0]

    def _transact(self, work: Callable[[], T]) -> T:
        with _translated_sqlite_errors(self.folder):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                result = work()
                self._connection.execute("COMMIT")
            except BaseException:
                with contextlib.suppress(sqlite3.Error):  # SQLite may have rolled back by itself.
                    self._connection.execute("ROLLBACK")
                raise
        return result


def _file(folder: Path) -> Path:
    return folder / "journal.sqlite3"


def _connect(folder: Path, *, read_only: bool) -> sqlite3.Connection:
    uri = f"file:{quote(os.fsencode(_file(folder).absolute()))}?mode={'ro' if read_only else 'rw'}"
    with _translated_sqlite_errors(folder):
        connection = sqlite3.connect(
            uri, uri=True, isolation_level=None, check_same_thread=False, timeout=VIEW_BUSY_S if read_only else BUSY_S
        )
        connection.execute("PRAGMA temp_store = MEMORY")  # A full disk has no room for temporary files.
        return connection


@contextlib.contextmanager
def _closed_on_error(connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    try:
        yield connection
    except BaseException:
        connection.close()
        raise


def _prepare(connection: sqlite3.Connection, folder: Path, now: float, alive: Callable[[], None]) -> None:
    """Settings of the connection; the tables, if the file is empty; a look at whether it is sound; what is new in them."""
    if _version(connection, folder) == 0:
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
    # Debian's SQLite overwrites what it deletes, which on a full disk needs as much room again.
    connection.execute("PRAGMA secure_delete = OFF")
    version = _version(connection, folder)
    if version == 0:
        connection.execute("BEGIN IMMEDIATE")
        _run(connection, schema.TABLES)
        connection.execute(schema.NEW_EPOCH, (str(uuid.uuid4()), now))
        connection.execute(f"PRAGMA user_version = {schema.SCHEMA_VERSION}")
        connection.execute("COMMIT")
        return
    if _file(folder).stat().st_size <= CHECKED_AT_OPEN_BYTES:  # A large one would take minutes.
        (finding,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        if finding != "ok":
            raise sqlite3.DatabaseError(f"malformed: {finding}")
    if version < schema.SCHEMA_VERSION:
        former.keep(connection, folder, version, alive)
        connection.set_progress_handler(alive, ALIVE_STEPS)
        connection.execute("BEGIN IMMEDIATE")
        for older in range(version, schema.SCHEMA_VERSION):
            _run(connection, schema.MIGRATIONS[older])
        connection.execute(f"PRAGMA user_version = {schema.SCHEMA_VERSION}")
        connection.execute("COMMIT")
        connection.set_progress_handler(None, 0)


def _run(connection: sqlite3.Connection, statements: str) -> None:
    """One by one: `executescript` would commit the transaction first."""
    for statement in statements.split(";\n"):
        connection.execute(statement)


def _version(connection: sqlite3.Connection, folder: Path) -> int:
    """0 when the file is still empty. Raises StateError for a version that this program does not know."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (tables,) = connection.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()
    if version in schema.MIGRATIONS or version == schema.SCHEMA_VERSION or (version == 0 and tables == 0):
        return int(version)
    raise StateError(
        f"{_file(folder)} is of version {version}, this program writes {schema.SCHEMA_VERSION}:"
        f" install the version that wrote it, or name another state.folder{former.way_back(folder, schema.SCHEMA_VERSION)}"
    )


@contextlib.contextmanager
def _translated_sqlite_errors(folder: Path) -> Iterator[None]:
    """sqlite3's errors as ours."""
    try:
        yield
    except sqlite3.Error as error:
        raise _from_sqlite_error(error, folder) from error


@contextlib.contextmanager
def _translated_errors(folder: Path) -> Iterator[None]:
    """sqlite3's errors as ours, and those of the files beside the database."""
    with disk.translated_os_errors(folder), _translated_sqlite_errors(folder):
        yield


def _from_sqlite_error(error: sqlite3.Error, folder: Path) -> StateError:
    text, file = str(error), _file(folder)
    # SQLite calls a full disk an input/output error where it is its shared memory that cannot grow.
    if "is full" in text or ("disk I/O error" in text and disk.free_bytes(folder) < 1 << 20):
        return disk.full(folder)
    if "malformed" in text or "not a database" in text:
        return StateError(
            f"{file} is damaged ({text}): stop the daemon, keep a copy of {folder}, then put back a backup or move the file"
            " away to begin a new journal; a new one does not know what was sent before"
        )
    if "closed database" in text:
        return StateError(f"the journal in {folder} is closed")
    return StateError(f"{file} cannot be used: {text}; see that the disk works and the service's user may write there")
