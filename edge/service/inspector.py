"""Decoded images in, inspections out: the work of the inspector thread, which opens the models and owns them."""

from __future__ import annotations

import logging
import queue
import threading
from itertools import zip_longest
from typing import Final

import numpy as np

from edge.backends import table
from edge.backends.server import Remote
from edge.config import Settings
from edge.errors import BackendError, ConfigError, EdgeError, ImageError, in_words
from edge.fleet.release import SHORT
from edge.fleet.shelf import Shelf
from edge.inspection import parity
from edge.inspection.pipeline import Pipeline, remembering
from edge.journal import Journal
from edge.records import Inspection, Micrograph, Source, Timing
from edge.samples import smallest_sample
from edge.service import gate, gpu
from edge.service.pictures import MissingPictures
from edge.service.shared import Decoded, Inspected, Shared
from edge.service.worker import Worker, printable

log = logging.getLogger(__name__)

IN_A_ROW: Final = 8
"""So many new images are inspected before one missing picture is drawn, which takes as long as one of them."""
BLANK: Final = Micrograph(np.zeros((64, 64), np.uint8), 64, 64)


class Inspector(Worker):
    """Runs the networks. A network that is broken ends the process; any other defect costs one image."""

    name = "inspector"

    def __init__(self, settings: Settings, journal: Journal, shared: Shared) -> None:
        super().__init__(settings, journal, shared)
        self._shelf = Shelf(settings.state.folder)
        self._configured = settings
        self._put_back: Decoded | None = None
        self._gate: threading.Thread | None = None

    def run(self) -> None:
        """Load the models, then inspect until stopped; in between, draw what an earlier life left undrawn.

        They are opened anew, between two images, when another adaptation or release was chosen or a lower precision passed
        its gate.
        """
        try:
            missing = MissingPictures(self)
            while not self.shared.stopping.is_set():
                self.shared.models_wanted.clear()  # before the choice is read, so that a later one is seen
                with self._pipeline_in_use() as pipeline:
                    self.shared.models_loaded.set()
                    self.shared.status.report("start", None)
                    self.shared.new_work.set()
                    self._inspect_until_stopped(pipeline, missing)
        except BackendError:
            if not self.shared.stopping.is_set():  # else it waited for a server
                raise
        finally:
            self.shared.inspector_ended.set()

    def _inspect_until_stopped(self, pipeline: Pipeline, missing: MissingPictures) -> None:
        """Until stopped, or until other models are wanted; new images first.

        A missing picture is drawn when none waits, and after every few, so that none waits for ever.
        """
        in_a_row = 0
        while not self.shared.stopping.is_set() and not self.shared.models_wanted.is_set():
            self.beat()
            if missing and in_a_row >= IN_A_ROW:
                in_a_row = 0
                missing.draw_next(pipeline)
            try:
                decoded = self._put_back or self.shared.decoded.get(timeout=0.05 if missing else 0.2)
            except queue.Empty:
                in_a_row = IN_A_ROW
                continue
            self._put_back = None
            if self.shared.models_wanted.is_set():  # chosen while this waited for an image: that one is the next
                self._put_back = decoded
                return
            in_a_row += 1
            inspected = self._inspect(pipeline, decoded)
            if inspected is not None:
                self.hand_over(self.shared.inspected, inspected, self.shared.failed.is_set)

    def _pipeline_in_use(self) -> Pipeline:
        """With the models of the release in use, or of the one before it where those do not load. Raises BackendError.

        Those of the configuration are what is there at last; where they do not load, the service ends as without releases.
        """
        left = None
        while self._configured.fleet.source and left is None:
            try:
                standing = self._shelf.standing()
                left = standing.why_back or None
                if standing.active is None:
                    break
                self._shelf.begin_try()
                self._take(self._shelf.settings_in_use(self._configured))
                pipeline = self._working_pipeline()
                self._shelf.prove()
            except (EdgeError, ValueError, OSError) as error:
                if self.shared.stopping.is_set():
                    raise BackendError(f"stopped while the models were opened: {error}") from error
                if isinstance(error, BackendError | ConfigError) and self._shelf.standing().unproven_tries is None:
                    raise  # these models have run here: it is not for them to go
                left = self._leave_release(str(error))
            else:
                self._models_run(left)
                return pipeline
        self._take(self._configured)
        pipeline = self._working_pipeline()
        self._models_run(left)
        return pipeline

    def _leave_release(self, why: str) -> str | None:
        """Go back by itself, None; where even that cannot be, why the configuration's models are to run."""
        try:
            left = self._shelf.standing().active
            self._shelf.rollback(why=f"release {left and left[:SHORT]} was left: {why}")
        except (EdgeError, ValueError, OSError) as error:
            return f"{why}; {error}"
        self.shared.shelf_changed.set()
        return None

    def _models_run(self, left: str | None) -> None:
        """Tell who asks for them which models run, and in the status why it is not the release that was switched to."""
        self.shared.in_use = self.settings
        self.shared.status.report("release", f"the chosen models are not used: {left}" if left else None)

    def _take(self, settings: Settings) -> None:
        """Run these from now on. Another network has a gate of its own to pass."""
        if settings.models != self.settings.models:
            self._gate = None
        self.settings = settings

    def _working_pipeline(self) -> Pipeline:
        """The pipeline in the precision that passed its gate, or in float32 where that no longer runs. Raises BackendError."""
        if lost := gpu.lost(self.settings, self.journal.folder):
            self._go_on_without_gpu(lost)
        precision, why = parity.gated_precision(self.settings, self.journal.folder, may_run=False)
        if self._gate is None and parity.is_undecided(self.settings, self.journal.folder):
            shared = self.shared
            self._gate = gate.begin(self.settings, self.journal.folder, shared.stopping.is_set, shared.models_wanted.set)
            why = "a lower precision is compared with it meanwhile"
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
        self.shared.figures.taught = models.taught_sha256
        untaught = pipeline.untaught
        self.shared.status.report("taught", f"the chosen adaptation is not used: {untaught}" if untaught else None)
        log.info("models run on %s in %s: %s", models.backend, models.precision, why)
        return pipeline

    def _go_on_without_gpu(self, why: str) -> None:
        """Rather slowly than not at all: on the next backend, and degraded until a restart finds the GPU."""
        self.shared.status.report("gpu", f"gpu_lost: {why}")
        self.settings, self._configured = (
            one.model_copy(update={"models": one.models.model_copy(update={"backend": table.AUTO})})
            for one in (self.settings, self._configured)
        )

    def _tried_pipeline(self, precision: str) -> Pipeline:
        """One that has inspected a blank image and the smallest shipped one.

        A library that loads but cannot run must end the service before any image is blamed for it. And what is compiled
        at its first use should not make the first image wait.
        """
        remote = Remote(self.settings.kserve, self._server_is_away, self._waits_on)
        open_network = remembering(self.settings, self.journal.folder, remote)
        pipeline = Pipeline(self.settings, precision=precision, open_network=open_network)
        try:
            for tried in (BLANK, smallest_sample()):
                pipeline.inspect(tried, Source("sample", "sample", None))
        except BaseException:
            pipeline.close()
            raise
        return pipeline

    def _server_is_away(self, why: str | None) -> bool:
        """Say so in the status, or that it is back; wait for it until stopped. Called by any thread."""
        self.shared.status.report("kserve", why)
        return self._waits_on()

    def _waits_on(self) -> bool:
        """Whether to wait for the server; a sign of life each time. Called by any thread."""
        self.beat()
        return not self.shared.stopping.is_set()

    def _inspect(self, pipeline: Pipeline, decoded: Decoded) -> Inspected | None:
        """Inspect one image; None when that was stopped."""
        outcome: list[Inspection] | ImageError | None
        if isinstance(decoded.outcome, ImageError):
            outcome = decoded.outcome
        else:
            assert decoded.outcome is not None
            outcome = self._inspect_pages(pipeline, decoded.outcome, decoded.source, decoded.spent)
        if outcome is None:
            return None
        return Inspected(decoded.entry, decoded.source, outcome, decoded.arrival.changed_at, decoded.content)

    def _inspect_pages(
        self, pipeline: Pipeline, pages: tuple[Micrograph, ...], source: Source, spent: Timing
    ) -> list[Inspection] | ImageError | None:
        each = spent.shared_by(len(pages))
        inspections = []
        try:
            for page, following in zip_longest(pages, pages[1:]):
                if self.shared.stopping.is_set():
                    return None
                self.beat()
                inspections.append(pipeline.inspect(page, source, spent=each, following=following))
                models = inspections[-1].models
                self.shared.figures.runs_on = (models.backend, models.precision)
        except BackendError:
            if self.shared.stopping.is_set():  # it waited for a server
                return None
            raise  # the network itself is broken: the process starts anew
        except Exception as error:  # a defect of ours must cost this image alone
            log.exception("%s: inspecting it failed", printable(source.path))
            return ImageError("internal", f"inspecting it failed: {in_words(error)}")
        return inspections
