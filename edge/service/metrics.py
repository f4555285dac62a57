"""Stored verdicts and the service's own state in, what Prometheus scrapes out: `[metrics] prometheus`.

Counters begin at 0 with each start, as Prometheus expects. What the journal knows is read at each scrape.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, start_http_server
from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily
from prometheus_client.registry import Collector

from edge import __version__
from edge.config import Settings, host_and_port
from edge.errors import EdgeError, ImageError
from edge.journal import Journal
from edge.records import SEVERITIES, Inspection, Severity
from edge.service import health
from edge.service.reports import reasons
from edge.service.shared import Shared
from edge.service.worker import RETRY_S, Worker

PREFIX: Final = "sem_corrosion"
STAGES: Final = ("read", "decode", "segment", "masks", "measure", "classify")
BUCKETS_S: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
UNJUDGED: Final = ("abstained", "not_run")


class Counted:
    """What is counted as verdicts are stored. Its methods may be called from any thread."""

    def __init__(self) -> None:
        self.registry = own = CollectorRegistry()
        latency = "From the finished file to the stored verdict."
        self._inspections = Counter(f"{PREFIX}_inspections", "Inspections stored, by severity.", ["severity"], registry=own)
        self._failures = Counter(f"{PREFIX}_failures", "Images that could not be inspected.", ["code"], registry=own)
        self._stages = Histogram(
            f"{PREFIX}_stage_seconds", "Time of each stage for one image.", ["stage"], registry=own, buckets=BUCKETS_S
        )
        self._latency = Histogram(f"{PREFIX}_latency_seconds", latency, registry=own, buckets=BUCKETS_S)
        for severity in (*SEVERITIES, *UNJUDGED):  # a series that begins with its first event hides it from rate()
            self._inspections.labels(severity)

    def stored(self, outcome: Sequence[Inspection] | ImageError, latency_ms: float) -> None:
        """An image's verdicts were stored, so long after its file was finished."""
        self._latency.observe(latency_ms / 1e3)
        if isinstance(outcome, ImageError):
            self._failures.labels(outcome.code).inc()
            return
        for inspection in outcome:
            self._inspections.labels(_said(inspection.severity)).inc()
            for stage in STAGES:
                if milliseconds := getattr(inspection.timing, stage):
                    self._stages.labels(stage).observe(milliseconds / 1e3)


class Metrics(Worker):
    """Serves the figures, for Prometheus alone. An address that is in use is tried again until it is free."""

    name = "metrics"

    def __init__(self, settings: Settings, journal: Journal, shared: Shared, connected: Callable[[], bool]) -> None:
        """connected: whether the broker is reached."""
        super().__init__(settings, journal, shared)
        self.counted = Counted()
        ProcessCollector(registry=self.counted.registry)
        self.counted.registry.register(_State(settings, journal, shared, connected))

    def run(self) -> None:
        """Serve until the service stops."""
        host, port = host_and_port(self.settings.metrics.prometheus)
        while not self.shared.stopping.is_set():
            try:
                server, thread = start_http_server(port, host, self.counted.registry)
            except OSError as error:
                why = error.strerror or str(error)
                self.report(f"metrics.prometheus {self.settings.metrics.prometheus} cannot be used: {why}")
                self.shared.stopping.wait(RETRY_S)
                continue
            self.report(None)
            self.shared.stopping.wait()
            server.shutdown()
            server.server_close()
            thread.join(1.0)


class _State(Collector):
    """What is read at each scrape, in the thread that serves it."""

    def __init__(self, settings: Settings, journal: Journal, shared: Shared, connected: Callable[[], bool]) -> None:
        self._device, self._journal, self._shared, self._connected = settings.device, journal, shared, connected

    def collect(self) -> Iterator[GaugeMetricFamily | InfoMetricFamily]:
        """Nothing while the journal cannot be read."""
        backend, precision = self._shared.figures.runs_on
        told = {"version": __version__, "backend": backend, "precision": precision}
        where = {"device": self._device.id, "site": self._device.site, "area": self._device.area}
        yield InfoMetricFamily(PREFIX, "What runs here.", {**told, **where})
        try:
            figures = self._read()
        except EdgeError:
            return
        for name, (what, value) in figures.items():
            if value is not None:
                yield GaugeMetricFamily(f"{PREFIX}_{name}", what, float(value))

    def _read(self) -> dict[str, tuple[str, float | None]]:
        queue = health.queue(self._journal, time.time())
        quarantine = health.quarantine(self._journal)
        disk = health.disk(self._journal.folder, self._shared.figures.state_bytes)
        last = self._journal.tally.last_image_at()
        return {
            "degraded": ("1 while something is wrong; status says what.", bool(reasons(self._shared))),
            "broker_connected": ("1 while the broker is reached.", self._connected()),
            "last_image_timestamp_seconds": ("When the newest verdict on a new image was stored.", last),
            "images_waiting": ("Images that wait to be inspected.", queue.images_waiting),
            "images_given_up": ("Images that could not be inspected and wait for a person.", quarantine.given_up),
            "unsent_messages": ("Messages that wait for the broker.", queue.unsent),
            "oldest_unsent_seconds": ("How long the oldest of them has waited; absent when none does.", queue.oldest_unsent_s),
            "dead_letters": ("Messages that the broker never takes.", queue.dead_letters),
            "state_bytes": ("Size of the state folder.", disk.state_mib * 2**20),
            "disk_free_bytes": ("Room left on its disk.", disk.free_mib * 2**20),
        }


def _said(severity: Severity | None) -> str:
    if severity is None:
        return "not_run"
    return severity.label if severity.label and not severity.abstained else "abstained"
