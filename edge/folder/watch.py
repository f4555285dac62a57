"""The microscope's export folder in, finished new files out: events only say when to look, looking is the truth.

`scan` says what is there. `Settler` decides which of it is finished and new. `FolderEvents` wakes whoever calls the two
at once when a file was closed or renamed, where the file system tells; where it does not, or is wrong, nothing is lost
but a little time, because every scan compares the whole folder with the ledger.
"""

from __future__ import annotations

import errno
import fnmatch
import logging
import os
import re
import stat
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from watchdog.events import (
    DirCreatedEvent,
    DirMovedEvent,
    FileClosedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)

from edge.errors import EdgeError
from edge.records import Fingerprint
from edge.sem import sidecar_names

if TYPE_CHECKING:
    from watchdog.observers.api import BaseObserver

log = logging.getLogger(__name__)

Kind = Literal["file", "not_a_file", "outside_folder", "unreadable"]
Wait = Literal["incomplete", "zero_tail", "sidecar"]
Stamp = tuple[int, int]
"""Size in bytes and time of modification in ns."""

UNFINISHED_ENDINGS: Final = ("~", ".tmp", ".part", ".partial", ".crdownload")
REMEMBERED_EVENTS: Final = 10_000
MOUNTS_FILE: Final = Path("/proc/self/mounts")

# inotify sees only what this machine does to such a file system. All of FUSE except ntfs-3g ("fuseblk") counts too.
NETWORK_FILE_SYSTEMS: Final = frozenset(
    [
        *("9p", "afs", "beegfs", "ceph", "cifs", "coda", "davfs", "drvfs", "fuse", "gfs2", "glusterfs", "gpfs", "lustre"),
        *("ncp", "ncpfs", "nfs", "nfs4", "ocfs2", "orangefs", "pvfs2", "smb2", "smb3", "smbfs", "virtiofs", "vboxsf", "vmhgfs"),
    ]
)


class FolderGone(EdgeError):  # noqa: N818 - an outcome to wait through rather than a defect
    """The watched folder is not there or cannot be listed, as when a share is unmounted. Nothing counts as deleted."""


@dataclass(frozen=True, slots=True)
class Sighting:
    """One name that matches the patterns, as a look at the folder found it.

    path: below the watched folder, as `os.fsdecode` gives it.
    size: bytes.  mtime_ns: as the file system says; both 0 for what is not a file, as a folder's change all the time.
    kind: "unreadable" is a file that this user may not read; "outside_folder" a symbolic link that leaves the folder.
    sidecar: opaque text of the names, sizes and times of the files beside it that may describe it.
    waited: the waits that `Settler.defer` began for this very content and that are over.
    """

    path: str
    size: int
    mtime_ns: int
    kind: Kind
    sidecar: str = ""
    waited: frozenset[Wait] = frozenset()

    @property
    def fingerprint(self) -> Fingerprint:
        """What the ledger compares."""
        return Fingerprint(self.size, self.mtime_ns, self.kind != "unreadable", self.sidecar)


# Looking


def scan(
    folder: Path,
    patterns: Sequence[str],
    recursive: bool = True,
    *,
    only: Collection[str] | None = None,
    denied: set[str] | None = None,
) -> Iterator[Sighting]:
    """What matches `patterns` (file names, any case) in `folder`, in no order. Opens no file.

    Hidden names and those of unfinished files (`x.tif.part`) are passed over, and so are hidden folders. Symbolic links
    to folders are not followed.

    only: look at these paths alone; the others are not even asked for.
    denied: subfolders that could not be listed. Pass the same set to every scan to be warned of each once.
    Raises FolderGone.
    """
    denied = set() if denied is None else denied
    matches = _matcher(tuple(patterns))
    inside = os.path.realpath(folder).rstrip("/") + "/"
    if only is None:
        below = [""]
        while below:
            here = below.pop()
            listing = _listing(folder, here, denied)
            if recursive:
                below += [_join(here, entry.name) for entry in listing if entry.name[0] != "." and _is_folder(entry)]
            yield from _sightings(here, listing, matches, inside)
        return
    names: dict[str, set[str]] = {}
    for path in only:
        here, name = os.path.split(path)
        if (recursive or not here) and not any(part.startswith(".") for part in here.split("/")):
            names.setdefault(here, set()).add(name)
    for here, wanted in names.items():
        yield from _sightings(here, _listing(folder, here, denied), matches, inside, wanted)


@lru_cache(maxsize=8)
def _matcher(patterns: tuple[str, ...]) -> Callable[[str], bool]:
    one_of = re.compile("|".join(fnmatch.translate(pattern) for pattern in patterns), re.IGNORECASE)

    def matches(name: str) -> bool:
        return name[0] != "." and one_of.match(name) is not None and not name.lower().endswith(UNFINISHED_ENDINGS)

    return matches


def is_image(path: str, patterns: Sequence[str]) -> bool:
    """Whether the name of `path` is one that `scan` looks for."""
    return _matcher(tuple(patterns))(path.rpartition("/")[2])


def _join(here: str, name: str) -> str:
    return f"{here}/{name}" if here else name


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir(follow_symlinks=False)
    except OSError:  # Some file systems have to be asked, and it may be gone by then.
        return False


def _listing(folder: Path, here: str, denied: set[str]) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(os.path.join(folder, here)) as entries:  # noqa: PTH118 - keeps bytes that are no UTF-8 as they are
            listing = list(entries)
    except OSError as error:
        if not here:
            raise FolderGone(
                f"cannot list the watched folder {folder}: {error.strerror or error}; mount the share or give the service's"
                " user access: it is looked for again at every rescan"
            ) from error
        if not isinstance(error, FileNotFoundError | NotADirectoryError) and here not in denied:
            denied.add(here)
            log.warning("cannot list %r in the watched folder, its images are not inspected: %s", here, error.strerror or error)
        return []
    denied.discard(here)
    return listing


def _sightings(
    here: str,
    listing: list[os.DirEntry[str]],
    matches: Callable[[str], bool],
    inside: str,
    wanted: Collection[str] | None = None,
) -> Iterator[Sighting]:
    images: list[os.DirEntry[str]] = []
    beside: list[os.DirEntry[str]] = []
    for entry in listing:
        looked_for = wanted is None or entry.name in wanted
        (images if looked_for and matches(entry.name) else beside).append(entry)
    by_folded_name: dict[str, list[os.DirEntry[str]]] = {}
    if images:
        for entry in beside:
            by_folded_name.setdefault(entry.name.casefold(), []).append(entry)
    for entry in images:
        sighting = _sighting(_join(here, entry.name), entry, inside)
        if sighting is None:
            continue
        # Most microscopes write no sidecars at all: then a folder of many images is looked at in half the time.
        if by_folded_name and sighting.kind in ("file", "unreadable"):
            sidecar = _sidecar_text(entry.name, by_folded_name, matches)
            if sidecar:
                sighting = replace(sighting, sidecar=sidecar)
        yield sighting


def _sighting(path: str, entry: os.DirEntry[str], inside: str) -> Sighting | None:
    """None for what is gone, or a link that leads nowhere (yet)."""
    try:
        if entry.is_symlink() and not os.path.realpath(entry.path).startswith(inside):
            return Sighting(path, 0, entry.stat(follow_symlinks=False).st_mtime_ns, "outside_folder")
        status = entry.stat()
    except PermissionError:
        return Sighting(path, 0, 0, "unreadable")
    except OSError:
        return None
    if not stat.S_ISREG(status.st_mode):
        return Sighting(path, 0, 0, "not_a_file")
    kind: Kind = "file" if os.access(entry.path, os.R_OK) else "unreadable"
    return Sighting(path, status.st_size, status.st_mtime_ns, kind)


