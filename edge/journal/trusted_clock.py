"""The wall's clock, the kernel's and what was stored in; whether an age may be told by the first, out.

A clock that is 91 days ahead makes every message look old enough to be forgotten. So what the clock says is compared with the
last moment at which it was believed: by the time since the boot while that lasts, and across a boot by how long the
machine may have been off. A clock that a time service has set is believed about that; no other is, beyond a week.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Final, NamedTuple

from edge.journal.boot import UNKNOWN, boot_id, uptime_s
from edge.journal.database import Database

TOLERANCE_S: Final = 3600.0
"""So far a clock may be corrected without being doubted."""
LONGEST_OFF_S: Final = 7 * 86400.0
"""So long a machine may have been off by the word of a clock that nobody has set."""
STEADY_S: Final = 7 * 86400.0
"""A clock that was doubted and has run on evenly for so long is believed again."""
REFERENCE_S: Final = 3600.0
"""The last believed moment is stored so often."""


class Judgement(NamedTuple):
    """now: seconds since 1970, None while ages cannot be told.  why: what is wrong, for people.  jump_s: by how much."""

    now: float | None
    why: str | None = None
    jump_s: float = 0.0


class _Moment(NamedTuple):
    wall: float
    boot: str
    uptime: float


class TrustedClock:
    """Believes a clock or not. `judge` belongs to one thread; any may ask for `least`.

    wall: seconds since 1970.  boot, uptime: see `edge.journal.boot`.
    """

    def __init__(
        self,
        database: Database,
        wall: Callable[[], float] = time.time,
        boot: Callable[[], str] = boot_id,
        uptime: Callable[[], float] = uptime_s,
    ) -> None:
        """Reads alone."""
        self._database, self._wall, self._uptime, self._boot = database, wall, uptime, boot()
        self._believed = self._stored()
        self._kept = self._believed  # as the database has it
        self._doubted: _Moment | None = None

    def judge(self, synced: bool | None) -> Judgement:
        """Whether the clock is believed now. synced: by a time service; None where that cannot be told.

        A moment that is believed is remembered. Raises StateError when the journal cannot be used.
        """
        now = _Moment(self._wall(), self._boot, self._uptime())
        if synced is False:
            self._doubted = None
            return Judgement(None, "the clock is not synchronised")
        jump_s = self._jump_s(now)
        if not self._is_plausible(jump_s, now, synced) and not self._is_steady(now):
            direction = "ahead of" if jump_s > 0 else "behind"
            why = f"the clock is {abs(jump_s) / 86400:.1f} days {direction} what it was: nothing is forgotten by age meanwhile"
            return Judgement(None, f"{why}; see that a time service sets it (timedatectl)", jump_s)
        self._believe(now)
        return Judgement(now.wall)

    def least(self) -> float:
        """A moment, seconds since 1970, that is certainly over; 0 where none is known."""
        believed = self._believed
        if believed is None:
            return 0.0
        since = self._uptime() - believed.uptime if self._is_same_boot(believed) else 0.0
        return believed.wall + max(0.0, since) - TOLERANCE_S

    def _jump_s(self, now: _Moment) -> float:
        """How far the clock is from where it should be; across a boot, from where it was."""
        if self._believed is None:
            return 0.0
        since = now.uptime - self._believed.uptime if self._is_same_boot(self._believed) else 0.0
        return now.wall - self._believed.wall - since

    def _is_plausible(self, jump_s: float, now: _Moment, synced: bool | None) -> bool:
        if abs(jump_s) <= TOLERANCE_S:
            return True
        if jump_s < 0:  # a clock that was ahead was set right
            return synced is True
        if self._believed is not None and self._is_same_boot(self._believed):
            return False
        return synced is True or jump_s <= LONGEST_OFF_S

    def _is_steady(self, now: _Moment) -> bool:
        """Whether the doubted clock has run as evenly as the kernel's for long."""
        before = self._doubted
        if before is None or abs((now.wall - before.wall) - (now.uptime - before.uptime)) > TOLERANCE_S:
            self._doubted = now
            return False
        return now.uptime - before.uptime >= STEADY_S

    def _is_same_boot(self, moment: _Moment) -> bool:
        return moment.boot == self._boot != UNKNOWN

    def _believe(self, now: _Moment) -> None:
        self._believed, self._doubted = now, None
        kept = self._kept
        if kept is None or kept.boot != now.boot or abs(now.wall - kept.wall) >= REFERENCE_S:
            value = json.dumps(now)
            self._database.write(
                lambda: self._database.execute("INSERT OR REPLACE INTO meta VALUES ('clock', ?)", value), reserve=True
            )
            self._kept = now

    def _stored(self) -> _Moment | None:
        """The last believed moment; in a journal of an older release, when the newest verdict was made."""
        rows = self._database.read("SELECT value FROM meta WHERE key = 'clock'")
        if rows:
            return _Moment(*json.loads(rows[0][0]))
        made = self._database.read("SELECT made_at FROM verdict ORDER BY epoch DESC, seq DESC LIMIT 1")
        return _Moment(made[0][0], UNKNOWN, 0.0) if made else None
