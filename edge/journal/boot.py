"""This machine's kernel in; which of its lives this is, and how long it has lasted, out."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Final

UNKNOWN: Final = "-"
"""Where the kernel does not say which boot this is."""

_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
_UPTIME: Final = Path("/proc/uptime")


def boot_id() -> str:
    """The kernel's random name of this boot (proc(5)), `UNKNOWN` where it tells none."""
    try:
        name = _BOOT_ID.read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return UNKNOWN
    return name if re.fullmatch(r"[0-9a-f-]{36}", name) else UNKNOWN


def uptime_s() -> float:
    """Seconds since the boot, sleep included: no setting of the clock changes it."""
    try:
        return float(_UPTIME.read_text(encoding="ascii").split()[0])
    except (OSError, ValueError, IndexError):
        return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()
