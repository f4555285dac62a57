"""What every thread of the service does alike: show signs of life, report problems, wait for room on the disk."""

from __future__ import annotations

import logging
import queue
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar, Final, TypeVar

from edge.config import Settings
from edge.errors import ImageError, StateFullError
from edge.folder.reach import is_there
from edge.journal import Journal
from edge.service import patience
from edge.service.shared import Arrival, Shared
from edge.wire.encode import display_path

log = logging.getLogger(__name__)

T = TypeVar("T")

RETRY_S: Final = 5.0


class Worker(ABC):
    """The work of one thread. Its private fields are touched by that thread alone.

    name: of the thread, and its key in the status.
    """

    name: ClassVar[str]

    def __init__(self, settings: Settings, journal: Journal, shared: Shared) -> None:
        self.settings = settings
        self.journal = journal
        self.shared = shared
        self.folder = settings.watch.folder

    @abstractmethod
    def run(self) -> None:
        """Work until `shared.stopping` is set. Whatever escapes ends the process."""

    def beat(self) -> None:
        """A sign of life."""
        self.shared.status.beat(self.name)

    def report(self, problem: str | None) -> None:
        """Why this thread cannot go on for the moment, None when it can again."""
        self.shared.status.report(self.name, problem)

    def store(self, write: Callable[[], T]) -> T | None:
        """The result of `write`, tried until there is room on the disk; None when the service stops before."""
        while True:
            try:
                result = write()
            except StateFullError as error:
                self.report(str(error))
                self.beat()
                if self.shared.stopping.wait(RETRY_S):
                    return None
            else:
                self.report(None)
                return result

    def folder_is_there(self) -> bool:
        """Whether the watched folder can be listed and is the wanted one: a file that is missing may be away with it."""
        watch = self.settings.watch
        return is_there(self.folder, watch.marker, watch.must_be_mount)

    def folder_is_away(self, outcome: object) -> bool:
        """Whether an image cannot be read because the whole folder is away, as when a share is unmounted."""
        return isinstance(outcome, ImageError) and outcome.code == "unreadable" and not self.folder_is_there()

    def wait_for_reading(self, path: str, arrival: Arrival, outcome: object) -> bool:
        """Give an image back that cannot be read now, where that may pass: the folder is away, or the file is busy."""
        if self.folder_is_away(outcome):
            until: float | None = time.monotonic() + RETRY_S
        else:
            until, refused = patience.while_busy(self.settings.watch, arrival, outcome)
            if until is not None and arrival.refused_at is None:
                log.info("%s: it is tried again for %g s: %s", printable(path), self.settings.watch.incomplete_s, outcome)
            arrival = refused
        if until is None:
            return False
        self.hold(path, arrival, until)
        return True

    def hold(self, path: str, arrival: Arrival, until: float) -> None:
        """Give an image back that was begun; it is not begun again before `until`, monotonic seconds, unless it changes."""
        self.shared.arrivals.hold(path, arrival, until)
        self.store(lambda: self.journal.ledger.hold(path))
        self.shared.begun.discard([path])
        self.shared.new_work.set()

    def hand_over(self, to: queue.Queue[T], item: T, given_up: Callable[[], bool]) -> None:
        """Put `item` into a bounded queue, waiting for room in it until `given_up`."""
        while not given_up():
            try:
                to.put(item, timeout=0.2)
                return
            except queue.Full:
                self.beat()


def printable(path: str) -> str:
    """A path on one line of the log."""
    return display_path(path).encode("unicode_escape").decode() if not path.isprintable() else path
