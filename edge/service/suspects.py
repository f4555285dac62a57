"""Images that were begun and not finished in, what a child process finds of them out: the work of the suspects thread.

It has a thread of its own, so that no new image waits for one that kills or hangs. One is tried at a time.
"""

from __future__ import annotations

import logging
import queue
import time
from dataclasses import replace

from edge.errors import ImageError
from edge.journal import Entry
from edge.records import Inspection, Source
from edge.service import isolated, patience
from edge.service.shared import Decoded, Inspected
from edge.service.worker import Worker, printable

log = logging.getLogger(__name__)


class Suspects(Worker):
    """Has each inspected where a death costs nothing and is seen; a few deaths make a failure."""

    name = "suspects"

    def run(self) -> None:
        """Take one after another until stopped."""
        shared = self.shared
        while not shared.stopping.is_set():
            try:
                suspect = shared.suspects.get(timeout=0.2)
            except queue.Empty:
                continue
            inspected = self._inspect(suspect)
            if inspected is not None:
                self.hand_over(shared.inspected, inspected, shared.stopping.is_set)
            shared.suspect_tried.clear()
            shared.new_work.set()

    def _inspect(self, suspect: Decoded) -> Inspected | None:
        """What came of one; None when that was stopped, has to be tried again, or is better waited for."""
        patient = patience.may_be_read_soon(self.settings.watch, suspect.arrival)
        outcome, source = self._outcome(suspect.entry, suspect.source, patient)
        if outcome is None or self._hold(suspect, outcome):
            return None
        return Inspected(suspect.entry, source, outcome, suspect.arrival.changed_at)

    def _hold(self, suspect: Decoded, outcome: list[Inspection] | ImageError) -> bool:
        """Whether what came of a suspect is better waited for, as the decoder waits for others; then it is held."""
        if self.wait_for_reading(suspect.entry.path, suspect.arrival, outcome):
            return True
        until = patience.after_decoding(self.settings.watch, suspect.arrival, outcome)
        if until is None or until <= time.monotonic() or suspect.entry.run > 1:
            return False
        self.hold(suspect.entry.path, suspect.arrival, until)
        return True

    def _outcome(
        self, entry: Entry, source: Source, needs_sidecars: bool
    ) -> tuple[list[Inspection] | ImageError | None, Source]:
        """What the child found, with what is known of the source by then."""
        stopping = self.shared.stopping.is_set
        path = self.folder / entry.path
        child = isolated.inspect_in_child(
            self.shared.in_use or self.settings, path, source, needs_sidecars=needs_sidecars, given_up=stopping
        )
        if child is None or stopping():
            return None, source
        if isinstance(child, isolated.Refused):
            return child.error, replace(source, sha256=child.sha256)
        if not isinstance(child, isolated.Died):
            return child, source
        deaths = entry.deaths + 1
        log.warning("%s: inspecting it killed the process (%s)", printable(entry.path), child.how)
        if deaths >= isolated.DEATHS:
            return ImageError("crashed", f"inspecting it killed the process {deaths} times ({child.how})"), source
        self.store(lambda: self.journal.ledger.died(entry.path))
        self.shared.begun.discard([entry.path])
        return None, source
