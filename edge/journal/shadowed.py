"""What the present models and a candidate said of the same images in, the same rows again out, and what they come to.

A database of its own in STATE/shadow/RELEASE/, beside the pictures of what changed most. It may be deleted at any time.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from edge.errors import StateError
from edge.journal import disk
from edge.whole_file import write_whole

MOST_ROWS: Final = 5000
"""Images that are kept; the oldest go first. Two rows of them take some 3 KB."""
MOST_PICTURES: Final = 100
"""Pictures of what changed most."""
MOST_RELEASES: Final = 4
"""Releases whose rows are kept, the one that runs included."""
BUSY_S: Final = 5.0
VERSION: Final = 1

_TABLES: Final = """
CREATE TABLE seen (number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, before TEXT NOT NULL, after TEXT NOT NULL,
    weight REAL NOT NULL, agrees INTEGER, area_change REAL, picture INTEGER NOT NULL);
CREATE INDEX seen_area_change ON seen (area_change);
CREATE INDEX seen_picture ON seen (weight) WHERE picture;
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
PRAGMA user_version = 1;
"""


@dataclass(frozen=True, slots=True)
class Compared:
    """Which models and settings a side of the rows is of. models: hashes by stage, None for one that is not run."""

    models: dict[str, str | None]
    settings_sha256: str


@dataclass(frozen=True, slots=True)
class Summary:
    """What the rows come to.

    compared: images that both saw.  skipped: those that came too fast.  failed: those that the candidate did not survive.
    agreement: part of the images, 0 to 1, of which both say the same severity; None before the first.
    area_change: median of the candidate's area fraction less the present one's; None before the first.
    """

    compared: int
    skipped: int
    failed: int
    agreement: float | None
    area_change: float | None


@dataclass(frozen=True, slots=True)
class Seen:
    """One image. before, after: flat rows with JSON's values.  picture: the candidate's (WebP), None: none is kept.

    weight: how much changed.  agrees: whether both say the same severity, None where neither was asked.
    """

    inspection_id: str
    before: Mapping[str, Any]
    after: Mapping[str, Any]
    weight: float
    agrees: bool | None
    area_change: float | None
    picture: bytes | None = None


class Shadowed:
    """The rows of one release. Used by one thread; `with` closes it.

    Every method raises StateError where the file cannot be used, and StateFullError where the disk is full.
    """

    def __init__(self, state: Path, release: str, connection: sqlite3.Connection) -> None:
        """Use `open` or `view`."""
        self.folder = folder_of(state, release)
        self._pictures = self.folder / "pictures"
        self._presents = state / "pictures"
        self._connection = connection

    @classmethod
    def open(cls, state: Path, release: str) -> Shadowed:
        """The rows of a release, for writing; made anew where there are none, or where the file is damaged."""
        folder = folder_of(state, release)
        with disk.translated_os_errors(state), _translated(folder):
            for one in (state / "shadow", folder, folder / "pictures"):
                disk.make_private_folder(one)
            try:
                connection = _opened(folder)
            except sqlite3.DatabaseError as error:
                if not _is_damaged(error):
                    raise
                _file(folder).unlink()
                connection = _opened(folder)
        opened = cls(state, release, connection)
        with disk.translated_os_errors(state), _translated(folder):
            kept_pictures = {name for (name,) in connection.execute("SELECT id FROM seen WHERE picture")}
            for file in (folder / "pictures").iterdir():  # of a kill between a picture and its row
                if file.name.partition(".")[0] not in kept_pictures:
                    file.unlink()
        return opened

    @classmethod
    def view(cls, state: Path, release: str) -> Shadowed:
        """The rows of a release, for reading, while a daemon may write them; nothing is made or removed."""
        folder = folder_of(state, release)
        with _translated(folder):
            if not _file(folder).is_file():
                raise sqlite3.OperationalError("it is not there")
            return cls(state, release, _opened(folder))

    def begin(self, before: Compared, after: Compared) -> bool:
        """Rows of these two come now. Those of others are forgotten, since no mean of both would say anything.

        Returns whether some were.
        """
        wanted = json.dumps([asdict(before), asdict(after)], sort_keys=True)
        told = self._meta("compared")
        if told == wanted:
            return False
        if told is None:  # the first image; what was skipped before it counts
            with _translated(self.folder), self._connection:
                self._connection.execute("INSERT INTO meta VALUES ('compared', ?)", (wanted,))
            return False
        with _translated(self.folder), self._connection:
            forgotten = self._connection.execute("DELETE FROM seen").rowcount > 0
            self._connection.execute("DELETE FROM meta")
            self._connection.execute("INSERT INTO meta VALUES ('compared', ?)", (wanted,))
        self._drop_pictures([file.name.partition(".")[0] for file in self._pictures.iterdir()])
        return forgotten

    def add(self, seen: Seen) -> bool:
        """Keep one image; False where it is known already, by its id."""
        picture = seen.picture is not None and self._keep_picture(seen.inspection_id, seen.picture)
        with _translated(self.folder), self._connection:
            new = self._connection.execute(
                "INSERT OR IGNORE INTO seen (id, before, after, weight, agrees, area_change, picture)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                (
                    seen.inspection_id,
                    json.dumps(seen.before),
                    json.dumps(seen.after),
                    seen.weight,
                    seen.agrees,
                    seen.area_change,
                    picture,
                ),
            ).rowcount
            old = self._connection.execute(
                "SELECT id FROM seen WHERE number <= (SELECT MAX(number) FROM seen) - ?", (MOST_ROWS,)
            ).fetchall()
            self._connection.executemany("DELETE FROM seen WHERE id = ?", old)
            less = self._connection.execute(
                "SELECT id FROM seen WHERE picture ORDER BY weight DESC, number DESC LIMIT -1 OFFSET ?", (MOST_PICTURES,)
            ).fetchall()
            self._connection.executemany("UPDATE seen SET picture = 0 WHERE id = ?", less)
        self._drop_pictures([name for (name,) in (*old, *less)])
        return bool(new)

    def count(self, what: str, more: int = 1) -> None:
        """Count images that were not compared. what: `skipped` or `failed`."""
        with _translated(self.folder), self._connection:
            self._connection.execute(
                "INSERT INTO meta VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = value + excluded.value", (what, more)
            )

    def least_weight(self) -> float:
        """How much must have changed for a picture to be kept."""
        with _translated(self.folder):
            weights = self._connection.execute("SELECT COUNT(*), MIN(weight) FROM seen WHERE picture").fetchone()
        return float(weights[1]) if weights[0] >= MOST_PICTURES else 0.0

    def summary(self) -> Summary:
        """What all rows come to."""
        with _translated(self.folder):
            compared, agreement = self._connection.execute("SELECT COUNT(*), AVG(agrees) FROM seen").fetchone()
            (areas,) = self._connection.execute("SELECT COUNT(area_change) FROM seen").fetchone()
            median = self._connection.execute(
                "SELECT AVG(area_change) FROM (SELECT area_change FROM seen WHERE area_change IS NOT NULL"
                " ORDER BY area_change LIMIT ? OFFSET ?)",
                (2 - areas % 2, max(0, (areas - 1) // 2)),
            ).fetchone()[0]
        skipped, failed = (int(self._meta(what) or 0) for what in ("skipped", "failed"))
        return Summary(compared, skipped, failed, agreement, median)

    def compared(self) -> tuple[Compared, Compared] | None:
        """Which models and settings both sides are of; None before the first image."""
        told = self._meta("compared")
        if told is None:
            return None
        before, after = json.loads(told)
        return Compared(**before), Compared(**after)

    def rows(self) -> list[tuple[dict[str, Any], dict[str, Any]]]:
        """Both rows of every image, the oldest first."""
        with _translated(self.folder):
            rows = self._connection.execute("SELECT before, after FROM seen ORDER BY number").fetchall()
        return [(json.loads(before), json.loads(after)) for before, after in rows]

    def picture(self, inspection_id: str, side: str) -> bytes | None:
        """A picture (WebP), None where it is not kept. side: `before` or `after`. It may be asked for after `close`."""
        for path in (self._picture(inspection_id, side), *((self._presents / f"{inspection_id}.webp",) * (side == "before"))):
            with contextlib.suppress(OSError):
                return path.read_bytes()
        return None

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def __enter__(self) -> Shadowed:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _picture(self, inspection_id: str, side: str) -> Path:
        return self._pictures / f"{inspection_id}.{side}.webp"

    def _keep_picture(self, inspection_id: str, data: bytes) -> bool:
        """The candidate's, and a further name for the present one's, which upkeep would forget; False on a full disk."""
        try:
            write_whole(self._picture(inspection_id, "after"), data)
            with contextlib.suppress(FileNotFoundError, FileExistsError):
                os.link(self._presents / f"{inspection_id}.webp", self._picture(inspection_id, "before"))
        except OSError:
            return False
        return True

    def _drop_pictures(self, ids: list[str]) -> None:
        for inspection_id in ids:
            for side in ("before", "after"):
                with contextlib.suppress(OSError):
                    self._picture(inspection_id, side).unlink()

    def _meta(self, key: str) -> str | None:
        with _translated(self.folder):
            found = self._connection.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return None if found is None else str(found[0])


def folder_of(state: Path, release: str) -> Path:
    """Where the rows and pictures of a release lie. Raises ValueError for what is no hash."""
    if not release.isalnum():
        raise ValueError(f"{release!r} is no release")
    return state / "shadow" / release


def kept(state: Path) -> tuple[str, ...]:
    """The releases of which rows are kept, the newest first."""
    try:
        folders = [one for one in (state / "shadow").iterdir() if _file(one).is_file()]
        return tuple(one.name for one in sorted(folders, key=lambda one: _file(one).stat().st_mtime, reverse=True))
    except OSError:
        return ()


def forget_older(state: Path) -> None:
    """Remove what was kept of all but the newest releases."""
    for release in kept(state)[MOST_RELEASES:]:
        shutil.rmtree(folder_of(state, release), ignore_errors=True)


def _file(folder: Path) -> Path:
    return folder / "rows.sqlite3"


def _opened(folder: Path) -> sqlite3.Connection:
    # A rollback journal: with it, who reads beside the daemon leaves no files behind that the daemon could not write.
    connection = sqlite3.connect(_file(folder), timeout=BUSY_S, check_same_thread=False)
    try:
        connection.execute("PRAGMA temp_store = MEMORY")
        connection.execute("PRAGMA secure_delete = OFF")
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version not in (0, VERSION):
            raise sqlite3.DatabaseError("not a database of this version")
        if version == 0:
            connection.executescript(f"BEGIN; {_TABLES} COMMIT;")
    except BaseException:
        connection.close()
        raise
    return connection


@contextlib.contextmanager
def _translated(folder: Path) -> Iterator[None]:
    """sqlite3's errors as ours."""
    try:
        yield
    except sqlite3.Error as error:
        if "is full" in str(error) or ("disk I/O error" in str(error) and disk.free_bytes(folder) < 1 << 20):
            raise disk.full(folder) from error
        raise StateError(
            f"{_file(folder)} cannot be used: {error}; what a candidate said may be deleted, with {folder}"
        ) from error


def _is_damaged(error: sqlite3.Error) -> bool:
    return "malformed" in str(error) or "not a database" in str(error)
