"""A review that was handed over is stored, sent, and its image copied byte for byte."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from edge.config import Settings
from edge.errors import ReviewError
from edge.journal import Journal, requests
from edge.records import Fingerprint
from edge.service import reviewed
from edge.service.attendant import Attendant
from edge.service.shared import Shared
from tests.fakes.brokers import Listener, Mosquitto, eventually
from tests.journal.examples import one
from tests.service.running_daemon import PREFIX, Service, wait_until_online
from tests.teach.test_reviews import line

DATA = b"any bytes: nothing is decoded"
SHA = hashlib.sha256(DATA).hexdigest()


def said(**changed: object) -> bytes:
    return json.dumps(line(image={"sha256": SHA, "path": "a.png", "name": "a.png"}, **changed)).encode()


def inspected(journal: Journal, settings: Settings) -> Path:
    assert settings.watch.folder is not None
    file = settings.watch.folder / "a.png"
    file.write_bytes(DATA)
    journal.ledger.admit("a.png", Fingerprint(1, 1))
    journal.ledger.begin("a.png")
    journal.ledger.conclude("a.png", one(), SHA)
    return file


def test_the_image_is_kept_when_the_export_folder_is_cleaned(settings: Settings, journal: Journal, shared: Shared) -> None:
    file = inspected(journal, settings)
    requests.leave_review(journal.folder, said())
    Attendant(settings, journal, shared)._take_reviews()
    file.unlink()
    kept = reviewed.kept_image(journal.folder, SHA)
    assert kept is not None
    assert kept.read_bytes() == DATA
    assert requests.reviews_waiting(journal.folder) == []
    sent = [json.loads(row.payload or b"") for row in journal.outbox.unsent() if row.topic == "review"]
    assert [(one["review_seq"], one["reviewer"].startswith("reviewer-")) for one in sent] == [(1, True)]
    assert not reviewed.take(journal, settings, said(), "again")


def test_a_later_inspection_of_an_image_that_is_kept_is_kept_too(
    settings: Settings, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    inspected(journal, settings)
    ids = [f"0b0e7b5e-8c1e-4d52-9c0e-00000000000{n}" for n in (1, 2)]
    monkeypatch.setattr(type(journal.reviews), "inspection", lambda _, known: json.dumps({"id": known}).encode())
    for number, inspection_id in enumerate(ids):
        reviewed.take(journal, settings, said(review_id=f"r{number}", inspection_id=inspection_id), "here")
    place = journal.folder / "reviewed" / SHA
    assert [json.loads((place / f"{one}{reviewed.INSPECTION}").read_bytes())["id"] for one in ids] == ids
    assert not list(place.glob(".*.tmp"))


def test_an_image_that_was_changed_or_is_unknown_is_a_sentence(settings: Settings, journal: Journal) -> None:
    inspected(journal, settings).write_bytes(b"other")
    review = reviewed.parse_review(said(), "here")
    assert "was changed since" in str(reviewed.keep_image(journal, settings, review))
    unknown = reviewed.parse_review(json.dumps(line()).encode(), "here")
    assert "no image whose hash" in str(reviewed.keep_image(journal, settings, unknown))
    with pytest.raises(ReviewError, match="not JSON"):
        reviewed.take(journal, settings, b"{", "here")


def test_a_review_that_is_handed_to_a_running_daemon_is_published(tmp_path: Path, broker: Mosquitto) -> None:
    with Listener(broker.port, f"{PREFIX}/#") as dashboard, Service(tmp_path, broker.port) as service:
        wait_until_online(dashboard)
        requests.leave_review(service.state, said())
        eventually(lambda: dashboard.on("/review"), 120)
