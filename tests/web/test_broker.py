"""A broker's address, its password, and what is told where nobody is let in: by real brokers."""

from __future__ import annotations

import datetime
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from edge.errors import ConfigError
from edge.web.broker import broker_of
from edge.web.broker_source import NOT_YET, BrokerSource
from tests.fakes.brokers import Mosquitto, eventually, free_port, needs_mosquitto, silent_server

trustme = pytest.importorskip("trustme")
# paho leaves the socket of a websocket that was refused to the interpreter, which closes it at once, with a warning.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

NOW = datetime.datetime.now(datetime.timezone.utc)
DAY = datetime.timedelta(days=1)
PAST: dict[str, Any] = {"not_before": NOW - 20 * DAY, "not_after": NOW - 2 * DAY}
FUTURE: dict[str, Any] = {"not_before": NOW + 2 * DAY, "not_after": NOW + 20 * DAY}
BOTH_WAYS = pytest.mark.parametrize("scheme", ["mqtts", "wss"])


@pytest.mark.parametrize(
    ("url", "port", "tls", "websocket"),
    [
        ("mqtt://h", 1883, False, None),
        ("mqtts://h", 8883, True, None),
        ("ws://h", 80, False, "/mqtt"),
        ("wss://h:9001/here", 9001, True, "/here"),
        ("mqtt://[::1]:1884", 1884, False, None),
    ],
)
def test_an_address_says_how_to_connect(url: str, port: int, tls: bool, websocket: str | None) -> None:
    broker = broker_of(url)
    assert (broker.port, broker.tls, broker.websocket) == (port, tls, websocket)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "h",
        "http://h",
        "mqtt://",
        "mqtt://h:x",
        "mqtt://h:99999",
        "mqtt://h/topic",
        "mqtt://u:p@h",
        "ws://h?a=b",
        "mqtt://a..b",
    ],
)
def test_other_addresses_are_refused_with_a_sentence(url: str) -> None:
    with pytest.raises(ConfigError):
        broker_of(url)


def test_options_that_need_each_other_are_named() -> None:
    with pytest.raises(ConfigError, match="mqtts"):
        broker_of("mqtt://h", ca_file="x")
    with pytest.raises(ConfigError, match="--cert-file"):
        broker_of("mqtts://h", key_file="x")
    for how in ("password_file", "secret"):
        with pytest.raises(ConfigError, match="USER"):
            broker_of("mqtt://h", **{how: "x"})


def test_a_password_comes_from_its_file_a_credential_or_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "secret"
    file.write_text("from a file\n")
    broker = broker_of("mqtt://u@h", password_file=str(file))
    assert broker.password() == "from a file"
    file.write_text("another\r\n")
    assert broker.password() == "another"
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert broker_of("mqtt://u@h", password_file="secret").password() == "another"
    typed = broker_of("mqtt://u@h", secret="typed")
    assert typed.password() == "typed"
    assert "typed" not in repr(typed)
    file.write_text("\n")
    for wrong in (file, tmp_path / "absent", tmp_path):
        with pytest.raises(ConfigError, match=str(wrong)):
            broker_of("mqtt://u@h", password_file=str(wrong)).password()


