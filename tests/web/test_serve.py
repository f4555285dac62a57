"""The process's part: an address, a certificate, an end."""

from __future__ import annotations

import ssl
import threading
import urllib.request
from pathlib import Path

import pytest
import trustme

pytest.importorskip("uvicorn", reason="the extra web is not installed")

from edge.config import WebSettings
from edge.errors import ConfigError
from edge.web.journal_source import JournalSource
from edge.web.serve import address_of, listening, require_certificate, serve
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


def test_it_speaks_tls_with_the_certificate_that_is_named(tmp_path: Path) -> None:
    authority = trustme.CA()
    files = [tmp_path / "cert.pem", tmp_path / "key.pem"]
    issued = authority.issue_cert("127.0.0.1")
    files[0].write_bytes(b"".join(one.bytes() for one in issued.cert_chain_pems))
    files[1].write_bytes(issued.private_key_pem.bytes())
    context = ssl.create_default_context()
    authority.configure_trust(context)
    served(tmp_path, WebSettings(listen=f"127.0.0.1:{free_port()}", cert_file=str(files[0]), key_file=str(files[1])), context)


def test_a_certificate_or_an_address_that_cannot_be_used_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("no certificate")
    with pytest.raises(ConfigError, match=r"web\.cert_file"):
        require_certificate(WebSettings(cert_file=str(tmp_path / "a"), key_file=str(tmp_path / "a")))
    first = listening(WebSettings(listen="127.0.0.1:0"))
    first.listen()
    with pytest.raises(ConfigError, match="in use"):
        listening(WebSettings(listen=f"127.0.0.1:{first.getsockname()[1]}"))
    first.close()
