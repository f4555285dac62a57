"""A state folder in, the right to write there out: one process at a time."""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path

from edge.errors import StateError


class FolderLock:
    """The file `lock`, held while a journal is open for writing. It holds the process id, for whoever is refused."""

    def __init__(self, folder: Path) -> None:
        """Take it. Raises StateError when another process has it, OSError when the file cannot be made."""
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
        self._descriptor: int | None = descriptor

    def close(self) -> None:
        """Give it back. May be called twice."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
