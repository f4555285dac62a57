"""An inference server's settings in; out comes, in words, why no connection to it comes about.

gRPC says the same for an expired certificate of ours, a missing one and a server that ends: "Socket closed". So who cannot
reach a server is told what a connection of plain TCP and TLS meets there.
"""

from __future__ import annotations

import socket
import ssl
from typing import Final

from edge.backends.server import ServerSettings
from edge.certificates import alert_of, doubts, load_chain, trusting, untrusted

PATIENCE_S: Final = 3.0
"""Longest wait for each of the other side's parts."""


def unreached(settings: ServerSettings) -> tuple[str, bool] | None:
    """Why the server is not reached, and whether waiting does not mend it; None where nothing is wrong with the connection."""
    host, _, port = settings.url.rpartition(":")
    try:
        raw = socket.create_connection((host.strip("[]"), int(port)), PATIENCE_S)
    except socket.gaierror as error:
        return f"its name is not known here ({error.strerror}): see kserve.url", False
    except TimeoutError:
        return "nothing answers at this address: is the machine on, and does a firewall let port and protocol through?", False
    except (OSError, OverflowError) as error:
        return f"nobody listens there ({getattr(error, 'strerror', None) or error}): see kserve.url", False
    with raw:
        return _refused_by_tls(raw, host.strip("[]"), settings) if settings.tls else _wants_tls(raw)


def _refused_by_tls(raw: socket.socket, host: str, settings: ServerSettings) -> tuple[str, bool] | None:
    try:
        context = context_of(settings)
    except ValueError as error:
        return str(error), True
    try:
        with context.wrap_socket(raw, server_hostname=host) as connection:
            # A server of HTTP/2 speaks first; under TLS 1.3 our certificate is refused only here.
            return None if connection.recv(1) else (_shut_out(settings), True)
    except ssl.SSLCertVerificationError as error:
        return untrusted(error, settings.url, "kserve.url", "kserve.ca_file"), True
    except TimeoutError:
        return f"it takes connections and says nothing for {PATIENCE_S:g} s", False
    except ssl.SSLError as error:
        if alert := alert_of(error):
            return f"it refuses our certificate ({alert}): see kserve.cert_file and kserve.key_file", True
        return f"it does not speak TLS ({error.reason or error}): see kserve.tls and the port in kserve.url", True
    except OSError:
        return _shut_out(settings), True


def _shut_out(settings: ServerSettings) -> str:
    """Why a server may end a connection that was encrypted already; gRPC's own says nothing then."""
    if not settings.cert_file:
        return "it ends each connection: does it want a certificate of ours? see kserve.cert_file"
    own = next(iter(doubts(settings.cert_file, settings.key_file)), None)
    return own or f"it ends each connection: it may not know who signed {settings.cert_file}; its log says more"


def _wants_tls(raw: socket.socket) -> tuple[str, bool] | None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # nothing is said to it
    context.set_alpn_protocols(["h2"])
    try:
        context.wrap_socket(raw).close()
    except OSError:
        return None
    return "it speaks TLS: see kserve.tls", True


def context_of(settings: ServerSettings) -> ssl.SSLContext:
    """Whom we trust and who we are, read now. Raises ValueError with a sentence for files that cannot be used."""
    context = trusting(settings.ca_file)
    context.set_alpn_protocols(["h2"])
    if settings.cert_file:
        load_chain(context, settings.cert_file, settings.key_file)
    return context
