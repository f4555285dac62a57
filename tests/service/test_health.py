"""The figures of `edge.health/1`."""

from __future__ import annotations

import time
from datetime import datetime
from functools import partial
from pathlib import Path

import pytest

from edge.journal import Journal, Message, Verdict
from edge.records import Fingerprint
from edge.service import health
from tests.fakes.brokers import Listener, Mosquitto, eventually
from tests.journal.examples import failure, inspected
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


def test_the_newest_dead_letter_is_told_with_topic_and_reason(journal: Journal) -> None:
    assert health.newest_dead_letter(journal) is None
    for number in range(2):
        inspected(journal, f"{number}.tif")
        journal.outbox.bury(journal.outbox.unsent()[-1].id, f"too large {number} " + "x" * 400, None)
    letter = health.newest_dead_letter(journal)
    assert letter is not None
    assert (letter.seq, letter.topic) == (2, "overlay/v")
    assert letter.reason.startswith("too large 1")
    assert len(letter.reason) == 300


@pytest.mark.parametrize(
    ("zone", "at", "date", "count"),
    [
        ("UTC", "2024-05-01T02:30:00+00:00", "2024-05-01", 2),
        ("America/New_York", "2024-05-01T02:30:00+00:00", "2024-04-30", 3),  # still the evening before
        ("Asia/Tokyo", "2024-04-30T16:00:00+00:00", "2024-05-01", 3),
    ],
)
def test_a_day_is_the_machines_own(
    journal: Journal, monkeypatch: pytest.MonkeyPatch, zone: str, at: str, date: str, count: int
) -> None:
    for number, moment in enumerate(("2024-04-30T23:00:00+00:00", "2024-05-01T00:10:00+00:00", "2024-05-01T02:00:00+00:00")):
        journal.ledger._clock = partial(float, datetime.fromisoformat(moment).timestamp())
        inspected(journal, f"{number}.tif")
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        today = health.today(journal, datetime.fromisoformat(at).timestamp())
    finally:
        monkeypatch.undo()
        time.tzset()
    assert (today.date, today.inspections) == (date, count)


@pytest.mark.parametrize("clock", [-1e12, 0.0, 1e13])
def test_an_impossible_clock_hides_no_figure(journal: Journal, clock: float) -> None:
    journal.ledger._clock = lambda: clock
    inspected(journal, "a.tif")
    assert health.last_image_at(journal) is not None


def test_quarantine_counts_what_was_given_up_and_what_may_be(journal: Journal) -> None:
    inspected(journal, "a.tif", lambda seq: [Verdict(f"f-{seq}", "failure", (Message("verdict", "f", b""),), "crashed", "x")])
    inspected(journal, "b.tif", failure("b"))
    begun(journal, "c.tif")
    journal.ledger.recover()
    assert health.quarantine(journal).model_dump() == {"given_up": 2, "crashed": 1, "suspects": 1}
