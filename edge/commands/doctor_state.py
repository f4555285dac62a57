"""A state folder in, findings out: whether its service runs and what ails it, what waits, was given up, or needs room.

It only reads, also while a daemon holds the folder.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from edge.commands.finding import Finding, Level, several
from edge.config import Settings
from edge.errors import StateError
from edge.journal import Journal, problems, requests
from edge.service import health
from edge.service.cures import cure_of
from edge.service.decoder import LEAST_FREE_BYTES
from edge.service.silence import silence
from edge.service.worker import printable

WAITS_LONG_S: Final = 60.0
"""A message that has waited for longer is worth a line."""
LETTERS: Final = 5
"""So many dead letters are told one by one."""
LITTLE_BYTES: Final = 1 << 30
CLOCK_TOLERANCE_S: Final = 300.0
EXPECTED: Final = ("the models are being loaded", "paused")
"""Reasons that somebody wanted, or that pass by themselves."""


def look_at_state(settings: Settings) -> Iterator[Finding]:
    """The folder, its service, its journal, its disk."""
    folder = settings.state.folder
    try:
        begun = (folder / "journal.sqlite3").exists()
    except OSError as error:
        cure = "run edge-doctor as the service's user: sudo -u sem-corrosion-edge …, or as root"
        yield Finding("state", "problem", f"{folder} cannot be read by this user: {error.strerror}", cure)
        return
    if not begun:
        yield _still_to_be_made(folder)
        return
    yield from _service(folder)
    try:
        with Journal.view(folder) as journal:
            now = time.time()
            yield from _queues(journal, now)
            yield from _images(settings, journal, now)
            yield from _dead_letters(journal)
            yield from _quarantine(journal)
            yield _clock(journal, now)
    except StateError as error:
        yield Finding("state", "problem", str(error), cure_of(str(error)))
    yield from _disk(folder)


def _still_to_be_made(folder: Path) -> Finding:
    existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
    if os.access(existing, os.W_OK):
        return Finding("state", "ok", f"{folder} holds no journal yet; it is made at the first start")
    cure = "run as the service's user, or create the folder for it (systemd does it by StateDirectory=)"
    return Finding("state", "problem", f"{folder} cannot be made by this user", cure)


def _service(folder: Path) -> Iterator[Finding]:
    """Whether a service runs on this folder, and each reason that it gives for being degraded."""
    told = problems.read(folder)
    if told is None:
        yield Finding("service", "note", "no service runs on this state folder", "systemctl start sem-corrosion-edge")
    elif not told.alive:
        cure = "journalctl -u sem-corrosion-edge says why; systemctl start sem-corrosion-edge: it goes on where it was"
        yield Finding("service", "problem", f"the service (process {told.pid}) was killed and does not run", cure)
    elif not told.problems:
        yield Finding("service", "ok", f"the service runs (process {told.pid}) and is not degraded")
    else:
        for text, cure in told.problems.items():
            level: Level = "note" if text.startswith(EXPECTED) else "problem"
            yield Finding("service", level, f"degraded: {text}", cure)
    if waiting := len(requests.waiting(folder)):
        text = f"{several(waiting, 'request')} of edge-review wait for the service"
        yield Finding("service", "note", text, "start the service, or wait a moment")


def _queues(journal: Journal, now: float) -> Iterator[Finding]:
    queue, images = health.queue(journal, now), journal.ledger.counts()
    waiting = images["waiting"] + images["running"]
    yield Finding("state", "ok", f"{images['done']} images done, {waiting} waiting, {queue.unsent} messages unsent")
    if queue.oldest_unsent_s is not None and queue.oldest_unsent_s > WAITS_LONG_S:
        cure = "see what is said of the broker below; nothing is lost, all of them are sent once it takes them"
        text = f"{several(queue.unsent, 'message')} unsent, the oldest for {age(queue.oldest_unsent_s)}"
        yield Finding("state", "note", text, cure)


def _images(settings: Settings, journal: Journal, now: float) -> Iterator[Finding]:
    """Today's counts; when the last image came."""
    today, last = health.today(journal, now), journal.tally.last_image_at()
    text = f"today ({today.date}): {today.inspections} inspections, {today.failures} failures"
    text += "; no image ever" if last is None else f"; last image at {_local(last)}"
    if last is not None and now >= last:
        text += f", {age(now - last)} ago"
    yield Finding("images", "ok", text)
    if silent := silence(settings.watch, journal, now):
        yield Finding("images", "problem", silent, cure_of(silent))


