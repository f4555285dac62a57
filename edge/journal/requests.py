"""What a person asks for in, a file in the state folder out, which the daemon takes up within seconds or at its next start.

A journal has one writer. So a command beside the daemon writes nothing into the database, and needs neither broker nor
lock; what it left is still there after a power cut.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
import uuid
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Final

from edge.journal import disk

SCHEMA: Final = "edge.request/1"
MOST_IDS: Final = 500
"""In one file, so that none takes the daemon long."""
LARGEST_BYTES: Final = 1 << 20


def leave(folder: Path, verdict_ids: Sequence[str]) -> int:
    """Ask for the images of these verdicts to be inspected again; return how many files that took.

    folder: the state folder. Raises StateError when this user may not write there.
    """
    files = 0
    rest = iter(verdict_ids)
    while ids := list(islice(rest, MOST_IDS)):
        leave_file(folder, ".json", json.dumps({"schema": SCHEMA, "inspect": ids}).encode("ascii"))
        files += 1
    return files


def waiting(folder: Path) -> list[Path]:
    """The files that were left and not taken up, oldest first. folder: the state folder."""
    return left(folder, ".json")


def leave_review(folder: Path, line: bytes) -> None:
    """Hand over one `edge.review/1`, checked already. folder: the state folder. Raises StateError as `leave`."""
    leave_file(folder, ".review", line)


def reviews_waiting(folder: Path) -> list[Path]:
    """The reviews that were handed over and not taken up, oldest first. folder: the state folder."""
    return left(folder, ".review")


def leave_file(folder: Path, suffix: str, data: bytes, stem: str | None = None) -> Path:
    """Leave `data` whole or not at all, in a file that the service's user may read; return where.

    stem: of the file's name, one by time where it is None, so that files sort by it. Raises StateError.
    """
    with disk.translated_os_errors(folder):
        place = _own(folder / "requests", folder)
        file = place / f"{stem or f'{time.time_ns():020d}-{uuid.uuid4().hex}'}{suffix}"
        draft = place / f"{file.name}.tmp"
        draft.write_bytes(data)
        _give(draft, folder)
        draft.replace(file)
    return file


def left(folder: Path, suffix: str) -> list[Path]:
    """The files with this suffix that nobody has taken up, oldest first. folder: the state folder."""
    try:
        return sorted(path for path in (folder / "requests").iterdir() if path.suffix == suffix)
    except OSError:  # nobody has left anything yet
        return []


def read(file: Path) -> list[str]:
    """The verdict ids in one of `waiting`. Raises ValueError with what is wrong with it, OSError when it cannot be read."""
    with file.open("rb") as stream:
        data = stream.read(LARGEST_BYTES + 1)
    if len(data) > LARGEST_BYTES:
        raise ValueError(f"more than {LARGEST_BYTES} bytes")
    try:
        asked = json.loads(data)
    except (UnicodeDecodeError, RecursionError) as error:
        raise ValueError(str(error)) from error
    ids = asked.get("inspect") if isinstance(asked, dict) and asked.get("schema") == SCHEMA else None
    if not isinstance(ids, list) or not all(isinstance(one, str) for one in ids):
        raise ValueError(f"not an {SCHEMA} that says what to inspect")
    return ids


def remove(file: Path) -> None:
    """It was taken up, or is none."""
    with contextlib.suppress(OSError):
        file.unlink()


def _own(place: Path, folder: Path) -> Path:
    """The folder of requests, made if there is none."""
    if not place.is_dir():
        place.mkdir(mode=0o700)
        _give(place, folder, 0o700)
    return place


def _give(path: Path, folder: Path, mode: int = 0o600) -> None:
    """Let the service's user have what root has written."""
    path.chmod(mode)
    if os.geteuid() == 0:
        owner = folder.stat()
        os.chown(path, owner.st_uid, owner.st_gid)
