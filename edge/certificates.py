"""Files with certificates and keys in, what TLS needs out; which file is wrong, and why, where they cannot be used."""

from __future__ import annotations

import ssl
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

_NOT_YET_VALID, _EXPIRED, _OTHER_NAME, _OTHER_ADDRESS = 9, 10, 62, 64
"""OpenSSL's verification results, x509_vfy.h."""


class CertificateFiles(Protocol):
    """Whose certificates are used; empty for none, and for the other side's: whom this machine trusts."""

    @property
    def ca_file(self) -> str:
        """Who signed the other side's."""

    @property
    def cert_file(self) -> str:
        """Ours."""

    @property
    def key_file(self) -> str:
        """Its key."""


def load_chain(context: ssl.SSLContext, cert_file: str, key_file: str) -> None:
    """Have `context` show this certificate. key_file: empty where the key stands in the same file.

    Raises ValueError with a sentence. A key behind a passphrase is refused: nobody is there to be asked.
    """
    certificate = _read(cert_file)
    key = _read(key_file) if key_file else certificate
    key_file = key_file or cert_file
    if b"-----BEGIN CERTIFICATE-----" not in certificate:
        raise ValueError(f"{cert_file} holds no certificate in PEM")
    if b"PRIVATE KEY-----" not in key:
        raise ValueError(f"{key_file} holds no private key in PEM")
    try:
        context.load_cert_chain(cert_file, key_file, password=_nobody_to_ask)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise ValueError(f"{key_file} is the key of another certificate than {cert_file}") from error
        raise ValueError(f"{cert_file} or {key_file} is damaged ({error.reason or error})") from error
    except OSError as error:
        raise ValueError(f"{cert_file} or {key_file} cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise ValueError(f"{key_file}: {error}") from error


def trusting(ca_file: str) -> ssl.SSLContext:
    """The context of a client that trusts who is in this file; whom this machine trusts, where it is empty.

    Raises ValueError with a sentence.
    """
    if ca_file and b"-----BEGIN" not in _read(ca_file):
        raise ValueError(f"{ca_file} holds no certificate in PEM")
    try:
        return ssl.create_default_context(cafile=ca_file or None)
    except (OSError, ssl.SSLError) as error:
        raise ValueError(f"{ca_file} is damaged ({getattr(error, 'reason', None) or error})") from error


def untrusted(error: ssl.SSLCertVerificationError, whose: str, host: str, ca_file: str) -> str:
    """Why the certificate of `whose` is not taken, and what to do.

    whose: HOST:PORT.  host, ca_file: what these settings are called.
    """
    begin, said = f"the certificate of {whose}", error.verify_message
    if error.verify_code == _EXPIRED:
        return f"{begin} has expired: have it renewed there, or set this machine's clock if that is wrong ({said})"
    if error.verify_code == _NOT_YET_VALID:
        return f"{begin} is not yet valid: is this machine's clock right? ({said})"
    if error.verify_code in (_OTHER_NAME, _OTHER_ADDRESS):
        return f"{begin} is for another name ({said}): see {host}"
    return f"{begin} is not trusted ({said}): see {ca_file}"


def alert_of(error: ssl.SSLError) -> str:
    """What the other side said, such as "unknown ca"; empty where the error is none of its alerts."""
    _, found, said = (error.reason or "").rpartition("ALERT_")
    return said.replace("_", " ").lower() if found else ""


def doubts(cert_file: str, key_file: str, names: Iterable[str] = ()) -> list[str]:
    """Why browsers would not believe this certificate, as far as it tells by itself. Raises ValueError as `load_chain`.

    names: of hosts or addresses that it should be for.
    """
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    load_chain(server, cert_file, key_file)
    found = []
    for name in ("", *names):
        code = _verified(server, cert_file, name)
        if code == _EXPIRED:
            return [f"{cert_file} has expired: have it renewed, or set this machine's clock if that is wrong"]
        if code == _NOT_YET_VALID:
            return [f"{cert_file} is not yet valid: is this machine's clock right?"]
        if code and name:
            found.append(f"{cert_file} is not for the name {name}")
    return found


def _verified(server: ssl.SSLContext, cert_file: str, name: str) -> int:
    """OpenSSL's result of a handshake in memory with who trusts just this certificate; 0 for no objection."""
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    client.check_hostname = bool(name)
    client.load_verify_locations(cert_file)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        client.wrap_bio(to_client, to_server, server_hostname=name or None),
        server.wrap_bio(to_server, to_client, server_side=True),
    ]
    for _ in range(4):  # flights of TLS 1.3 and 1.2
        for end in ends:
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
            except ssl.SSLCertVerificationError as error:
                return error.verify_code
            except ssl.SSLError:
                return 0  # another fault than one of trust: whoever connects is told
    return 0


def _read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror or error}") from error


def _nobody_to_ask() -> str:
    raise ValueError(
        "the key needs a passphrase, and nobody is there to be asked: store it without one, readable by this user alone"
    )
