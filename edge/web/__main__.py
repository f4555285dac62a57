"""The live page of one microscope, as a process: settings on standard input, or `--config FILE` by hand.

The daemon starts it so, and holds its standard input: when that closes, it ends. It takes less of the processor than
anything beside it, and is the first that a machine without memory kills.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import sys
import threading
from pathlib import Path
from typing import Final

from edge import __version__, config, config_text
from edge.errors import EdgeError

LONGEST_END_S: Final = 3.0
WRONG_USAGE: Final = 2


def main(argv: list[str]) -> int:
    """Serve until standard input closes, or a signal comes; 2 where the settings do not allow a page."""
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(message)s")
    until = threading.Event()
    by_hand = argv[:1] == ["--config"] and len(argv) == 2
    try:
        if by_hand:
            settings = config.load(Path(argv[1]))
        else:
            settings = config_text.read(json.loads(sys.stdin.buffer.readline()))
            give_way()
            threading.Thread(target=end_with_parent, args=(until,), name="parent", daemon=True).start()
        from edge.web.journal_source import JournalSource
        from edge.web.serve import serve

        with JournalSource(settings) as source:
            serve(source, settings.web, version=__version__, until=until, beat=quiet if by_hand else beat)
    except EdgeError as error:
        print(error, file=sys.stderr)
        return WRONG_USAGE
    return 0


def beat() -> None:
    """A sign of life for the daemon; called by the server each few seconds, once it serves."""
    with contextlib.suppress(OSError):
        os.write(1, b".")


def quiet() -> None:
    """Nobody waits for a sign of life."""


def give_way() -> None:
    """Inspecting comes first: for the processor, and when memory runs out."""
    with contextlib.suppress(OSError):  # where the unit forbids it
        os.nice(10)
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")


def end_with_parent(until: threading.Event) -> None:
    """Wait until the daemon has gone; the server has a moment to end, then the process does."""
    while os.read(0, 4096):  # through a buffer, this thread would hold its lock when the process ends, which aborts it
        pass
    until.set()
    threading.Event().wait(LONGEST_END_S)
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
