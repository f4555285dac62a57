"""A folder of results in, the right to write there out: one run at a time, and nothing more from a run that was killed.

Its workers may live on for seconds. So each run leaves a word of its own in the file `turn`, and they look at it.
"""

from __future__ import annotations

import os
import time
import uuid
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from edge.errors import ConfigError

try:
    import fcntl
except ModuleNotFoundError:  # Windows
    fcntl = None  # type: ignore[assignment]

FILE: Final = "turn"
_LOOK_S: Final = 0.05


class Turn:
    """The right of one run, held while its block lasts and given back by the system where the process is killed.

    word: what this run's workers find in the file while the turn is theirs.
    """

    def __init__(self, out: Path) -> None:
        """Take it. Raises ConfigError when another run has it, OSError when the file cannot be written."""
        self.word = uuid.uuid4().hex
        self._descriptor = os.open(out / FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            if not take(self._descriptor, patience_s=0):
                raise ConfigError(f"another edge-archive inspect writes to {out}: wait for it, or name another folder")
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, self.word.encode("ascii"), 0)
            os.fsync(self._descriptor)
        except BaseException:
            os.close(self._descriptor)
            raise

    def __enter__(self) -> Turn:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        os.close(self._descriptor)


def is_turn(out: Path, word: str) -> bool:
    """Whether it is still the turn of the run with this word. Raises OSError."""
    return (out / FILE).read_text(encoding="ascii", errors="replace") == word


def take(file: Any, *, patience_s: float) -> bool:
    """Lock an open file (or a descriptor) until it is closed; False where another process holds it all that time.

    A file system that knows no locks gives it to everyone: `is_turn` must do there.
    """
    if fcntl is None:
        return True
    until = time.monotonic() + patience_s
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= until:
                return False
            time.sleep(_LOOK_S)
        except OSError:
            return True
        else:
            return True
