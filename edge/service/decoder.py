"""The ledger's next image in, its pixels out, at most a few images ahead of the networks: the work of the decoder thread."""

from __future__ import annotations

import logging
import shutil
import time
from dataclasses import replace
from typing import Final

from edge import sem
from edge.errors import ImageError, StateFullError, in_words
from edge.folder.file import read_file
from edge.inspection.pipeline import limits_of
from edge.journal import Entry
from edge.records import Micrograph, Source, Timing
from edge.service import patience
from edge.service.shared import Arrival, Decoded
from edge.service.worker import RETRY_S, Worker, printable
from edge.wire.encode import display_path

log = logging.getLogger(__name__)

LEAST_FREE_BYTES: Final = 64 << 20


class Decoder(Worker):
    """Begins one image after another, its attempt counted before anything risky touches the file."""

    name = "decoder"

    def run(self) -> None:
        """Decode what waits, or wait for something."""
        shared = self.shared
        while not shared.stopping.is_set():
            self.beat()
            shared.new_work.clear()
            try:
                entry = self._next_entry()
                # The slow lane: what is compared waits for all that is new, and is one in two while there is a backlog.
                compared = (entry is None or entry.backlog) and not shared.paused.is_set() and self._compare_one()
            except StateFullError as error:
                self.report(str(error))
                shared.stopping.wait(RETRY_S)
                continue
            if entry is not None:
                decoded = self._read(entry)
                if decoded is None:
                    continue
                if decoded.outcome is None:
                    shared.suspect_tried.set()
                    self.hand_over(shared.suspects, decoded, shared.stopping.is_set)
                else:
                    self.hand_over(shared.decoded, decoded, shared.stopping.is_set)
            elif not compared:
                due = shared.arrivals.next_due()
                shared.new_work.wait(1.0 if due is None else min(1.0, max(0.0, due - time.monotonic())))

    def _next_entry(self) -> Entry | None:
        """The ledger's next image, its attempt counted; None when there is nothing to do or nothing may be begun."""
        shared = self.shared
        if shared.paused.is_set() or shared.state_full.is_set() or not shared.models_loaded.is_set():
            return None
        free = shutil.disk_usage(self.journal.folder).free
        if free < LEAST_FREE_BYTES:
            wanted = LEAST_FREE_BYTES >> 20
            self.report(f"less than {wanted} MiB are free where the state lies: images wait until there is room")
            return None
        self.journal.ledger.resume(shared.arrivals.take_due(time.monotonic()))
        entry = None
        for first in self.journal.ledger.waiting(limit=1, suspects=not shared.suspect_tried.is_set()):
            shared.begun.add([first.path])
            entry = self.journal.ledger.begin(first.path)
        self.report(None)
        return entry

    def _read(self, entry: Entry) -> Decoded | None:
        """Read and decode one image; None when it is held, because more may come, or is what was inspected last."""
        path = self.folder / entry.path
        arrival = self.shared.arrivals.take(entry.path)
        source = Source(display_path(path.name), display_path(entry.path), None, entry.revision, entry.run)
        started = time.perf_counter()
        spent = Timing(wait=(time.monotonic() - arrival.changed_at) * 1e3)
        outcome: tuple[Micrograph, ...] | ImageError
        content = data = None
        if entry.attempts > 1:
            return Decoded(entry, source, None, spent, arrival)
        try:
            limits = limits_of(self.settings)
            patient = patience.may_be_read_soon(self.settings.watch, arrival)
            file = read_file(path, limits.max_bytes, within=self.folder, needs_sidecars=patient)
            source, content, data = replace(source, sha256=file.sha256), file.content_sha256, file.data
            if entry.run == 1 and content == entry.content:
                self._pass_over(entry)
                return None
            if self._hold(entry, arrival, patience.before_decoding(self.settings.watch, arrival, file, source.name)):
                return None
            read = time.perf_counter()
            spent = replace(spent, read=(read - started) * 1e3)
            outcome = sem.read(file.data, source.name, file.sidecars, limits, self.settings.inspect.pixel_size_nm)
            spent = replace(spent, decode=(time.perf_counter() - read) * 1e3)
        except ImageError as error:
            outcome = error
        except Exception as error:  # a defect in a reader must cost this image alone
            log.exception("%s: reading it failed", printable(entry.path))
            outcome = ImageError("internal", f"reading it failed: {in_words(error)}")
        if self.wait_for_reading(entry.path, arrival, outcome):
            return None
        if self._hold(entry, arrival, patience.after_decoding(self.settings.watch, arrival, outcome, data or b"")):
            return None
        return Decoded(entry, source, outcome, spent, arrival, content)

    def _hold(self, entry: Entry, arrival: Arrival, until: float | None) -> bool:
        """Give the image back until then, monotonic seconds; False when that is over, or nothing is waited for."""
        if until is None or until <= time.monotonic() or entry.run > 1:
            return False
        log.debug("%s: it may still grow: waiting for up to %.1f s", printable(entry.path), until - time.monotonic())
        self.hold(entry.path, arrival, until)
        return True

    def _pass_over(self, entry: Entry) -> None:
        """To the byte what was inspected last: touched, restored or mounted anew. No verdict is due."""
        log.info("%s: its content is the one that was inspected before", printable(entry.path))
        self.store(lambda: self.journal.ledger.unchanged(entry.path))
        self.shared.begun.discard([entry.path])

    def _compare_one(self) -> bool:
        """Compare the content of one file whose marks are new with what was inspected; False when there is none."""
        suspected = self.shared.suspected.take()
        if suspected is None:
            return False
        path, fingerprint = suspected
        try:
            file = read_file(self.folder / path, limits_of(self.settings).max_bytes, within=self.folder)
        except Exception as error:  # whatever is wrong with it, it is met when it is inspected
            if self.folder_is_away(error):
                self.shared.suspected.add(path, fingerprint)
                return False
            log.debug("%s: it could not be compared", printable(path), exc_info=True)
            return True
        if (file.size, file.mtime_ns) != (fingerprint.size, fingerprint.mtime_ns):
            return True  # It changed since; the scanner sees that.
        found = self.journal.ledger.compare(path, fingerprint, file.content_sha256)
        if found == "later":
            self.shared.suspected.add(path, fingerprint)
            return False
        if found == "changed":
            log.info("%s: it has its old size and date, and other content", printable(path))
        return True
