"""Blocks for the file in which SQLite's connections share the index of the log (`-shm`), before it is written to as memory.

SQLite makes that file longer by one byte in each 4096. Where a block of the file system is smaller, as on an ext4 of less than
512 MiB, most of it has no block then. A write to memory without one, on a full disk, ends the process by SIGBUS: no error, no
sentence. On all other file systems nothing is done here.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

SQLITE_STEP: Final = 4096  # bytes; SQLite 3.40, os_unix.c, unixShmMap
REGION_BYTES: Final = 32 << 10  # of the index, for 4096 pages of the log or a few less
REGION_LOG_BYTES: Final = 16 << 20
HELD_BYTES: Final = 8 * REGION_BYTES  # one region is enough as long as checkpoints keep up
OTHER_BYTES: Final = 64 << 10  # what else an open writes
_FULL: Final = (errno.ENOSPC, errno.EDQUOT)


def make_room(file: Path, *, for_reading: bool = False) -> None:
    """Before a database is opened: there is room for its index. Raises OSError with ENOSPC or EDQUOT when there is none.

    for_reading: for the log as it is; else for one that grows. Who may not write there cannot make an index, and is not told.
    """
    if not _small_blocks(file) or _is_held(file):
        return
    size = _read_bytes(file) if for_reading else HELD_BYTES + OTHER_BYTES
    probe = file.with_name(f"{file.name}-room")
    with _unless_full():
        descriptor = os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(descriptor, 0, size)
        finally:
            os.close(descriptor)
            probe.unlink(missing_ok=True)


def hold(file: Path) -> None:
    """After it was first read: each byte of its index has a block. Raises OSError as above."""
    if not _small_blocks(file) or _is_held(file):
        return
    with _unless_full():
        descriptor = os.open(_index(file), os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.posix_fallocate(descriptor, 0, HELD_BYTES)  # what is there stays
        finally:
            os.close(descriptor)


def _index(file: Path) -> Path:
    return file.with_name(f"{file.name}-shm")


def _small_blocks(file: Path) -> bool:
    try:
        return os.statvfs(file.parent).f_frsize < SQLITE_STEP
    except OSError:
        return False


def _is_held(file: Path) -> bool:
    try:
        status = _index(file).stat()
    except OSError:
        return False
    return status.st_size >= HELD_BYTES and status.st_blocks * 512 >= HELD_BYTES


def _read_bytes(file: Path) -> int:
    try:
        log = file.with_name(f"{file.name}-wal").stat().st_size
    except OSError:
        log = 0
    return (log // REGION_LOG_BYTES + 1) * REGION_BYTES


@contextlib.contextmanager
def _unless_full() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise
