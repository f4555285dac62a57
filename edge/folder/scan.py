"""The watched folder in, a sighting of each matching name out: what a look at the folder finds, without opening a file."""

from __future__ import annotations

import errno
import fnmatch
import logging
import os
import re
import stat
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Final, Literal, NamedTuple

from edge.errors import EdgeError
from edge.records import Fingerprint
from edge.sem import sidecar_names
from edge.sem.parse import stem

log = logging.getLogger(__name__)

Kind = Literal["file", "not_a_file", "outside_folder", "unreadable"]

UNFINISHED_ENDINGS: Final = ("~", ".tmp", ".part", ".partial", ".crdownload")
WARNED_OF: Final = 20
"""So many paths that one look newly fails at stand in the log; `denied` holds them all."""


class FolderGone(EdgeError):  # noqa: N818 - an outcome to wait through rather than a defect
    """The watched folder is not there or cannot be listed, as when a share is unmounted. Nothing counts as deleted."""


class Stamp(NamedTuple):
    """A file at the moment of an event. size: bytes.  mtime_ns: its time of modification."""

    size: int
    mtime_ns: int

    def is_still(self, sighting: Sighting) -> bool:
        """Whether nothing was written since.

        Writing sets the time of modification and that of the last change alike; a program that copies sets the first alone,
        after it has closed the file.
        """
        if self.size != sighting.size:
            return False
        return self.mtime_ns == sighting.mtime_ns or sighting.mtime_ns != sighting.ctime_ns


@dataclass(frozen=True, slots=True)
class Sighting:
    """One name that matches the patterns, as a look at the folder found it.

    path: below the watched folder, as `os.fsdecode` gives it.
    size: bytes.  mtime_ns: as the file system says; both 0 for what is not a file, as a folder's change all the time.
    kind: "unreadable" is a file that this user may not read; "outside_folder" a symbolic link that leaves the folder.
    sidecar: opaque text of the names, sizes and times of the files beside it that may describe it.
    ctime_ns, inode: see `Fingerprint`; None for what is not a file.
    """

    path: str
    size: int
    mtime_ns: int
    kind: Kind
    sidecar: str = ""
    ctime_ns: int | None = field(default=None, compare=False)
    inode: int | None = field(default=None, compare=False)

    @property
    def fingerprint(self) -> Fingerprint:
        """What the ledger compares."""
        return Fingerprint(self.size, self.mtime_ns, self.kind != "unreadable", self.sidecar, self.ctime_ns, self.inode)


def scan(
    folder: Path,
    patterns: Sequence[str],
    recursive: bool = True,
    *,
    only: Collection[str] | None = None,
    denied: dict[str, str] | None = None,
    present: Callable[[], None] = lambda: None,
) -> Iterator[Sighting]:
    """What matches `patterns` (file names, any case) in `folder`, in no order. Opens no file.

    Hidden names and those of unfinished files (`x.tif.part`) are passed over, and so are hidden folders. Symbolic links
    to folders are not followed.

    only: look at these paths alone, and at the images that they may describe; the others are not even asked for.
    denied: paths that could not be looked at (permission, a path too long, a disk's error), each with the error's text.
        Pass the same dictionary to every scan to be warned of each once; who can be looked at again is gone from it.
    present: raises FolderGone where this is not the wanted folder; asked before and after, as a share can go meanwhile.
    Raises FolderGone.
    """
    present()
    denied = {} if denied is None else denied
    failed: dict[str, str] = {}
    matches = _matcher(tuple(patterns))
    inside = os.path.realpath(folder).rstrip("/") + "/"
    if only is None:
        below = [""]
        while below:
            here = below.pop()
            yield from _sightings(
                folder, here, _names(folder, here, failed, below if recursive else None), matches, inside, failed
            )
        present()
        _warn_of_new(failed, denied)
        denied.clear()
        denied.update(failed)
        return
    names: dict[str, set[str]] = {}
    for path in only:
        here, name = os.path.split(path)
        if (recursive or not here) and not any(part.startswith(".") for part in here.split("/")):
            names.setdefault(here, set()).add(name)
    for here, wanted in names.items():
        yield from _sightings(folder, here, _names(folder, here, failed), matches, inside, failed, wanted)
    present()
    _warn_of_new(failed, denied)
    for path in (*names, *only):
        denied.pop(path, None)
    denied.update(failed)


@lru_cache(maxsize=8)
def _matcher(patterns: tuple[str, ...]) -> Callable[[str], bool]:
    one_of = re.compile("|".join(fnmatch.translate(pattern) for pattern in patterns), re.IGNORECASE)

    def matches(name: str) -> bool:
        return name[0] != "." and one_of.match(name) is not None and not name.lower().endswith(UNFINISHED_ENDINGS)

    return matches


def _join(here: str, name: str) -> str:
    return f"{here}/{name}" if here else name


def _is_folder(path: str, entry: os.DirEntry[str], failed: dict[str, str]) -> bool:
    try:
        return entry.is_dir(follow_symlinks=False)
    except OSError as error:  # Some file systems have to be asked, and it may be gone by then.
        _note(path, error, failed)
        return False


def _note(path: str, error: OSError, failed: dict[str, str]) -> None:
    """Keep why `path` could not be looked at; what is merely gone, or a link in a circle, is no such thing."""
    if not isinstance(error, FileNotFoundError | NotADirectoryError) and error.errno != errno.ELOOP:
        failed[path] = error.strerror or str(error)