class Plant:
    """A broker with TLS, by MQTT or websocket, whose certificates and ours can be exchanged.

    url: where it is.  ours: what `broker_of` is given besides.
    """

    def __init__(self, folder: Path, scheme: str, *lines: str) -> None:
        folder.mkdir()
        self._folder, self.authority = folder, trustme.CA()
        self.authority.cert_pem.write_to_path(str(folder / "ca.pem"))
        self.ours: dict[str, Any] = {"ca_file": str(folder / "ca.pem")}
        self.port = free_port()
        self.url = f"{scheme}://localhost:{self.port}"
        files = (f"cafile {folder / 'ca.pem'}", f"certfile {folder / 'server.pem'}", f"keyfile {folder / 'server.key'}")
        sockets = ("protocol websockets",) if scheme == "wss" else ()
        self.broker = Mosquitto(folder / "broker", f"listener {self.port} 127.0.0.1", *files, *lines, *sockets)
        self.certify()

    def certify(self, *names: str, authority: Any = None, **times: datetime.datetime) -> None:
        """Give the broker a certificate, for its next start."""
        made = (authority or self.authority).issue_cert(*(names or ("localhost",)), **times)
        made.private_key_pem.write_to_path(str(self._folder / "server.key"))
        made.cert_chain_pems[0].write_to_path(str(self._folder / "server.pem"))

    def give(self, authority: Any = None, **times: datetime.datetime) -> None:
        """Give us a certificate."""
        made = (authority or self.authority).issue_cert("dashboard@plant.example", **times)
        made.private_key_pem.write_to_path(str(self._folder / "ours.key"))
        made.cert_chain_pems[0].write_to_path(str(self._folder / "ours.pem"))
        self.ours |= {"cert_file": str(self._folder / "ours.pem"), "key_file": str(self._folder / "ours.key")}


@contextmanager
def page(url: str, **others: Any) -> Iterator[BrokerSource]:
    with BrokerSource(broker_of(url, **others)) as pages:
        yield pages


def told(pages: BrokerSource, *words: str) -> str:
    """What the page says is wrong, once it has these words."""
    return str(
        eventually(lambda: all(word in said(pages) for word in words) and said(pages), 60.0, f"{words} in {said(pages)}")
    )


def said(pages: BrokerSource) -> str:
    return "; ".join(one["text"] for one in pages.problems("")["problems"] if one["text"] != NOT_YET)


def connected(pages: BrokerSource) -> None:
    eventually(lambda: pages._why is None, 60.0, "a connection")


@needs_mosquitto
@BOTH_WAYS
@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ("authority", ("not trusted", "--ca-file")),
        ("expired", ("has expired", "renewed there")),
        ("early", ("not yet valid", "clock")),
        ("name", ("for another name", "localhost", "--broker")),
    ],
)
def test_a_brokers_certificate_that_is_not_believed_is_told_and_a_right_one_taken(
    wrong: str, words: tuple[str, ...], scheme: str, tmp_path: Path
) -> None:
    plant = Plant(tmp_path / "plant", scheme)
    if wrong == "authority":
        plant.certify(authority=trustme.CA())
    else:
        plant.certify(*(["broker.example"] if wrong == "name" else []), **{"expired": PAST, "early": FUTURE}.get(wrong, {}))
    with plant.broker, page(plant.url, **plant.ours) as pages:
        told(pages, *words)
        plant.broker.stop()
        plant.certify()
        plant.broker.start()
        connected(pages)


@needs_mosquitto
@BOTH_WAYS
@pytest.mark.parametrize("wrong", ["none", "authority", "expired"])
def test_a_certificate_of_ours_that_the_broker_refuses_is_told_and_a_right_one_taken(
    wrong: str, scheme: str, tmp_path: Path
) -> None:
    plant = Plant(tmp_path / "plant", scheme, "require_certificate true")
    if wrong != "none":
        plant.give(trustme.CA() if wrong == "authority" else None, **(PAST if wrong == "expired" else {}))
    with plant.broker, page(plant.url, **plant.ours) as pages:
        told(pages, "certificate", "--cert-file")
        if wrong != "none":
            plant.give()
            connected(pages)
    plant.give()
    with plant.broker, page(plant.url, **plant.ours) as pages:
        connected(pages)


