"""A broker's address in, what is needed to connect to it out, and why nobody can in words that a person can act on."""

from __future__ import annotations

import os
import socket
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from edge.certificates import alert_of
from edge.errors import BrokerError, ConfigError
from edge.mqtt import tls

PORTS: Final = {"mqtt": 1883, "mqtts": 8883, "ws": 80, "wss": 443}
PASSWORD: Final = "EDGE_DASHBOARD_PASSWORD"
"""The environment's name for what `--password-file` holds."""
NAMED: Final = tls.Named("--broker", "--broker", "--broker", "--ca-file", "--cert-file", "--key-file")
UNSUPPORTED: Final = (0x01, 0x84)
NOT_LET_IN: Final = (0x86, 0x87, 0x8C)
"""MQTT 5.0, 3.2.2.2; paho gives those of 3.1.1 the same numbers."""


@dataclass(frozen=True, slots=True)
class Broker:
    """Where it is and who asks.

    websocket: the path there, None for plain MQTT.  password_file: empty for none; a name alone is looked for among
    systemd's credentials first.  secret: the password itself, where it was typed or stands in the environment.
    """

    host: str
    port: int
    tls: bool = False
    websocket: str | None = None
    username: str | None = None
    password_file: str = ""
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    protocol: int = 5
    secret: str | None = field(default=None, repr=False)

    def password(self) -> str | None:
        """Read now, so that a new one counts from the next connect. Raises ConfigError."""
        if not self.password_file:
            return self.secret
        path, credentials = Path(self.password_file), os.environ.get("CREDENTIALS_DIRECTORY")
        if not path.is_absolute() and credentials and (Path(credentials) / path).exists():
            path = Path(credentials) / path
        try:
            password = path.read_text(encoding="utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is no text"
            raise ConfigError(f"the password file {path} cannot be read: {reason}") from error
        if not password:
            raise ConfigError(f"the password file {path} is empty")
        return password

    def context(self) -> ssl.SSLContext:
        """For TLS, with the files as they are now. Raises ConfigError where one cannot be used."""
        try:
            return tls.context_of(self)
        except BrokerError as error:
            raise ConfigError(str(error)) from error

    @property
    def where(self) -> str:
        """Host and port, as people write them."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def broker_of(url: str, **others: Any) -> Broker:
    """The broker at `mqtt://`, `mqtts://`, `ws://` or `wss://`. Raises ConfigError with a sentence, never with a password."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise ConfigError("the broker's address cannot be read: write mqtt://HOST:PORT") from error
    if parts.password is not None:
        raise ConfigError("a password in the address is seen by everybody on this machine: take --password-file")
    if parts.scheme not in PORTS or not host or parts.query or parts.fragment:
        raise ConfigError("the broker's address is mqtt://HOST:PORT, mqtts://, ws:// or wss://")
    websocket = (parts.path or "/mqtt") if parts.scheme.startswith("ws") else None
    if websocket is None and parts.path not in ("", "/"):
        raise ConfigError("an address of MQTT has no path: topics are chosen by --prefix")
    try:
        host.encode("idna")
    except UnicodeError as error:
        raise ConfigError(f"no machine can be called {host[:100]!r}: see --broker") from error
    secure = parts.scheme in ("mqtts", "wss")
    if not secure and any(others.get(name) for name in ("ca_file", "cert_file", "key_file")):
        raise ConfigError("certificates need mqtts:// or wss://")
    if others.get("key_file") and not others.get("cert_file"):
        raise ConfigError("--key-file is the key of a certificate: name that with --cert-file")
    username = unquote(parts.username) if parts.username else None
    if (others.get("password_file") or others.get("secret")) and username is None:
        raise ConfigError("a password needs its user: write mqtt://USER@HOST")
    port = PORTS[parts.scheme] if port is None else port
    return Broker(host, port, tls=secure, websocket=websocket, username=username, **others)


def refused(reason: Any, broker: Broker) -> str:
    """Why it did not take us in, by the reason of its CONNACK."""
    if reason.value in NOT_LET_IN:
        who = f"the user {broker.username!r}" if broker.username else "us without a user"
        hint = "see --password-file" if broker.username else "write mqtt://USER@HOST"
        return f"it does not let {who} in ({reason}): {hint}"
    if reason.value in UNSUPPORTED:
        return f"it does not speak this version of MQTT ({reason}): try {_other_protocol(broker)}"
    return f"it refused us ({reason})"


def ended(reason: Any, broker: Broker, *, answered: bool, alert: str) -> str:
    """Why a connection ended. answered: whether the broker had said a word.  alert: of TLS."""
    said = str(reason)
    if broker.tls and not answered:
        return tls.ended_before_answer(alert, NAMED)
    if not answered:
        return f"it ended the connection before it answered: does it want TLS (mqtts://), or {_other_protocol(broker)}?"
    return "the connection was lost" if said in ("Unspecified error", "Protocol error") else f"it ended ({said})"


def failed(error: Exception, broker: Broker) -> str:
    """Why there was no connection at all."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return tls.untrusted(error, broker.where, NAMED)
    if isinstance(error, ssl.SSLError):
        alert = alert_of(error)
        if "certificate" in alert or alert == "unknown ca":
            return tls.ended_before_answer(alert, NAMED)
        return f"it does not speak our TLS there ({alert or error.reason or error}): are address and port right?"
    if isinstance(error, socket.gaierror):
        return f"no machine called {broker.host} is known ({error.strerror})"
    if isinstance(error, TimeoutError):
        return "it does not answer: is it MQTT, and the address right?"
    if isinstance(error, ConnectionResetError | BrokenPipeError | ConnectionAbortedError) and broker.tls:
        return "it ended the connection while TLS began: is this its port for TLS?"
    if isinstance(error, ConnectionError) and error.errno is None:  # paho's own, of websockets
        return f"it gives no websocket at {broker.websocket}: are scheme, port and path right?"
    return str(getattr(error, "strerror", None) or error) or type(error).__name__


def _other_protocol(broker: Broker) -> str:
    return "--protocol 3.1.1" if broker.protocol == 5 else "--protocol 5"
