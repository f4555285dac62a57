"""What the contract's publisher says against a real mosquitto: pictures, summary, health, status, tombstones."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from edge.config import MqttSettings
from edge.journal import Journal
from edge.mqtt.publisher import Publisher, StatusText
from tests.fakes.brokers import Listener, Mosquitto, eventually, needs_mosquitto
from tests.mqtt.making import DEVICE, PREFIX, Publish, conclude, denying, drained, seqs

pytestmark = [pytest.mark.broker, needs_mosquitto]


def test_a_picture_is_read_from_the_pictures_folder(journal: Journal, broker: Mosquitto, publish: Publish) -> None:
    conclude(journal, "a.tif", picture=b"\x89PNG" + bytes(3_000_000))
    with Listener(broker.port) as dashboard:
        publish(broker.port)
        eventually(lambda: any("/overlay/" in message.topic for message in dashboard.heard))
        assert [message.payload for message in dashboard.heard if "/overlay/" in message.topic] == [
            b"\x89PNG" + bytes(3_000_000)
        ]


def test_an_overlay_waits_for_its_picture_alone(journal: Journal, broker: Mosquitto, publish: Publish) -> None:
    conclude(journal, "a.tif", picture=b"there")
    conclude(journal, "b.tif")
    (picture,) = journal.pictures.folder.iterdir()
    picture.unlink()
    drawing = {picture.name}
    with Listener(broker.port) as dashboard:
        publisher = publish(broker.port, being_drawn=lambda name: name in drawing)
        eventually(lambda: journal.outbox.unsent_count() == 1)
        assert seqs(dashboard) == [1, 2]
        journal.pictures.write(picture.name, b"drawn")
        drawing.clear()
        publisher.wake()
        eventually(drained(journal))
        assert [message.payload for message in dashboard.heard if "/overlay/" in message.topic] == [b"drawn"]


def test_a_missing_picture_does_not_hold_up_the_queue(journal: Journal, broker: Mosquitto, publish: Publish) -> None:
    conclude(journal, "a.tif", picture=b"gone")
    for picture in journal.pictures.folder.iterdir():
        picture.unlink()
    conclude(journal, "b.tif")
    with Listener(broker.port) as dashboard:
        publish(broker.port)
        eventually(lambda: seqs(dashboard) == [1, 2])
        eventually(drained(journal))


def test_the_newest_summary_is_retained_and_sent_once(journal: Journal, broker: Mosquitto, publish: Publish) -> None:
    for name in ("a.tif", "b.tif"):
        conclude(journal, name)
    publisher = publish(broker.port)
    eventually(lambda: (newest := journal.outbox.summary()) and newest[2])
    publisher.stop()
    publish(broker.port)
    with Listener(broker.port) as dashboard:
        eventually(lambda: dashboard.on("/summary"))
        assert [(message.body, message.retained) for message in dashboard.on("/summary")] == [({"seq": 2}, True)]


def test_health_is_published(broker: Mosquitto, publish: Publish) -> None:
    with Listener(broker.port) as dashboard:
        publish(broker.port)
        eventually(lambda: dashboard.on("/health"))


def test_health_that_cannot_be_told_does_not_hold_up_verdicts(journal: Journal, broker: Mosquitto) -> None:
    def broken() -> bytes:
        raise RuntimeError("no sensors")

    conclude(journal, "a.tif")
    publisher = Publisher(
        MqttSettings(host="127.0.0.1", port=broker.port),
        PREFIX,
        journal,
        device=DEVICE,
        status=lambda: StatusText("online"),
        health=broken,
        on_command=lambda name, body: None,
    )
    publisher.start()
    eventually(drained(journal))
    publisher.stop()


def test_the_status_is_retained_and_says_since_when(broker: Mosquitto, publish: Publish) -> None:
    publisher = publish(broker.port)
    eventually(lambda: publisher.connected)
    with Listener(broker.port) as dashboard:
        status = eventually(lambda: dashboard.on("/status"))[0]
        assert status.retained
        assert status.body["state"] == "online"
        assert status.body["connected_at"]
        assert status.body["last_seq"] == 7


def test_a_changed_status_is_published_at_once(broker: Mosquitto, publish: Publish) -> None:
    now = [StatusText("online")]
    publisher = publish(broker.port, status=lambda: now[0])
    with Listener(broker.port) as dashboard:
        eventually(lambda: dashboard.on("/status"))
        now[0] = StatusText("degraded", ("the folder is gone",))
        publisher.refresh_status()
        eventually(lambda: dashboard.on("/status")[-1].body["reasons"] == ["the folder is gone"])


def test_stopping_says_offline_and_disconnects(journal: Journal, broker: Mosquitto, publish: Publish) -> None:
    conclude(journal, "a.tif")
    with Listener(broker.port) as dashboard:
        publisher = publish(broker.port)
        eventually(drained(journal))
        assert publisher.stop(5.0)
        assert not publisher.alive
        eventually(lambda: dashboard.on("/status")[-1].body["reasons"] == ["stopped"])
        assert dashboard.on("/status")[-1].body["state"] == "offline"


def test_the_status_is_published_again_at_every_connect(broker: Mosquitto, publish: Publish) -> None:
    publisher = publish(broker.port)
    with Listener(broker.port) as dashboard:
        eventually(lambda: dashboard.on("/status"))
        broker.kill()
        eventually(lambda: not publisher.connected)
        broker.start()
        eventually(lambda: dashboard.on("/status")[-1].body["connected_at"] > dashboard.on("/status")[0].body["connected_at"])
        assert dashboard.on("/status")[-1].body["state"] == "online"


PUBLISHER_PROCESS = """
import sys, time
from pathlib import Path
from edge.config import DeviceSettings, MqttSettings
from edge.journal import Journal
from edge.mqtt.publisher import Publisher, StatusText

