"""The state folder in, room in it out: the work of the upkeep thread, which forgets what may be forgotten."""

from __future__ import annotations

import logging
from typing import Final

from edge.errors import StateError
from edge.service import health
from edge.service.worker import Worker

log = logging.getLogger(__name__)

UPKEEP_S: Final = 300.0
TOLD_JUMP_S: Final = 86400.0
"""A clock that is so far off is told in the status; whether it is synchronised stands in health."""
FULL_UPKEEP_S: Final = 5.0
"""While the state folder is full, it is looked at so often."""


class Upkeep(Worker):
    """Forgets what the configuration lets go; while the state folder is full and nothing may go, nothing new is begun."""

    name = "upkeep"

    def run(self) -> None:
        """Forget, wait."""
        shared = self.shared
        while not shared.stopping.is_set():
            problem = self._forget_old()
            (shared.state_full.clear if problem is None else shared.state_full.set)()
            self.report(problem)
            shared.stopping.wait(UPKEEP_S if problem is None else FULL_UPKEEP_S)

    def _forget_old(self) -> str | None:
        """Why there is no room for anything new, None when there is."""
        keep = self.settings.state
        try:
            report = self.journal.prune(keep.keep_days, int(keep.max_gib * 2**30), self._now())
        except StateError as error:
            return str(error)
        self.shared.figures.state_bytes = report.used_bytes
        if report.pictures or report.messages:
            log.info("forgot %d old messages and %d pictures", report.messages, report.pictures)
        if not report.full:
            return None
        return f"{report.used_bytes / 2**30:.1f} GiB of unsent messages fill state.max_gib: is the broker reachable?"

    def _now(self) -> float | None:
        """Seconds since 1970, None while the clock is not to be believed. Raises StateError."""
        judgement = self.journal.clock.judge(health.clock_synced())
        told = judgement.why if abs(judgement.jump_s) >= TOLD_JUMP_S else None
        self.shared.status.report("clock", told)
        return judgement.now
