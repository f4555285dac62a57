"""A message that a real broker never takes: page and report show its original whole, subscribers got a tombstone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edge.config import DeviceSettings, MqttSettings
from edge.journal import Journal, Message, Verdict
from edge.mqtt.publisher import Publisher, StatusText
from edge.records import Fingerprint
from edge.report.reading import read_journal
from edge.web.journal_source import JournalSource
from edge.wire.encode import verdict_id
from tests.conftest import settings_for
from tests.fakes.brokers import Listener, Mosquitto, eventually, needs_mosquitto
from tests.web import documents

pytestmark = [pytest.mark.broker, needs_mosquitto]

DEVICE = DeviceSettings(site="plant-1", area="lab", id="sem-01")
PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(40_000)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    (tmp_path / "watched").mkdir()
    with Journal.open(tmp_path / "state") as opened:
        yield opened


def stored(journal: Journal, name: str, note: str) -> tuple[str, bytes]:
    """A verdict with its picture, as the service stores it: its id, and its message."""
    journal.ledger.admit(name, Fingerprint(1, 1))
    journal.ledger.begin(name)
    identity = verdict_id(journal.epoch, name, 1, 1)
    kept: list[bytes] = []

    def make(seq: int) -> list[Verdict]:
        said = documents.inspection()
        said["image"].update(name=name, path=name)
        said["quality"]["warnings"] = [note[start : start + 9000] for start in range(0, len(note), 9000)]
        kept.append(json.dumps({**said, "inspection_id": identity, "epoch": journal.epoch, "seq": seq}).encode())
        journal.pictures.write(f"{identity}.png", PICTURE)
        messages = (
            Message("verdict", "inspection", kept[-1]),
            Message("overlay", f"overlay/{identity}", None, f"{identity}.png"),
        )
        return [Verdict(identity, "inspection", messages)]

    journal.ledger.conclude(name, make)
    return identity, kept[-1]


def test_the_original_of_a_dead_letter_is_shown_whole_where_the_broker_got_a_tombstone(
    journal: Journal, tmp_path: Path
) -> None:
    small, large = stored(journal, "small.tif", "fine"), stored(journal, "large.tif", "x" * 60_000)
    with (
        Mosquitto(tmp_path / "broker", "max_packet_size 30000") as broker,
        Listener(broker.port) as subscriber,
    ):
        named: Any = {
            "device": DEVICE,
            "status": lambda: StatusText("online", (), 2, 0),
            "health": lambda: b"{}",
            "on_command": lambda name, body: {},
            "being_drawn": lambda _: False,
            "on_trouble": lambda name, problem: None,
        }
        publisher = Publisher(MqttSettings(host="127.0.0.1", port=broker.port), "plant-1/lab/sem/sem-01", journal, **named)
        publisher.start()
        eventually(lambda: journal.outbox.unsent_count() == 0, 60.0)
        publisher.stop(5.0)
        assert [json.loads(one.payload)["schema"] for one in subscriber.on("/failure")] == ["edge.tombstone/1"]
    assert {one.topic.partition("/")[0] for one in journal.outbox.dead_letters()} == {"inspection", "overlay"}

    with JournalSource(settings_for(tmp_path / "watched")) as pages:
        facts = eventually(lambda: pages.inspection("", large[0]), 60.0)
        assert facts["inspection"] == json.loads(large[1])
        assert pages.message("", large[0]) == large[1]
        assert pages.overlay("", large[0]) == (PICTURE, "image/png")
        eventually(lambda: large[0] in {one["id"] for one in pages.problems("")["dead_letters"]}, 60.0)
    told = {one.said["inspection_id"]: one.said["quality"] for one in read_journal(tmp_path / "state").inspections}
    assert told == {identity: json.loads(message)["quality"] for identity, message in (small, large)}
