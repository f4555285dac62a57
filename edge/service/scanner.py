"""The watched folder in, finished files in the journal's ledger out: the work of the scanner thread.

It opens no file. Whatever is wrong with one is met by the decoder, after its attempt was counted.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from typing import Final

from edge.config import Settings
from edge.errors import StateFullError
from edge.folder.events import FolderEvents
from edge.folder.reach import require, unreached
from edge.folder.scan import FolderGone, Sighting, Stamp, scan
from edge.folder.settle import Finished, Settler
from edge.journal import Journal
from edge.records import Fingerprint
from edge.service.known import Known
from edge.service.shared import Arrival, Shared
from edge.service.worker import RETRY_S, Worker, printable

log = logging.getLogger(__name__)

SCANNING_SHARE: Final = 0.1
"""A look at 100,000 files takes seconds: no more than this part of the time goes into looking at everything."""
SLICE: Final = 200
"""So many files are looked at before what events name has its turn again."""
ADMIT_S: Final = 0.5
"""What is finished is admitted at least so often while many are looked at; each time costs a write to the disk."""
SILENT_S: Final = 180.0
"""A look at the folder that takes so long is a reason to doubt the share behind it."""
RETURNS: Final = 3
"""So often a file that was not there when it was to be read is taken for new in the life of a daemon."""
STAND_IN: Final = Fingerprint(0, 0, readable=False)
"""In the ledger for a fingerprint that it cannot hold."""


class Scanner(Worker):
    """Looks at the folder when an event or the clock asks for it, and admits what is finished and new."""

    name = "scanner"

    def __init__(self, settings: Settings, journal: Journal, shared: Shared) -> None:
        super().__init__(settings, journal, shared)
        watch = settings.watch
        self._events = FolderEvents(self.folder, shared.scan_now, recursive=watch.recursive, mode=watch.events)
        self._known = Known(journal.ledger)
        self._settler = Settler(watch.settle_s, watch.incomplete_s, self._known.get)
        self._denied: dict[str, str] = {}
        self._present = partial(require, self.folder, watch.marker, watch.must_be_mount)
        self._there_at_start: set[str] = set()
        self._first_look = True
        self._finished: list[Finished] = []
        self._adopted: dict[str, Fingerprint] = {}
        self._gone: Counter[str] = Counter()
        self._next_admission = 0.0
        self._next_full = 0.0

    def run(self) -> None:
        """Look, admit, wait."""
        settings = self.settings.watch
        scan_now = self.shared.scan_now
        with self._events as events:
            while not self.shared.stopping.is_set():
                self.beat()
                scan_now.clear()
                closed = events.take()
                try:
                    events.check()
                    wait_s = self._look(closed)
                except (FolderGone, StateFullError) as error:
                    self.report(str(error))
                    self.shared.tell_folder(self.name, str(error) if isinstance(error, FolderGone) else None)
                    self._finished.clear()  # they are seen again
                    self._next_full = 0.0
                    scan_now.wait(min(settings.rescan_s, RETRY_S))
                else:
                    self.shared.tell_folder(self.name, None)
                    scan_now.wait(wait_s)

    def _look(self, closed: Mapping[str, Stamp]) -> float:
        """Look at everything or at what can be ready, admit it; how long to wait for the next look, in seconds.

        Everything is looked at now and then, and where that is asked for: by a command, or because a folder came.

        Raises FolderGone or StateFullError.
        """
        settings = self.settings.watch
        started = time.monotonic()
        asked = self.shared.rescan_wanted.is_set()
        self.shared.rescan_wanted.clear()
        full = self._events.unnamed() or asked or started >= self._next_full
        if full:
            self._look_at_everything(closed)
        else:
            self._look_at(self._settler.due(started) | set(closed), closed)
        if self.shared.stopping.is_set():
            return 0.0
        self.report(unreached(self._denied))
        now = time.monotonic()
        if full:
            self._next_full = now + max(settings.rescan_s, min((now - started) / SCANNING_SHARE, SILENT_S / 2))
        next_due = self._settler.next_moment()
        return max(0.0, min(self._next_full, self._next_full if next_due is None else next_due) - now)

    def _look_at_everything(self, closed: Mapping[str, Stamp]) -> None:
        """All of the folder. What is there at the first look, and was not closed since listening began, is backlog."""
        self._present()
        sightings = self._sightings()
        if self._first_look and self.journal.ledger.first_start and self._ignore_existing(sightings):
            self._first_look = False
            return
        seen = self._take_in_all(sightings, closed, first=self._first_look)
        if not self.shared.stopping.is_set():
            self._first_look = False
            self._settler.forget_all_but(seen)
            self._events.keep_opened(self._settler.awaited())

    def _look_at(self, paths: Collection[str], closed: Mapping[str, Stamp], *, urgent: bool = False) -> set[str]:
        """These paths alone; those of them that are awaited. urgent: nothing else goes before them."""
        sightings = self._sightings(paths)
        seen = self._take_in_all(sightings, closed, urgent=urgent)
        if not self.shared.stopping.is_set():
            self._settler.forget(set(paths) - seen)
        return seen

    def _sightings(self, only: Collection[str] | None = None) -> Iterator[Sighting]:
        watch = self.settings.watch
        return scan(self.folder, watch.patterns, watch.recursive, only=only, denied=self._denied, present=self._present)

    def _take_in_all(
        self, sightings: Iterator[Sighting], closed: Mapping[str, Stamp], *, first: bool = False, urgent: bool = False
    ) -> set[str]:
        """Take in and admit sightings slice by slice; what events name in the meantime goes first.

        The paths seen that are still awaited: of very many files that are known, nothing is kept.
        """
        seen: set[str] = set()
        while (part := list(islice(sightings, SLICE))) and not self.shared.stopping.is_set():
            self._take_in(part, closed, first=first)
            seen.update(one.path for one in part if one.path in self._settler.awaited())
            if not urgent and (newer := self._events.take()):
                seen |= self._look_at(newer.keys(), newer, urgent=True)
        self._admit()
        return seen

    def _ignore_existing(self, sightings: Iterator[Sighting]) -> bool:
        """At the very first start: whether what lies in the folder is to be ignored, and now is."""
        if self.settings.watch.existing != "ignore":
            self.journal.ledger.admit_many([])
            return False
        there = {sighting.path: sighting.fingerprint for sighting in sightings}
        self._enter(list(there.items()), ignore=True)
        log.info("%d files that are there already are ignored, as watch.existing says", len(there))
        return True

    def _take_in(self, part: Sequence[Sighting], closed: Mapping[str, Stamp], *, first: bool) -> None:
        """What is finished of some sightings waits to be admitted, for no longer than `ADMIT_S`."""
        self.beat()
        now = time.monotonic()
        self._forget_gone()
        known = self._known
        known.look_up([sighting.path for sighting in part])
        if first:
            new = (one.path for one in part if known.get(one.path) != one.fingerprint)
            self._there_at_start.update(path for path in new if path not in closed)
        for sighting in part:
            self._compare_marks(sighting)
        if not self._finished:
            self._next_admission = now + ADMIT_S
        self._finished += self._settler.observe(part, now, closed, self._events.opened())
        if now >= self._next_admission:
            self._admit()

    def _forget_gone(self) -> None:
        """What was not there when it was to be read is new if it is seen again, a few times: some names never open."""
        gone = self.shared.gone.all()
        self.shared.gone.discard(gone)
        for path in gone:
            self._gone[path] += 1
            if self._gone[path] <= RETURNS:
                self._known.let_go(path)
            else:
                self._known.hold_as_readable(path)

    def _compare_marks(self, sighting: Sighting) -> None:
        """Have the content compared where fingerprint and content need not agree: see `Fingerprint.marks`."""
        path, seen = sighting.path, sighting.fingerprint
        known = self._known.get(path)
        if known is None or known != seen or sighting.kind != "file" or known.marks == seen.marks:
            return
        self._known.hold(path, seen)
        moved = known.inode != seen.inode and not self._events.network
        if known.ctime_ns is None or not (known.ctime_ns != seen.ctime_ns or moved):
            self._adopted[path] = seen
            return
        self.shared.suspected.add(path, seen)
        self.shared.new_work.set()

    def _admit(self) -> None:
        """Enter what is finished into the ledger; what was there at the start as backlog."""
        adopted, self._adopted = self._adopted, {}
        self.journal.ledger.adopt(adopted.items())
        finished, self._finished = self._finished, []
        for old in (False, True):
            batch = [one for one in finished if (one.sighting.path in self._there_at_start) == old]
            if not batch:
                continue
            self.shared.arrivals.put({one.sighting.path: self._arrival(one, old) for one in batch})
            self._enter([(one.sighting.path, one.sighting.fingerprint) for one in batch], backlog=old)
            self._there_at_start.difference_update(one.sighting.path for one in batch)
            self.shared.new_work.set()

    def _arrival(self, finished: Finished, there_at_start: bool) -> Arrival:
        settings = self.settings.watch
        longest_s = max(settings.incomplete_s, settings.sidecar_wait_s)
        old = there_at_start and time.time() - finished.sighting.mtime_ns / 1e9 > longest_s
        return Arrival(finished.since, finished.closed, old)

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
            for path, fingerprint in batch:
                log.exception("%s: the ledger cannot hold its fingerprint", printable(path))
                ledger.admit(path, STAND_IN, backlog=backlog, ignore=ignore)
                self._known.hold(path, fingerprint)
