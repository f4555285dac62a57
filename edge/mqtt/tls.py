"""The broker's settings in; certificates as a TLS context, and what TLS refuses in words that a person can act on, out."""

from __future__ import annotations

import ssl
from typing import Any, Final

from edge.config import MqttSettings
from edge.errors import BrokerError

HANDSHAKE_S: Final = 3.0
"""Longest wait for the other side's part of the handshake."""

# OpenSSL's verification results, x509_vfy.h.
_NOT_YET_VALID, _EXPIRED, _OTHER_NAME, _OTHER_ADDRESS = 9, 10, 62, 64


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
            _, _, said = (error.reason or "").rpartition("ALERT_")
            self.alert = said.replace("_", " ").lower()
            raise


def context_of(settings: MqttSettings) -> ssl.SSLContext:
    """Read the certificates now, so that renewed ones are taken at the next connect. Raises BrokerError."""
    try:
        context = ssl.create_default_context(cafile=settings.ca_file or None)
        if settings.cert_file:
            context.load_cert_chain(settings.cert_file, settings.key_file)
    except (OSError, ssl.SSLError) as error:
        names = ", ".join(filter(None, (settings.ca_file, settings.cert_file, settings.key_file)))
        raise BrokerError(f"mqtt certificates ({names}) cannot be used: {error}") from error
    context.sslsocket_class = Socket
    return context


def untrusted(error: ssl.SSLCertVerificationError, where: str) -> str:
    """Why the certificate of the broker at `where` is not taken, and what to do."""
    begin, said = f"the certificate of {where}", error.verify_message
    if error.verify_code == _EXPIRED:
        return f"{begin} has expired: have it renewed at the broker, or set this machine's clock if that is wrong ({said})"
    if error.verify_code == _NOT_YET_VALID:
        return f"{begin} is not yet valid: is this machine's clock right? ({said})"
    if error.verify_code in (_OTHER_NAME, _OTHER_ADDRESS):
        return f"{begin} is for another name ({said}): see mqtt.host"
    return f"{begin} is not trusted ({said}): see mqtt.ca_file"


def ended_before_answer(alert: str) -> str:
    """Why the broker may have ended a TLS connection before it answered CONNECT, and what to look at."""
    if alert:
        return f"the broker refuses our certificate ({alert}): see mqtt.cert_file and mqtt.key_file"
    return "the broker ended the connection before it answered: does it want a certificate of ours? see mqtt.cert_file"
