"""Verdicts with their messages, and then their pictures."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edge.folder.file import FileGoneError
from edge.records import Inspection, Source
from edge.service.decoder import Decoder
from edge.service.inspector import Inspector
from edge.service.recorder import Recorder
from tests.fakes.brokers import Listener, Mosquitto, eventually
from tests.service.one_image import begun, recorded
from tests.service.running_daemon import (
    PREFIX,
    Service,
    png,
    verdicts,
)
from tests.wire.examples import abstained, example


def test_the_picture_of_an_inspection_is_sent_under_its_id(tmp_path: Path, broker: Mosquitto) -> None:
    with Listener(broker.port, f"{PREFIX}/#") as dashboard, Service(tmp_path, broker.port) as service:
        service.put("a.png", png(1))
        (verdict,) = eventually(lambda: verdicts(dashboard), 60)
        (picture,) = eventually(lambda: dashboard.on(f"/overlay/{verdict['inspection_id']}"), 30)
        assert cv2.imdecode(np.frombuffer(picture.payload, np.uint8), cv2.IMREAD_COLOR) is not None


def test_the_verdict_does_not_wait_for_its_picture(decoder: Decoder, inspector: Inspector, recorder: Recorder) -> None:
    waiting: list[tuple[bool, bool]] = []

    def draw(_: Inspection) -> NDArray[np.uint8]:
        verdict, row = recorder.journal.outbox.unsent()
        waiting.append((verdict.role == "verdict", row.picture in recorder.shared.being_drawn))
        return np.zeros((32, 32, 3), np.uint8)

    recorded(decoder, inspector, recorder, draw)
    assert waiting == [(True, True)]
    assert recorder.journal.pictures.undrawn() == []


def test_a_defect_in_drawing_costs_that_picture_alone(decoder: Decoder, inspector: Inspector, recorder: Recorder) -> None:
    recorded(decoder, inspector, recorder, lambda _: 1 / 0)  # type: ignore[arg-type, return-value]
    verdict, overlay_row = recorder.journal.outbox.unsent()
    assert json.loads(verdict.payload or b"")["schema"] == "edge.inspection/2"
    assert overlay_row.picture not in recorder.shared.being_drawn


def test_what_was_stored_may_be_shown_to_a_candidate_and_a_suspect_may_not(
    decoder: Decoder, inspector: Inspector, recorder: Recorder
) -> None:
    offers = recorder.shared.offers
    offers.want(True)
    recorded(decoder, inspector, recorder)
    offered = offers.take(0.0)
    assert offered is not None
    stored = json.loads(recorder.journal.outbox.unsent()[0].payload or b"")
    assert json.loads(offered.document) == stored
    assert offered.inspection_id == stored["inspection_id"]
    assert offered.micrograph.grey.shape == (stored["image"]["height_px"], stored["image"]["width_px"])
    suspect = replace(begun(recorder.journal, "b.png"), attempts=2)
    recorder._record(suspect, example().source, [example()])
    assert offers.take(0.0) is None


def test_the_log_says_a_severity_or_why_there_is_none(
    decoder: Decoder, inspector: Inspector, recorder: Recorder, caplog: pytest.LogCaptureFixture
) -> None:
    entry = begun(recorder.journal, "a.png")
    with caplog.at_level("INFO"):
        recorder._record(entry, example().source, [example()])
        again = begun(recorder.journal, "b.png")
        recorder._record(again, abstained().source, [abstained()])
    said = [record.getMessage() for record in caplog.records]
    assert any("moderate 71%, 2 regions" in line for line in said)
    assert any("not judged (no_contrast), 2 regions" in line for line in said)


def test_an_epoch_that_begins_while_a_verdict_is_stored_gives_it_its_name_and_its_picture(
    decoder: Decoder, inspector: Inspector, recorder: Recorder
) -> None:
    journal, conclude, renewed = recorder.journal, recorder.journal.ledger.conclude, []

    def conclude_late(path: str, make: Any, content: str | None, *, gone: bool) -> list[int]:
        if not renewed:
            renewed.append(journal.renew(lambda _: pytest.fail("nothing waits")))
        return conclude(path, make, content, gone=gone)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(journal.ledger, "conclude", conclude_late)
        recorded(decoder, inspector, recorder)
    verdict, overlay_row = journal.outbox.unsent()
    body = json.loads(verdict.payload or b"")
    assert (verdict.epoch, body["epoch"], body["seq"]) == (journal.epoch, journal.epoch, 1)
    assert overlay_row.topic == f"overlay/{body['inspection_id']}"
    assert [path.name for path in journal.pictures.folder.iterdir()] == [f"{body['inspection_id']}.webp"]
    assert recorder.shared.being_drawn.all() == ()


def test_a_file_that_was_gone_is_new_when_it_comes_back_as_it_was(recorder: Recorder) -> None:
    ledger = recorder.journal.ledger
    entry = begun(recorder.journal, "a.png")
    recorder._record(entry, Source("a.png", "a.png", None), FileGoneError("unreadable", "it is not there"))
    assert recorder.shared.gone.all() == ("a.png",)
    returned = ledger.admit("a.png", entry.fingerprint)
    assert returned is not None
    assert returned.revision == 2
