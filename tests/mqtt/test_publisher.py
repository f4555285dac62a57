"""The publisher against a real mosquitto and a real journal: what arrives, in which order, after which accidents."""

from __future__ import annotations

import json
import logging
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from edge.config import DeviceSettings, MqttSettings
from edge.errors import BrokerError, StateFullError
from edge.journal import Journal, Message, Verdict
from edge.mqtt.backoff import Backoff
from edge.mqtt.commands import may_answer_to
from edge.mqtt.connection import probe
from edge.mqtt.publisher import Publisher, StatusText
from edge.records import Fingerprint
from edge.wire import encode as wire
from tests.fakes.brokers import FakeBroker, Listener, Mosquitto, Proxy, eventually, free_port, needs_mosquitto, silent_server

pytestmark = [pytest.mark.broker, needs_mosquitto]

DEVICE = DeviceSettings(site="plant-1", area="lab", id="sem-01")
PREFIX = "plant-1/lab/sem/sem-01"
AT = datetime(2024, 5, 1, 12, 0, tzinfo=timezone.utc)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal.open(tmp_path / "state") as opened:
        yield opened


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    with Mosquitto(tmp_path / "broker") as started:
        yield started


Publish = Callable[..., Publisher]


@pytest.fixture
def publish(journal: Journal) -> Iterator[Publish]:
    """Starts publishers that end with the test."""
    started: list[Publisher] = []

    def start(port: int, on_command: Any = lambda name, body: {}, status: Any = None, **settings: Any) -> Publisher:
        being_drawn = settings.pop("being_drawn", lambda _: False)
        publisher = Publisher(
            MqttSettings(host=settings.pop("host", "127.0.0.1"), port=port, **settings),
            PREFIX,
            journal,
            device=DEVICE,
            status=status or (lambda: StatusText("online", (), 7, len(journal.dead_letters()))),
            health=lambda: b'{"schema":"edge.health/1"}',
            on_command=on_command,
            being_drawn=being_drawn,
            shortest_wait_s=0.05,
            longest_wait_s=0.2,
        )
        publisher.start()
        started.append(publisher)
        return publisher

    yield start
    for publisher in started:
        publisher.stop(5.0)


def conclude(journal: Journal, name: str, *, filler: int = 0, picture: bytes | None = None) -> int:
    """One verdict in the journal, as the pipeline would store it; its seq."""
    journal.admit(name, Fingerprint(1, 1))
    journal.begin(name)
    verdict_id = wire.verdict_id(journal.epoch, name, 1, 1)

    def make(seq: int) -> list[Verdict]:
        body = {"schema": "edge.inspection/1", "inspection_id": verdict_id, "epoch": journal.epoch, "seq": seq}
        messages = [Message("verdict", "inspection", json.dumps({**body, "filler": "x" * filler}).encode())]
        if picture is not None:
            journal.write_picture(f"{verdict_id}.png", picture)
            messages.append(Message("overlay", f"overlay/{verdict_id}", None, f"{verdict_id}.png"))
        messages.append(Message("summary", "summary", json.dumps({"seq": seq}).encode()))
        return [Verdict(verdict_id, "inspection", tuple(messages))]

    return journal.conclude(name, make)[0]


def seqs(listener: Listener) -> list[int]:
    return [message.body["seq"] for message in list(listener.heard) if message.topic.endswith(("inspection", "failure"))]


def drained(journal: Journal) -> Callable[[], bool]:
    return lambda: journal.unsent_count() == 0


# ------------------------------------------------------------------------------------------------------------ delivery


@pytest.mark.parametrize("protocol", [5, 311])
def test_every_verdict_arrives_once_and_in_order(protocol: int, journal: Journal, broker: Mosquitto, publish: Publish) -> None:
    expected = [conclude(journal, f"{n}.tif") for n in range(60)]
    with Listener(broker.port) as dashboard:
        publish(broker.port, protocol=protocol)
        eventually(drained(journal))
        eventually(lambda: len(seqs(dashboard)) >= len(expected))
        assert seqs(dashboard) == expected


