"""One request in, the server's answer out: the standard library's HTTP with TLS, a proxy and a limit of time for the whole.

A library would be one more package on a small PC for one kind of request, which follows no redirect and keeps no cookie.
"""

from __future__ import annotations

import base64
import http.client
import socket
import ssl
import threading
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import Final, Protocol
from urllib.parse import SplitResult, unquote, urlsplit

from edge.certificates import CertificateFiles, alert_of, load_chain, trusting
from edge.config_sinks import WebhookSettings
from edge.mqtt.tls import Named, untrusted
from edge.sinks.sink import NotNowError

MOST_READ: Final = 2000
"""Of an answer's text; the rest is not read."""
IN_TOML: Final = Named(host="webhook.url", ca_file="webhook.ca_file", cert_file="webhook.cert_file")


class Server(CertificateFiles, Protocol):
    """A section of the settings that leads to a web server, see `WebhookSettings` and `FleetSettings`."""

    @property
    def parts(self) -> SplitResult:
        """Of its address."""

    @property
    def where(self) -> str:
        """Host and port, for people."""

    @property
    def proxy(self) -> str:
        """To be used; empty: as the environment says, "none": never one."""

    @property
    def timeout_s(self) -> float:
        """Longest silence."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the server said. retry_after_s: 0 where it does not say.  location: where it redirects to."""

    status: int
    reason: str
    text: str
    retry_after_s: float
    location: str


def post(webhook: WebhookSettings, body: bytes, headers: Mapping[str, str]) -> Answer:
    """Send one request on a connection of its own. Raises NotNowError where no whole answer comes in time."""
    with connected(webhook) as connection:
        target = webhook.parts.path or "/"
        target += f"?{webhook.parts.query}" if webhook.parts.query else ""
        target, headers = through_proxy(webhook, target, headers)
        with suppress(BrokenPipeError, ConnectionResetError):  # who refuses a large body may have answered before its end
            connection.request("POST", target, body, dict(headers))
        answer = connection.getresponse()
        taken = 200 <= answer.status < 300  # whatever becomes of the rest of its answer
        text = "" if taken else answer.read(MOST_READ).decode("utf-8", "replace")
        return Answer(
            answer.status,
            answer.reason,
            " ".join(text.split()),
            retry_after(answer.getheader("Retry-After"), datetime.now(timezone.utc)),
            answer.getheader("Location") or "",
        )


def reach(server: Server, named: Named = IN_TOML) -> None:
    """Connect, with TLS where that is wanted, and say nothing. named: what the settings are called. Raises NotNowError."""
    with connected(server, named):
        pass


def through_proxy(server: Server, target: str, headers: Mapping[str, str]) -> tuple[str, Mapping[str, str]]:
    """Target and headers as they are to be sent: a proxy for http is asked for the whole address."""
    proxy = proxy_of(server)
    if proxy is None or server.parts.scheme != "http":
        return target, headers
    return f"http://{server.where}{target}", {**headers, **_credentials(proxy)}


def proxy_of(server: Server) -> SplitResult | None:
    """The proxy to use, None for none."""
    if server.proxy:
        return None if server.proxy == "none" else urlsplit(server.proxy)
    parts = server.parts
    if not parts.hostname or urllib.request.proxy_bypass(parts.hostname):
        return None
    found = urllib.request.getproxies().get(parts.scheme)
    return urlsplit(found if "//" in found else f"http://{found}") if found else None


def retry_after(text: str | None, now: datetime) -> float:
    """Seconds that `Retry-After` asks for, as a number or a date (RFC 9110, 10.2.3); 0 for none, or nonsense."""
    if not text:
        return 0.0
    with suppress(ValueError):
        return float(max(0, int(text)))
    with suppress(ValueError, TypeError):
        at = parsedate_to_datetime(text)
        return max(0.0, ((at if at.tzinfo else at.replace(tzinfo=timezone.utc)) - now).total_seconds())
    return 0.0


@contextmanager
def connected(server: Server, named: Named = IN_TOML, whole_s: float | None = None) -> Iterator[http.client.HTTPConnection]:
    """A connection of its own; what goes wrong within the block, on it or on the way to it, is a NotNowError in words.

    named: what the settings are called.  whole_s: limit of time for all of it; None: `timeout_s` of the server.
    """
    limit_s = server.timeout_s if whole_s is None else whole_s
    connection = _connection(server, named)
    late = threading.Event()

    def give_up() -> None:
        late.set()
        if connection.sock is not None:
            with suppress(OSError):  # not SSLSocket's own: it would take TLS away under the thread that reads
                socket.socket.shutdown(connection.sock, socket.SHUT_RDWR)

    timer = threading.Timer(limit_s, give_up)
    timer.daemon = True
    timer.start()
    try:
        connection.connect()
        yield connection
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise NotNowError(_why(error, server, named, limit_s if late.is_set() else None)) from error
    finally:
        timer.cancel()
        connection.close()


def _connection(server: Server, named: Named) -> http.client.HTTPConnection:
    parts, proxy = server.parts, proxy_of(server)
    host, port = parts.hostname or "", parts.port
    at = (proxy.hostname or "", proxy.port or 80) if proxy is not None else (host, port)
    if parts.scheme == "http":
        return http.client.HTTPConnection(*at, timeout=server.timeout_s)
    try:
        context = trusting(server.ca_file)
        if server.cert_file:
            load_chain(context, server.cert_file, server.key_file)
    except ValueError as error:
        section = named.host.partition(".")[0]
        raise NotNowError(f"the certificates in [{section}] cannot be used: {error}") from error
    connection = http.client.HTTPSConnection(*at, timeout=server.timeout_s, context=context)
    if proxy is not None:
        connection.set_tunnel(host, port or 443, _credentials(proxy))
    return connection


def _credentials(proxy: SplitResult) -> dict[str, str]:
    if proxy.username is None:
        return {}
    pair = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
    return {"Proxy-Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}


def _why(error: Exception, server: Server, named: Named, late_s: float | None) -> str:
    """late_s: the limit for the whole, where that was reached."""
    section = named.host.partition(".")[0]
    if late_s is not None and late_s != server.timeout_s:
        return f"no whole answer within {late_s:g} s"
    if late_s is not None or isinstance(error, TimeoutError):
        return f"no whole answer within {server.timeout_s:g} s ({section}.timeout_s)"
    if isinstance(error, ssl.SSLCertVerificationError):
        return untrusted(error, server.where, named)
    if isinstance(error, ssl.SSLError):
        if alert := alert_of(error):
            return f"it refuses our certificate, or TLS as we speak it ({alert}): see {named.cert_file}"
        return f"no TLS with it ({error.reason or error}): is https right?"
    if isinstance(error, http.client.RemoteDisconnected | ConnectionResetError | BrokenPipeError):
        return "it ended the connection before its answer was whole"
    if isinstance(error, http.client.HTTPException | ValueError):
        return f"its answer is no HTTP ({error!r})"
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
