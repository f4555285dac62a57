"""Decoded images in, inspections out: the work of the inspector thread, which opens the models and owns them."""

from __future__ import annotations

import logging
import queue
import time
from dataclasses import replace
from typing import Final

import numpy as np

from edge.backends import table
from edge.errors import BackendError, ImageError
from edge.inspection import parity
from edge.inspection.pipeline import Pipeline
from edge.journal import Entry
from edge.records import Inspection, Micrograph, Source, Timing
from edge.samples import sample_micrographs
from edge.service import gpu, isolated, patience
from edge.service.pictures import MissingPictures
from edge.service.shared import Decoded, Inspected
from edge.service.worker import RETRY_S, Worker, printable

log = logging.getLogger(__name__)

IN_A_ROW: Final = 8
"""So many new images are inspected before one missing picture is drawn, which takes as long as one of them."""
BLANK: Final = Micrograph(np.zeros((64, 64), np.uint8), 64, 64)


class Inspector(Worker):
    """Runs the networks. A network that is broken ends the process; any other defect costs one image."""

    name = "inspector"

    def run(self) -> None:
        """Load the models, then inspect until stopped; in between, draw what an earlier life left undrawn."""
        try:
            with self._working_pipeline() as pipeline:
                self.shared.models_loaded.set()
                self.shared.status.report("start", None)
                self.shared.new_work.set()
                self._inspect_until_stopped(pipeline, MissingPictures(self, pipeline))
        finally:
            self.shared.inspector_ended.set()

    def _inspect_until_stopped(self, pipeline: Pipeline, missing: MissingPictures) -> None:
        """New images first. A missing picture is drawn when none waits, and after every few, so that none waits for ever."""
        in_a_row = 0
        while not self.shared.stopping.is_set():
            self.beat()
            if missing and in_a_row >= IN_A_ROW:
                in_a_row = 0
                missing.draw_next()
            try:
                decoded = self.shared.decoded.get(timeout=0.05 if missing else 0.2)
            except queue.Empty:
                in_a_row = IN_A_ROW
                continue
            in_a_row += 1
            inspected = self._inspect(pipeline, decoded)
            if inspected is not None:
                self.hand_over(self.shared.inspected, inspected, self.shared.failed.is_set)

    def _working_pipeline(self) -> Pipeline:
        """The pipeline in the precision that passed its gate, or in float32 where that no longer runs. Raises BackendError."""
        if lost := gpu.lost(self.settings, self.journal.folder):
            self._go_on_without_gpu(lost)
        precision, why = parity.gated_precision(self.settings, self.journal.folder)
        try:
            pipeline = self._tried_pipeline(precision)
        except BackendError as error:
            if lost := gpu.lost(self.settings, self.journal.folder):
                self._go_on_without_gpu(lost)
            elif precision == "float32":
                raise
            elif precision == "float16":  # an engine's
                self.shared.status.report("gpu", f"gpu_lost: {error}")
            log.warning("%s does not run, so float32 does: %s", precision, error)
            pipeline, why = self._tried_pipeline("float32"), f"{precision} did not run"
        models = pipeline.models
        self.shared.figures.runs_on = (models.backend, models.precision)
        log.info("models run on %s in %s: %s", models.backend, models.precision, why)
        return pipeline

    def _go_on_without_gpu(self, why: str) -> None:
        """Rather slowly than not at all: on the next backend, and degraded until a restart finds the GPU."""
        self.shared.status.report("gpu", f"gpu_lost: {why}")
        models = self.settings.models.model_copy(update={"backend": table.AUTO})
        self.settings = self.settings.model_copy(update={"models": models})

    def _tried_pipeline(self, precision: str) -> Pipeline:
        """One that has inspected a blank image and a shipped one.

        A library that loads but cannot run must end the service before any image is blamed for it. And what is compiled
        at its first use should not make the first image wait.
        """
        pipeline = Pipeline(self.settings, precision=precision)
        try:
            for tried in (BLANK, *sample_micrographs(1)):
                pipeline.inspect(tried, Source("sample", "sample", None))
        except BaseException:
            pipeline.close()
            raise
        return pipeline

    def _inspect(self, pipeline: Pipeline, decoded: Decoded) -> Inspected | None:
        """Inspect one image; None when that was stopped or has to be tried again."""
        entry, source = decoded.entry, decoded.source
        outcome: list[Inspection] | ImageError | None
        if decoded.outcome is None:
            outcome, source = self._inspect_suspect(entry, source)
        elif isinstance(decoded.outcome, ImageError):
            outcome = decoded.outcome
        else:
            outcome = self._inspect_pages(pipeline, decoded.outcome, source, decoded.spent)
        if outcome is None or (decoded.outcome is None and self._hold(decoded, outcome)):
            return None
        return Inspected(entry, source, outcome, decoded.arrival.changed_at, decoded.content)

    def _hold(self, suspect: Decoded, outcome: list[Inspection] | ImageError) -> bool:
        """Whether what came of a suspect is better waited for, as the decoder waits for others; then it is held."""
        until = patience.after_decoding(self.settings.watch, suspect.arrival, outcome)
        if isinstance(outcome, ImageError) and outcome.code == "unreadable" and not self.folder_is_there():
            until = time.monotonic() + RETRY_S
        elif until is None or until <= time.monotonic() or suspect.entry.run > 1:
            return False
        self.hold(suspect.entry.path, suspect.arrival, until)
        return True

    def _inspect_suspect(self, entry: Entry, source: Source) -> tuple[list[Inspection] | ImageError | None, Source]:
        """The outcome for an image that was begun and not finished, with what is known of its source by then."""
        child = isolated.inspect_in_child(self.settings, self.folder / entry.path, source)
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
        self.shared.new_work.set()
        return None, source

    def _inspect_pages(
        self, pipeline: Pipeline, pages: tuple[Micrograph, ...], source: Source, spent: Timing
    ) -> list[Inspection] | ImageError | None:
        each = spent.shared_by(len(pages))
        inspections = []
        try:
            for page in pages:
                if self.shared.stopping.is_set():
                    return None
                self.beat()
                inspections.append(pipeline.inspect(page, source, spent=each))
        except BackendError:
            raise  # the network itself is broken: the process starts anew
        except Exception as error:  # a defect of ours must cost this image alone
            log.exception("%s: inspecting it failed", printable(source.path))
            return ImageError("internal", f"inspecting it failed: {error!r}")
        return inspections