@needs_mosquitto
@pytest.mark.parametrize("protocol", [5, 4])
@pytest.mark.parametrize("scheme", ["mqtt", "ws"])
def test_a_wrong_password_is_told_without_it_and_a_corrected_one_taken(scheme: str, protocol: int, tmp_path: Path) -> None:
    users, secret, websocket = tmp_path / "users", tmp_path / "secret", free_port()
    subprocess.run(["mosquitto_passwd", "-b", "-c", str(users), "ann", "the right one"], check=True, capture_output=True)
    users.chmod(0o644)
    secret.write_text("a wrong one")
    lines = ("allow_anonymous false", f"password_file {users}", f"listener {websocket} 127.0.0.1", "protocol websockets")
    with Mosquitto(tmp_path / "broker", *lines) as broker:
        address = f"127.0.0.1:{broker.port if scheme == 'mqtt' else websocket}"
        with page(f"{scheme}://ann@{address}", password_file=str(secret), protocol=protocol) as pages:
            assert "a wrong one" not in told(pages, "'ann'", "--password-file")
            secret.write_text("the right one")
            connected(pages)
        with page(f"{scheme}://{address}", protocol=protocol) as pages:
            told(pages, "without a user", "USER@")


@needs_mosquitto
def test_another_protocol_than_the_port_speaks_is_told(tmp_path: Path) -> None:
    websocket = free_port()
    plant = Plant(tmp_path / "plant", "mqtts", f"listener {websocket} 127.0.0.1", "protocol websockets")
    with plant.broker:
        for url, words in {
            f"mqtt://localhost:{plant.port}": "want TLS",
            f"mqtts://127.0.0.1:{plant.broker.port}": "TLS",
            f"ws://127.0.0.1:{plant.broker.port}": "no websocket",
            f"wss://localhost:{plant.port}": "no websocket",
            f"mqtt://127.0.0.1:{websocket}": "before it answered",
        }.items():
            with page(url, **(plant.ours if "s:/" in url and not url.startswith("ws:") else {})) as pages:
                told(pages, words)


@needs_mosquitto
@pytest.mark.parametrize("scheme", ["mqtt", "ws"])
def test_an_address_of_ipv6_is_connected_to(scheme: str, tmp_path: Path) -> None:
    port = free_port()
    lines = [f"listener {port} ::1", *(["protocol websockets"] if scheme == "ws" else [])]
    try:
        socket.create_server(("::1", port), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6")
    with Mosquitto(tmp_path / "broker", *lines), page(f"{scheme}://[::1]:{port}") as pages:
        connected(pages)


def test_who_says_nothing_or_is_not_there_is_told() -> None:
    with silent_server() as port, page(f"mqtts://127.0.0.1:{port}") as pages:
        told(pages, "does not answer")
    with page(f"mqtt://127.0.0.1:{free_port()}") as pages:
        told(pages, "refused")
    with page("mqtt://nowhere.invalid") as pages:
        told(pages, "nowhere.invalid is known")


@contextmanager
def answering(connack: bytes) -> Iterator[int]:
    """The port of a broker that answers every CONNECT so, and hangs up."""

    def serve() -> None:
        while True:
            try:
                end, _ = server.accept()
            except OSError:
                return
            with end, suppress(ConnectionError):
                end.recv(1000)
                end.sendall(connack)

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=serve, daemon=True).start()
        yield int(server.getsockname()[1])


@pytest.mark.parametrize(
    ("connack", "protocol", "words"),
    [
        (b"\x20\x02\x00\x01", 5, "try --protocol 3.1.1"),  # as a broker of 3.1.1 says it
        (b"\x20\x03\x00\x84\x00", 5, "try --protocol 3.1.1"),
        (b"\x20\x02\x00\x01", 4, "--protocol 5"),
        (b"", 5, "--protocol 3.1.1"),
        (b"\x20\x03\x00\x97\x00", 5, "refused us (Quota exceeded)"),
        (b"\x20\x02\x00\x05", 4, "USER@"),
    ],
)
def test_a_broker_that_takes_nobody_so_is_told_with_what_to_try(connack: bytes, protocol: int, words: str) -> None:
    with answering(connack) as port, page(f"mqtt://127.0.0.1:{port}", protocol=protocol) as pages:
        told(pages, words)
