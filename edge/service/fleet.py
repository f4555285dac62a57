"""Announcements of signed models in, a checked candidate on the shelf out: the work of the fleet thread.

No image waits for it: fetching and trying have this thread and a process of their own, and what goes wrong in them is told in
the status and tried again. Nothing is used without a person's command.
"""

from __future__ import annotations

import contextlib
import logging
import shutil
import time
from typing import Final

from edge.config import Settings
from edge.errors import EdgeError, ModelError
from edge.fleet import announcement
from edge.fleet.announcement import Announcement
from edge.fleet.fetch import fetch, is_whole
from edge.fleet.release import MOST_MANIFEST, SIGNATURE, Release, read_small, release_in, require_ours
from edge.fleet.shelf import Shelf
from edge.fleet.source import Source, open_source
from edge.journal import Journal
from edge.models.signature import MANIFEST
from edge.mqtt.backoff import Backoff
from edge.service import trial
from edge.service.shared import Shared
from edge.service.worker import Worker
from edge.sinks.sink import NotNowError
from edge.whole_file import write_whole
from edge.wire.documents import AnnouncedFields

log = logging.getLogger(__name__)

SHORTEST_S, LONGEST_S = 5.0, 600.0
"""Between two tries to fetch what could not be fetched."""
LOOK_S: Final = 0.2


class Fleet(Worker):
    """Takes one announcement at a time; a newer one ends the work for an older."""

    name = "fleet"

    def __init__(self, settings: Settings, journal: Journal, shared: Shared) -> None:
        super().__init__(settings, journal, shared)
        self._shelf = Shelf(settings.state.folder)
        self._source: Source = open_source(settings.fleet)
        self._backoff = Backoff(SHORTEST_S, LONGEST_S)
        self._announced: Announcement | None = None
        self._payload = b""

    def run(self) -> None:
        """Look at what was heard, fetch, try, wait; until stopped."""
        due = float("inf")
        while not self.shared.stopping.is_set():
            payload = self.shared.releases.take()
            if payload is not None and self._is_news(payload):
                self._payload, self._announced = payload, self._heard(payload)
                self._backoff.reset()
                due = time.monotonic()
            if self.shared.shelf_changed.is_set():
                self.shared.shelf_changed.clear()
                due = min(due, time.monotonic())
            if self._announced is not None and time.monotonic() >= due:
                wait_s = self._carry_on(self._announced)
                due = float("inf") if wait_s is None else time.monotonic() + wait_s
            self.shared.stopping.wait(LOOK_S)

    def _is_news(self, payload: bytes) -> bool:
        """The broker says what it keeps at every connect; that is news once."""
        return payload != self._payload or self._announced is None

    def _heard(self, payload: bytes) -> Announcement | None:
        """The announcement; None where it is withdrawn or refused, which is said."""
        if not payload:
            try:
                self._shelf.withdraw()
            except (EdgeError, OSError) as error:
                log.warning("the withdrawn release stays the candidate: %s", error)
            log.info("no models are announced any more")
            self._tell(None, None)
            return None
        try:
            announced = announcement.heard(payload, self.settings.models.public_key)
        except (ValueError, ModelError) as error:
            self._refuse(None, str(error))
            return None
        log.info("release %s is announced, signed at %d: %s", announced.id, announced.signed_at, announced.note)
        return announced

    def _carry_on(self, announced: Announcement) -> float | None:
        """Come as far as possible with it. Seconds until the next try, None where there is nothing to be tried."""
        try:
            verdict = announcement.judged(announced, self._shelf.standing())
            if verdict != "fetch":
                self._tell(announced, verdict)
                return None
            release = self._lying_here(announced)
            if release is None:
                self._tell(announced, "fetching")
                folder = fetch(announced, self._shelf, self._source, self.settings.models.public_key, self._given_up)
                release = release_in(folder, announced.id)
                self._tell(announced, "trying")
                if why := trial.refusal(release, self.settings, self._given_up):
                    shutil.rmtree(folder, ignore_errors=True)
                    self._refuse(announced, why)
                    return None
                if self._given_up():
                    return 0.0
                self._shelf.add(folder, announced.id)
            else:
                self._shelf.offer(announced.id)
        except ModelError as error:
            self._refuse(announced, str(error))
            return None
        except (NotNowError, EdgeError, OSError) as error:
            if self._given_up():
                return 0.0
            wait_s = self._backoff.next_s()
            self._tell(announced, "waiting", str(error))
            return wait_s
        self._backoff.reset()
        log.info("release %s is checked and can be switched to", announced.id)
        self._tell(announced, "ready")
        return None

    def _lying_here(self, announced: Announcement) -> Release | None:
        """The release, where it was checked and put on the shelf before and is still whole."""
        with contextlib.suppress(ModelError, OSError):
            folder = self._shelf.get(announced.id).folder
            manifest = read_small(folder / MANIFEST, MOST_MANIFEST)
            require_ours(manifest, announced.signature, self.settings.models.public_key, folder / MANIFEST)
            if is_whole(folder, manifest):
                write_whole(folder / SIGNATURE, announced.signature)  # it may have been signed anew
                return release_in(folder, announced.id)
        return None

    def _given_up(self) -> bool:
        self.beat()
        return self.shared.stopping.is_set() or bool(self.shared.releases)

    def _refuse(self, announced: Announcement | None, why: str) -> None:
        self._tell(announced, "refused", why)

    def _tell(self, announced: Announcement | None, state: str | None, why: str | None = None) -> None:
        """In health, and where something is wrong in the status too."""
        log.info("announced models: %s", state or "none")
        self.shared.figures.announced = (
            None
            if state is None
            else AnnouncedFields.model_validate({"release": announced and announced.id, "state": state, "why": why})
        )
        problem = None
        if state == "refused":
            problem = f"the announced models are not taken: {why}"
        elif state == "waiting":
            problem = f"the announced models cannot be fetched yet: {why}"
        self.report(problem)
        self.shared.status.changed()  # health says more of it