def _sidecar_text(name: str, by_folded_name: Mapping[str, list[os.DirEntry[str]]], matches: Callable[[str], bool]) -> str:
    """An image is never the sidecar of another, whether all images were looked for or some."""
    lines = []
    for folded in {side.casefold() for side in sidecar_names(name)}:
        for beside in by_folded_name.get(folded, ()):
            try:
                status = beside.stat()
            except OSError:
                continue
            if stat.S_ISREG(status.st_mode) and not matches(beside.name):
                lines.append(f"{beside.name}\t{status.st_size}\t{status.st_mtime_ns}")
    return "\n".join(sorted(lines))


# Deciding


class Look(NamedTuple):
    """What one look came to.

    ready: finished and not in the ledger as they are, oldest first.
    next_look: the earliest moment at which more can be ready if nothing else happens, None if nothing is awaited.
    """

    ready: list[Sighting]
    next_look: float | None


@dataclass(slots=True)
class _Pending:
    fingerprint: Fingerprint
    since: float
    settled: bool = False


@dataclass(slots=True)
class _Deferred:
    fingerprint: Fingerprint
    until: float
    waits: frozenset[Wait]
    told: bool = False


class Settler:
    """Decides which sightings are finished: pure logic, no clock and no file of its own. Not thread-safe.

    A file is settled when two looks at least `settle_s` apart found it the same, or when it is exactly as it was when a
    close or rename event told that its writer was done. Times are the caller's monotonic seconds; a file's own time is
    only compared with itself, so that a share whose clock is wrong, even ahead, does no harm.

    settle_s: seconds.  known: the fingerprint under which the ledger has a path, None if it has none.
    """

    def __init__(self, settle_s: float, known: Callable[[str], Fingerprint | None]) -> None:
        self._settle_s = settle_s
        self._known = known
        self._pending: dict[str, _Pending] = {}
        self._deferred: dict[str, _Deferred] = {}
        self._now = float("-inf")

    def observe(
        self,
        sightings: Iterable[Sighting],
        now: float,
        closed: Mapping[str, Stamp] | None = None,
        *,
        partial: bool = False,
    ) -> Look:
        """Take in one look at the folder.

        closed: from `FolderEvents.take`, taken before the look.
        partial: the look was at some paths `only`, those that are `due` among them.
        What was looked for and not seen is forgotten here (the ledger forgets nothing), and begins anew if it comes back.
        What is ready is told again at every look until the ledger knows it.
        """
        self._now = now
        closed = closed or {}
        looked_for = self.due(now) if partial else self._pending.keys() | self._deferred.keys()
        seen: set[str] = set()
        ready: list[Sighting] = []
        for sighting in sightings:
            seen.add(sighting.path)
            if (judged := self._judge(sighting, now, closed.get(sighting.path))) is not None:
                ready.append(judged)
        for path in looked_for - seen:
            self._pending.pop(path, None)
            self._deferred.pop(path, None)
        ready.sort(key=lambda sighting: (sighting.mtime_ns, sighting.path))
        return Look(ready, self.next_moment())

    def _judge(self, sighting: Sighting, now: float, closed: Stamp | None) -> Sighting | None:
        path, fingerprint = sighting.path, sighting.fingerprint
        deferred = self._deferred.get(path)
        if deferred is not None and deferred.fingerprint != fingerprint:
            del self._deferred[path]
            deferred = None
        known = self._known(path) == fingerprint
        if known and (deferred is None or deferred.told):
            self._pending.pop(path, None)
            self._deferred.pop(path, None)
            return None
        pending = self._pending.get(path)
        if pending is None or pending.fingerprint != fingerprint:
            pending = self._pending[path] = _Pending(fingerprint, now)
        if now - pending.since >= self._settle_s or closed == (sighting.size, sighting.mtime_ns) or deferred is not None:
            pending.settled = True
        if deferred is None:
            return sighting if pending.settled else None
        if now < deferred.until:
            return None
        deferred.told = True
        return replace(sighting, waited=deferred.waits)

    def defer(self, path: str, fingerprint: Fingerprint, reason: Wait, for_s: float) -> None:
        """Do not tell `path` as ready until `for_s` after it last changed; earlier if it changes, and then as if new.

        Holds also for what the ledger knows already: that is told once more when the wait is over. Each reason is waited
        for once per content: look into `Sighting.waited` or `waited` before. Raises ValueError otherwise.
        """
        before = self.waited(path, fingerprint)
        if reason in before:
            raise ValueError(f"{path!r} was waited for already because of {reason}: conclude it")
        pending = self._pending.get(path)
        since = pending.since if pending is not None and pending.fingerprint == fingerprint else self._now
        self._deferred[path] = _Deferred(fingerprint, since + for_s, before | {reason})

    def waited(self, path: str, fingerprint: Fingerprint) -> frozenset[Wait]:
        """The reasons for which this content of `path` was deferred, be the wait over or not."""
        deferred = self._deferred.get(path)
        return deferred.waits if deferred is not None and deferred.fingerprint == fingerprint else frozenset()

    def is_deferred(self, path: str, now: float) -> bool:
        """Whether `path` is being waited for, so that it should not be inspected yet."""
        deferred = self._deferred.get(path)
        return deferred is not None and now < deferred.until

    def due(self, now: float) -> set[str]:
        """Paths that can be ready by now: enough to look at between two full scans."""
        return {path for path, moment in self._moments().items() if moment <= now}

    def next_moment(self) -> float | None:
        """The earliest moment at which something can be ready if nothing else happens, None if nothing is awaited."""
        return min(self._moments().values(), default=None)

    def _moments(self) -> dict[str, float]:
        """When each path that is awaited can be ready."""
        moments = {path: pending.since + self._settle_s for path, pending in self._pending.items() if not pending.settled}
        moments.update({path: deferred.until for path, deferred in self._deferred.items() if not deferred.told})
        return moments


