"""Images that have their verdict in, what a candidate release says of the same kept: the work of the shadow thread.

The candidate runs in a process of its own that gives way to everything else. Nothing waits for it, and nothing of what it
says leaves this machine but the counts in health.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable
from typing import Final, Literal, TypeVar

from edge.backends import table
from edge.config import Settings
from edge.errors import EdgeError, ModelError, StateError, StateFullError
from edge.fleet.release import SHORT, Release
from edge.fleet.shelf import Shelf
from edge.inspection import memory, parity
from edge.journal import Journal, disk, shadowed
from edge.journal.shadowed import Compared, Seen, Shadowed, Summary
from edge.service.shadow_child import Child, ChildEndedError, Sides
from edge.service.shared import Shared
from edge.service.worker import Worker
from edge.wire.documents import ShadowFields
from edge.wire.encode import shorten

log = logging.getLogger(__name__)

T = TypeVar("T")
State = Literal["loading", "running", "stopped", "given_up"]

CRASHES: Final = 3
"""So many ends in a row, and a candidate is given up."""
AGAIN_S: Final = (2.0, 10.0)
"""Waited for after the first end, and after the second: loading models takes a core for seconds."""
LEAST_FREE_BYTES: Final = 128 << 20
"""With less room on the disk than this a candidate stops, long before an image has to wait."""
LEAST_MEMORY: Final = 512 << 20
"""Bytes that must be free for a candidate to begin; it may take half of what is."""
NOTHING: Final = Summary(0, 0, 0, None, None)
TURN_S: Final = 0.5
STOPPED_TURN_S: Final = 5.0


class _StoppedError(Exception):
    """The candidate cannot run now; the text says why."""


class Shadow(Worker):
    """Shows a candidate what was judged, one image at a time, as long as there is a candidate."""

    name = "shadow"

    def __init__(self, settings: Settings, journal: Journal, shared: Shared) -> None:
        super().__init__(settings, journal, shared)
        self._shelf = Shelf(journal.folder)
        self._in_a_row = 0
        self._seen = NOTHING

    def run(self) -> None:
        """Look for a candidate, run it beside; when it is another one or none, end the process."""
        while not self.shared.stopping.is_set():
            try:
                release = self._shelf.candidate()
            except ModelError as error:  # damaged on the shelf, which the fetching thread tells and mends
                log.debug("no candidate is run: %s", error)
                release = None
            if release is not None:
                self._in_a_row, self._seen = 0, NOTHING
                self._beside(release)
                self.shared.offers.want(False)
                self.report(None)
            self.shared.figures.shadow = None
            self.shared.stopping.wait(TURN_S)

    def _over(self, release: Release) -> bool:
        """Whether this is no longer the candidate, or the service stops."""
        if self.shared.stopping.is_set():
            return True
        try:
            return self._shelf.standing().candidate != release.id
        except ModelError:
            return True

    def _beside(self, release: Release) -> None:
        """Until it is over, or for good once it was given up: keep trying."""
        log.info("the candidate %.16s is run beside the present models; what it says is kept, not sent", release.id)
        while not self._over(release):
            try:
                with Shadowed.open(self.journal.folder, release.id) as rows:
                    shadowed.forget_older(self.journal.folder)
                    self._tell(rows, "loading")
                    self._run_child(release, rows)
            except ChildEndedError as error:
                self._ended(release, str(error))
            except (_StoppedError, StateError) as error:
                self._wait(release, "stopped", str(error), STOPPED_TURN_S)
        log.info("the candidate %.16s is no longer run beside the present models", release.id)

    def _run_child(self, release: Release, rows: Shadowed) -> None:
        """Show it image after image until it is over. Raises ChildEndedError, _StoppedError, StateError."""
        self._require_room()
        settings, precision = self._opened_with(release)
        free = memory.spare_bytes()
        if free < LEAST_MEMORY:
            raise _StoppedError(f"{free >> 20} MiB of memory are free, a candidate needs {LEAST_MEMORY >> 20}")
        self.shared.offers.want(True)
        with Child(settings, precision, most_bytes=free // 2, given_up=lambda: self._over(release)) as child:
            opened = self._counted(rows, child.opened)
            if opened is None:
                return
            log.info("the candidate %.16s runs on %s in %s", release.id, *opened.runs_on)
            self._tell(rows, "running")
            while not self._over(release):
                judged = self.shared.offers.take(TURN_S)
                if missed := self.shared.offers.missed():
                    rows.count("skipped", missed)
                    self._tell(rows, "running")
                if judged is None:
                    self._counted(rows, child.look)
                    continue
                self._require_room()
                least = rows.least_weight()
                sides = self._counted(rows, lambda: child.ask(judged, least))  # noqa: B023 - called at once
                if sides is None:
                    return
                self._in_a_row = 0
                self._keep(release, rows, judged.inspection_id, sides)
                self._tell(rows, "running")

    def _keep(self, release: Release, rows: Shadowed, inspection_id: str, sides: Sides) -> None:
        """Keep what both said, if that was still the candidate when it answered."""
        if self._over(release):
            return
        before, after = sides.models
        # The same settings but for the models: a hash of them would hold the models' own places.
        if rows.begin(Compared(before, sides.settings_sha256), Compared(after, sides.settings_sha256)):
            log.info("the present models or settings are others than before: the comparison with the candidate begins anew")
        rows.add(
            Seen(
                inspection_id,
                sides.before,
                sides.after,
                sides.weight,
                sides.agrees,
                sides.area_change,
                sides.picture,
            )
        )

    def _opened_with(self, release: Release) -> tuple[Settings, str]:
        """The settings of the candidate's process and the precision that it runs in. Raises _StoppedError."""
        try:
            settings = settings_beside(self.settings, release)
            return settings, parity.gated_precision(settings, self.journal.folder, may_run=False)[0]
        except EdgeError as error:
            raise _StoppedError(f"its models cannot be used: {error}") from error

    def _require_room(self) -> None:
        """Raises _StoppedError while the disk has little room."""
        if disk.free_bytes(self.journal.folder) < LEAST_FREE_BYTES:
            raise _StoppedError(f"less than {LEAST_FREE_BYTES >> 20} MiB are free where the state lies")

    def _counted(self, rows: Shadowed, ask: Callable[[], T]) -> T:
        """What a child answers; its end is counted. Raises ChildEndedError."""
        try:
            return ask()
        except ChildEndedError:
            with contextlib.suppress(StateFullError):
                rows.count("failed")
            raise

    def _ended(self, release: Release, how: str) -> None:
        """The process ended of itself or had to be ended: wait, or give the candidate up."""
        self._in_a_row += 1
        log.warning("the candidate %.16s ended (%s), %d in a row", release.id, how, self._in_a_row)
        if self._in_a_row < CRASHES:
            self._wait(release, "stopped", f"it ended ({how}) and is started again", AGAIN_S[self._in_a_row - 1])
            return
        why = f"it ended {self._in_a_row} times in a row, the last time so: {how}"
        self.report(f"the candidate {release.id[:SHORT]} is given up: {why}")
        while not self._over(release):
            self._wait(release, "given_up", why, STOPPED_TURN_S)

    def _wait(self, release: Release, state: State, why: str, seconds: float) -> None:
        """Do without the candidate for so long, or until it is another one. What it is not shown is not counted."""
        self.shared.offers.want(False)
        before = self.shared.figures.shadow
        if before is None or before.problem != why:
            log.info("the candidate %.16s does not run: %s", release.id, why)
        self._tell(None, state, why)
        until = time.monotonic() + seconds
        while time.monotonic() < until and not self._over(release):
            self.shared.stopping.wait(TURN_S)

    def _tell(self, rows: Shadowed | None, state: State, why: str | None = None) -> None:
        """Say how it does. rows: what has been counted, None for what was told before."""
        if rows is not None:
            self._seen = rows.summary()
        told = self._seen
        self.shared.figures.shadow = ShadowFields(
            state=state,
            problem=None if why is None else shorten(why, 300),
            compared=told.compared,
            skipped=told.skipped,
            failed=told.failed,
            severity_agreement=None if told.agreement is None else round(told.agreement, 4),
            area_change_median=None if told.area_change is None else round(told.area_change, 6),
        )


def settings_beside(settings: Settings, release: Release) -> Settings:
    """The settings with which a candidate is run beside the present models. Raises ModelError.

    The pixels come with the scale of the calibration, so it is not applied once more. A server that holds the present
    models does not hold the candidate's: those run here, on the backend that "auto" takes.
    """
    with_models = release.in_place_of(settings)
    device = with_models.device.model_copy(update={"scale_factor": 1.0, "scale_checked": None})
    models = with_models.models
    if models.backend != table.AUTO and table.BACKENDS[models.backend].remote:
        models = models.model_copy(update={"backend": table.AUTO})
    return with_models.model_copy(update={"device": device, "models": models})
