"""The figures of `edge.health/1`."""

from __future__ import annotations

from pathlib import Path

from edge.journal import Journal
from edge.records import Fingerprint
from edge.service import health
from tests.fakes.brokers import Listener, Mosquitto, eventually
from tests.service.one_image import begun
from tests.service.running_daemon import (
    PREFIX,
    Service,
    valid,
)


def test_health_tells_queues_memory_and_what_runs(tmp_path: Path, broker: Mosquitto) -> None:
    with Listener(broker.port, f"{PREFIX}/#") as dashboard, Service(tmp_path, broker.port):
        body = eventually(lambda: dashboard.on("/health"), 60)[0].body
        assert valid(body)
        assert body["queue"]["unsent"] == 0


def test_suspects_are_counted_behind_any_number_of_new_images(journal: Journal) -> None:
    begun(journal, "suspect.png")
    journal.ledger.recover()
    journal.ledger.admit_many([(f"{number}.png", Fingerprint(1, 1)) for number in range(1001)])
    assert health.queue(journal, 0.0).images_suspect == 1