# Being woken


def network_file_system(folder: Path, mounts: str) -> str | None:
    """The type of the network (or otherwise remote) file system that holds `folder`, None on a local disk.

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
    return found if found in NETWORK_FILE_SYSTEMS or found.startswith("fuse.") else None


def _read_mounts() -> str:
    try:
        return MOUNTS_FILE.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return ""


class FolderEvents:
    """Sets `wake` when a file in the folder was closed after writing or renamed into place, and remembers which.

    Best effort: whatever fails here is logged once, and rescans go on without it. Use as a context manager, and call
    `check` at every rescan.

    mode: "off" never listens.  mounts: text of /proc/self/mounts.  state: "on", or "off: " and why.
    """

    def __init__(
        self,
        folder: Path,
        wake: threading.Event,
        *,
        recursive: bool = True,
        mode: Literal["auto", "off"] = "auto",
        mounts: Callable[[], str] = _read_mounts,
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
        self._wake.set()

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
                event_filter=[FileClosedEvent, FileMovedEvent, DirCreatedEvent, DirMovedEvent],
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

    def _heard(self, path: str | None) -> None:
        if path is not None:
            try:
                status = os.stat(os.path.join(self._folder, path))  # noqa: PTH116, PTH118 - as in `scan`
            except OSError:
                return
            with self._mutex:
                if len(self._closed) < REMEMBERED_EVENTS:  # The rescan finds the rest.
                    self._closed[path] = (status.st_size, status.st_mtime_ns)
        self._wake.set()


class _Listener(FileSystemEventHandler):
    def __init__(self, events: FolderEvents, root: str) -> None:
        self._events = events
        self._prefix = root.rstrip("/") + "/"

    def on_any_event(self, event: FileSystemEvent) -> None:
        try:
            path = os.fsdecode(event.dest_path if event.event_type == "moved" else event.src_path)
            if event.is_directory:
                self._events._heard(None)
            elif path.startswith(self._prefix):
                self._events._heard(path.removeprefix(self._prefix))
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
