"""What the threads share in, the daemon's part of `edge.status/1` and an `edge.health/1` out, in the publisher's thread."""

from __future__ import annotations

import time
from datetime import datetime, timezone

from edge.backends.tensorrt.device import choose as choose_gpu
from edge.config import Settings
from edge.journal import Journal
from edge.mqtt.publisher import StatusText
from edge.service import health
from edge.service.commands import fleet_fields
from edge.service.cures import cure_of
from edge.service.gpu_watch import GpuWatch
from edge.service.shared import Shared
from edge.wire.status import encode_health


def reasons(shared: Shared) -> tuple[str, ...]:
    """Why the service is degraded, each reason once; none when all is well."""
    return shared.status.problems() + (("paused: by command",) if shared.paused.is_set() else ())


class Reports:
    """What the service says of itself. Both methods only read, and do not block."""

    def __init__(self, settings: Settings, journal: Journal, shared: Shared) -> None:
        self._settings = settings
        self._journal = journal
        self._shared = shared
        choose_gpu(settings.models.device)  # before any thread asks CUDA
        self._gpu = GpuWatch()
        self._started_at = time.monotonic()

    def status(self) -> StatusText:
        """Online, or degraded and why."""
        why = reasons(self._shared)
        counts = self._journal.info()
        return StatusText("degraded" if why else "online", why, counts["last_seq"], counts["dead_letters"])

    def health(self) -> bytes:
        """An `edge.health/1` of this moment."""
        figures = self._shared.figures
        now = time.time()
        return encode_health(
            uptime_s=time.monotonic() - self._started_at,
            queue=health.queue(self._journal, now),
            memory=health.memory(),
            disk=health.disk(self._journal.folder, figures.state_bytes),
            gpu=health.gpu(self._gpu.state()),
            latency_ms=figures.latencies.figures(),
            clock_synced=health.clock_synced(),
            versions=health.versions(*figures.runs_on),
            today=health.today(self._journal, now),
            last_image_at=health.last_image_at(self._journal),
            newest_dead_letter=health.newest_dead_letter(self._journal),
            quarantine=health.quarantine(self._journal),
            problems={reason: cure_of(reason) for reason in reasons(self._shared)},
            fleet=fleet_fields(self._settings, self._shared),
            device=self._settings.device,
            at=datetime.now(timezone.utc),
        )
