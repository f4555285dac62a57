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
from tests.mqtt.making import DEVICE, PREFIX, Publish, conclude, deny, denying, drained, seqs

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
        eventually(lambda: seqs(dashboard) == [1, 2])
        journal.pictures.write(picture.name, b"drawn")
        drawing.clear()
        publisher.wake()
        eventually(drained(journal))
        # Acknowledged is not yet heard.
        eventually(lambda: [one.payload for one in list(dashboard.heard) if "/overlay/" in one.topic] == [b"drawn"])


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
        assert publisher.stop(30.0)
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


def test_a_denied_verdict_waits_and_is_no_dead_letter_while_all_else_flows(
    journal: Journal, tmp_path: Path, publish: Publish, quick_holding: None
) -> None:
    told: dict[str, str | None] = {}
    broker, login = denying(tmp_path / "acl", "inspection")
    for n in range(3):
        conclude(journal, f"{n}.tif", picture=b"drawn")
    with broker, Listener(broker.port, username="dashboard", password="secret") as dashboard:
        publisher = publish(broker.port, on_trouble=told.__setitem__, **login)
        eventually(lambda: f"{PREFIX}/inspection" in (told.get("denied") or ""))
        assert "ACL" in (told["denied"] or "")
        eventually(lambda: len([m for m in dashboard.heard if "/overlay/" in m.topic]) == 3)
        eventually(lambda: dashboard.on("/summary"))
        since = publisher.since
        # Heard is not yet written down as acknowledged.
        eventually(lambda: [row.topic for row in journal.outbox.unsent()] == ["inspection"] * 3)
        deny(tmp_path / "acl")
        broker.reload()
        eventually(drained(journal))
        eventually(lambda: seqs(dashboard) == [1, 2, 3])
        eventually(lambda: told["denied"] is None)
        assert not journal.outbox.dead_letters()
        assert publisher.since == since, "the connection stood all the time"


def test_denied_overlays_hold_nothing_up_and_come_when_they_may(
    journal: Journal, tmp_path: Path, publish: Publish, quick_holding: None
) -> None:
    told: dict[str, str | None] = {}
    broker, login = denying(tmp_path / "acl", "overlay/+")
    for n in range(50):
        conclude(journal, f"{n}.tif", picture=b"drawn")
    with broker, Listener(broker.port, username="dashboard", password="secret") as dashboard:
        publisher = publish(broker.port, on_trouble=told.__setitem__, **login)
        eventually(lambda: seqs(dashboard) == list(range(1, 51)))
        eventually(lambda: f"{PREFIX}/overlay/+" in (told.get("denied") or ""))
        conclude(journal, "late.tif")
        publisher.wake()
        eventually(lambda: 51 in seqs(dashboard))
        assert len(dashboard.on("/status")) == 1, "the status does not flap"
        deny(tmp_path / "acl")
        broker.reload()
        eventually(drained(journal))
        eventually(lambda: len([m for m in dashboard.heard if "/overlay/" in m.topic]) == 50)
        assert not journal.outbox.dead_letters()


def test_a_denied_summary_waits_too(journal: Journal, tmp_path: Path, publish: Publish, quick_holding: None) -> None:
    told: dict[str, str | None] = {}
    broker, login = denying(tmp_path / "acl", "summary")
    conclude(journal, "a.tif")
    with broker, Listener(broker.port, username="dashboard", password="secret") as dashboard:
        publish(broker.port, on_trouble=told.__setitem__, **login)
        eventually(drained(journal))
        eventually(lambda: f"{PREFIX}/summary" in (told.get("denied") or ""))
        deny(tmp_path / "acl")
        broker.reload()
        eventually(lambda: dashboard.on("/summary"))
        eventually(lambda: told["denied"] is None)


def test_an_oversize_picture_dies_without_a_tombstone(journal: Journal, tmp_path: Path, publish: Publish) -> None:
    conclude(journal, "a.tif", picture=bytes(50_000))
    conclude(journal, "b.tif")
    with Mosquitto(tmp_path / "broker", "max_packet_size 10000") as broker, Listener(broker.port) as dashboard:
        publish(broker.port)
        eventually(lambda: seqs(dashboard) == [1, 2])
        eventually(drained(journal))
        assert len(journal.outbox.dead_letters()) == 1


def test_any_number_of_overlays_whose_pictures_are_being_drawn_holds_no_verdict_up(
    journal: Journal, broker: Mosquitto, publish: Publish
) -> None:
    for n in range(60):
        conclude(journal, f"{n}.tif", picture=b"lost")
    journal.outbox.acknowledge([row.id for row in journal.outbox.unsent(1000) if row.role == "verdict"])
    for picture in journal.pictures.folder.iterdir():
        picture.unlink()
    with Listener(broker.port) as dashboard:
        publisher = publish(broker.port, being_drawn=lambda name: True)
        conclude(journal, "new.tif")
        publisher.wake()
        eventually(lambda: seqs(dashboard) == [61])
        eventually(lambda: journal.outbox.unsent_count() == 60)
