"""The operating system's errors in, ours out; the space that is set aside for the day on which the disk is full."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from edge.errors import StateError, StateFullError

RESERVE_BYTES: Final = 8 << 20
NO_ROOM: Final = (errno.ENOSPC, errno.EDQUOT)


@contextlib.contextmanager
def translated_os_errors(folder: Path) -> Iterator[None]:
    """Raises StateFullError for a full disk, StateError for every other error of the operating system."""
    try:
        yield
    except OSError as error:
        if error.errno in NO_ROOM:
            raise full(folder) from error
        raise StateError(
            f"the state folder {folder} cannot be used: {error.strerror or error}; the service's user must be able to write"
            " there"
        ) from error


def full(folder: Path) -> StateFullError:
    """What is raised when the disk that holds `folder` has no room."""
    return StateFullError(f"the disk that holds {folder} is full: free some space; nothing is lost")


def free_bytes(folder: Path) -> int:
    """What this user may still write there, 0 when it cannot be found out."""
    try:
        disk = os.statvfs(folder)
    except OSError:
        return 0
    return disk.f_bavail * disk.f_frsize


def make_private_folder(folder: Path) -> None:
    """Make a folder for this user alone where there is none; others may not write to those above it that are made for it.

    Whoever may write there could put another folder in its place.
    """
    for missing in [parent for parent in reversed(folder.absolute().parents) if not parent.exists()]:
        missing.mkdir(mode=0o755, exist_ok=True)
    folder.mkdir(mode=0o700, exist_ok=True)


def sync_folder(folder: Path) -> None:
    """Make names that were created or renamed in it outlive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class Reserve:
    """Space set aside, given up when the disk is full, so that what frees space can still be written down."""

    def __init__(self, folder: Path) -> None:
        """Touches nothing. folder: the state folder."""
        self._file = folder / "reserve"

    def exists(self) -> bool:
        """Whether there is something to give up; on a disk that does not answer there is nothing."""
        try:
            return self._file.exists()
        except OSError:
            return False

    def spend(self) -> bool:
        """Give it up. False when there is none."""
        try:
            self._file.unlink()
        except OSError:
            return False
        return True

    def restock(self) -> None:
        """Set it aside again where there is none and twice as much is free."""
        try:
            if self.exists() or free_bytes(self._file.parent) < 2 * RESERVE_BYTES:
                return
            descriptor = os.open(self._file, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.posix_fallocate(descriptor, 0, RESERVE_BYTES)
            except OSError:
                self._file.unlink()
                raise
            finally:
                os.close(descriptor)
        except OSError:
            return  # No room, or a file system that cannot set space aside: new images still wait when the disk is full.