def _warn_of_new(failed: Mapping[str, str], denied: Mapping[str, str]) -> None:
    new = [path for path in failed if path not in denied]
    for path in new[:WARNED_OF]:
        log.warning("cannot look at %r in the watched folder, its images are not inspected: %s", path, failed[path])
    if len(new) > WARNED_OF:
        log.warning("nor at %d further paths", len(new) - WARNED_OF)


def _names(folder: Path, here: str, failed: dict[str, str], below: list[str] | None = None) -> list[str]:
    """All names in one folder. below: takes the visible folders among them.

    Names alone are kept, because what the kernel tells beside them takes five times as much memory.
    """
    names: list[str] = []
    try:
        with os.scandir(os.path.join(folder, here)) as entries:  # noqa: PTH118 - keeps bytes that are no UTF-8 as they are
            for entry in entries:
                names.append(name := entry.name)
                if below is not None and name[0] != "." and _is_folder(path := _join(here, name), entry, failed):
                    below.append(path)
    except OSError as error:
        if not here:
            raise FolderGone(
                f"cannot list the watched folder {folder}: {error.strerror or error}; mount the share or give the service's"
                " user access: it is looked for again at every rescan"
            ) from error
        _note(here, error, failed)
        return []
    return names


def _sightings(
    folder: Path,
    here: str,
    names: list[str],
    matches: Callable[[str], bool],
    inside: str,
    failed: dict[str, str],
    wanted: Collection[str] | None = None,
) -> Iterator[Sighting]:
    looked_for = _looked_for(wanted, matches)
    images: list[str] = []
    beside: list[str] = []
    for name in names:
        (images if matches(name) and looked_for(name) else beside).append(name)
    by_folded_name: dict[str, list[str]] = {}
    if images:
        # Of a few among very many, only what may describe these few is of interest.
        may_describe = {side.casefold() for name in images for side in sidecar_names(name)} if wanted else None
        for name in beside:
            folded = name.casefold()
            if may_describe is None or folded in may_describe:
                by_folded_name.setdefault(folded, []).append(name)
    del names, beside
    place = os.path.join(folder, here)  # noqa: PTH118 - as above
    for name in images:
        path = _join(here, name)
        try:
            sighting = _sighting(path, os.path.join(place, name), inside, failed)  # noqa: PTH118 - as above
        except Exception:  # one name must not hide the others: links that lead to links without end are a RecursionError
            log.debug("cannot look at %r in the watched folder", path, exc_info=True)
            sighting = Sighting(path, 0, 0, "unreadable")
        if sighting is None:
            continue
        # Most microscopes write no sidecars at all: then a folder of many images is looked at in half the time.
        if by_folded_name and sighting.kind in ("file", "unreadable"):
            sidecar = _sidecar_text(place, name, by_folded_name, matches)
            if sidecar:
                sighting = replace(sighting, sidecar=sidecar)
        yield sighting


def _looked_for(wanted: Collection[str] | None, matches: Callable[[str], bool]) -> Callable[[str], bool]:
    """Whether the image of this name is wanted, or one of the wanted names may describe it."""
    if wanted is None:
        return lambda name: True
    sides = {name.casefold() for name in wanted if not matches(name)}
    beginnings = {side[:end] for side in sides for end in range(1, len(side))}  # each begins with the image's own name

    def looked_for(name: str) -> bool:
        if name in wanted:
            return True
        return stem(name).casefold() in beginnings and any(side.casefold() in sides for side in sidecar_names(name))

    return looked_for


def _sighting(path: str, place: str, inside: str, failed: dict[str, str]) -> Sighting | None:
    """None for what is gone, or a link that leads nowhere (yet), or what cannot be looked at. place: `path` from the root."""
    try:
        status = os.lstat(place)
        if stat.S_ISLNK(status.st_mode):
            if not os.path.realpath(place).startswith(inside):
                return Sighting(path, 0, status.st_mtime_ns, "outside_folder")
            status = os.stat(place)  # noqa: PTH116 - as above
    except PermissionError as error:
        _note(path, error, failed)
        return Sighting(path, 0, 0, "unreadable")
    except OSError as error:
        _note(path, error, failed)
        return None
    if not stat.S_ISREG(status.st_mode):
        return Sighting(path, 0, 0, "not_a_file")
    kind: Kind = "file" if os.access(place, os.R_OK) else "unreadable"
    return Sighting(path, status.st_size, status.st_mtime_ns, kind, "", status.st_ctime_ns, status.st_ino)


def _sidecar_text(place: str, name: str, by_folded_name: Mapping[str, list[str]], matches: Callable[[str], bool]) -> str:
    """An image is never the sidecar of another, whether all images were looked for or some."""
    lines = []
    for folded in {side.casefold() for side in sidecar_names(name)}:
        for beside in by_folded_name.get(folded, ()):
            try:
                status = os.stat(os.path.join(place, beside))  # noqa: PTH116, PTH118 - as above
            except OSError:
                continue
            if stat.S_ISREG(status.st_mode) and not matches(beside):
                lines.append(f"{beside}\t{status.st_size}\t{status.st_mtime_ns}")
    return "\n".join(sorted(lines))
