"""An announcement and a source in, a folder with all files of the release out, each checked; or why not yet.

SHA256SUMS comes first: until it is the announced one, and signed by the plant's key, nothing else is asked for. What was
fetched is kept over a restart, and a file that was cut off goes on where it ended.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from edge.errors import ModelError, StateError, StateFullError
from edge.fleet.announcement import Announcement
from edge.fleet.release import MOST_MANIFEST, SHORT, SIGNATURE, files_of, require_ours
from edge.fleet.shelf import Shelf
from edge.fleet.source import Body, Source
from edge.models.signature import MANIFEST
from edge.sinks.sink import NotNowError
from edge.whole_file import write_whole

MOST_FILE: Final = 1 << 30
MOST_RELEASE: Final = 2 << 30
"""Bytes of a file, and of all files of a release."""
LEAVE_FREE: Final = 64 << 20
"""Bytes of the disk that a release must leave to the journal."""


def fetch(announced: Announcement, shelf: Shelf, source: Source, public_key: str, given_up: Callable[[], bool]) -> Path:
    """The folder with the whole release, see `Shelf.incoming`.

    given_up: asked between blocks.  Raises NotNowError for what may pass, ModelError for a release that no box may take;
    StateFullError where the disk has no room; StateError or OSError where the state folder cannot be written.
    """
    place = shelf.incoming(announced.id)
    try:
        manifest = _manifest(announced, source, place, given_up)
        require_ours(manifest, announced.signature, public_key, place / MANIFEST)
        listed = files_of(manifest)
        write_whole(place / MANIFEST, manifest)
        write_whole(place / SIGNATURE, announced.signature)
        for path in place.iterdir():  # of a try with other rules
            if path.name not in (*listed, MANIFEST, SIGNATURE) and path.name not in {f".{name}.part" for name in listed}:
                path.unlink()
        room = MOST_RELEASE
        for name, sha256 in listed.items():
            if not _is_there(place / name, sha256):
                _fetch_file(announced.id, source, place / name, sha256, min(room, MOST_FILE), given_up)
            room -= (place / name).stat().st_size
    except StateFullError:
        shutil.rmtree(place, ignore_errors=True)  # the room belongs to the journal
        raise
    return place


def _manifest(announced: Announcement, source: Source, place: Path, given_up: Callable[[], bool]) -> bytes:
    """SHA256SUMS of the announced release. Raises NotNowError where the source has another."""
    found = b""
    with source.opened(announced.id, MANIFEST, 0) as body:
        for block in body.blocks:
            found += block
            if len(found) > MOST_MANIFEST or given_up():
                break
    if hashlib.sha256(found).hexdigest() != announced.id:
        raise NotNowError(
            f"{source.where} has another {MANIFEST} for release {announced.id[:SHORT]} than was announced, or half"
        )
    return found


def _fetch_file(release_id: str, source: Source, path: Path, sha256: str, most: int, given_up: Callable[[], bool]) -> None:
    """Raises as `fetch`."""
    part = path.with_name(f".{path.name}.part")
    offset = part.stat().st_size if part.is_file() else 0
    try:
        with source.opened(release_id, path.name, offset) as body:
            _take(body, part, path.name, most, given_up)
    except NotNowError as error:
        if "(416)" in str(error):
            part.unlink(missing_ok=True)  # from another file of this name: begin anew
        raise
    if _sha256(part) != sha256:
        part.unlink()
        raise NotNowError(f"{source.where} has another {path.name} than {MANIFEST} lists: its hash differs")
    part.replace(path)


def _take(body: Body, part: Path, name: str, most: int, given_up: Callable[[], bool]) -> None:
    if body.size is not None and body.size > most:
        raise ModelError(f"{name} has {body.size} bytes: a file may have {MOST_FILE}, a release {MOST_RELEASE}")
    free = shutil.disk_usage(part.parent).free
    if body.size is not None and free - (body.size - body.begins_at) < LEAVE_FREE:
        raise StateFullError(
            f"the disk that holds {part.parent.parent} has no room for {name}: free {body.size >> 20} MiB more"
        )
    had = body.begins_at
    with _written(part, had) as descriptor:
        for block in body.blocks:
            had += len(block)
            if had > most or (body.size is not None and had > body.size):
                raise NotNowError(f"{name} is longer than it was to be")
            with _ours(part):
                while block:
                    block = block[os.write(descriptor, block) :]
            if given_up():
                raise NotNowError(f"{name} was not fetched to its end: something else came first")
    if body.size is not None and had < body.size:
        raise NotNowError(f"only {had} of {body.size} bytes of {name} came: the rest is asked for")


@contextlib.contextmanager
def _written(part: Path, begins_at: int) -> Iterator[int]:
    """A descriptor of a file that is written from a place on; what lay behind it is cut off. Raises as `_ours`."""
    with _ours(part):
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        with _ours(part):
            os.ftruncate(descriptor, begins_at)
            os.lseek(descriptor, begins_at, os.SEEK_SET)
        yield descriptor
        with _ours(part):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _ours(part: Path) -> Iterator[None]:
    """What this disk refuses must not look like a fault of the server. Raises StateFullError, StateError."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StateFullError(f"the disk that holds {part.parent.parent} is full: free some space") from error
        raise StateError(f"{part} cannot be written: {error.strerror or error}") from error


def _is_there(path: Path, sha256: str) -> bool:
    return path.is_file() and not path.is_symlink() and _sha256(path) == sha256


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def is_whole(folder: Path, manifest: bytes) -> bool:
    """Whether all files of a release lie in a folder as its SHA256SUMS lists them. Raises ModelError, OSError."""
    return all(_is_there(folder / name, sha256) for name, sha256 in files_of(manifest).items())
