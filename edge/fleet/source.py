"""The settings of the fleet in; the bytes of a release's files out, from a folder or from a web server."""

from __future__ import annotations

import base64
import contextlib
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol
from urllib.parse import quote

from edge.config_fleet import FleetSettings
from edge.config_section import secret_of
from edge.errors import ConfigError
from edge.mqtt.tls import Named
from edge.sinks.post import connected, through_proxy
from edge.sinks.sink import NotNowError

BLOCK: Final = 1 << 18
WHOLE_S: Final = 900.0
"""Longest time for one request; what has come by then is kept, and the next one asks for the rest."""
IN_TOML: Final = Named(host="fleet.source", ca_file="fleet.ca_file", cert_file="fleet.cert_file", key_file="fleet.key_file")


@dataclass(frozen=True, slots=True)
class Body:
    """begins_at: of the file, 0 where the source cannot go on in its middle.  size: of the whole file, None: not said."""

    begins_at: int
    size: int | None
    blocks: Iterator[bytes]


class Source(Protocol):
    """Where releases lie: below it a folder for each, named by its id."""

    where: str

    def opened(self, release_id: str, name: str, offset: int) -> contextlib.AbstractContextManager[Body]:
        """One file, from `offset` on where that can be had. Raises NotNowError, also while its blocks are read."""
        ...


def open_source(fleet: FleetSettings) -> Source:
    """Touches nothing. fleet: with a `source`."""
    return WebSource(fleet) if fleet.on_the_web else FolderSource(Path(fleet.source))


class FolderSource:
    """A folder, as of a share."""

    def __init__(self, folder: Path) -> None:
        self.where, self._folder = str(folder), folder

    @contextlib.contextmanager
    def opened(self, release_id: str, name: str, offset: int) -> Iterator[Body]:
        """As `Source.opened`. A file that is a link is not read: it could lead to whatever the service's user may read."""
        path = self._folder / release_id / name
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError as error:
            raise NotNowError(f"{path} cannot be read: {error.strerror or error}") from error
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            os.close(descriptor)
            raise NotNowError(f"{path} is no file")
        with open(descriptor, "rb") as stream:

            def blocks() -> Iterator[bytes]:
                try:
                    stream.seek(offset)
                    while block := stream.read(BLOCK):
                        yield block
                except OSError as error:
                    raise NotNowError(f"{path} cannot be read: {error.strerror or error}") from error

            yield Body(offset, status.st_size, blocks())


class WebSource:
    """A web server; redirects are not followed, so that nobody but who the settings name is asked."""

    def __init__(self, fleet: FleetSettings) -> None:
        self.where, self._fleet = fleet.where, fleet

    @contextlib.contextmanager
    def opened(self, release_id: str, name: str, offset: int) -> Iterator[Body]:
        """As `Source.opened`."""
        target = f"{self._fleet.parts.path}/{release_id}/{quote(name)}"
        headers = {"Range": f"bytes={offset}-"} if offset else {}
        sent, headers_sent = through_proxy(self._fleet, target, {**headers, **credentials(self._fleet)})
        with connected(self._fleet, IN_TOML, WHOLE_S) as connection:
            connection.request("GET", sent, headers=dict(headers_sent))
            answer = connection.getresponse()
            length = answer.getheader("Content-Length")
            rest = int(length) if length is not None and re.fullmatch(r"\d{1,15}", length) else None
            begins_at = _begin(answer.getheader("Content-Range"), offset) if answer.status == 206 else 0
            if answer.status not in (200, 206):
                raise NotNowError(self._refusal(answer.status, answer.reason, answer.getheader("Location") or "", name))

            def blocks() -> Iterator[bytes]:
                while block := answer.read(BLOCK):
                    yield block

            yield Body(begins_at, None if rest is None else begins_at + rest, blocks())

    def _refusal(self, status: int, reason: str, location: str, name: str) -> str:
        if 300 <= status < 400:
            return f"{self.where} sends us elsewhere ({location[:200] or status}): is that the address for fleet.source?"
        if status in (401, 403):
            return f"{self.where} does not let us in ({status} {reason}): see fleet.user and fleet.password_file"
        if status in (404, 410):
            return f"{self.where} has no {name} of this release ({status}): put its folder there, named by its id"
        if status == 416:
            return f"{self.where} has less of {name} than was fetched before ({status})"
        return f"{self.where} answers {status} {reason} for {name}"


def credentials(fleet: FleetSettings) -> dict[str, str]:
    """The header with user and password, read now; empty without a user. Raises NotNowError where it cannot be read."""
    if not fleet.user:
        return {}
    try:
        password = secret_of("fleet.password_file", fleet.password_file)
    except ConfigError as error:
        raise NotNowError(str(error)) from error
    return {"Authorization": f"Basic {base64.b64encode(f'{fleet.user}:{password}'.encode()).decode()}"}


def _begin(content_range: str | None, asked: int) -> int:
    """Where the part begins that came. Raises NotNowError for a part that was not asked for."""
    match = re.fullmatch(r"bytes (\d{1,15})-\d{1,15}/(?:\d{1,15}|\*)", content_range or "")
    if match is None or int(match[1]) != asked:
        raise NotNowError(
            f"the server sends another part of the file than was asked for ({(content_range or 'no range')[:80]})"
        )
    return asked
