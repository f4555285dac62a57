"""The settings of sinks in, findings out: whether a folder can be written and a server reached, and what waits for them.

It writes nothing and posts nothing.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from edge.commands.doctor_state import age
from edge.commands.finding import Finding, several
from edge.config import Settings
from edge.errors import ConfigError, StateError
from edge.folder.reach import require
from edge.folder.scan import FolderGone
from edge.journal import Journal
from edge.service.cures import cure_of
from edge.sinks.csv_folder import file_name
from edge.sinks.post import proxy_of, reach
from edge.sinks.sink import NotNowError
from edge.sinks.table import SINKS
from edge.sinks.webhook import headers_of

LITTLE_BYTES: Final = 1 << 20
LOOPBACK: Final = ("localhost", "127.0.0.1", "::1")


def look_at_sinks(settings: Settings) -> Iterator[Finding]:
    """Nothing where none is wanted."""
    if settings.csv.folder:
        yield _folder(settings)
    if settings.webhook.url:
        yield from _server(settings)
    yield from _backlog(settings)


def _folder(settings: Settings) -> Finding:
    folder, subject = Path(settings.csv.folder), f"csv.folder {settings.csv.folder}"
    try:
        require(folder, must_be_mount=settings.csv.must_be_mount)
        os.scandir(folder).close()
        free = os.statvfs(folder)
    except FolderGone:
        text = f"{subject}: nothing is mounted on it, as csv.must_be_mount asks"
        return Finding("csv", "problem", text, cure_of(text))
    except OSError as error:
        text = f"{subject}: {error.strerror or error}"
        return Finding("csv", "problem", text, cure_of(text))
    if not os.access(folder, os.W_OK | os.X_OK):
        text = f"{subject}: this user may not write there"
        return Finding("csv", "problem", text, cure_of(text))
    if free.f_blocks > 0 and free.f_bavail * free.f_frsize < LITTLE_BYTES:  # some shares do not tell
        text = f"{subject}: less than a MiB is free there"
        return Finding("csv", "problem", text, cure_of(text))
    return Finding("csv", "ok", f"each verdict is a row of {folder / file_name(settings.device.id)}_<day>.csv")


def _server(settings: Settings) -> Iterator[Finding]:
    webhook, subject = settings.webhook, f"webhook.url {settings.webhook.where}"
    try:
        headers_of(webhook, "", b"", 0)
        reach(webhook)
    except (NotNowError, ConfigError) as error:
        text = f"{subject}: {error}"
        yield Finding("webhook", "problem", text, cure_of(text))
        return
    proxy = proxy_of(webhook)
    way = f" by the proxy {proxy.hostname}:{proxy.port or 80}" if proxy is not None else ""
    yield Finding("webhook", "ok", f"{webhook.where} took a connection{way}; whether it takes verdicts is seen with the first")
    if webhook.parts.scheme == "http" and webhook.parts.hostname not in LOOPBACK:
        secret = " and the token" if webhook.token_file else ""
        yield Finding("webhook", "note", f"verdicts{secret} are sent there unencrypted", "name an address with https://")


def _backlog(settings: Settings) -> Iterator[Finding]:
    """What waits in the journal; nothing where there is none, which is told elsewhere."""
    wanted = [row.name for row in SINKS if row.wanted(settings)]
    try:
        if not wanted or not (settings.state.folder / "journal.sqlite3").exists():
            return
        with Journal.view(settings.state.folder) as journal:
            for name in wanted:
                count, since = journal.outbox.waiting_in(name)
                if since is not None:
                    text = f"{several(count, 'verdict')} waiting for it, the oldest for {age(max(0.0, time.time() - since))}"
                    yield Finding(name, "note", text, "nothing is lost: they are delivered once the reason is gone")
    except (StateError, OSError):
        return
