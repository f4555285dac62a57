"""Sightings in, those that are finished and new out: pure logic, no clock and no file of its own.

`edge.folder.scan` says what is there, the ledger what is known, and a close or rename event that a writer is done.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from edge.folder.scan import Sighting, Stamp, Wait
from edge.records import Fingerprint


@dataclass(slots=True)
class _Pending:
    fingerprint: Fingerprint
    since: float
    settled: bool = False


@dataclass(slots=True)
class _Deferred:
    fingerprint: Fingerprint
    until: float
    waits: frozenset[Wait]
    reported: bool = False


class Settler:
    """Decides which sightings are finished. Not thread-safe.

    A file is settled when two looks at least `settle_s` apart found it the same. It also is when it is exactly as it was
    when a close or rename event told that its writer was done. Times are the caller's monotonic seconds; a file's own time is
    only compared with itself, so that a share whose clock is wrong, even ahead, does no harm.

    settle_s: seconds.  known: the fingerprint under which the ledger has a path, None if it has none.
    """

    def __init__(self, settle_s: float, known: Callable[[str], Fingerprint | None]) -> None:
        self._settle_s = settle_s
        self._known = known
        self._pending: dict[str, _Pending] = {}
        self._deferred: dict[str, _Deferred] = {}
        self._now = float("-inf")

    def observe(
        self,
        sightings: Iterable[Sighting],
        now: float,
        closed: Mapping[str, Stamp] | None = None,
        *,
        partial: bool = False,
    ) -> list[Sighting]:
        """Take in one look at the folder; what is finished and not in the ledger as it is, oldest first.

        closed: from `FolderEvents.take`, taken before the look.
        partial: the look was at some paths `only`, those that are `due` among them.
        What was looked for and not seen is forgotten here (the ledger forgets nothing), and begins anew if it comes back.
        What is ready is reported again at every look until the ledger knows it.
        """
        self._now = now
        closed = closed or {}
        looked_for = self.due(now) if partial else self._pending.keys() | self._deferred.keys()
        seen: set[str] = set()
        ready: list[Sighting] = []
        for sighting in sightings:
            seen.add(sighting.path)
            if (finished := self._if_ready(sighting, now, closed.get(sighting.path))) is not None:
                ready.append(finished)
        for path in looked_for - seen:
            self._pending.pop(path, None)
            self._deferred.pop(path, None)
        ready.sort(key=lambda sighting: (sighting.mtime_ns, sighting.path))
        return ready

    def _if_ready(self, sighting: Sighting, now: float, closed: Stamp | None) -> Sighting | None:
        path, fingerprint = sighting.path, sighting.fingerprint
        deferred = self._deferred.get(path)
        if deferred is not None and deferred.fingerprint != fingerprint:
            del self._deferred[path]
            deferred = None
        known = self._known(path) == fingerprint
        if known and (deferred is None or deferred.reported):
            self._pending.pop(path, None)
            self._deferred.pop(path, None)
            return None
        pending = self._pending.get(path)
        if pending is None or pending.fingerprint != fingerprint:
            pending = self._pending[path] = _Pending(fingerprint, now)
        if now - pending.since >= self._settle_s or closed == (sighting.size, sighting.mtime_ns) or deferred is not None:
            pending.settled = True
        if deferred is None:
            return sighting if pending.settled else None
        if now < deferred.until:
            return None
        deferred.reported = True
        return replace(sighting, waited=deferred.waits)

    def defer(self, path: str, fingerprint: Fingerprint, reason: Wait, for_s: float) -> None:
        """Do not report `path` as ready until `for_s` after it last changed; earlier if it changes, and then as if new.

        Holds also for what the ledger knows already: that is reported once more when the wait is over. Each reason is waited
        for once per content: look into `Sighting.waited` or `waited` before. Raises ValueError otherwise.
        """
        before = self.waited(path, fingerprint)
        if reason in before:
            raise ValueError(f"{path!r} was waited for already because of {reason}: conclude it")
        pending = self._pending.get(path)
        since = pending.since if pending is not None and pending.fingerprint == fingerprint else self._now
        self._deferred[path] = _Deferred(fingerprint, since + for_s, before | {reason})

    def waited(self, path: str, fingerprint: Fingerprint) -> frozenset[Wait]:
        """The reasons for which this content of `path` was deferred, be the wait over or not."""
        deferred = self._deferred.get(path)
        return deferred.waits if deferred is not None and deferred.fingerprint == fingerprint else frozenset()

    def due(self, now: float) -> set[str]:
        """Paths that can be ready by now: enough to look at between two full scans."""
        return {path for path, moment in self._moments().items() if moment <= now}

    def next_moment(self) -> float | None:
        """The earliest moment at which something can be ready if nothing else happens, None if nothing is awaited."""
        return min(self._moments().values(), default=None)

    def _moments(self) -> dict[str, float]:
        """When each path that is awaited can be ready."""
        moments = {path: pending.since + self._settle_s for path, pending in self._pending.items() if not pending.settled}
        moments.update({path: deferred.until for path, deferred in self._deferred.items() if not deferred.reported})
        return moments
