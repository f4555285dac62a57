"""Why the service is degraded in, a small file beside the journal out, for `edge-doctor` and the live page."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import psutil

from edge.whole_file import write_whole

FILE: Final = "problems.json"
SCHEMA: Final = "edge.problems/1"
LARGEST_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Told:
    """What a service has written. pid: its process.  alive: whether that runs.  problems: reason → cure.

    live: further facts, plain JSON: `connected` to the broker, `paused`, `backend`, `precision`, `version`.
    """

    pid: int
    alive: bool
    problems: Mapping[str, str]
    live: Mapping[str, Any]


def write(folder: Path, problems: Mapping[str, str], live: Mapping[str, Any] | None = None) -> bool:
    """Say why this process is degraded; False where that cannot be written. folder: the state folder.  live: see `Told`."""
    me = psutil.Process()
    told = {
        "schema": SCHEMA,
        "pid": me.pid,
        "started_at": me.create_time(),
        "problems": dict(problems),
        "live": dict(live or {}),
    }
    try:
        write_whole(folder / FILE, json.dumps(told).encode("ascii"))
    except OSError:
        return False
    return True


def remove(folder: Path) -> None:
    """This process ends as it was asked to."""
    with contextlib.suppress(OSError):
        (folder / FILE).unlink()


def read(folder: Path) -> Told | None:
    """What the service said last; None when there is no such file, or it cannot be read."""
    try:
        with (folder / FILE).open("rb") as stream:
            told = json.loads(stream.read(LARGEST_BYTES))
        pid, problems = int(told["pid"]), {str(text): str(cure) for text, cure in told["problems"].items()}
        started_at, live = float(told["started_at"]), dict(told.get("live") or {})
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    try:
        alive = abs(psutil.Process(pid).create_time() - started_at) < 1.0  # else another process has the number by now
    except psutil.Error:
        alive = False
    return Told(pid, alive, problems, live)
