"""The broker's settings in; certificates as a TLS context, and what TLS refuses in words that a person can act on, out."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from typing import Any, Final

from edge import certificates
from edge.certificates import CertificateFiles, alert_of, load_chain, trusting
from edge.errors import BrokerError

HANDSHAKE_S: Final = 3.0
"""Longest wait for the other side's part of the handshake."""


@dataclass(frozen=True, slots=True)
class Named:
    """What the settings are called where they are made, so that a sentence can name the one to look at."""

    host: str = "mqtt.host"
    port: str = "mqtt.port"
    tls: str = "mqtt.tls"
    ca_file: str = "mqtt.ca_file"
    cert_file: str = "mqtt.cert_file"
    key_file: str = "mqtt.key_file"


IN_TOML: Final = Named()


class Socket(ssl.SSLSocket):
    """A TLS socket that gives up on a silent peer, where paho would wait as long as the keepalive, and remembers an alert.

    alert: what the other side said when it ended the connection, such as "certificate required"; empty until then.
    """

    alert: str = ""

    def do_handshake(self, block: bool = False) -> None:
        """As its parent, for `HANDSHAKE_S` at most."""
        self.settimeout(HANDSHAKE_S)
        try:
            super().do_handshake(block)
        except OSError:
            self.close()  # paho forgets it
            raise

    def recv(self, *arguments: Any) -> bytes:
        """As its parent. Under TLS 1.3 a client's certificate is refused only here, after the handshake; paho tells nobody."""
        try:
            return super().recv(*arguments)
        except ssl.SSLError as error:
            self.alert = alert_of(error)
            raise


def context_of(files: CertificateFiles) -> ssl.SSLContext:
    """Read the certificates now, so that renewed ones are taken at the next connect. Raises BrokerError."""
    try:
        context = trusting(files.ca_file)
        if files.cert_file:
            load_chain(context, files.cert_file, files.key_file)
    except ValueError as error:
        raise BrokerError(f"the certificates for the broker cannot be used: {error}") from error
    context.sslsocket_class = Socket
    return context


def untrusted(error: ssl.SSLCertVerificationError, where: str, named: Named = IN_TOML) -> str:
    """Why the certificate of the broker at `where` is not taken, and what to do."""
    return certificates.untrusted(error, where, named.host, named.ca_file)


def ended_before_answer(alert: str, named: Named = IN_TOML) -> str:
    """Why the broker may have ended a TLS connection before it answered CONNECT, and what to look at."""
    if alert:
        return f"the broker refuses our certificate ({alert}): see {named.cert_file} and {named.key_file}"
    return f"the broker ended the connection before it answered: does it want a certificate of ours? see {named.cert_file}"
