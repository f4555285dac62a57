"""What the database is now in; whether it is the one that wrote last, and as far as it was then, out.

The file `witness` stands beside the database and remembers, in one line of fixed length:

    epoch   the one that numbers are given from
    seq     the highest that was given
    inode   of the database: a copy is another file
    boot    the kernel's name of the boot in which this was written
    device  of the database; it is compared within one boot alone, because device numbers differ from boot to boot
    mark    when the file system noted this very line, in nanoseconds: the file's ctime, which nobody can set
    closed  whether the journal was closed, so that nothing was lost in a power cut since

A copy that is put back in place has an older line than ctime. That is looked at where the two must agree: in the same boot,
or after the journal was closed. A witness of an older release has the first three words alone.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from edge.journal.boot import UNKNOWN, boot_id

SLACK_NS: Final = 20_000_000
"""Two ticks of the slowest kernel clock: so much later than its mark may a line have been noted."""
_TRIES: Final = 5


class Witness:
    """The open file, from the start of a journal to its end. Every method but `close` may raise OSError."""

    def __init__(self, folder: Path) -> None:
        """Open or make it in a state folder, and read it; nothing is changed."""
        database = (folder / "journal.sqlite3").stat()
        self._inode, self._device = database.st_ino, database.st_dev
        self._boot = boot_id()
        self._descriptor: int | None = os.open(folder / "witness", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._known = os.pread(self._descriptor, 1024, 0).decode("ascii", "replace").split()
        self._noted_ns = os.fstat(self._descriptor).st_ctime_ns
        self._last: tuple[str, int] | None = None

    @property
    def empty(self) -> bool:
        """Whether it remembered nothing when it was opened."""
        return not self._known

    def agrees(self, epoch: str, last_seq: int) -> bool:
        """Whether what it remembered when it was opened fits a database that has come so far."""
        known = self._known
        if len(known) not in (3, 7) or known[0] != epoch or not all(word.isdigit() for word in known[1:3]):
            return False
        if int(known[1]) > last_seq or int(known[2]) != self._inode:
            return False
        return len(known) == 3 or self._agrees_further(*known[3:])

    def _agrees_further(self, boot: str, device: str, mark: str, closed: str) -> bool:
        same_boot = boot == self._boot != UNKNOWN
        if same_boot and device != f"{self._device:020d}":
            return False
        if not (same_boot or closed == "1") or not mark.isdigit() or int(mark) == 0:
            return True
        return self._noted_ns - int(mark) <= SLACK_NS

    def write(self, epoch: str, seq: int, *, synced: bool, closed: bool = False) -> None:
        """Remember. Not synced it may lag behind the database after a power cut, which is harmless; never ahead of it."""
        if self._descriptor is None:
            return
        self._last = epoch, seq
        if synced:  # cutting off changes the ctime: before the mark; and lengthens an empty file: after a line
            os.pwrite(self._descriptor, self._line(0, closed=closed), 0)
            os.ftruncate(self._descriptor, len(self._line(0, closed=closed)))
        for _ in range(_TRIES):
            # Without a mark first: a kill in between leaves a line that claims nothing.
            os.pwrite(self._descriptor, self._line(0, closed=closed), 0)
            mark = os.fstat(self._descriptor).st_ctime_ns
            os.pwrite(self._descriptor, self._line(mark, closed=closed), 0)
            if os.fstat(self._descriptor).st_ctime_ns - mark <= SLACK_NS // 2:
                break
        else:  # a file system with a clock of its own kind
            os.pwrite(self._descriptor, self._line(0, closed=closed), 0)
        if synced:
            os.fsync(self._descriptor)

    def close(self) -> None:
        """Note that the journal was closed, and close. May be called twice."""
        if self._descriptor is None:
            return
        try:
            if self._last is not None:
                self.write(*self._last, synced=True, closed=True)
        except OSError:  # then it does not say so, and less is compared
            pass
        finally:
            os.close(self._descriptor)
            self._descriptor = None

    def _line(self, mark: int, *, closed: bool) -> bytes:
        """Always of one length for one epoch, so that writing it needs no space."""
        assert self._last is not None
        epoch, seq = self._last
        words = (f"{self._inode:020d}", f"{self._boot:36}", f"{self._device:020d}", f"{mark:020d}", f"{closed:d}")
        return f"{epoch} {seq:020d} {' '.join(words)}\n".encode("ascii")
