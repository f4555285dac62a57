"""A source of facts in, a served page out, until it is told to end."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from edge.certificates import doubts, load_chain
from edge.config import WebSettings
from edge.errors import ConfigError
from edge.web.source import Source

log = logging.getLogger(__name__)

BEAT_S: Final = 2.0
LONGEST_END_S: Final = 2
EXTRA: Final = "the live page needs the extra web: pip install 'sem-corrosion-edge[web]'"


def serve(
    source: Source,
    web: WebSettings,
    *,
    version: str,
    until: threading.Event,
    beat: Callable[[], None] = lambda: None,
    says: str = "",
) -> None:
    """Serve until `until` is set or a signal comes.

    beat: called each few seconds in the event loop, whose sign of life it is.  says: logged once connections are taken.
    Raises ConfigError where users, certificate or address cannot be used, or starlette and uvicorn are not installed.
    """
    try:
        import uvicorn

        from edge.web.actions import Actions
        from edge.web.app import build
        from edge.web.journal_source import JournalSource
    except ImportError as error:
        raise ConfigError(EXTRA) from error
    from edge.web.sessions import Sessions

    sessions = Sessions(Path(web.users_file) if web.users_file else None)
    certificate = Certificate(web)
    listener = listening(web)
    actions = Actions(source) if isinstance(source, JournalSource) else None
    app, page = build(source, sessions, actions, web, version)
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        ssl_certfile=web.cert_file or None,
        ssl_keyfile=web.key_file or None,
        proxy_headers=web.behind_proxy,
        forwarded_allow_ips="127.0.0.1,::1",
        timeout_graceful_shutdown=LONGEST_END_S,
        limit_concurrency=256,
        ws="none",
        http="h11",
    )
    logging.getLogger("uvicorn").setLevel(logging.WARNING)

    class Server(uvicorn.Server):  # type: ignore[misc]  # uvicorn has no types here
        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            page.stream.stop()  # it has no end of its own, and would be waited for and then cut off with an error
            await super().shutdown(sockets)

    server = Server(config)
    config.load()

    def well() -> None:
        beat()
        certificate.renew(config.ssl)

    asyncio.run(until_told(server, listener, until, well, says or f"the live page is served at {address_of(web)}"))


async def until_told(server: Any, listener: socket.socket, until: threading.Event, beat: Callable[[], None], says: str) -> None:
    """Serve, say so once connections are taken, and show signs of life. server: of uvicorn."""

    async def watch() -> None:
        while not server.started:
            await asyncio.sleep(0.05)
        log.info("%s", says)
        while True:
            beat()
            await asyncio.sleep(BEAT_S)

    watching = asyncio.create_task(watch())
    threading.Thread(target=wake, args=(until, asyncio.get_running_loop(), server), name="end", daemon=True).start()
    await server.serve(sockets=[listener])
    watching.cancel()


def wake(until: threading.Event, loop: asyncio.AbstractEventLoop, server: object) -> None:
    """Tell the server to end as soon as `until` is set."""
    until.wait()
    loop.call_soon_threadsafe(setattr, server, "should_exit", True)


def address_of(web: WebSettings) -> str:
    """What a browser is given."""
    return f"{'https' if web.cert_file else 'http'}://{web.listen}/"


def listening(web: WebSettings) -> socket.socket:
    """A socket that listens. Raises ConfigError when the address cannot be used."""
    host, port = web.address
    try:
        infos = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        listener = socket.socket(infos[0][0], socket.SOCK_STREAM)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(infos[0][4])
        except BaseException:
            listener.close()
            raise
    except (OSError, OverflowError) as error:
        raise ConfigError(f"web.listen {web.listen} cannot be used: {getattr(error, 'strerror', None) or error}") from error
    listener.set_inheritable(False)
    return listener


class Certificate:
    """The page's certificate, where there is one: a renewed one is taken while the page is served.

    Files that cannot be used, such as a new certificate whose key has yet to come, change nothing and are told.
    """

    def __init__(self, web: WebSettings) -> None:
        """Raises ConfigError where the files cannot be used."""
        self._web = web
        self._stamp = self._stamped()
        for doubt in certificate_doubts(web):
            log.warning("%s", doubt)

    def renew(self, context: ssl.SSLContext | None) -> None:
        """Have `context` show the files as they are now, where they changed."""
        stamp = self._stamped()
        if context is None or stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            for doubt in certificate_doubts(self._web):
                log.warning("%s", doubt)
            load_chain(context, self._web.cert_file, self._web.key_file)
        except (ConfigError, ValueError) as error:
            log.warning("the former certificate is kept: %s", error)
        else:
            log.info("the page shows its renewed certificate")

    def _stamped(self) -> list[tuple[int, int]]:
        files = filter(None, (self._web.cert_file, self._web.key_file))
        found = []
        for file in files:
            try:
                status = Path(file).stat()
                found.append((status.st_ctime_ns, status.st_ino))
            except OSError:
                found.append((0, 0))
        return found


def certificate_doubts(web: WebSettings) -> list[str]:
    """Why browsers would not believe the page's certificate. Raises ConfigError where its files cannot be used."""
    if not web.cert_file:
        return []
    host, _ = web.address if web.listen else ("", 0)
    names = web.hosts or [host for host in [host] if host not in ("", "0.0.0.0", "::")]
    try:
        return doubts(web.cert_file, web.key_file, names)
    except ValueError as error:
        raise ConfigError(f"web.cert_file: {error}") from error
