"""A file with seconds in; `edge-daemon` whose clock shows the true time and so many seconds out.

    python tests/faults/clocked.py FILE --config CONFIG

The file is read at each look at the clock. The monotonic clock stays true, as it does when a real clock is set. faketime
would do the same for any program, but Python's own waits fail under it (0.9.10, Python 3.11). A second number in the file
is how much time passed that did not: the kernel's uptime shows it, too, where `pass_by` was called.
"""

from __future__ import annotations

import datetime as dates
import sys
import time
from pathlib import Path

true_time, true_time_ns, TrueDatetime = time.time, time.time_ns, dates.datetime


class Uptime:
    """Stands for /proc/uptime, with the time that passed by word of the file."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def read_text(self, encoding: str) -> str:
        """As the kernel writes it."""
        up, *rest = Path("/proc/uptime").read_text(encoding=encoding).split()
        return " ".join([f"{float(up) + sum(_numbers(self._file)[1:]):.2f}", *rest])


def pass_by(file: Path) -> None:
    """Let the journal's view of the uptime follow the file; to be called after `shift`."""
    from edge.journal import boot

    boot._UPTIME = Uptime(file)  # type: ignore[misc, assignment]


def _numbers(file: Path) -> list[float]:
    try:
        return [float(word) for word in file.read_text().split()]
    except (OSError, ValueError):
        return [0.0]


def shift(file: Path) -> None:
    """Set the clock of this process; to be called before anything else is imported."""

    def seconds() -> float:
        return sum(_numbers(file))

    class Shifted(TrueDatetime):  # the rest of the class stays as it is
        @classmethod
        def now(cls, tz: dates.tzinfo | None = None) -> Shifted:
            return cls.fromtimestamp(true_time() + seconds(), tz)

    time.time = lambda: true_time() + seconds()
    time.time_ns = lambda: true_time_ns() + round(seconds() * 1e9)
    dates.datetime = Shifted  # type: ignore[misc]


if __name__ == "__main__":
    shift(Path(sys.argv.pop(1)))
    from edge.commands.cli import daemon

    sys.exit(daemon())
