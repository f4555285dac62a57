"""TLS that fails: each cause is told so that a person can mend it, nothing is sent until then, and then everything."""

from __future__ import annotations

import datetime
import subprocess
from pathlib import Path
from typing import Any

import pytest

from edge.journal import Journal
from edge.mqtt.publisher import Publisher
from tests.fakes.brokers import Mosquitto, eventually, needs_mosquitto
from tests.mqtt.making import Publish, conclude, drained

pytestmark = [pytest.mark.broker, needs_mosquitto]
trustme = pytest.importorskip("trustme")

NOW = datetime.datetime.now(datetime.timezone.utc)
DAY = datetime.timedelta(days=1)
BOTH_PROTOCOLS = pytest.mark.parametrize("protocol", [5, 311])


class Plant:
    """A plant's authority, and a broker with a certificate that can be exchanged.

    settings: those of the daemon; the files that they name can be exchanged, too.
    """

    def __init__(self, folder: Path, *lines: str) -> None:
        folder.mkdir()
        self.folder = folder
        self.authority = trustme.CA()
        self.trust(self.authority)
        self.settings: dict[str, Any] = {"tls": True, "ca_file": str(folder / "ca.pem")}
        certificates = (f"certfile {folder / 'server.pem'}", f"keyfile {folder / 'server.key'}")
        self.broker = Mosquitto(folder / "broker", f"cafile {folder / 'clients.pem'}", *certificates, *lines)
        self.authority.cert_pem.write_to_path(str(folder / "clients.pem"))

    def trust(self, authority: Any) -> None:
        authority.cert_pem.write_to_path(str(self.folder / "ca.pem"))

    def certify(self, *names: str, authority: Any = None, **times: datetime.datetime) -> None:
        """Give the broker another certificate, for its next start."""
        made = (authority or self.authority).issue_cert(*(names or ("127.0.0.1", "localhost")), **times)
        made.private_key_pem.write_to_path(str(self.folder / "server.key"))
        made.cert_chain_pems[0].write_to_path(str(self.folder / "server.pem"))

    def give_client(self, authority: Any = None, **times: datetime.datetime) -> None:
        """Give the daemon another certificate."""
        made = (authority or self.authority).issue_cert("sem-01@example.org", **times)
        path = str(self.folder / "client.pem")
        made.private_key_and_cert_chain_pem.write_to_path(path)
        self.settings |= {"cert_file": path, "key_file": path}


def told(publisher: Publisher, *words: str) -> None:
    """Until the reason for the missing connection has these words."""
    eventually(lambda: all(word in (publisher.last_error or "") for word in words), what=str(words))
    assert not publisher.connected


@BOTH_PROTOCOLS
@pytest.mark.parametrize(
    ("times", "words"),
    [
        ({"not_before": NOW - 20 * DAY, "not_after": NOW - 2 * DAY}, ("has expired", "renewed there")),
        ({"not_before": NOW + 2 * DAY, "not_after": NOW + 20 * DAY}, ("not yet valid", "clock")),
    ],
    ids=["expired", "not yet valid"],
)
def test_a_certificate_out_of_its_time_is_told_and_a_renewed_one_taken(
    times: dict[str, Any], words: tuple[str, ...], protocol: int, journal: Journal, tmp_path: Path, publish: Publish
) -> None:
    plant = Plant(tmp_path / "tls")
    plant.certify(**times)
    conclude(journal, "a.tif")
    with plant.broker as broker:
        publisher = publish(broker.port, protocol=protocol, **plant.settings)
        told(publisher, "certificate", *words)
        assert journal.outbox.unsent_count() > 0
        broker.stop()
        plant.certify()
        broker.start()
        eventually(drained(journal))


@BOTH_PROTOCOLS
def test_a_certificate_of_another_authority_is_told_and_taken_once_trusted(
    protocol: int, journal: Journal, tmp_path: Path, publish: Publish
) -> None:
    plant, other = Plant(tmp_path / "tls"), trustme.CA()
    plant.certify(authority=other)
    conclude(journal, "a.tif")
    with plant.broker as broker:
        publisher = publish(broker.port, protocol=protocol, **plant.settings)
        told(publisher, "not trusted", "mqtt.ca_file")
        assert journal.outbox.unsent_count() > 0
        plant.trust(other)
        eventually(drained(journal))


@BOTH_PROTOCOLS
def test_a_certificate_for_another_name_is_told_with_the_name(
    protocol: int, journal: Journal, tmp_path: Path, publish: Publish
) -> None:
    plant = Plant(tmp_path / "tls")
    plant.certify("broker.example.org")
    conclude(journal, "a.tif")
    with plant.broker as broker:
        publisher = publish(broker.port, protocol=protocol, **plant.settings)
        told(publisher, "127.0.0.1", "mqtt.host")
        assert journal.outbox.unsent_count() > 0
        broker.stop()
        plant.certify()
        broker.start()
        eventually(drained(journal))


@BOTH_PROTOCOLS
def test_a_wrong_password_within_tls_is_told_and_a_corrected_one_taken(
    protocol: int, journal: Journal, tmp_path: Path, publish: Publish
) -> None:
    users, secret = tmp_path / "users", tmp_path / "secret"
    subprocess.run(["mosquitto_passwd", "-b", "-c", str(users), "edge", "right"], check=True, capture_output=True)
    users.chmod(0o644)
    plant = Plant(tmp_path / "tls", "allow_anonymous false", f"password_file {users}")
    plant.certify()
    secret.write_text("wrong")
    conclude(journal, "a.tif")
    with plant.broker as broker:
        publisher = publish(broker.port, protocol=protocol, username="edge", password_file=str(secret), **plant.settings)
        told(publisher, "mqtt.username", "mqtt.password_file")
        assert "wrong" not in (publisher.last_error or "")
        secret.write_text("right")
        eventually(drained(journal))


@BOTH_PROTOCOLS
def test_a_missing_client_certificate_is_told(protocol: int, journal: Journal, tmp_path: Path, publish: Publish) -> None:
    plant = Plant(tmp_path / "tls", "require_certificate true")
    plant.certify()
    conclude(journal, "a.tif")
    with plant.broker as broker:
        publisher = publish(broker.port, protocol=protocol, **plant.settings)
        told(publisher, "mqtt.cert_file")
        assert journal.outbox.unsent_count() > 0


@BOTH_PROTOCOLS
@pytest.mark.parametrize("wrong", ["another authority", "expired"])
def test_a_client_certificate_that_the_broker_refuses_is_told_and_a_renewed_one_taken(
    wrong: str, protocol: int, journal: Journal, tmp_path: Path, publish: Publish
) -> None:
    plant = Plant(tmp_path / "tls", "require_certificate true")
    plant.certify()
    if wrong == "expired":
        plant.give_client(not_before=NOW - 20 * DAY, not_after=NOW - 2 * DAY)
    else:
        plant.give_client(trustme.CA())
    conclude(journal, "a.tif")
    with plant.broker as broker:
        publisher = publish(broker.port, protocol=protocol, **plant.settings)
        told(publisher, "mqtt.cert_file")
        assert journal.outbox.unsent_count() > 0
        plant.give_client()
        eventually(drained(journal))
