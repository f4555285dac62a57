from __future__ import annotations

import datetime
import ssl
from pathlib import Path

import pytest

from edge.certificates import doubts, load_chain, trusting

trustme = pytest.importorskip("trustme")

NOW = datetime.datetime.now(datetime.timezone.utc)
DAY = datetime.timedelta(days=1)


def made(folder: Path, name: str = "one", *hosts: str, **times: datetime.datetime) -> tuple[str, str]:
    """A certificate and its key, as two files."""
    issued = trustme.CA().issue_cert(*(hosts or ("sem.plant.example", "10.0.0.7")), **times)
    issued.cert_chain_pems[0].write_to_path(str(folder / f"{name}.pem"))
    issued.private_key_pem.write_to_path(str(folder / f"{name}.key"))
    return str(folder / f"{name}.pem"), str(folder / f"{name}.key")


def context() -> ssl.SSLContext:
    return ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)


def test_a_certificate_with_its_key_is_taken_from_two_files_or_one(tmp_path: Path) -> None:
    certificate, key = made(tmp_path)
    load_chain(context(), certificate, key)
    both = tmp_path / "both.pem"
    both.write_text(Path(certificate).read_text() + Path(key).read_text())
    load_chain(context(), str(both), "")
    assert trusting(certificate).verify_mode == ssl.CERT_REQUIRED


def test_each_file_that_is_wrong_is_named_with_what_is_wrong(tmp_path: Path) -> None:
    certificate, key = made(tmp_path)
    _, other = made(tmp_path, "other")
    text = Path(certificate).read_text()
    (tmp_path / "damaged.pem").write_text(text[:300] + "\n" + text[400:])
    (tmp_path / "no.pem").write_text("nothing")
    for pair, words in {
        (str(tmp_path / "absent"), key): "absent cannot be read",
        (certificate, str(tmp_path / "absent")): "absent cannot be read",
        (str(tmp_path / "no.pem"), key): "no.pem holds no certificate",
        (certificate, str(tmp_path / "no.pem")): "no.pem holds no private key",
        (certificate, ""): "one.pem holds no private key",
        (certificate, other): "other.key is the key of another certificate",
        (str(tmp_path / "damaged.pem"), key): "damaged",
    }.items():
        with pytest.raises(ValueError, match=words):
            load_chain(context(), *pair)
    for file in ("absent", "no.pem"):
        with pytest.raises(ValueError, match=file):
            trusting(str(tmp_path / file))


def test_a_key_behind_a_passphrase_is_refused_without_asking(tmp_path: Path) -> None:
    serialization = pytest.importorskip("cryptography.hazmat.primitives.serialization")
    certificate, key = made(tmp_path)
    opened = serialization.load_pem_private_key(Path(key).read_bytes(), None)
    for kind in (serialization.PrivateFormat.PKCS8, serialization.PrivateFormat.TraditionalOpenSSL):
        shut = serialization.BestAvailableEncryption(b"secret")
        Path(key).write_bytes(opened.private_bytes(serialization.Encoding.PEM, kind, shut))
        with pytest.raises(ValueError, match="passphrase"):
            load_chain(context(), certificate, key)


def test_what_browsers_would_not_believe_is_told(tmp_path: Path) -> None:
    assert doubts(*made(tmp_path), ["sem.plant.example", "10.0.0.7"]) == []
    assert ["edge-pc" in one for one in doubts(*made(tmp_path), ["sem.plant.example", "edge-pc"])] == [True]
    expired = made(tmp_path, not_before=NOW - 20 * DAY, not_after=NOW - 2 * DAY)
    assert ["has expired" in one for one in doubts(*expired, ["edge-pc"])] == [True]
    assert ["not yet valid" in one for one in doubts(*made(tmp_path, not_before=NOW + DAY, not_after=NOW + 2 * DAY))] == [True]
