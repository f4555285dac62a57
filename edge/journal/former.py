"""A database that is about to become one of a newer version in; a copy of it as it was, for the way back, out.

The copy is `journal.sqlite3.v4` where 4 is the version that can read it. It is whole or not there: it is drafted beside,
synced and renamed, before anything of the database is changed. How to go back to it stands in docs/use/upgrade.md.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Final

from edge.errors import StateFullError
from edge.journal import disk

STEP_PAGES: Final = 4096
"""16 MiB: about so much is copied between two signs of life, less than a second of a slow card."""
NAME: Final = "journal.sqlite3.v"
_DRAFT: Final = "journal.sqlite3.copying"


def keep(connection: sqlite3.Connection, folder: Path, version: int, alive: Callable[[], None]) -> None:
    """Copy the database, with what its log holds; a copy of the same version is replaced, those of others go.

    alive: called now and then.  Raises StateFullError where there is no room, sqlite3.Error, StateError.
    """
    draft, copy = folder / _DRAFT, folder / f"{NAME}{version}"
    pages, size = (connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "page_size"))
    with disk.translated_os_errors(folder):
        draft.unlink(missing_ok=True)
        for other in copies(folder):
            if other != copy:
                other.unlink(missing_ok=True)
        if (short := pages * size + disk.RESERVE_BYTES - disk.free_bytes(folder)) > 0:
            raise StateFullError(
                f"this program makes the journal in {folder} one of its own version, and first a copy of it for the way back:"
                f" free {short // 1_000_000 + 1} MB on that disk and start again; nothing was changed and nothing is lost"
            )
        os.close(os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    try:
        with contextlib.closing(sqlite3.connect(draft, isolation_level=None)) as target:
            target.execute("PRAGMA journal_mode = OFF")
            target.execute("PRAGMA synchronous = OFF")
            connection.backup(target, pages=STEP_PAGES, progress=lambda *_: alive(), sleep=0)
        with disk.translated_os_errors(folder):
            _sync(draft)
            draft.replace(copy)
            disk.sync_folder(folder)
    finally:
        for rest in (draft, *(draft.with_name(draft.name + end) for end in ("-wal", "-shm", "-journal"))):
            with contextlib.suppress(OSError):
                rest.unlink()


def copies(folder: Path) -> list[Path]:
    """The copies that are there."""
    return sorted(path for path in folder.glob(f"{NAME}*") if path.name.removeprefix(NAME).isdigit())


def forget_older_than(folder: Path, cutoff: float) -> None:
    """Delete copies that were made before. cutoff: seconds since 1970. Raises StateError when the folder cannot be read."""
    with disk.translated_os_errors(folder):
        there = copies(folder)
    for copy in there:
        with contextlib.suppress(OSError):
            if copy.stat().st_mtime < cutoff:
                copy.unlink()


def way_back(folder: Path, version: int) -> str:
    """What a program of a former version is told where the copy that it can read is there; empty where it is not."""
    if not (folder / f"{NAME}{version}").is_file():
        return ""
    return (
        f", or go back to the copy that was made when it was replaced: cd {folder} && mkdir newer && mv journal.sqlite3* newer/"
        f" && mv newer/{NAME}{version} journal.sqlite3; images since then are inspected again"
    )


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