def test_a_new_verdict_is_sent_when_the_publisher_is_woken(journal: Journal, broker: Mosquitto, publish: Publish) -> None:
    publisher = publish(broker.port)
    eventually(lambda: publisher.connected)
    with Listener(broker.port) as dashboard:
        conclude(journal, "late.tif")
        publisher.wake()
        eventually(lambda: seqs(dashboard) == [1])


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
    (picture,) = journal.pictures.iterdir()
    picture.unlink()
    drawing = {picture.name}
    with Listener(broker.port) as dashboard:
        publisher = publish(broker.port, being_drawn=lambda name: name in drawing)
        eventually(lambda: journal.unsent_count() == 1)
        assert seqs(dashboard) == [1, 2]
        journal.write_picture(picture.name, b"drawn")
        drawing.clear()
        publisher.wake()
        eventually(drained(journal))
        assert [message.payload for message in dashboard.heard if "/overlay/" in message.topic] == [b"drawn"]


def test_a_missing_picture_does_not_hold_up_the_queue(journal: Journal, broker: Mosquitto, publish: Publish) -> None:
    conclude(journal, "a.tif", picture=b"gone")
    for picture in journal.pictures.iterdir():
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
    eventually(lambda: (newest := journal.summary()) and newest[2])
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


# ----------------------------------------------------------------------------------------------------------- accidents


@pytest.mark.parametrize("protocol", [5, 311])
def test_a_broker_killed_and_restarted_again_and_again_loses_nothing(
    protocol: int, journal: Journal, broker: Mosquitto, publish: Publish
) -> None:
    with Listener(broker.port) as dashboard:
        publisher = publish(broker.port, protocol=protocol)
        for round_ in range(3):
            for n in range(40):
                conclude(journal, f"{round_}-{n}.tif", filler=20_000)
                publisher.wake()
            heard = len(dashboard.heard)
            eventually(lambda heard=heard: len(dashboard.heard) > heard)  # type: ignore[misc]
            broker.kill()
            broker.start()
        eventually(drained(journal), 60)
        # What a killed broker had acknowledged and not yet delivered may be lost to its subscribers: ask for a replay.
        journal.replay(journal.epoch, 1, 120)
        publisher.wake()
        eventually(lambda: set(seqs(dashboard)) == set(range(1, 121)), 60)
        assert not journal.dead_letters()


def test_a_broker_that_comes_late_gets_everything(journal: Journal, tmp_path: Path, publish: Publish) -> None:
    port = free_port()
    conclude(journal, "a.tif")
    publisher = publish(port)
    eventually(lambda: publisher.last_error or "")
    assert "cannot reach" in (publisher.last_error or "")
    with Mosquitto(tmp_path / "broker", port=port), Listener(port) as dashboard:
        eventually(lambda: seqs(dashboard) == [1])
        assert publisher.last_error is None


def test_rows_in_flight_are_sent_again_in_order_after_a_lost_connection(
    journal: Journal, broker: Mosquitto, publish: Publish
) -> None:
    expected = [conclude(journal, f"{n}.tif") for n in range(50)]
    with Listener(broker.port) as dashboard, Proxy(broker.port, swallow_acknowledgements=True) as proxy:
        publish(proxy.port)
        eventually(lambda: len(seqs(dashboard)) >= 10)
        proxy.swallow_acknowledgements = False
        proxy.cut()
        eventually(drained(journal))
        eventually(lambda: len(set(seqs(dashboard))) == 50)
        assert list(dict.fromkeys(seqs(dashboard))) == expected


