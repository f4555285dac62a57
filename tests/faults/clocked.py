"""A file with seconds in; `edge-daemon` whose clock shows the true time and so many seconds out.

    python tests/faults/clocked.py FILE --config CONFIG

The file is read at each look at the clock. The monotonic clock stays true, as it does when a real clock is set. faketime
would do the same for any program, but Python's own waits fail under it (0.9.10, Python 3.11).
"""

from __future__ import annotations

import datetime as dates
import sys
import time
from pathlib import Path

true_time, true_time_ns, TrueDatetime = time.time, time.time_ns, dates.datetime


def shift(file: Path) -> None:
    """Set the clock of this process; to be called before anything else is imported."""

    def seconds() -> float:
        try:
            return float(file.read_text())
        except (OSError, ValueError):  # while it is replaced
            return 0.0

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
