"""Inspections in, verdicts in the journal and then pictures beside it out: the work of the recorder thread.

It works beside the next image's networks, since encoding, the disk and drawing take as long as they do.
"""

from __future__ import annotations

import logging
import queue
import time
from collections.abc import Callable, Sequence

from edge.config import Settings
from edge.errors import ImageError, StateError, in_words
from edge.folder.file import FileGoneError
from edge.journal import Entry, Journal, Verdict
from edge.records import Inspection, Source
from edge.service.messages import VerdictEncoder
from edge.service.pictures import draw
from edge.service.shadow_child import Judged
from edge.service.shared import Shared
from edge.service.worker import Worker, printable
from edge.sinks.sink import Sink
from edge.wire.channel import Channel

log = logging.getLogger(__name__)


class Recorder(Worker):
    """Stores each verdict with all its messages in one transaction.

    channels: wire formats beside the contract's JSON, and sinks. Their `on_verdict` is called in this thread, inside the
        transaction, and perhaps again for the same verdict when the disk was full. Their other methods belong to the thread
        that empties their rows.
    on_stored: told of each image's verdicts once they are stored, with the milliseconds since its file was finished.
    """

    name = "recorder"

    def __init__(
        self,
        settings: Settings,
        journal: Journal,
        shared: Shared,
        channels: Sequence[Channel | Sink] = (),
        on_stored: Sequence[Callable[[list[Inspection] | ImageError, float], None]] = (),
    ) -> None:
        super().__init__(settings, journal, shared)
        self._channels, self._on_stored = tuple(channels), tuple(on_stored)

    def run(self) -> None:
        """Record until the inspector has ended and nothing of it is left."""
        shared = self.shared
        while True:
            self.beat()
            try:
                inspected = shared.inspected.get(timeout=0.2)
            except queue.Empty:
                if shared.inspector_ended.is_set():
                    return
                continue
            self._record(inspected.entry, inspected.source, inspected.outcome, inspected.content)
            latency_ms = (time.monotonic() - inspected.changed_at) * 1e3
            shared.figures.latencies.add(latency_ms)
            for tell in self._on_stored:
                tell(inspected.outcome, latency_ms)

    def _record(self, entry: Entry, source: Source, outcome: list[Inspection] | ImageError, content: str | None = None) -> None:
        """Store the verdict with its messages; then draw its pictures, which nobody who waits for the verdict waits for."""
        epoch = self.journal.epoch
        encoder = VerdictEncoder(self.settings, epoch, self._channels)
        inspections = outcome if self.settings.mqtt.overlay and not isinstance(outcome, ImageError) else []
        pictures = {encoder.picture_name(entry, inspection): inspection for inspection in inspections}
        make = encoder.verdicts(entry, source, outcome)
        made: list[Verdict] = []

        def make_in_this_epoch(seq: int) -> Sequence[Verdict]:
            if self.journal.epoch != epoch:  # the broker showed meanwhile that the state is an old copy
                raise _RenewedError
            made[:] = make(seq)
            return made

        gone = isinstance(outcome, FileGoneError)
        # Before the outbox names them: an overlay whose picture is neither there nor drawn is not sent.
        self.shared.being_drawn.add(pictures)
        try:
            seen = None if isinstance(outcome, ImageError) else content
            seqs = self.store(lambda: self.journal.ledger.conclude(entry.path, make_in_this_epoch, seen, gone=gone))
        except StateError:
            raise
        except _RenewedError:
            self.shared.being_drawn.discard(pictures)
            self._record(entry, source, outcome, content)
            return
        except Exception as error:  # a defect in encoding must cost this image alone
            if isinstance(outcome, ImageError):
                raise
            log.exception("%s: its verdict cannot be told", printable(entry.path))
            self.shared.being_drawn.discard(pictures)
            self._record(entry, source, ImageError("internal", f"its verdict cannot be told: {in_words(error)}"))
            return
        if seqs is None:
            return
        if gone:
            self.shared.gone.add([entry.path])
        self.shared.begun.discard([entry.path])
        self.shared.wake_publishers()
        _log_verdict(entry, outcome, seqs[0])
        for name, inspection in pictures.items():
            draw(self, name, inspection)
        if not isinstance(outcome, ImageError) and entry.attempts <= 1:  # a suspect is shown to nobody else
            for inspection, verdict in zip(outcome, made, strict=True):
                self.shared.offers.offer(judged(inspection, verdict))


def judged(inspection: Inspection, verdict: Verdict) -> Judged:
    """What a candidate may be shown: the page with what was just stored of it."""
    (document,) = (message.payload for message in verdict.messages if message.role == "verdict")
    assert document is not None
    return Judged(verdict.verdict_id, document, inspection.micrograph, inspection.source)


class _RenewedError(Exception):
    """A new epoch began between naming a verdict and storing it: it is named anew."""


def _log_verdict(entry: Entry, outcome: list[Inspection] | ImageError, seq: int) -> None:
    """One line of the log for each verdict."""
    if isinstance(outcome, ImageError):
        log.warning("%s: %s: %s (seq %d)", printable(entry.path), outcome.code, outcome.message, seq)
        return
    for number, inspection in enumerate(outcome, seq):
        severity = f"{inspection.severity.said}, " if inspection.severity else ""
        found = f"{len(inspection.regions)} regions, {inspection.measures.area_fraction:.2%} of the area"
        log.info("%s: %s%s in %.0f ms (seq %d)", printable(entry.path), severity, found, inspection.timing.total, number)
