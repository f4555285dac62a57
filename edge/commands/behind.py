"""Work on what was inspected in; it is done in order, beside the next inspection, and what it has to say is said in between."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Final

from edge.commands.ahead import cores

Said = Callable[[], None]
BEHIND: Final = 2
"""Images that may wait to be drawn and written."""


class Behind:
    """One thread that writes, while this one inspects; where there is one core, this one does both.

    What a piece of work returns is called by this thread, in order: only one thread prints. What it raises is raised here, by
    `add` or at the end. Also where Ctrl-C ended the inspections, what was inspected is written and said.
    """

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="write-behind") if cores() > 1 else None
        self._waiting: deque[Future[Said]] = deque()

    def __enter__(self) -> Behind:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            while self._waiting:
                self._say_next()
        finally:
            if self._thread:
                self._thread.shutdown(cancel_futures=True)

    def add(self, work: Callable[[], Said], *, large: bool = False) -> None:
        """Do this after what was added before; waits where too much is behind, and for all of it where this one is large."""
        if not self._thread:
            work()()
            return
        self._waiting.append(self._thread.submit(work))
        while self._waiting and (self._waiting[0].done() or len(self._waiting) > BEHIND or large):
            self._say_next()

    def _say_next(self) -> None:
        self._waiting.popleft().result()()
