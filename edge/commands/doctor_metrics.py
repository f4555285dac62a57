"""The settings of what Prometheus scrapes in, findings out: its library, and its address."""

from __future__ import annotations

import importlib.util
import socket
from collections.abc import Iterator

from edge.commands.finding import Finding
from edge.config import Settings, host_and_port
from edge.journal import problems


def look_at_metrics(settings: Settings) -> Iterator[Finding]:
    """Nothing where nobody wants it."""
    listen = settings.metrics.prometheus
    if not listen:
        return
    if importlib.util.find_spec("prometheus_client") is None:
        yield Finding("metrics", "problem", "prometheus-client is not installed", "pip install 'sem-corrosion-edge[metrics]'")
        return
    told = problems.read(settings.state.folder)
    if told is not None and told.alive:  # then it is the service that listens there
        if any("metrics.prometheus" in text for text in told.problems):
            return  # it says so itself
        if not answers(listen):
            yield Finding("metrics", "problem", f"nothing answers at {listen}", "restart the service, or see what its log says")
            return
    elif why := refused(listen):
        cure = "stop what listens there (ss -ltnp shows it), or name another address of this machine"
        yield Finding("metrics", "problem", f"metrics.prometheus {listen} cannot be used: {why}", cure)
        return
    yield Finding("metrics", "ok", f"Prometheus scrapes http://{listen}/metrics")


def refused(listen: str) -> str | None:
    """Why nobody can listen there, None where one can."""
    host, port = host_and_port(listen)
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        with socket.socket(family, socket.SOCK_STREAM) as tried:
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            tried.bind(address)
            tried.listen()
    except OSError as error:
        return error.strerror or str(error)
    return None


def answers(listen: str) -> bool:
    """Whether something takes connections there, asked from this machine."""
    host, port = host_and_port(listen)
    here = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    try:
        with socket.create_connection((here, port), timeout=5.0):
            return True
    except OSError:
        return False
