"""A path in; the bytes of the image and its sidecars out, read once, so that what is hashed is what is decoded."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from pathlib import Path

from edge.errors import ImageError
from edge.records import FileBytes
from edge.sem import sidecar_names

SIDECAR_LIMIT_BYTES = 4 << 20
NOT_A_FILE = "it is a folder, pipe, socket or device: export images as plain files"


_READ = os.O_RDONLY | sum(getattr(os, name, 0) for name in ("O_NONBLOCK", "O_CLOEXEC", "O_BINARY"))
"""As bytes on Windows, too; without waiting for the writer of a named pipe where there are such pipes."""
_FOR_GOOD = frozenset({errno.ELOOP, errno.ENAMETOOLONG, errno.ENOTDIR})


class FileBusyError(ImageError):
    """A file is there and cannot be read now: another program holds it, or the disk or share behind it fails. It may pass."""


class FileGoneError(ImageError):
    """A file is not there any more: moved, deleted, or away with the share that holds it. It may come back as it was."""


def read_file(path: Path, max_bytes: int, within: Path | None = None, *, needs_sidecars: bool = False) -> FileBytes:
    """Everything that an inspection needs to know from disk.

    within: a folder that the file, symbolic links resolved, must lie in.
    needs_sidecars: a file beside it that cannot be read now is an error, too; else it is as if it were not there.
    Raises ImageError: `outside_folder`, `too_large` (before reading), `unreadable` (FileGoneError where it is not there,
    FileBusyError where that may pass), `not_a_file`, or `still_changing` when size or time of modification differ after
    reading.
    """
    try:
        outside = within is not None and not path.resolve().is_relative_to(within.resolve())
    except RuntimeError as error:  # RecursionError is one too
        advice = "it is a link that leads through too many links, or to itself: copy the file itself there"
        raise ImageError("unreadable", advice) from error
    if outside:
        raise ImageError("outside_folder", "it is a link to a file outside the watched folder: copy the file itself there")
    try:
        # Opening a named pipe would wait for a writer for ever.
        descriptor = os.open(path, _READ)
    except OSError as error:
        raise _unreadable(error, path) from error
    try:
        before = os.fstat(descriptor)
        if not stat.S_ISREG(before.st_mode):
            raise ImageError("not_a_file", NOT_A_FILE)
        if before.st_size > max_bytes:
            raise ImageError(
                "too_large",
                f"{before.st_size >> 20} MiB is over the limit of {max_bytes >> 20} MiB: raise inspect.max_file_mib",
            )
        with open(descriptor, "rb", closefd=False) as stream:
            data = stream.read(before.st_size + 1)
        after = os.fstat(descriptor)
    except OSError as error:
        raise _busy(error) from error
    finally:
        os.close(descriptor)
    if len(data) != before.st_size or (after.st_size, after.st_mtime_ns) != (before.st_size, before.st_mtime_ns):
        raise ImageError("still_changing", "it changed while it was read: it is looked at again when it is quiet")
    return FileBytes(
        data, hashlib.sha256(data).hexdigest(), before.st_size, before.st_mtime_ns, _sidecars(path, needs_sidecars)
    )


def _sidecars(path: Path, needed: bool) -> dict[str, bytes]:
    """The text files that microscopes write beside an image, whatever the case of their names. Raises FileBusyError."""
    wanted = {name.casefold() for name in sidecar_names(path.name)}
    found: dict[str, bytes] = {}
    for name in _names_beside(path, wanted, needed):
        beside = path.with_name(name)
        try:
            status = beside.stat()
            if stat.S_ISREG(status.st_mode) and 0 < status.st_size <= SIDECAR_LIMIT_BYTES:
                found[name] = beside.read_bytes()
        except OSError as error:
            if needed and isinstance(_unreadable(error, beside), FileBusyError):
                raise _busy(error, f"{name!r} beside it") from error
            continue  # An unreadable sidecar must not cost the image: the scale stays unknown.
    return found


def _names_beside(path: Path, wanted: set[str], needed: bool) -> list[str]:
    try:
        return sorted(name for name in os.listdir(path.parent) if name.casefold() in wanted)  # noqa: PTH208 - thrice as fast
    except OSError as error:
        if needed:
            raise _busy(error, "its folder") from error
        return []


def _unreadable(error: OSError, path: Path) -> ImageError:
    """What came of opening `path`."""
    if error.errno in (errno.EISDIR, errno.ENXIO):
        return ImageError("not_a_file", NOT_A_FILE)
    if error.errno in (errno.EACCES, errno.EPERM) and not os.access(path, os.R_OK):
        return ImageError("unreadable", f"no permission to read it: give the service's user read access ({error.strerror})")
    if error.errno == errno.ENOENT:
        return FileGoneError("unreadable", "it is not there (any more): was it moved, renamed or deleted before it was read?")
    if error.errno in _FOR_GOOD:
        return ImageError("unreadable", f"it cannot be read: {error.strerror or error}")
    return _busy(error)


def _busy(error: OSError, what: str = "it") -> FileBusyError:
    """A share refuses what its permissions here allow while another program there holds the file, or locks its bytes."""
    return FileBusyError(
        "unreadable",
        f"{what} cannot be read: {error.strerror or error}; close it in other programs, look after the disk or share, then"
        " `edge-review retry`",
    )
