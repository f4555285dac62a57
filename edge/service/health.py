"""The machine and this process in, the figures of `edge.health/1` out."""

from __future__ import annotations

import platform
import shutil
import threading
import time
from collections import deque
from pathlib import Path

import numpy as np
import psutil

from edge import __version__
from edge.journal import Journal
from edge.wire import documents

LATENCY_WINDOW_S = 600.0


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


def memory() -> documents.MemoryFields:
    """Of this process and of the machine."""
    return documents.MemoryFields(
        process_mib=round(psutil.Process().memory_info().rss / 2**20, 1),
        available_mib=round(psutil.virtual_memory().available / 2**20, 1),
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


def versions(backend: str, precision: str) -> dict[str, str]:
    """What runs here."""
    return {"edge": __version__, "python": platform.python_version(), "backend": backend, "precision": precision}
