"""The process's part: an address, a certificate, an end."""

from __future__ import annotations

import datetime
import os
import socket
import ssl
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import trustme

pytest.importorskip("uvicorn", reason="the extra web is not installed")

from edge.config import WebSettings
from edge.errors import ConfigError
from edge.web.journal_source import JournalSource
from edge.web.serve import Certificate, address_of, listening, serve
from tests.conftest import settings_for
from tests.fakes.brokers import eventually, free_port


def served(tmp_path: Path, web: WebSettings, context: ssl.SSLContext | None = None) -> int:
    """How often it showed a sign of life until it was told to end."""
    (tmp_path / "watched").mkdir()
    until, beats = threading.Event(), list[int]()
    with JournalSource(settings_for(tmp_path / "watched")) as source:
        thread = threading.Thread(
            target=serve, args=(source, web), kwargs={"version": "1", "until": until, "beat": lambda: beats.append(1)}
        )
        thread.start()
        eventually(lambda: beats, 60)
        with urllib.request.urlopen(address_of(web), context=context) as answer:
            assert answer.status == 200
        until.set()
        thread.join(60)
        assert not thread.is_alive()
    return len(beats)


def test_it_serves_shows_signs_of_life_and_ends_when_told(tmp_path: Path) -> None:
    assert served(tmp_path, WebSettings(listen=f"127.0.0.1:{free_port()}"))


class Plant:
    """An authority, and the page's certificate by it."""

    def __init__(self, folder: Path) -> None:
        self.authority = trustme.CA()
        self.context = ssl.create_default_context()
        self.authority.configure_trust(self.context)
        self.cert, self.key = folder / "cert.pem", folder / "key.pem"
        self.certify()
        self.web = WebSettings(listen=f"127.0.0.1:{free_port()}", cert_file=str(self.cert), key_file=str(self.key))

    def certify(self, **times: datetime.datetime) -> None:
        """A new one, with a new key."""
        issued = self.authority.issue_cert("127.0.0.1", **times)
        self.cert.write_bytes(b"".join(one.bytes() for one in issued.cert_chain_pems))
        self.key.write_bytes(issued.private_key_pem.bytes())

    def shown(self) -> str:
        """The serial number of the certificate that a browser is shown."""
        with (
            socket.create_connection(self.web.address, 30) as plain,
            self.context.wrap_socket(plain, server_hostname="127.0.0.1") as secure,
        ):
            return str((secure.getpeercert() or {})["serialNumber"])


@contextmanager
def serving(folder: Path, web: WebSettings) -> Iterator[None]:
    """The page, served by a thread."""
    (folder / "watched").mkdir()
    until, beats = threading.Event(), threading.Event()
    with JournalSource(settings_for(folder / "watched")) as source:
        named: Any = {"version": "1", "until": until, "beat": beats.set}
        thread = threading.Thread(target=serve, args=(source, web), kwargs=named)
        thread.start()
        try:
            assert beats.wait(60)
            yield
        finally:
            until.set()
            thread.join(60)


def test_it_speaks_tls_with_the_certificate_that_is_named(tmp_path: Path) -> None:
    plant = Plant(tmp_path)
    served(tmp_path, plant.web, plant.context)


def test_a_renewed_certificate_is_shown_without_a_restart_and_half_a_renewal_changes_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    plant = Plant(tmp_path)
    with caplog.at_level("WARNING"), serving(tmp_path, plant.web):
        first, key = plant.shown(), plant.key.read_bytes()
        plant.certify()
        renewed = plant.key.read_bytes()
        plant.key.write_bytes(key)
        eventually(lambda: "former certificate is kept" in caplog.text, what="a word about the key of another certificate")
        assert plant.shown() == first
        plant.key.write_bytes(renewed)
        eventually(lambda: plant.shown() != first, what="the renewed certificate")


def test_plain_http_at_the_port_of_tls_harms_nobody(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    plant = Plant(tmp_path)
    with serving(tmp_path, plant.web):
        with socket.create_connection(plant.web.address, 30) as plain:
            plain.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            with suppress(ConnectionError):
                assert not plain.recv(1000).startswith(b"HTTP")
        assert plant.shown()
    assert "Traceback" not in caplog.text


def test_a_certificate_that_browsers_refuse_is_told_at_the_start(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    plant, now, day = Plant(tmp_path), datetime.datetime.now(datetime.timezone.utc), datetime.timedelta(days=1)
    Certificate(plant.web)
    assert not caplog.text
    Certificate(plant.web.model_copy(update={"hosts": ("edge-pc.plant.example",)}))
    assert "not for the name edge-pc.plant.example" in caplog.text
    plant.certify(not_before=now - 2 * day, not_after=now - day)
    Certificate(plant.web)
    assert "has expired" in caplog.text


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_key_that_this_user_may_not_read_is_named(tmp_path: Path) -> None:
    plant = Plant(tmp_path)
    plant.key.chmod(0)
    with pytest.raises(ConfigError, match=r"key\.pem cannot be read: Permission denied"):
        Certificate(plant.web)


def test_a_certificate_or_an_address_that_cannot_be_used_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("no certificate")
    with pytest.raises(ConfigError, match=r"web\.cert_file"):
        Certificate(WebSettings(cert_file=str(tmp_path / "a"), key_file=str(tmp_path / "a")))
    first = listening(WebSettings(listen="127.0.0.1:0"))
    first.listen()
    with pytest.raises(ConfigError, match="in use"):
        listening(WebSettings(listen=f"127.0.0.1:{first.getsockname()[1]}"))
    first.close()
