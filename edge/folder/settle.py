"""Sightings in, those that are finished and new out: pure logic, no clock and no file of its own.

`edge.folder.scan` says what is there, the ledger what is known, and events that a writer is done, or is at it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Container, Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from edge.folder.scan import Sighting, Stamp
from edge.records import Fingerprint


class Finished(NamedTuple):
    """A sighting that nobody seems to write any more.

    since: when it was first seen as it is, the caller's monotonic seconds.
    closed: a close or rename event told that its writer is done; else it was only quiet.
    """

    sighting: Sighting
    since: float
    closed: bool


@dataclass(slots=True)
class _Pending:
    fingerprint: Fingerprint
    since: float
    settled_at: float
    settled: bool = False
    closed: bool = False


class Settler:
    """Decides which sightings are finished. Not thread-safe.

    A file is finished as soon as it is as it was when a close or rename event told that its writer was done. Without such an
    event it is when it was quiet for `settle_s`; for `unclosed_s` where somebody was seen to open it and not to close it.
    Times are the caller's monotonic seconds; a file's own time is only compared with itself, so that a share whose clock is
    wrong, even ahead, does no harm.

    settle_s, unclosed_s: seconds.  known: the fingerprint under which the ledger has a path, None if it has none.
    """

    def __init__(self, settle_s: float, unclosed_s: float, known: Callable[[str], Fingerprint | None]) -> None:
        self._settle_s = settle_s
        self._unclosed_s = max(settle_s, unclosed_s)
        self._known = known
        self._pending: dict[str, _Pending] = {}

    def observe(
        self,
        sightings: Iterable[Sighting],
        now: float,
        closed: Mapping[str, Stamp] | None = None,
        opened: Container[str] = (),
    ) -> list[Finished]:
        """Take in some sightings; what is finished and not in the ledger as it is, oldest first.

        closed, opened: see `FolderEvents`, both taken before looking.
        What is finished is told again whenever it is seen, until the ledger knows it.
        """
        closed = closed or {}
        finished = [
            Finished(sighting, pending.since, pending.closed)
            for sighting in sightings
            if (pending := self._settled(sighting, now, closed.get(sighting.path), sighting.path in opened)) is not None
        ]
        finished.sort(key=lambda one: (one.sighting.mtime_ns, one.sighting.path))
        return finished

    def _settled(self, sighting: Sighting, now: float, closed: Stamp | None, opened: bool) -> _Pending | None:
        path, fingerprint = sighting.path, sighting.fingerprint
        if self._known(path) == fingerprint:
            self._pending.pop(path, None)
            return None
        pending = self._pending.get(path)
        if pending is None or pending.fingerprint != fingerprint:
            pending = self._pending[path] = _Pending(fingerprint, now, now)
        if closed is not None and closed.is_still(sighting):
            pending.settled = pending.closed = True
        pending.settled_at = pending.since + (self._unclosed_s if opened else self._settle_s)
        pending.settled = pending.settled or now >= pending.settled_at
        return pending if pending.settled else None

    def forget(self, paths: Iterable[str]) -> None:
        """These were looked for and are not there; if they come back, they begin anew."""
        for path in paths:
            self._pending.pop(path, None)

    def forget_all_but(self, seen: Collection[str]) -> None:
        """A look at everything saw these alone."""
        self.forget([path for path in self._pending if path not in seen])

    def awaited(self) -> Collection[str]:
        """Paths that were seen and are not in the ledger as they are."""
        return self._pending.keys()

    def due(self, now: float) -> set[str]:
        """Paths that can be finished by now: enough to look at between two looks at everything."""
        return {path for path, one in self._pending.items() if not one.settled and one.settled_at <= now}

    def next_moment(self) -> float | None:
        """The earliest moment at which something can be finished if nothing else happens, None if nothing is awaited."""
        return min((one.settled_at for one in self._pending.values() if not one.settled), default=None)
