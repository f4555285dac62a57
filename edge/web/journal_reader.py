"""A state folder in, its journal for reading out, as long as it can be read; opened anew whenever its file is another one."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from edge.errors import StateError
from edge.journal import Journal

T = TypeVar("T")


class JournalReader:
    """Thread-safe. Whatever fails closes the journal, so that nobody waits again for what will not come.

    why: why it cannot be read, None while it can.
    """

    def __init__(self, state: Path) -> None:
        """Touches nothing."""
        self.why: str | None = "the journal was not looked at yet"
        self._state = state
        self._mutex = threading.RLock()
        self._journal: Journal | None = None
        self._stamp: tuple[int, int, int] | None = None

    def open(self) -> None:
        """Open it, anew where it is open. Raises StateError, OSError."""
        stamp = self._file_now()
        journal = Journal.view(self._state)
        with self._mutex:
            self.close(None)
            self._journal, self._stamp, self.why = journal, stamp, None

    def use(self, work: Callable[[Journal], T]) -> T:
        """What `work` makes of it. Raises StateError where it cannot be read."""
        with self._mutex:
            if self._journal is None:
                raise StateError(self.why or "the journal is closed")
            try:
                return work(self._journal)
            except StateError as error:
                self.close(str(error))
                raise

    def rewritten(self) -> bool:
        """Whether the file was written since it was opened: a copy put back in place is told by nothing else.

        Raises StateError where another file stands there, or none.
        """
        now, then = self._file_now(), self._stamp
        if now is None or then is None or now[0] != then[0]:
            raise StateError("the journal was moved away: a new one is waited for")
        return now != then

    def close(self, why: str | None) -> None:
        """Close it. why: told to who asks for it from now on."""
        with self._mutex:
            journal, self._journal, self.why = self._journal, None, why
            if journal is not None:
                journal.close()

    def _file_now(self) -> tuple[int, int, int] | None:
        """Which file it is, how long, and when it was written."""
        try:
            found = (self._state / "journal.sqlite3").stat()
        except OSError:  # why, says who opens it
            return None
        return found.st_ino, found.st_size, found.st_mtime_ns
