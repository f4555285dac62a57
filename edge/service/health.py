"""The machine and this process in, the figures of `edge.health/1` out."""

from __future__ import annotations

import platform
import shutil
import threading
import time
from collections import deque
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
import psutil

from edge import __version__
from edge.backends.tensorrt.state import GpuState
from edge.journal import Journal
from edge.wire import documents
from edge.wire.encode import shorten, timestamp

LATENCY_WINDOW_S = 600.0
LATEST_S = 253402300799.0
"""The end of the year 9999."""


class Latencies:
    """Milliseconds from finished file to stored verdict, over the last `LATENCY_WINDOW_S` seconds. One lock guards them."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._seen: deque[tuple[float, float]] = deque(maxlen=5000)

    def add(self, milliseconds: float) -> None:
        """One more verdict."""
        with self._mutex:
            self._seen.append((time.monotonic(), milliseconds))

    def figures(self) -> documents.LatencyFields | None:
        """Percentiles, None when there was no verdict lately."""
        oldest = time.monotonic() - LATENCY_WINDOW_S
        with self._mutex:
            recent = [value for at, value in self._seen if at >= oldest]
        if not recent:
            return None
        p50, p95, p99 = (round(float(value), 3) for value in np.percentile(recent, [50, 95, 99]))
        return documents.LatencyFields(count=len(recent), p50=p50, p95=p95, p99=p99)


def queue(journal: Journal, now: float) -> documents.QueueFields:
    """What waits to be inspected and to be sent. now: seconds since 1970."""
    counts = journal.info()
    oldest = counts["oldest_unsent"]
    return documents.QueueFields(
        images_waiting=counts["images"]["waiting"] + counts["images"]["running"],
        images_suspect=counts["suspects"],
        unsent=counts["unsent"],
        oldest_unsent_s=None if oldest is None else round(max(0.0, now - oldest), 3),
        dead_letters=counts["dead_letters"],
    )


def today(journal: Journal, now: float) -> documents.TodayFields:
    """Verdicts since the machine's local midnight. now: seconds since 1970."""
    year, month, day, *_ = time.localtime(now)
    midnights = [time.mktime((year, month, day + later, 0, 0, 0, 0, 0, -1)) for later in (0, 1)]
    counts = journal.tally.between(*midnights)
    return documents.TodayFields(
        date=f"{year:04}-{month:02}-{day:02}", inspections=counts.inspections, failures=counts.failures
    )


def last_image_at(journal: Journal) -> datetime | None:
    """When the newest verdict on an image was stored that nobody asked for again, None before it."""
    at = journal.tally.last_image_at()
    return None if at is None else utc(at)


def newest_dead_letter(journal: Journal) -> documents.DeadLetterFields | None:
    """The message that was given up last, None when there is none."""
    letter = journal.outbox.newest_dead_letter()
    if letter is None:
        return None
    return documents.DeadLetterFields(
        seq=letter.seq, topic=letter.topic, reason=shorten(letter.reason, 300), at=timestamp(utc(letter.ts))
    )


def quarantine(journal: Journal) -> documents.QuarantineFields:
    """The images that could not be inspected, and those that may become such."""
    codes = journal.quarantine.counts()
    return documents.QuarantineFields(
        given_up=sum(codes.values()), crashed=codes.get("crashed", 0), suspects=journal.ledger.suspect_count()
    )


def memory() -> documents.MemoryFields:
    """Of this process and of the machine."""
    return documents.MemoryFields(
        process_mib=round(psutil.Process().memory_info().rss / 2**20, 1),
        available_mib=round(psutil.virtual_memory().available / 2**20, 1),
    )


def gpu(state: GpuState | None) -> documents.GpuFields | None:
    """How the GPU does; None where there is none."""
    if state is None:
        return None
    return documents.GpuFields(
        name=state.name,
        memory_used_mib=state.memory_used_mib,
        memory_total_mib=state.memory_total_mib,
        utilisation=state.utilisation,
        temperature_c=state.temperature_c,
        power_w=state.power_w,
        throttling=None if state.throttling is None else list(state.throttling),
        xid=state.xid,
        unknown={figure: shorten(why, 200) for figure, why in state.unknown.items()},
    )


def disk(state_folder: Path, state_bytes: int) -> documents.DiskFields:
    """Where the state folder lies. state_bytes: what it holds, as the last upkeep counted."""
    free = shutil.disk_usage(state_folder).free
    return documents.DiskFields(state_mib=round(state_bytes / 2**20, 1), free_mib=round(free / 2**20, 1))


def clock_synced() -> bool | None:
    """Whether a time service has set the clock; None where that cannot be told without systemd-timesyncd."""
    if Path("/run/systemd/timesync/synchronized").exists():
        return True
    return False if Path("/run/systemd/timesync").is_dir() else None


def utc(moment: float) -> datetime:
    """Seconds since 1970 as a time; what a wrong clock has made impossible as the nearest that a time can be."""
    return datetime.fromtimestamp(min(max(0.0, moment), LATEST_S), timezone.utc)


def versions(backend: str, precision: str) -> dict[str, str]:
    """What runs here."""
    return {"edge": __version__, "python": platform.python_version(), "backend": backend, "precision": precision}
