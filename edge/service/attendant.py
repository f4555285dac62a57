"""What people leave in the state folder in, work for the decoder out; and what they should know beside it.

The work of the attendant thread: it takes up requests, notices a silent microscope, and keeps `problems.json`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from edge import __version__
from edge.config import Settings
from edge.errors import EdgeError, ModelError, ReviewError, StateError, StateFullError
from edge.inspection import taught_shelf
from edge.journal import Journal, page_requests, problems, requests
from edge.journal.page_requests import Answer
from edge.service import reviewed
from edge.service.commands import Commands
from edge.service.cures import cure_of
from edge.service.reports import reasons
from edge.service.shared import Shared
from edge.service.silence import silence
from edge.service.worker import Worker, printable
from edge.wire.command import checked_fields

log = logging.getLogger(__name__)

TURN_S: Final = 0.25
"""A person waits for what a click does."""
MANY: Final = 16
"""When more is asked for at once, new images go first."""
SILENCE_S: Final = 30.0
"""So often it is asked whether the microscope is silent."""


class Attendant(Worker):
    """Stands between the service and those who look after it."""

    name = "attendant"

    def __init__(
        self,
        settings: Settings,
        journal: Journal,
        shared: Shared,
        commands: Commands | None = None,
        connected: Callable[[], bool] = lambda: False,
    ) -> None:
        """commands: what carries out those of the page; one of its own where none is given.  connected: to the broker."""
        super().__init__(settings, journal, shared)
        self._connected = connected
        self._commands = commands or Commands(settings, journal, shared)
        self._told: tuple[dict[str, str], dict[str, Any]] | None = None
        self._unreadable: set[Path] = set()

    def run(self) -> None:
        """Take a turn a few times a second."""
        next_silence = 0.0
        while not self.shared.stopping.is_set():
            self._take_requests()
            self._take_reviews()
            self._take_adaptations()
            self._take_commands()
            if time.monotonic() >= next_silence:
                self.report(silence(self.settings.watch, self.journal, time.time()))
                next_silence = time.monotonic() + SILENCE_S
            self._tell()
            self.shared.stopping.wait(TURN_S)
        problems.remove(self.journal.folder)

    def _take_requests(self) -> None:
        """Have inspected again what one file asks for, so that nothing else waits for many; on a full disk, later."""
        for file in requests.waiting(self.journal.folder):
            if self.shared.stopping.is_set() or file in self._unreadable:
                continue
            try:
                ids = requests.read(file)
            except (OSError, ValueError) as error:
                log.warning("the request %s is not carried out: %s", file, error)
                self._unreadable.add(file)
                requests.remove(file)
                continue
            try:
                self._inspect_again(ids)
            except StateFullError as error:
                log.debug("the request %s waits: %s", file, error)
            else:
                requests.remove(file)
            return

    def _take_reviews(self) -> None:
        """Store the reviews that were handed over; on a full disk, later."""
        for file in requests.reviews_waiting(self.journal.folder):
            if self.shared.stopping.is_set():
                return
            if file in self._unreadable:
                continue
            try:
                reviewed.take(self.journal, self.settings, file.read_bytes(), file.name)
            except (OSError, ReviewError) as error:
                log.warning("a review is not stored: %s", error)
                self._unreadable.add(file)
            except StateFullError as error:
                log.debug("the review %s waits: %s", file, error)
                return
            requests.remove(file)

    def _take_adaptations(self) -> None:
        """Check and keep what was taught on the page; one that does not fit is dropped, and the log says why."""
        for file in page_requests.waiting(self.journal.folder, page_requests.ADAPTATION):
            if self.shared.stopping.is_set() or file in self._unreadable:
                continue
            try:
                taught = taught_shelf.keep(self.journal.folder, file, self.shared.in_use or self.settings)
                log.info("adaptation %s, taught on the page, is kept", taught.sha256)
            except (ModelError, ValueError) as error:
                log.warning("an adaptation of the page is not kept: %s", error)
            except OSError as error:
                log.warning("an adaptation of the page cannot be kept: %s", error)
                self._unreadable.add(file)
            requests.remove(file)

    def _take_commands(self) -> None:
        """Carry out what was clicked, and answer."""
        waiting = page_requests.waiting(self.journal.folder, page_requests.COMMAND)
        if waiting:
            self._take_adaptations()  # the one that is to be used may have come since
        for file in waiting:
            if self.shared.stopping.is_set() or file in self._unreadable:
                continue
            try:
                page_requests.answer(file, self._answer(file))
            except StateError as error:
                log.warning("the page gets no answer: %s", error)
                self._unreadable.add(file)
            requests.remove(file)

    def _answer(self, file: Path) -> Answer:
        """What came of the command in one file."""
        try:
            asked = page_requests.read(file)
            result = self._commands.carry_out(asked.name, checked_fields(asked.name, asked.fields), asked.who)
        except (OSError, ValueError, EdgeError) as error:
            log.warning("a command of the page is refused: %.500s", error)
            return Answer(False, str(error), None)
        log.info("command %r of the page is taken, %r asked", asked.name, asked.who)
        return Answer(True, None, dict(result or {}))

    def _inspect_again(self, verdict_ids: list[str]) -> None:
        """As the command `inspect` does; what waits already is not asked for twice."""
        for verdict_id in verdict_ids:
            entry = self.journal.ledger.again(verdict_id, backlog=len(verdict_ids) > MANY)
            if entry is None:
                log.warning("no verdict %.40r is known: it is not inspected again", verdict_id)
            else:
                log.info("%s is inspected again, as asked (run %d)", printable(entry.path), entry.run)
                self.shared.new_work.set()

    def _tell(self) -> None:
        """Write down why the service is degraded when that has changed."""
        backend, precision = self.shared.figures.runs_on
        now: tuple[dict[str, str], dict[str, Any]] = (
            {reason: cure_of(reason) for reason in reasons(self.shared)},
            {
                "version": __version__,
                "backend": backend,
                "precision": precision,
                "taught": self.shared.figures.taught,
                "paused": self.shared.paused.is_set(),
                "connected": self._connected(),
            },
        )
        if now != self._told and problems.write(self.journal.folder, *now):
            self._told = now
