"""A state folder in, the right to write there out: one process at a time."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from edge.errors import StateError

try:
    import fcntl
except ModuleNotFoundError:  # Windows: a journal can be viewed there, not written
    fcntl = None  # type: ignore[assignment]

TRIES = 5
"""So often the file is opened anew, should somebody remove it between opening and locking."""


class FolderLock:
    """The file `lock` and the folder itself, held while a journal is open for writing.

    The file holds the process id, for whoever is refused; an older release looks at it alone. It can be removed: so the folder
    is held too, where the file system can do that (NFS cannot), and `keep` puts the file back.
    """

    def __init__(self, folder: Path) -> None:
        """Take it. Raises StateError when another process has it, OSError when the file cannot be made."""
        if fcntl is None:
            raise StateError(f"{folder} can be written on Linux alone: view it here, and run the service there")
        self._path = folder / "lock"
        self._folder: int | None = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._descriptor: int | None = None
        try:
            try:
                fcntl.flock(self._folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise self._in_use() from None
            except OSError:  # a file system that locks no folders: the file must do
                pass
            self._descriptor = self._take()
        except BaseException:
            self.close()
            raise

    def keep(self) -> None:
        """Put the file back if somebody removed it; to be called now and then, by the thread that closes.

        Raises StateError when another process has taken it meanwhile, or when the folder is no longer where it was.
        """
        if self._descriptor is None or self._folder is None or _is_at(self._descriptor, self._path):
            return
        if self._holder() == str(os.getpid()):  # some network file systems change a file's number
            return
        if not _is_at(self._folder, self._path.parent):
            raise StateError(f"{self._path.parent} was removed or replaced while it was in use: start the daemon again")
        try:
            fresh = self._take()
        except OSError:  # a full disk, say: the next call tries again
            return
        os.close(self._descriptor)
        self._descriptor = fresh

    def close(self) -> None:
        """Give it back. May be called twice."""
        for descriptor in (self._descriptor, self._folder):
            if descriptor is not None:
                os.close(descriptor)
        self._descriptor = self._folder = None

    def _take(self) -> int:
        """A descriptor of the file, made if there is none, locked."""
        for _ in range(TRIES):
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(descriptor)
                raise self._in_use() from None
            except OSError:
                os.close(descriptor)
                raise
            if _is_at(descriptor, self._path):
                break
            os.close(descriptor)
        else:
            raise StateError(f"{self._path} vanishes whenever it is locked: what removes it?")
        with contextlib.suppress(OSError):  # A full disk must not keep the daemon from starting.
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode("ascii"), 0)
        return descriptor

    def _holder(self) -> str:
        """The process id in the file, empty when there is none."""
        try:
            return self._path.read_bytes()[:20].decode("ascii", "replace").strip()
        except OSError:
            return ""

    def _in_use(self) -> StateError:
        return StateError(
            f"{self._path.parent} is in use by process {self._holder() or 'unknown'}: stop that daemon first, "
            "or give this one its own state.folder"
        )


def is_held(folder: Path) -> bool:
    """Whether a service runs on this state folder, as far as this user can see. It makes and takes nothing that stays."""
    if fcntl is None:
        return False
    for path in (folder, folder / "lock"):
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:  # a file system that locks no folders
            continue
        finally:
            os.close(descriptor)
    return False


def _is_at(descriptor: int, path: Path) -> bool:
    """Whether what is open is what stands there."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except OSError:
        return False
