"""The settings of the live page in, findings out: users, certificate, address, and what must be installed."""

from __future__ import annotations

import importlib.util
import socket
from collections.abc import Iterator
from pathlib import Path

from edge.commands.finding import Finding, several
from edge.config import Settings
from edge.errors import ConfigError
from edge.journal import problems
from edge.web import users
from edge.web.serve import EXTRA, address_of, certificate_doubts, listening


def look_at_page(settings: Settings) -> Iterator[Finding]:
    """Nothing where no page is wanted."""
    web = settings.web
    if not web.listen:
        return
    if any(importlib.util.find_spec(name) is None for name in ("starlette", "uvicorn")):
        yield Finding("page", "problem", "starlette and uvicorn are not installed", EXTRA.partition(": ")[2])
        return
    try:
        doubts = certificate_doubts(web)
        known = users.load(Path(web.users_file)) if web.users_file else {}
        told = problems.read(settings.state.folder)
        if told is None or not told.alive:  # else it is the service that listens there
            listening(web).close()
    except ConfigError as error:
        yield Finding("page", "problem", str(error))
        return
    if told is not None and told.alive and not _answers(settings):
        yield Finding("page", "problem", f"nothing answers at {web.listen}", "the service's log says why")
        return
    for doubt in doubts:
        yield Finding("page", "problem", f"web.cert_file: {doubt}")
    if not web.hosts and (web.behind_proxy or web.address[0] in ("0.0.0.0", "::")):
        yield Finding(
            "page", "problem", "web.hosts is empty: browsers elsewhere are refused", "name there what they call this page"
        )
    may = several(len(known), "user") if known else "nobody logs in: it only reads, on this machine"
    yield Finding("page", "ok", f"the live page is {address_of(web)}; {may}")


def _answers(settings: Settings) -> bool:
    host, port = settings.web.address
    try:
        with socket.create_connection(("127.0.0.1" if host in ("0.0.0.0", "::") else host, port), timeout=5.0):
            return True
    except OSError:
        return False
