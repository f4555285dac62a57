"""Logging in, TLS, peers that do not answer, and the probe: each failure says which settings to look at."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from edge.config import MqttSettings
from edge.errors import BrokerError
from edge.journal import Journal
from edge.mqtt.connection import KEEPALIVE_S, Accepted, Connection, Event, Received, probe
from edge.mqtt.threads import ThreadSignals
from edge.wire.channel import Publication
from tests.fakes.brokers import Listener, Mosquitto, eventually, free_port, needs_mosquitto, silent_server
from tests.mqtt.making import PREFIX, Publish, conclude, drained

pytestmark = [pytest.mark.broker, needs_mosquitto]


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


def test_who_sends_with_qos_0_all_the_time_hears_what_comes(broker: Mosquitto) -> None:
    connection = Connection(MqttSettings(host="127.0.0.1", port=broker.port), "busy", None, KEEPALIVE_S)
    signals, happened = ThreadSignals(), list[Event]()

    def sent_and_heard() -> bool:
        connection.publish(Publication("busy/0", b"", qos=0))
        happened.extend(connection.pump(signals.receiver, 1.0))
        return any(isinstance(event, Received) for event in happened)

    try:
        while not any(isinstance(event, Accepted) for event in happened):
            happened.extend(connection.pump(signals.receiver, 1.0))
        connection.subscribe("busy/1")
        connection.publish(Publication("busy/1", b""))
        eventually(sent_and_heard)
    finally:
        connection.close()
        signals.close()


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
    monkeypatch.setattr("edge.mqtt.tls.HANDSHAKE_S", 0.2)
    with silent_server() as port:
        publisher = publish(port, tls=True)
        assert "cannot reach" in eventually(lambda: publisher.last_error or "")
