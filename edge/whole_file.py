"""Bytes in, a file that is there as a whole or not at all out, also when the power goes.

Below all rooms. What is written stands beside the file under a hidden name first, is synced, and then takes its place.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

FOLDERS_OPEN: Final = os.open in os.supports_dir_fd
"""Whether a folder can be opened here, and names be asked for within it: everywhere but on Windows."""


def write_whole(path: Path, data: bytes, *, mode: int | None = 0o600, owner_of: Path | None = None) -> None:
    """Write the file; what was there under its name is replaced, and stays as it was when this fails. Raises OSError.

    Parameters as in `opened_whole`.
    """
    with opened_whole(path, mode=mode, owner_of=owner_of) as stream:
        stream.write(data)


@contextlib.contextmanager
def opened_whole(path: Path, *, mode: int | None = 0o600, owner_of: Path | None = None) -> Iterator[BinaryIO]:
    """A stream into the file, for what is too long to be held as a whole; the file is there when the block has ended well.

    mode: of the new file; None: as the user's umask has it.  owner_of: a folder or file whose owner is given the file where
    root writes. Neither the folder that holds the file nor the name that is written first may be a link then, since others
    may write where root writes. Raises OSError.
    """
    if not FOLDERS_OPEN:
        with _opened_by_name(path) as stream:
            yield stream
        return
    follow = 0 if owner_of is None else os.O_NOFOLLOW
    place = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | follow)
    draft = f".{path.name[-100:]}.tmp"
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        with open(os.open(draft, flags, 0o666 if mode is None else 0o600, dir_fd=place), "wb") as stream:
            if mode is not None:
                os.fchmod(stream.fileno(), mode)
            if owner_of is not None:
                give(stream.fileno(), owner_of)
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(draft, path.name, src_dir_fd=place, dst_dir_fd=place)
        os.fsync(place)
    except BaseException:  # also of who writes into the stream
        with contextlib.suppress(OSError):
            os.unlink(draft, dir_fd=place)
        raise
    finally:
        os.close(place)


@contextlib.contextmanager
def _opened_by_name(path: Path) -> Iterator[BinaryIO]:
    """The same where a folder cannot be opened (Windows): no root writes there for others, and a folder is not synced."""
    draft = path.with_name(f".{path.name[-100:]}.tmp")
    try:
        with open(draft, "wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        draft.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            draft.unlink()
        raise


def own_folder(place: Path, owner_of: Path) -> Path:
    """Make a folder for one user alone where there is none, and give it to whom `owner_of` belongs, if root makes it.

    Raises OSError, also where a link or a file stands in its place.
    """
    with contextlib.suppress(FileExistsError):
        place.mkdir(mode=0o700)
    if not FOLDERS_OPEN:
        return place
    descriptor = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        give(descriptor, owner_of)
    finally:
        os.close(descriptor)
    return place


def give(descriptor: int, owner_of: Path) -> None:
    """Let whom a folder belongs to have what root has opened; nothing for any other user. Raises OSError."""
    if os.geteuid() == 0:
        owner = owner_of.stat()
        os.fchown(descriptor, owner.st_uid, owner.st_gid)