def test_an_outage_never_buries_a_message(journal: Journal, broker: Mosquitto, publish: Publish) -> None:
    conclude(journal, "a.tif")
    with Proxy(broker.port, swallow_acknowledgements=True) as proxy:
        publish(proxy.port)
        for _ in range(5):
            eventually(lambda: proxy.forwarded_publishes >= 2)
            proxy.refuse = True
            proxy.cut()
            eventually(lambda: proxy.refusals > 0)
            proxy.refusals = proxy.forwarded_publishes = 0
            proxy.refuse = False
        assert not journal.dead_letters()
        assert journal.unsent()[0].suspect == 0
        proxy.swallow_acknowledgements = False
        proxy.cut()
        eventually(drained(journal))


def test_a_full_disk_that_cannot_record_an_acknowledgement_is_outlived(
    journal: Journal, broker: Mosquitto, publish: Publish, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = threading.Event()
    acknowledge = journal.acknowledge
    tries: list[int] = []

    def when_there_is_room(ids: Any) -> None:
        tries.append(1)
        if full.is_set():
            raise StateFullError("the disk is full")
        acknowledge(ids)

    monkeypatch.setattr(Journal, "acknowledge", lambda self, ids: when_there_is_room(ids))
    full.set()
    conclude(journal, "a.tif")
    with Listener(broker.port) as dashboard:
        publisher = publish(broker.port)
        eventually(lambda: len(tries) >= 2)
        assert publisher.last_error == "the disk is full"
        full.clear()
        eventually(drained(journal))
        assert seqs(dashboard) == [1]
        assert publisher.last_error is None


def test_a_defect_is_logged_and_the_connection_is_rebuilt(
    journal: Journal, broker: Mosquitto, publish: Publish, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    unsent, calls = Journal.unsent, []

    def broken_at_first(self: Journal, after: int = 0, limit: int = 100, channel: str = "") -> Any:
        calls.append(1)
        if len(calls) < 3:
            raise RuntimeError("a defect")
        return unsent(self, after, limit, channel)

    monkeypatch.setattr(Journal, "unsent", broken_at_first)
    conclude(journal, "a.tif")
    with caplog.at_level(logging.ERROR):
        publisher = publish(broker.port)
        eventually(drained(journal))
    assert publisher.alive
    assert "a defect" in caplog.text
    assert "Traceback" in caplog.text


def test_a_half_open_connection_does_not_leave_an_offline_status_behind(broker: Mosquitto, publish: Publish) -> None:
    with Listener(broker.port) as dashboard, Proxy(broker.port) as proxy:
        publisher = publish(proxy.port)
        eventually(lambda: dashboard.on("/status"))
        since = publisher.since
        proxy.lose()  # the broker still believes in the old connection, and holds its last will
        eventually(lambda: publisher.connected and publisher.since > since)
        eventually(lambda: "already connected" in broker.log(), what="the broker closes the old connection")
        eventually(lambda: [message.body["state"] for message in dashboard.on("/status")] == ["online", "offline", "online"])


def test_the_keepalive_that_a_broker_demands_is_kept(tmp_path: Path, publish: Publish) -> None:
    with Mosquitto(tmp_path / "broker", "max_keepalive 10") as broker:
        publisher = publish(broker.port)
        eventually(lambda: publisher.connected)
        eventually(lambda: "k10" in broker.log())


def test_a_broker_that_can_lose_verdicts_is_not_used(journal: Journal, publish: Publish) -> None:
    conclude(journal, "a.tif")
    with FakeBroker(limits=bytes([0x24, 0])) as broker:
        publisher = publish(broker.port)
        assert "QoS 0 only" in eventually(lambda: publisher.last_error or "")
        assert broker.seqs == []


# -------------------------------------------------------------------------------------------------------------- status


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


def test_stopping_without_a_broker_is_quick_and_complete(publish: Publish) -> None:
    publisher = publish(free_port())
    assert publisher.stop(5.0)


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
    finally:
        process.kill()
        process.wait()


# ------------------------------------------------------------------------------------------------------------- logging in


def test_a_wrong_password_is_told_and_a_corrected_file_is_taken(journal: Journal, tmp_path: Path, publish: Publish) -> None:
    users, secret = tmp_path / "users", tmp_path / "secret"
    subprocess.run(["mosquitto_passwd", "-b", "-c", str(users), "edge", "right"], check=True, capture_output=True)
    users.chmod(0o644)
    secret.write_text("wrong\n")
    conclude(journal, "a.tif")
    with Mosquitto(tmp_path / "broker", "allow_anonymous false", f"password_file {users}") as broker:
        publisher = publish(broker.port, username="edge", password_file=str(secret))
        eventually(lambda: publisher.last_error or "")
        assert "mqtt.password_file" in (publisher.last_error or "")
        assert not publisher.connected
        secret.write_text("right\n")
        eventually(drained(journal))
        assert publisher.last_error is None


def test_a_missing_password_file_is_told(broker: Mosquitto, tmp_path: Path, publish: Publish) -> None:
    publisher = publish(broker.port, username="edge", password_file=str(tmp_path / "nowhere"))
    assert "nowhere" in eventually(lambda: publisher.last_error or "")


def test_a_probe_finds_a_working_broker_and_leaves_no_trace(broker: Mosquitto) -> None:
    with Listener(broker.port) as dashboard:
        probe(MqttSettings(host="127.0.0.1", port=broker.port), PREFIX)
        dashboard.say("marker", b"")
        eventually(lambda: dashboard.on("marker"))
        assert len(dashboard.heard) == 1


def test_a_probe_tells_why_a_broker_does_not_take_us(tmp_path: Path) -> None:
    with Mosquitto(tmp_path / "broker", "allow_anonymous false") as closed:
        for protocol in (5, 311):
            with pytest.raises(BrokerError, match=r"mqtt\.username"):
                probe(MqttSettings(host="127.0.0.1", port=closed.port, protocol=protocol), PREFIX)
    with pytest.raises(BrokerError, match="cannot reach"):
        probe(MqttSettings(host="127.0.0.1", port=free_port()), PREFIX)


def tls_broker(folder: Path) -> tuple[Mosquitto, dict[str, Any]]:
    """A broker that demands client certificates, and the settings that satisfy it."""
    trustme = pytest.importorskip("trustme")
    folder.mkdir()
    authority = trustme.CA()
    ca, cert, key = folder / "ca.pem", folder / "server.pem", folder / "server.key"
    authority.cert_pem.write_to_path(str(ca))
    server = authority.issue_cert("localhost", "127.0.0.1")
    server.private_key_pem.write_to_path(str(key))
    server.cert_chain_pems[0].write_to_path(str(cert))
    client = authority.issue_cert("sem-01@example.org")
    client.private_key_and_cert_chain_pem.write_to_path(str(folder / "client.pem"))
    lines = (f"cafile {ca}", f"certfile {cert}", f"keyfile {key}", "require_certificate true")
    own = str(folder / "client.pem")
    return Mosquitto(folder / "broker", *lines), {"tls": True, "ca_file": str(ca), "cert_file": own, "key_file": own}


@pytest.mark.parametrize("protocol", [5, 311])
def test_everything_goes_through_tls_with_client_certificates(
    protocol: int, journal: Journal, tmp_path: Path, publish: Publish
) -> None:
    broker, settings = tls_broker(tmp_path / "tls")
    for n in range(30):
        conclude(journal, f"{n}.tif", filler=50_000)
    with broker:
        publish(broker.port, protocol=protocol, **settings)
        eventually(drained(journal))


def test_an_untrusted_certificate_is_told(tmp_path: Path, publish: Publish) -> None:
    broker, settings = tls_broker(tmp_path / "tls")
    with broker:
        publisher = publish(broker.port, **{**settings, "ca_file": ""})
        assert "mqtt.ca_file" in eventually(lambda: publisher.last_error or "")


def test_a_certificate_for_another_name_is_told(tmp_path: Path, publish: Publish) -> None:
    broker, settings = tls_broker(tmp_path / "tls")
    with broker:
        publisher = publish(broker.port, host="127.0.0.2", **settings)
        # Either mosquitto does not listen there, or its certificate does not fit: both must be told, neither sent to.
        assert eventually(lambda: publisher.last_error or "")
        assert not publisher.connected


def test_a_missing_certificate_file_is_told(tmp_path: Path, publish: Publish) -> None:
    publisher = publish(free_port(), tls=True, ca_file=str(tmp_path / "nowhere.pem"))
    assert "nowhere.pem" in eventually(lambda: publisher.last_error or "")


def test_a_silent_peer_is_given_up_on(publish: Publish, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge.mqtt.connection.ANSWER_S", 0.2)
    with silent_server() as port:
        publisher = publish(port)
        assert "does not answer" in eventually(lambda: publisher.last_error or "")


def test_a_peer_silent_in_the_tls_handshake_is_given_up_on(publish: Publish, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge.mqtt.connection.CONNECT_S", 0.2)
    with silent_server() as port:
        publisher = publish(port, tls=True)
        assert "cannot reach" in eventually(lambda: publisher.last_error or "")


# --------------------------------------------------------------------------------------------------------- dead letters


def denying(folder: Path, *denied: str) -> tuple[Mosquitto, dict[str, str]]:
    """A broker whose user `edge` may not write to some topics, and how to log in to it as everyone else."""
    folder.mkdir()
    users, rights = folder / "users", folder / "rights"
    for number, name in enumerate(("edge", "dashboard")):
        options = ["-b", *(["-c"] if number == 0 else [])]
        subprocess.run(["mosquitto_passwd", *options, str(users), name, "secret"], check=True, capture_output=True)
    users.chmod(0o644)
    topics = ["status", "inspection", "failure", "summary", "health", "overlay/+"]
    allowed = "\n".join(f"topic write {PREFIX}/{topic}" for topic in topics if topic not in denied)
    rights.write_text(f"user edge\n{allowed}\ntopic read {PREFIX}/command/+\nuser dashboard\ntopic readwrite #\n")
    (folder / "secret").write_text("secret")
    lines = ("allow_anonymous false", f"password_file {users}", f"acl_file {rights}")
    return Mosquitto(folder / "broker", *lines), {"username": "edge", "password_file": str(folder / "secret")}


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
        assert [letter[0] for letter in journal.dead_letters()] == [seq]
        eventually(lambda: dashboard.on("/status")[-1].body["dead_letters"] == 1)


def test_a_tombstone_that_is_denied_too_is_let_go(journal: Journal, tmp_path: Path, publish: Publish) -> None:
    broker, login = denying(tmp_path / "acl", "inspection", "failure")
    conclude(journal, "a.tif")
    conclude(journal, "b.tif")
    with broker:
        publisher = publish(broker.port, **login)
        eventually(drained(journal))
        assert len(journal.dead_letters()) == 2
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


@pytest.mark.parametrize("limit", ["message_size_limit 10000", "max_packet_size 10000"])
def test_an_oversize_verdict_becomes_a_dead_letter_and_the_queue_goes_on(
    limit: str, journal: Journal, tmp_path: Path, publish: Publish
) -> None:
    for n, filler in enumerate((0, 50_000, 0)):
        conclude(journal, f"{n}.tif", filler=filler)
    with Mosquitto(tmp_path / "broker", limit) as broker, Listener(broker.port) as dashboard:
        publish(broker.port)
        eventually(drained(journal))
        eventually(lambda: set(seqs(dashboard)) == {1, 2, 3})
        assert [message.body["schema"] for message in dashboard.on("/failure")] == ["edge.tombstone/1"]
        assert [letter[0] for letter in journal.dead_letters()] == [2]


def test_an_oversize_picture_dies_without_a_tombstone(journal: Journal, tmp_path: Path, publish: Publish) -> None:
    conclude(journal, "a.tif", picture=bytes(50_000))
    conclude(journal, "b.tif")
    with Mosquitto(tmp_path / "broker", "max_packet_size 10000") as broker, Listener(broker.port) as dashboard:
        publish(broker.port)
        eventually(lambda: seqs(dashboard) == [1, 2])
        eventually(drained(journal))
        assert len(journal.dead_letters()) == 1


def test_a_message_that_kills_every_connection_is_buried_and_its_neighbours_are_not(
    journal: Journal, tmp_path: Path, publish: Publish
) -> None:
    for n, filler in enumerate((0, 0, 3_000_000, 0, 0)):
        conclude(journal, f"{n}.tif", filler=filler)
    with Mosquitto(tmp_path / "broker", "max_packet_size 10000") as broker, Listener(broker.port) as dashboard:
        publish(broker.port, protocol=311)  # which has no way to tell its limit: mosquitto closes the connection
        eventually(drained(journal))
        assert [letter[0] for letter in journal.dead_letters()] == [3]
        assert set(seqs(dashboard)) == {1, 2, 3, 4, 5}
        assert [message.body["schema"] for message in dashboard.on("/failure")] == ["edge.tombstone/1"]


def test_a_message_that_is_never_acknowledged_is_buried_after_three_connections(
    journal: Journal, publish: Publish, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.mqtt.session.STALLED_S", 0.2)
    conclude(journal, "a.tif")
    with FakeBroker(reasons=[None, None, None]) as broker:
        publish(broker.port)
        eventually(drained(journal))
        assert broker.seqs == [1, 1, 1]
        assert [letter[0] for letter in journal.dead_letters()] == [1]


def test_a_full_quota_is_waited_for(journal: Journal, publish: Publish) -> None:
    conclude(journal, "a.tif")
    conclude(journal, "b.tif")
    with FakeBroker(reasons=[0x97]) as broker:
        publisher = publish(broker.port)
        eventually(lambda: "puts off" in (publisher.last_error or ""))
        eventually(drained(journal))
        assert broker.seqs == [1, 2, 1]
        assert not journal.dead_letters()


def test_no_more_is_in_flight_than_the_broker_allows(journal: Journal, publish: Publish) -> None:
    for n in range(30):
        conclude(journal, f"{n}.tif")
    with FakeBroker(limits=bytes([0x21, 0, 3])) as broker:
        publish(broker.port)
        eventually(drained(journal))
        assert broker.most_in_flight <= 3


# ------------------------------------------------------------------------------------------------------------- commands


def test_a_command_is_checked_handed_over_and_answered(broker: Mosquitto, journal: Journal, publish: Publish) -> None:
    asked: list[tuple[str, dict[str, Any]]] = []

    def handle(name: str, body: dict[str, Any]) -> dict[str, Any]:
        asked.append((name, body))
        return {"count": journal.replay(body["epoch"], body["first"], body["last"])}

    conclude(journal, "a.tif")
    publisher = publish(broker.port, handle)
    with Listener(broker.port) as dashboard:
        eventually(lambda: publisher.connected)
        eventually(drained(journal))
        replay = json.dumps({"epoch": journal.epoch, "first": 1, "last": 9, "request_id": "r1"})
        dashboard.say(f"{PREFIX}/command/replay", replay)
        answer = eventually(lambda: dashboard.on("/command/replay/response"))[0].body
        assert (answer["ok"], answer["result"], answer["request_id"]) == (True, {"count": 1}, "r1")
        assert asked == [("replay", {"epoch": journal.epoch, "first": 1, "last": 9})]
        eventually(drained(journal))
        eventually(lambda: seqs(dashboard)[-1:] == [1])


def test_an_answer_goes_to_the_response_topic_with_its_correlation(broker: Mosquitto, publish: Publish) -> None:
    publisher = publish(broker.port)
    with Listener(broker.port) as dashboard:
        eventually(lambda: dashboard.on("/status") and publisher.connected)
        dashboard.say(f"{PREFIX}/command/pause", b"", ResponseTopic="answers/me", CorrelationData=b"\x00\xff")
        answer = eventually(lambda: dashboard.on("answers/me"))[0]
        assert answer.correlation == b"\x00\xff"
        assert answer.body["ok"] is True


@pytest.mark.parametrize("topic", [f"{PREFIX}/status", f"{PREFIX}/command/info", "a/#"])
def test_an_answer_never_goes_to_one_of_our_own_topics(topic: str) -> None:
    assert not may_answer_to(topic, PREFIX)


@pytest.mark.parametrize(
    ("name", "payload", "told"),
    [
        ("replay", b'{"epoch": "x"}', "epoch"),
        ("replay", b"not json", "replay"),
        ("replay", b"\xff\xfe", "replay"),
        ("inspect", b'{"inspection_id": "../../etc"}', "inspection_id"),
        ("rescan", b'{"path": "/etc"}', "path"),
        ("format-disk", b"{}", "unknown command"),
    ],
)
def test_a_malformed_command_is_answered_with_an_error(
    name: str, payload: bytes, told: str, broker: Mosquitto, publish: Publish
) -> None:
    handed_over: list[str] = []
    publish(broker.port, lambda name, body: handed_over.append(name))
    with Listener(broker.port) as dashboard:
        eventually(lambda: dashboard.on("/health"))
        dashboard.say(f"{PREFIX}/command/{name}", payload)
        answer = eventually(lambda: dashboard.on(f"/command/{name}/response"))[0].body
        assert answer["ok"] is False
        assert told in answer["error"]
        assert not handed_over


def test_a_command_that_fails_is_answered_and_the_connection_stands(broker: Mosquitto, publish: Publish) -> None:
    def handle(name: str, body: dict[str, Any]) -> dict[str, Any]:
        raise KeyError("a defect")

    publisher = publish(broker.port, handle)
    with Listener(broker.port) as dashboard:
        eventually(lambda: dashboard.on("/health"))
        since = publisher.since
        dashboard.say(f"{PREFIX}/command/info", b"{}")
        answer = eventually(lambda: dashboard.on("/command/info/response"))[0].body
        assert answer["ok"] is False
        assert publisher.since == since


def test_a_retained_command_is_ignored(broker: Mosquitto, publish: Publish) -> None:
    asked: list[str] = []
    with Listener(broker.port) as dashboard:
        dashboard.say(f"{PREFIX}/command/pause", b"{}", retain=True)
        publish(broker.port, lambda name, body: asked.append(name))
        eventually(lambda: dashboard.on("/health"))
        dashboard.say(f"{PREFIX}/command/info", b"{}")
        eventually(lambda: dashboard.on("/command/info/response"))
        assert asked == ["info"]


# ---------------------------------------------------------------------------------------------------------------- parts


def test_the_wait_between_tries_doubles_up_to_its_limit_and_starts_again() -> None:
    backoff = Backoff(1.0, 30.0, chance=lambda: 1.0)
    assert [backoff.next_s() for _ in range(7)] == [1, 2, 4, 8, 16, 30, 30]
    backoff.reset()
    assert backoff.next_s() == 1


def test_the_wait_between_tries_differs_by_chance() -> None:
    assert Backoff(1.0, 30.0, chance=lambda: 0.0).next_s() == 0.5
    assert Backoff(1.0, 30.0, chance=lambda: 0.999).next_s() > 0.99


def test_waking_a_publisher_that_is_stopped_or_not_started_is_harmless(journal: Journal) -> None:
    publisher = Publisher(
        MqttSettings(),
        PREFIX,
        journal,
        device=DEVICE,
        status=lambda: StatusText("online"),
        health=lambda: b"{}",
        on_command=lambda name, body: None,
    )
    for _ in range(100_000):
        publisher.wake()
    assert publisher.stop(0.1)
    publisher.wake()
