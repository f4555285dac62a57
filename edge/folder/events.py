"""The watched folder in, a wake-up for each file that was closed or renamed into place out, where the file system tells.

It also knows which files somebody has opened and not closed: those may still be written, however quiet they are.

Events only say when to look; looking is the truth. Where they do not come, or are wrong, nothing is lost but a little
time, because every rescan compares the whole folder with the ledger.
"""

from __future__ import annotations

import errno
import logging
import os
import re
import threading
from collections.abc import Callable, Collection
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final, Literal

from watchdog.events import (
    DirCreatedEvent,
    DirMovedEvent,
    FileClosedEvent,
    FileMovedEvent,
    FileOpenedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)

from edge.folder.scan import FolderGone, Stamp

if TYPE_CHECKING:
    from watchdog.observers.api import BaseObserver

log = logging.getLogger(__name__)

REMEMBERED_EVENTS: Final = 10_000
MOUNTS_FILE: Final = Path("/proc/self/mounts")

# inotify sees only what this machine does to such a file system. All of FUSE except ntfs-3g ("fuseblk") counts too.
NETWORK_FILE_SYSTEMS: Final = frozenset(
    [
        *("9p", "afs", "beegfs", "ceph", "cifs", "coda", "davfs", "drvfs", "fuse", "gfs2", "glusterfs", "gpfs", "lustre"),
        *("ncp", "ncpfs", "nfs", "nfs4", "ocfs2", "orangefs", "pvfs2", "smb2", "smb3", "smbfs", "virtiofs", "vboxsf", "vmhgfs"),
    ]
)


def network_file_system(folder: Path, mounts: str) -> str | None:
    """The type of the network (or otherwise remote) file system that holds `folder`, None on a local disk.

    mounts: see `mount_of`.
    """
    _, found = mount_of(folder, mounts)
    return found if found in NETWORK_FILE_SYSTEMS or found.startswith("fuse.") else None


def mount_of(folder: Path, mounts: str) -> tuple[str, str]:
    """Where the file system that holds `folder` is mounted, and its type; both empty where that cannot be told.

    mounts: the text of /proc/self/mounts, see proc(5): later lines cover earlier ones, blanks are written as \\040.
    """
    where = os.path.realpath(folder).rstrip("/") + "/"
    best, found = "", ""
    for line in mounts.splitlines():
        fields = line.split(" ")
        if len(fields) < 3:
            continue
        point = re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), fields[1]).rstrip("/") + "/"
        if where.startswith(point) and len(point) >= len(best):
            best, found = point, fields[2]
    return best.rstrip("/") or best, found


def read_mounts() -> str:
    """The text of /proc/self/mounts, empty where there is none."""
    try:
        return MOUNTS_FILE.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return ""


