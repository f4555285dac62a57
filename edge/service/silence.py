"""When the last image came in, whether the microscope has been silent for longer than it should be out."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Final

from edge.config import SHIFT, WatchSettings
from edge.journal import Journal

DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
LONGEST_DAYS: Final = 400
"""Further back nothing is added up: no setting asks for more than a year."""


def silence(watch: WatchSettings, journal: Journal, now: float) -> str | None:
    """Why the status should be degraded, None while images come as expected or none is. now: seconds since 1970.

    An image that waits for its turn has come. Before the first one, time counts from the first look at the folder.
    """
    if not watch.expect_every_h:
        return None
    last = journal.tally.last_image_at()
    since = journal.tally.first_admission_at() if last is None else last
    if since is None or expected_s(since, now, watch.expect_during) <= watch.expect_every_h * 3600:
        return None
    counts = journal.ledger.counts()
    if counts["waiting"] - journal.ledger.suspect_count() + counts["running"] > 0:
        return None
    ever = "none ever" if last is None else f"the last at {time.strftime('%Y-%m-%d %H:%M', time.localtime(last))}"
    return (
        f"no new image for {watch.expect_every_h:g} h ({ever}): is the export of the microscope running,"
        f" and does it still write into {watch.folder}?"
    )


def expected_s(since: float, until: float, during: Sequence[str]) -> float:
    """Seconds between two moments (since 1970) in which images are expected.

    during: times of the week in the machine's local time, as `watch.expect_during` has them; none: always.
    """
    if not during:
        return max(0.0, until - since)
    total, end = 0.0, max(since, until - LONGEST_DAYS * 86400)
    for first, last in sorted(_stretches(end, until, during)):
        first = max(first, end)  # shifts may overlap
        if min(last, until) > first:
            total += min(last, until) - first
            end = min(last, until)
    return total


def _stretches(since: float, until: float, during: Sequence[str]) -> Iterator[tuple[float, float]]:
    """Begin and end of each shift that can touch the time from `since` to `until`."""
    year, month, day, *_ = time.localtime(since)
    for later in range(-1, int((until - since) / 86400) + 2):
        noon = time.localtime(_moment(year, month, day + later, 12, 0))
        for shift in during:
            if (found := SHIFT.match(shift)) is None:
                continue
            first = DAYS.index(found["first"])
            span = (DAYS.index(found["last"] or found["first"]) - first) % 7
            if (noon.tm_wday - first) % 7 > span:
                continue
            begin, end = (tuple(map(int, found[name].split(":"))) for name in ("from", "to"))
            next_day = end <= begin
            yield (
                _moment(year, month, day + later, *begin),
                _moment(year, month, day + later + next_day, *end),
            )


def _moment(year: int, month: int, day: int, hour: int, minute: int) -> float:
    """Seconds since 1970 of a local time; a day beyond the month's end is one of the next, and clock changes are heeded."""
    return time.mktime((year, month, day, hour, minute, 0, 0, 0, -1))
