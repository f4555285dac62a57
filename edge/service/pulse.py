"""Whether the daemon's threads move in; a file that says so to whoever looks from outside, where no systemd does.

A container's health check is a process of its own. The daemon writes the time since boot into the file that `EDGE_PULSE` names,
as often as it would feed systemd's watchdog; `edge-daemon --alive` reads it. Nothing is written where `EDGE_PULSE` is not set.
"""

from __future__ import annotations

import contextlib
import os
import time
from typing import Final

VARIABLE: Final = "EDGE_PULSE"
SILENT_S: Final = 60.0
"""So long without a word is not alive: as long as the unit's WatchdogSec=."""


def beat() -> None:
    """Say that all threads move. A place that is full or gone must not stop the work."""
    path = os.environ.get(VARIABLE, "")
    if path:
        with (
            contextlib.suppress(OSError),
            open(path, "w", encoding="ascii") as file,
        ):  # its place being full must not stop the work
            file.write(f"{_now():.0f}\n")


def alive() -> tuple[bool, str]:
    """Whether a daemon of this machine said so lately, and that in words."""
    path = os.environ.get(VARIABLE, "")
    if not path:
        return False, f"{VARIABLE} names no file: set it for the daemon and for this command alike, on a file system in memory"
    try:
        with open(path, encoding="ascii") as file:
            ago = _now() - float(file.read())
    except (OSError, ValueError) as error:
        return False, f"the daemon has not said that it is ready: {path}: {error}"
    if not -1.0 <= ago <= SILENT_S:  # what is written is rounded
        return False, f"the daemon has said nothing for {ago:.0f} s: one of its threads stands still, or it is gone"
    return True, f"alive {ago:.0f} s ago"


def _now() -> float:
    """No clock that somebody sets."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()