class FolderEvents:
    """Sets `wake` when a file in the folder was closed after writing or renamed into place, and remembers which.

    Best effort: whatever fails here is logged once, and rescans go on without it. Use as a context manager, and call
    `check` at every rescan. It belongs to one thread; watchdog's only touches what `take` returns, under a mutex, and `wake`.

    mode: "off" never listens.  mounts: text of /proc/self/mounts.  state: "on", or "off: " and why.
    """

    def __init__(
        self,
        folder: Path,
        wake: threading.Event,
        *,
        recursive: bool = True,
        mode: Literal["auto", "off"] = "auto",
        mounts: Callable[[], str] = read_mounts,
    ) -> None:
        self.state = "off: not started"
        self._folder = folder
        self._wake = wake
        self._recursive = recursive
        self._mode = mode
        self._mounts = mounts
        self._observer: BaseObserver | None = None
        self._root: tuple[int, int] | None = None
        self._network: str | None = None
        self._closed: dict[str, Stamp] = {}
        self._opened: set[str] = set()
        self._unnamed = False
        self._mutex = threading.Lock()

    def __enter__(self) -> FolderEvents:
        self._start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stop()

    def take(self) -> dict[str, Stamp]:
        """Files closed or renamed into place since the last call, as they were then. Take them before looking."""
        with self._mutex:
            closed, self._closed = self._closed, {}
        return closed

    def unnamed(self) -> bool:
        """Whether, since the last call, something came that names no file: a folder, too many files, or listening anew."""
        with self._mutex:
            unnamed, self._unnamed = self._unnamed, False
        return unnamed

    def opened(self) -> frozenset[str]:
        """Files that were opened since listening began, and not closed after writing since. Take them before looking.

        Who only reads is among them: the kernel does not tell why a file is opened, and counting does not help, because it
        tells of two openings in a row as one.
        """
        with self._mutex:
            return frozenset(self._opened)

    def keep_opened(self, awaited: Collection[str]) -> None:
        """Who has the others open is of no interest: they are in the ledger as they are, or gone."""
        with self._mutex:
            self._opened.intersection_update(awaited)

    @property
    def network(self) -> bool:
        """Whether the folder lies on a file system of another machine, whose inodes mean nothing."""
        return self._network is not None

    def check(self) -> None:
        """Listen anew when the folder was replaced or listening broke down.

        Raises FolderGone when a share is no longer mounted over the folder, which then looks empty.
        """
        root = self._identity()
        if root == self._root and (self._observer is None or _all_alive(self._observer)):
            return
        if root is not None and self._network is not None and network_file_system(self._folder, self._mounts()) is None:
            raise FolderGone(
                f"the {self._network} share is no longer mounted on {self._folder}: mount it again, or restart if the folder is"
                " to be a local one from now on"
            )
        if self._root is not None:
            log.info("the watched folder %s was replaced, or its events broke down", self._folder)
        self._stop()
        self._start()
        self._remember(None)

    def _identity(self) -> tuple[int, int] | None:
        try:
            status = os.stat(self._folder)  # noqa: PTH116 - beside os.scandir and os.access
        except OSError:
            return None
        return status.st_dev, status.st_ino

    def _start(self) -> None:
        state = self._listen()
        if state != self.state:
            log.info("folder events of %s: %s", self._folder, state)
        self.state = state

    def _listen(self) -> str:
        self._root = self._identity()
        if self._root is None:
            return "off: the folder is not there"
        self._network = network_file_system(self._folder, self._mounts())
        if self._mode == "off":
            return "off: by configuration"
        if self._network is not None:
            return f"off: {self._network} does not tell what other machines write; rescans find it"
        try:
            from watchdog.observers.inotify import InotifyObserver  # fails where there is no inotify
        except Exception as error:
            return f"off: no inotify here ({error})"
        # A link would be watched itself instead of the folder that it names.
        root = os.path.realpath(self._folder)
        observer: BaseObserver | None = None
        try:
            observer = InotifyObserver(generate_full_events=True)  # else a rename from outside looks like a file just begun
            observer.schedule(
                _Listener(self, root),
                root,
                recursive=self._recursive,
                event_filter=[FileOpenedEvent, FileClosedEvent, FileMovedEvent, DirCreatedEvent, DirMovedEvent],
            )
            observer.start()
        except Exception as error:  # whatever it is, detection must go on
            if observer is not None:
                observer.stop()
            return f"off: {_cure(error)}"
        self._observer = observer
        return "on"

    def _stop(self) -> None:
        observer, self._observer = self._observer, None
        if observer is not None:
            observer.stop()
            observer.join()
        with self._mutex:
            self._opened.clear()

    def _open(self, path: str) -> None:
        with self._mutex:
            if len(self._opened) < REMEMBERED_EVENTS:
                self._opened.add(path)

    def _forget(self, path: str) -> None:
        with self._mutex:
            self._opened.discard(path)

    def _remember(self, path: str | None) -> None:
        stamp = None
        if path is not None:
            try:
                status = os.stat(os.path.join(self._folder, path))  # noqa: PTH116, PTH118 - as in `scan`
            except OSError:
                return
            stamp = Stamp(status.st_size, status.st_mtime_ns)
        with self._mutex:
            if path is None or stamp is None or len(self._closed) >= REMEMBERED_EVENTS:
                self._unnamed = True
            else:
                self._closed[path] = stamp
        self._wake.set()


class _Listener(FileSystemEventHandler):
    def __init__(self, events: FolderEvents, root: str) -> None:
        self._events = events
        self._prefix = root.rstrip("/") + "/"

    def on_any_event(self, event: FileSystemEvent) -> None:
        try:
            kind = event.event_type
            path = os.fsdecode(event.dest_path if kind == "moved" else event.src_path)
            if event.is_directory:
                if kind in ("created", "moved"):
                    self._events._remember(None)
                return
            if not path.startswith(self._prefix):
                return
            path = path.removeprefix(self._prefix)
            if kind == "opened":
                self._events._open(path)
            elif kind in ("closed", "moved"):
                self._events._forget(path)
                self._events._forget(os.fsdecode(event.src_path).removeprefix(self._prefix))
                self._events._remember(path)
        except Exception:  # An exception would end watchdog's thread without a word.
            log.exception("an event of the watched folder could not be used")


def _all_alive(observer: BaseObserver) -> bool:
    """watchdog has a thread that reads from the kernel besides those it tells of; in version 6 each emitter, in 7 one."""
    parts = [observer, *observer.emitters, getattr(observer, "_inotify_fd", None)]
    parts += [getattr(emitter, "_inotify", None) for emitter in observer.emitters]
    return bool(observer.emitters) and all(part.is_alive() for part in parts if isinstance(part, threading.Thread))


def _cure(error: Exception) -> str:
    code = error.errno if isinstance(error, OSError) else None
    if code == errno.ENOSPC:
        return "too many folders to listen to; raise fs.inotify.max_user_watches with sysctl and restart; rescans go on"
    if code == errno.EMFILE:
        return "too many listeners; raise fs.inotify.max_user_instances with sysctl and restart; rescans go on"
    return f"listening failed ({error}); rescans go on"
