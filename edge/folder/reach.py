"""The watched folder in; out comes what of it cannot be reached: all of it, where a share is not mounted, or some paths."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from edge.folder.events import mount_of, read_mounts
from edge.folder.scan import FolderGone

NAMED: Final = 3
"""So many of the paths that cannot be looked at are named."""
LONGEST_NAME: Final = 44


def require(folder: Path, marker: str = "", must_be_mount: bool = False, mounts: Callable[[], str] = read_mounts) -> None:
    """See that the folder is the wanted one and not the empty place where it will be mounted. Raises FolderGone.

    marker: name of a file or folder that must be in it; empty: none.
    must_be_mount: a file system must be mounted on this very folder.  mounts: text of /proc/self/mounts.
    """
    if must_be_mount:
        _look_into(folder)  # has an automounter mount it
        where, kind = mount_of(folder, mounts())
        if where != os.path.realpath(folder) or kind == "autofs":
            raise FolderGone(
                f"nothing is mounted on the watched folder {folder}, as watch.must_be_mount asks: mount the share; it is looked"
                " for again at every rescan"
            )
    if marker:
        try:
            os.lstat(folder / marker)
        except OSError as error:
            raise FolderGone(
                f"{marker!r} is not in the watched folder {folder} ({error.strerror or error}), as watch.marker asks:"
                " mount the share, or put the marker there; it is looked for again at every rescan"
            ) from error


def is_there(folder: Path, marker: str = "", must_be_mount: bool = False) -> bool:
    """Whether the folder can be listed and is the wanted one."""
    try:
        with os.scandir(folder):
            require(folder, marker, must_be_mount)
    except (OSError, FolderGone):
        return False
    return True


def unreached(denied: Mapping[str, str]) -> str | None:
    """What to tell of the paths that a scan could not look at: how many, the first names, why. None where there are none.

    denied: as `scan` fills it.
    """
    if not denied:
        return None
    first = sorted(denied)[:NAMED]
    names = ", ".join(f"{_shown(path)} ({denied[path]})" for path in first)
    more = f" and {len(denied) - len(first)} more" if len(denied) > len(first) else ""
    paths = "1 path" if len(denied) == 1 else f"{len(denied)} paths"
    return f"{paths} in the watched folder cannot be looked at: {names}{more}"


def _shown(path: str) -> str:
    """On one line, its end first of all: that is where long paths differ."""
    text = repr(path)
    return text if len(text) <= LONGEST_NAME else f"{text[:20]}…{text[-(LONGEST_NAME - 21) :]}"


def _look_into(folder: Path) -> None:
    try:
        with os.scandir(folder):
            return
    except OSError:
        return
