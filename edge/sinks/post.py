"""One POST in, the server's answer out: the standard library's HTTP with TLS, a proxy and a limit of time for the whole.

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
from typing import Final
from urllib.parse import SplitResult, unquote, urlsplit

from edge.certificates import alert_of, load_chain, trusting
from edge.config_sinks import WebhookSettings
from edge.mqtt.tls import Named, untrusted
from edge.sinks.sink import NotNowError

MOST_READ: Final = 2000
"""Of an answer's text; the rest is not read."""
IN_TOML: Final = Named(host="webhook.url", ca_file="webhook.ca_file")


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
    with _connected(webhook) as connection:
        target = webhook.parts.path or "/"
        target += f"?{webhook.parts.query}" if webhook.parts.query else ""
        proxy = proxy_of(webhook)
        if proxy is not None and webhook.parts.scheme == "http":
            target, headers = f"http://{webhook.where}{target}", {**headers, **_credentials(proxy)}
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


def reach(webhook: WebhookSettings) -> None:
    """Connect, with TLS where that is wanted, and say nothing. Raises NotNowError."""
    with _connected(webhook):
        pass


def proxy_of(webhook: WebhookSettings) -> SplitResult | None:
    """The proxy to use, None for none."""
    if webhook.proxy:
        return None if webhook.proxy == "none" else urlsplit(webhook.proxy)
    parts = webhook.parts
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
def _connected(webhook: WebhookSettings) -> Iterator[http.client.HTTPConnection]:
    connection = _connection(webhook)
    late = threading.Event()

    def give_up() -> None:
        late.set()
        if connection.sock is not None:
            with suppress(OSError):  # not SSLSocket's own: it would take TLS away under the thread that reads
                socket.socket.shutdown(connection.sock, socket.SHUT_RDWR)

    timer = threading.Timer(webhook.timeout_s, give_up)
    timer.daemon = True
    timer.start()
    try:
        connection.connect()
        yield connection
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise NotNowError(_why(error, webhook, late.is_set())) from error
    finally:
        timer.cancel()
        connection.close()


def _connection(webhook: WebhookSettings) -> http.client.HTTPConnection:
    parts, proxy = webhook.parts, proxy_of(webhook)
    host, port = parts.hostname or "", parts.port
    at = (proxy.hostname or "", proxy.port or 80) if proxy is not None else (host, port)
    if parts.scheme == "http":
        return http.client.HTTPConnection(*at, timeout=webhook.timeout_s)
    try:
        context = trusting(webhook.ca_file)
        if webhook.cert_file:
            load_chain(context, webhook.cert_file, webhook.key_file)
    except ValueError as error:
        raise NotNowError(f"the certificates in [webhook] cannot be used: {error}") from error
    connection = http.client.HTTPSConnection(*at, timeout=webhook.timeout_s, context=context)
    if proxy is not None:
        connection.set_tunnel(host, port or 443, _credentials(proxy))
    return connection


def _credentials(proxy: SplitResult) -> dict[str, str]:
    if proxy.username is None:
        return {}
    pair = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
    return {"Proxy-Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}


def _why(error: Exception, webhook: WebhookSettings, late: bool) -> str:
    if late or isinstance(error, TimeoutError):
        return f"no whole answer within {webhook.timeout_s:g} s (webhook.timeout_s)"
    if isinstance(error, ssl.SSLCertVerificationError):
        return untrusted(error, webhook.where, IN_TOML)
    if isinstance(error, ssl.SSLError):
        if alert := alert_of(error):
            return f"it refuses our certificate, or TLS as we speak it ({alert}): see webhook.cert_file"
        return f"no TLS with it ({error.reason or error}): is https right?"
    if isinstance(error, http.client.RemoteDisconnected | ConnectionResetError | BrokenPipeError):
        return "it ended the connection before its answer was whole"
    if isinstance(error, http.client.HTTPException | ValueError):
        return f"its answer is no HTTP ({error!r})"
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
