"""The watched folder in, finished files in the journal's ledger out: the work of the scanner thread."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Final

from edge import sem
from edge.config import Settings
from edge.errors import ImageError, StateFullError
from edge.folder.events import FolderEvents
from edge.folder.file import read_file
from edge.folder.reach import require, unreached
from edge.folder.scan import FolderGone, Sighting, Stamp, Wait, is_image, scan
from edge.folder.settle import Settler
from edge.inspection.pipeline import limits_of
from edge.journal import Journal
from edge.records import Fingerprint
from edge.service.shared import Shared
from edge.service.worker import RETRY_S, Worker, printable

log = logging.getLogger(__name__)

SCANNING_SHARE: Final = 0.1
"""A look at 100,000 files takes seconds: no more than this part of the time goes into looking at everything."""
ADMIT_S: Final = 1.0
"""Finished files are admitted at least so often while many are looked at."""
SILENT_S: Final = 180.0
"""A look at the folder that takes so long is a reason to doubt the share behind it."""
ZERO_TAIL_S: Final = 5.0
"""A real detector writes black rows too, so zeros at the end are not waited for as long as a missing end."""
STAND_IN: Final = Fingerprint(0, 0, readable=False)
"""In the ledger for a fingerprint that it cannot hold."""


class Scanner(Worker):
    """Looks at the folder when an event or the clock asks for it, and admits what is finished and new."""

    name = "scanner"

    def __init__(self, settings: Settings, journal: Journal, shared: Shared) -> None:
        super().__init__(settings, journal, shared)
        self._known: dict[str, Fingerprint] = {}
        self._settler = Settler(settings.watch.settle_s, self._known.get)
        self._denied: dict[str, str] = {}
        self._present = partial(require, self.folder, settings.watch.marker, settings.watch.must_be_mount)
        self._backlog: set[str] = set()
        self._first = journal.ledger.first_start
        self._next_full = 0.0

    def run(self) -> None:
        """Look, admit, wait."""
        settings = self.settings.watch
        self._known.update({path: entry.fingerprint for path, entry in self.journal.ledger.entries().items()})
        scan_now = self.shared.scan_now
        with FolderEvents(self.folder, scan_now, recursive=settings.recursive, mode=settings.events) as events:
            while not self.shared.stopping.is_set():
                self.beat()
                woken = scan_now.is_set()
                scan_now.clear()
                closed = events.take()
                try:
                    events.check()
                    wait_s = self._look(woken, closed)
                except (FolderGone, StateFullError) as error:
                    self.report(str(error))
                    self._next_full = 0.0
                    scan_now.wait(min(settings.rescan_s, RETRY_S))
                else:
                    scan_now.wait(wait_s)

    def _look(self, woken: bool, closed: Mapping[str, Stamp]) -> float:
        """Look at everything or at what can be ready, admit it; how long to wait for the next look, in seconds.

        Raises FolderGone or StateFullError.
        """
        settings = self.settings.watch
        started = time.monotonic()
        # An event without an image's name (a folder came, a sidecar came, a command) asks for a look at everything.
        full = started >= self._next_full or (woken and not any(is_image(path, settings.patterns) for path in closed))
        only = None if full else self._settler.due(started) | set(closed)
        patterns, denied, present = settings.patterns, self._denied, self._present
        sightings = list(scan(self.folder, patterns, settings.recursive, only=only, denied=denied, present=present))
        looked_s = time.monotonic() - started
        if self._first:
            self._take_first_look(sightings)
            self._first = False
        self._admit_finished(self._settler.observe(sightings, started, closed, partial=not full))
        self.report(unreached(self._denied))
        now = time.monotonic()
        if full:
            self._next_full = now + max(settings.rescan_s, min(looked_s / SCANNING_SHARE, SILENT_S / 2))
        next_due = self._settler.next_moment()
        return max(0.0, min(self._next_full, self._next_full if next_due is None else next_due) - now)

    def _take_first_look(self, sightings: Sequence[Sighting]) -> None:
        """What lay in the folder before the first start: ignored, or inspected after everything new."""
        if self.settings.watch.existing == "ignore":
            there = {sighting.path: sighting.fingerprint for sighting in sightings}
            self._enter(list(there.items()), ignore=True)
            log.info("%d files that are there already are ignored, as watch.existing says", len(there))
            return
        self.journal.ledger.admit_many([])
        self._backlog = {sighting.path for sighting in sightings}

    def _admit_finished(self, ready: Sequence[Sighting]) -> None:
        """Admit what is not worth waiting for; the first ones while the last of many are still being looked at."""
        finished: list[Sighting] = []
        next_admission = time.monotonic() + ADMIT_S
        for sighting in ready:
            if self.shared.stopping.is_set():
                return
            self.beat()
            if not self._awaits_more_safely(sighting):
                finished.append(sighting)
            if time.monotonic() >= next_admission:
                self._admit(finished)
                finished = []
                next_admission = time.monotonic() + ADMIT_S
        self._admit(finished)

    def _awaits_more_safely(self, sighting: Sighting) -> bool:
        """`_awaits_more`; False where looking fails, for then the decoder meets it again, where it is counted and told."""
        try:
            return self._awaits_more(sighting)
        except Exception:  # MemoryError and RecursionError too: one file must cost no other one
            log.warning("%s: looking at its structure failed", printable(sighting.path), exc_info=True)
            return False

    def _awaits_more(self, sighting: Sighting) -> bool:
        """Whether a quiet file is worth waiting for: it is not whole, may still be filled, or may get a sidecar.

        Only its structure is looked at, no pixel is decoded. Each wait happens once for each content.
        """
        settings = self.settings.watch
        longest_s = max(settings.incomplete_s, settings.sidecar_wait_s)
        old = sighting.path in self._backlog and time.time() - sighting.mtime_ns / 1e9 > longest_s
        if sighting.kind != "file" or old:
            return False
        path = self.folder / sighting.path
        try:
            file = read_file(path, limits_of(self.settings).max_bytes, within=self.folder)
        except (ImageError, MemoryError):
            return False  # The decoder meets it again, where it is counted, and says so.
        whole = sem.completeness(file.data)
        waits: list[tuple[Wait, float]] = []
        if whole.state is sem.FileState.INCOMPLETE:
            waits.append(("incomplete", settings.incomplete_s))
        elif whole.state is sem.FileState.ZERO_TAIL:
            waits.append(("zero_tail", min(settings.incomplete_s, ZERO_TAIL_S)))
        if not file.sidecars and settings.sidecar_wait_s and sem.needs_sidecar(file.data, path.name):
            waits.append(("sidecar", settings.sidecar_wait_s))
        for reason, for_s in waits:
            if reason not in sighting.waited and for_s > 0:
                log.debug("%s: %s: waiting for up to %g s", printable(sighting.path), whole.reason or reason, for_s)
                self._settler.defer(sighting.path, sighting.fingerprint, reason, for_s)
                return True
        return False

    def _admit(self, finished: Sequence[Sighting]) -> None:
        """Enter finished files into the ledger; new ones before those that were there at the first start."""
        now = time.monotonic()
        for old in (False, True):
            batch = [(one.path, one.fingerprint) for one in finished if (one.path in self._backlog) == old]
            if not batch:
                continue
            self.shared.settled_at.put((path for path, _ in batch), now)
            self._enter(batch, backlog=old)
            self.shared.new_work.set()

    def _enter(self, batch: Sequence[tuple[str, Fingerprint]], *, backlog: bool = False, ignore: bool = False) -> None:
        """Enter a batch into the ledger; what spoils it for the others goes in alone, under `STAND_IN`.

        Raises StateError when that is the journal's fault.
        """
        ledger = self.journal.ledger
        try:
            ledger.admit_many(batch, backlog=backlog, ignore=ignore)
        except StateFullError:
            raise
        except Exception:
            if len(batch) > 1:
                half = len(batch) // 2
                self._enter(batch[:half], backlog=backlog, ignore=ignore)
                self._enter(batch[half:], backlog=backlog, ignore=ignore)
                return
            for path, _ in batch:
                log.exception("%s: the ledger cannot hold its fingerprint", printable(path))
                ledger.admit(path, STAND_IN, backlog=backlog, ignore=ignore)
        self._known.update(batch)
