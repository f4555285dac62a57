"""How far a command with many files is, on stderr: a bar on a terminal, now and then a plain line elsewhere.

A bar of our own: it is one line of text, and the edge needs no further library for it. It has no colour.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from shutil import get_terminal_size
from typing import Final, TextIO

EVERY_S: Final = 10.0
"""Between plain lines."""
_LONGEST_BAR: Final = 30
_CLEAR: Final = "\r\x1b[K"


class Progress:
    """Nothing is shown for a single file, which is done before anyone asks."""

    def __init__(
        self,
        total: int,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
        *,
        command: str = "edge-inspect",
        things: str = "files",
        first: str = "loading the models",
    ) -> None:
        """stream: stderr, unless a test has another.  first: what is done before the first file."""
        self._command, self._things = command, things
        self._total, self._stream, self._clock = total, sys.stderr if stream is None else stream, clock
        self._live = total > 1 and self._stream.isatty() and os.environ.get("TERM", "") not in ("", "dumb")
        self._done, self._began, self._told, self._drawn = 0, clock(), clock(), False
        if total > 1:
            self._show(first)

    def hide(self) -> None:
        """Take the bar away before something else is printed, which may go to the same terminal."""
        if self._drawn:
            self._write(_CLEAR)
            self._drawn = False

    def begin(self, name: str) -> None:
        """A file is begun: draw what was done, and its name."""
        if self._done == 0:
            self._began = self._clock()  # loading the models is no measure of what an image takes
        if self._live:
            self._show(name)
        elif self._total > 1 and self._clock() - self._told >= EVERY_S:
            self._show("")

    def finish(self) -> None:
        """The file is done."""
        self._done += 1

    def _show(self, name: str) -> None:
        self._told = self._clock()
        if self._live:
            self._write(_CLEAR + self._bar(name, get_terminal_size().columns))
            self._drawn = True
        else:
            more = self._left() or (", " + name) * bool(name)
            self._write(f"{self._command}: {self._done} of {self._total} {self._things} done{more}\n")

    def _bar(self, name: str, columns: int) -> str:
        """At most so many columns less one, so that no terminal wraps it: the count first, then what there is room for."""
        count = f"{self._done}/{self._total}{self._left()}"
        room = columns - 1 - len(count)
        length = min(_LONGEST_BAR, room - 3)
        if length < 5:
            return count[: max(columns - 1, 0)]
        full = length * self._done // self._total
        bar = f"[{'#' * full}{'.' * (length - full)}] {count}"
        name = "".join(letter if " " <= letter <= "~" else "?" for letter in name)
        space = columns - 1 - len(bar) - 2
        return f"{bar}  {name[:space]}" if space >= 8 else bar

    def _left(self) -> str:
        if not self._done:
            return ""
        seconds = (self._clock() - self._began) / self._done * (self._total - self._done)
        return f", about {seconds:.0f} s left" if seconds < 120 else f", about {seconds / 60:.0f} min left"

    def _write(self, text: str) -> None:
        try:
            self._stream.write(text)
            self._stream.flush()
        except (OSError, ValueError):  # nobody reads it: no reason to stop an inspection
            self._total, self._live, self._drawn = 0, False, False
