"""What people changed about a running service in, lines of a file out: who, when, what, and what came of it.

`audit.jsonl` of the state folder. At `LARGEST_BYTES` it becomes `audit.1.jsonl`, in place of an older one.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

SCHEMA: Final = "edge.audit/1"
FILE: Final = "audit.jsonl"
LARGEST_BYTES: Final = 8 << 20


def append(
    folder: Path, *, at: float, who: str | None, command: str, fields: Mapping[str, Any], told: Mapping[str, Any]
) -> None:
    """One more line, on the disk when this returns. Raises OSError.

    folder: the state folder.  at: seconds since 1970.  who: a user of the page, None for a command over MQTT, which does not
    tell.  told: `error` and `result`.
    """
    line = json.dumps({"schema": SCHEMA, "at": at, "who": who, "command": command, "fields": dict(fields), **told})
    file = folder / FILE
    if file.exists() and file.stat().st_size > LARGEST_BYTES:
        file.replace(folder / "audit.1.jsonl")
    with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600), "ab") as stream:
        stream.write(line.encode("ascii") + b"\n")
        stream.flush()
        os.fsync(stream.fileno())


def read(folder: Path, command: str | None = None) -> list[dict[str, Any]]:
    """The lines, oldest first; one that is damaged is left out. command: only those of this one."""
    found = []
    for name in ("audit.1.jsonl", FILE):
        try:
            lines = (folder / name).read_bytes().splitlines()
        except OSError:
            continue
        for line in lines:
            try:
                entry = json.loads(line)
            except (ValueError, RecursionError):  # cut by a power failure
                continue
            if isinstance(entry, dict) and entry.get("schema") == SCHEMA and command in (None, entry.get("command")):
                found.append(entry)
    return found