with Journal.open(Path(sys.argv[2])) as journal:
    Publisher(MqttSettings(host="127.0.0.1", port=int(sys.argv[1])), "plant-1/lab/sem/sem-01", journal, device=DeviceSettings(),
              status=lambda: StatusText("online"), health=lambda: b"{}", on_command=lambda name, body: None).start()
    time.sleep(600)
"""


def test_the_broker_says_offline_when_the_daemon_is_killed(broker: Mosquitto, tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", PUBLISHER_PROCESS, str(broker.port), str(tmp_path / "other")])
    try:
        with Listener(broker.port) as dashboard:
            eventually(lambda: dashboard.on("/status") and dashboard.on("/status")[-1].body["state"] == "online")
            process.send_signal(signal.SIGKILL)
            eventually(lambda: dashboard.on("/status")[-1].body["state"] == "offline")
            assert dashboard.on("/status")[-1].body["reasons"] == ["connection lost"]
            counted = [dashboard.on("/status")[-1].body[name] for name in ("last_seq", "dead_letters")]
            assert counted == [None, None], "what was counted at the connect is out of date when the will is read"
    finally:
        process.kill()
        process.wait()


def test_a_denied_topic_becomes_a_dead_letter_with_a_tombstone(journal: Journal, tmp_path: Path, publish: Publish) -> None:
    broker, login = denying(tmp_path / "acl", "inspection")
    seq = conclude(journal, "a.tif")
    with broker, Listener(broker.port, username="dashboard", password="secret") as dashboard:
        publish(broker.port, **login)
        eventually(drained(journal))
        grave = eventually(lambda: dashboard.on("/failure"))[0].body
        assert grave["schema"] == "edge.tombstone/1"
        assert (grave["seq"], grave["epoch"], grave["kind"]) == (seq, journal.epoch, "inspection")
        assert "Not authorized" in grave["reason"]
        assert [letter[0] for letter in journal.outbox.dead_letters()] == [seq]
        eventually(lambda: dashboard.on("/status")[-1].body["dead_letters"] == 1)


def test_a_tombstone_that_is_denied_too_is_let_go(journal: Journal, tmp_path: Path, publish: Publish) -> None:
    broker, login = denying(tmp_path / "acl", "inspection", "failure")
    conclude(journal, "a.tif")
    conclude(journal, "b.tif")
    with broker:
        publisher = publish(broker.port, **login)
        eventually(drained(journal))
        assert len(journal.outbox.dead_letters()) == 2
        assert publisher.connected


def test_a_denied_summary_is_told_and_not_tried_endlessly(journal: Journal, tmp_path: Path, publish: Publish) -> None:
    broker, login = denying(tmp_path / "acl", "summary")
    conclude(journal, "a.tif")
    with broker:
        publisher = publish(broker.port, **login)
        eventually(drained(journal))
        eventually(lambda: "summary" in broker.log() or "summary" in (publisher.last_error or ""))
        conclude(journal, "b.tif")
        publisher.wake()
        eventually(drained(journal))


def test_an_oversize_picture_dies_without_a_tombstone(journal: Journal, tmp_path: Path, publish: Publish) -> None:
    conclude(journal, "a.tif", picture=bytes(50_000))
    conclude(journal, "b.tif")
    with Mosquitto(tmp_path / "broker", "max_packet_size 10000") as broker, Listener(broker.port) as dashboard:
        publish(broker.port)
        eventually(lambda: seqs(dashboard) == [1, 2])
        eventually(drained(journal))
        assert len(journal.outbox.dead_letters()) == 1
