"""Blocks for the file in which SQLite's connections share the index of the log (`-shm`), before it is written to as memory.

SQLite makes that file longer by one byte in each 4096. Where a block of the file system is smaller, as on an ext4 of less than
512 MiB, most of it has no block then. A write to memory without one, on a full disk, ends the process by SIGBUS: no error, no
sentence. On all other file systems nothing is done here.

Whoever opens the file first cuts it off, and its blocks would be anybody's for a moment. First is who finds byte 128 of it
without a lock (SQLite 3.40, os_unix.c, unixLockSharedMemory). So a lock of ours lies there before SQLite looks, on a file of
zeros: SQLite takes it for another process's, keeps the blocks, and fills them anew from the log. Our lock belongs to our own
description of the file, which is closed after SQLite's: any close of the file drops SQLite's locks of the same process. Readers
do not touch the file for that reason, they ask for room elsewhere.
"""

from __future__ import annotations

import contextlib
import errno
import os
import struct
from pathlib import Path
from typing import Final

from edge.journal.disk import NO_ROOM

SQLITE_STEP: Final = 4096  # bytes; unixShmMap
REGION_BYTES: Final = 32 << 10  # of the index, for 4096 pages of the log or a few less
REGION_LOG_BYTES: Final = 16 << 20
HELD_BYTES: Final = 8 * REGION_BYTES  # one region is enough as long as checkpoints keep up
_FIRST_BYTE: Final = 128  # UNIX_SHM_DMS


class Held:
    """The blocks of the index of one database that this process writes, until it is closed."""

    def __init__(self, file: Path) -> None:
        """Before the database is opened, by whoever alone in this process has it open.

        Raises OSError with ENOSPC or EDQUOT when there is no room. A file system that cannot do this is left as it is.
        """
        self._descriptor: int | None = None
        if not _small_blocks(file):
            return
        with contextlib.suppress(OSError):
            self._descriptor = os.open(_index(file), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if self._descriptor is not None:
            try:
                _take(self._descriptor)
            except OSError as error:
                self.close()
                if error.errno in NO_ROOM:
                    raise

    def close(self) -> None:
        """After the database was closed. May be called twice."""
        if self._descriptor is not None:
            os.close(self._descriptor)
        self._descriptor = None


def make_room(file: Path) -> None:
    """Before a database is opened to be read: an index for its log would have blocks, unless a writer holds some.

    Raises OSError with ENOSPC or EDQUOT when not. Who may not write there cannot make an index either, and is not told.
    """
    if not _small_blocks(file) or _is_held(file):
        return
    probe = file.with_name(f"{file.name}-room")
    try:
        descriptor = os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(descriptor, 0, _read_bytes(file))
        finally:
            os.close(descriptor)
            probe.unlink(missing_ok=True)
    except OSError as error:
        if error.errno in NO_ROOM:
            raise


def _take(descriptor: int) -> None:
    import fcntl  # Windows has none, and reads journals all the same

    def lock(kind: int) -> None:
        fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, struct.pack("hhqqi4x", kind, os.SEEK_SET, _FIRST_BYTE, 1, 0))

    try:
        lock(fcntl.F_WRLCK)
    except BlockingIOError:  # Another process has it open: what is in it counts.
        os.posix_fallocate(descriptor, 0, HELD_BYTES)
    else:
        os.ftruncate(descriptor, min(os.fstat(descriptor).st_size, HELD_BYTES))
        if os.pwrite(descriptor, bytes(HELD_BYTES), 0) < HELD_BYTES:  # Blocks that are there stay.
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    lock(fcntl.F_RDLCK)


def _index(file: Path) -> Path:
    return file.with_name(f"{file.name}-shm")


def _small_blocks(file: Path) -> bool:
    try:
        return hasattr(os, "statvfs") and os.statvfs(file.parent).f_frsize < SQLITE_STEP
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