def _dead_letters(journal: Journal) -> Iterator[Finding]:
    dead = journal.outbox.dead_letters()
    for number, letter in enumerate(reversed(dead[-LETTERS:])):
        of_all = f"{several(len(dead), 'message')} given up (dead letters); the newest, " if number == 0 else "before that, "
        text = f"{of_all}seq {letter.seq} on {letter.topic} at {_local(letter.ts)}: {letter.reason}"
        about = "the receiver or [webhook]" if letter.topic.startswith("webhook/") else "the broker's limits or permissions"
        cure = (
            f"correct {about}, then have the image inspected again:"
            f' command/inspect with {{"inspection_id": "{letter.verdict_id}"}}'
        )
        yield Finding("letters", "problem", text, cure)


def _quarantine(journal: Journal) -> Iterator[Finding]:
    codes, suspects = journal.quarantine.counts(), journal.quarantine.suspects(1)
    if codes:
        (newest,) = journal.quarantine.images(1)
        kinds = ", ".join(f"{count} {code}" for code, count in codes.items())
        text = f"{several(sum(codes.values()), 'image')} could not be inspected ({kinds}); the newest, at {_local(newest.ts)}:"
        level: Level = "problem" if codes.keys() & {"crashed", "internal"} else "note"
        cure = "edge-review list tells each; edge-review retry has them inspected again, once the reason is gone"
        yield Finding("images", level, f"{text} {printable(newest.path)}: {newest.code}: {newest.message}", cure)
    if suspects:
        some = several(journal.ledger.suspect_count(), "image")
        text = f"{some} begun and not finished, such as {printable(suspects[0].path)}"
        cure = "nothing to do: each is tried once more in a process of its own, and given up if that dies too"
        yield Finding("images", "note", text, cure)


def _clock(journal: Journal, now: float) -> Finding:
    """Whether a time service has set the clock, and whether it is behind what is stored already."""
    newest = journal.tally.newest_at()
    cure = "set the clock (timedatectl set-ntp true; timedatectl timesync-status tells why not)"
    if newest is not None and newest > now + CLOCK_TOLERANCE_S:
        text = f"the clock says {_local(now)}, but the newest verdict is of {_local(newest)}: it is wrong now, or was then"
        return Finding("clock", "problem", text, cure)
    synced = health.clock_synced()
    if synced is False:
        return Finding("clock", "problem", f"no time service has set the clock, which says {_local(now)}", cure)
    by = "a time service has set it" if synced else "whether it is right cannot be told here, without systemd-timesyncd"
    return Finding("clock", "ok", f"{_local(now)}: {by}")


def _disk(folder: Path) -> Iterator[Finding]:
    free = shutil.disk_usage(folder).free
    if free >= LITTLE_BYTES:
        return
    stops = free < LEAST_FREE_BYTES
    text = f"only {free >> 20} MiB are free where the state lies" + (": images wait until there is room" if stops else "")
    yield Finding("state", "problem" if stops else "note", text, "make room there, or lower state.max_gib")


def age(seconds: float) -> str:
    """A stretch of time in its largest unit, cut off.

    >>> age(59), age(7200), age(200_000)
    ('59 s', '2 h', '2 days')
    """
    for unit_s, unit in ((86400, "days"), (3600, "h"), (60, "min")):
        if seconds >= (2 if unit == "days" else 1) * unit_s:
            return f"{int(seconds // unit_s)} {unit}"
    return f"{int(seconds)} s"


def _local(moment: float) -> str:
    """Seconds since 1970 as the machine's local time."""
    try:
        return time.strftime("%Y-%m-%d %H:%M", time.localtime(moment))
    except (OverflowError, ValueError, OSError):
        return f"{moment:.0f} s since 1970"
