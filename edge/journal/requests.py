"""What a person asks for in, a file in the state folder out, which the daemon takes up within seconds or at its next start.

A journal has one writer. So a command beside the daemon writes nothing into the database, and needs neither broker nor
lock; what it left is still there after a power cut.
"""

from __future__ import annotations

import contextlib
import json
import time
import uuid
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Final

from edge.journal import disk
from edge.whole_file import own_folder, write_whole

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
        place = own_folder(folder / "requests", folder)
        file = place / f"{stem or f'{time.time_ns():020d}-{uuid.uuid4().hex}'}{suffix}"
        write_whole(file, data, owner_of=folder)
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
