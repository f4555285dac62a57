"""An HTTP server in this process that answers as a test says, with TLS where it wants, and keeps what it was asked."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

from tests.fakes.brokers import free_port


class Asked(NamedTuple):
    """One request. headers: names in lower case."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


class HttpServer:
    """asked: every request that came whole.

    says: gets the handler and the number of the request, from 1, and answers on its own; see `answer`.
    """

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self.asked: list[Asked] = []
        self.says: Callable[[BaseHTTPRequestHandler, int], Any] = lambda handler, _: answer(handler, 204)
        self.port = 0
        self._context = context
        self._server: ThreadingHTTPServer | None = None
        self._mutex = threading.Lock()

    def start(self) -> HttpServer:
        """Listen: on the same port at each start."""
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                with outer._mutex:
                    named = {name.lower(): value for name, value in self.headers.items()}
                    outer.asked.append(Asked(self.command, self.path, named, body))
                    number = len(outer.asked)
                outer.says(self, number)

            def do_GET(self) -> None:
                self.do_POST()

            def do_CONNECT(self) -> None:
                self.do_POST()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the parent's name
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request: Any, client_address: Any) -> None:
                pass  # a client that hangs up is what many tests are about

        self.port = self.port or free_port()  # which nobody takes between two starts, as an outgoing connection might
        self._server = Server(("127.0.0.1", self.port), Handler)
        if self._context is not None:
            self._server.socket = self._context.wrap_socket(self._server.socket, server_side=True)
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def stop(self) -> None:
        """Listen no more."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def __enter__(self) -> HttpServer:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()


def answer(handler: BaseHTTPRequestHandler, status: int, text: str = "", **headers: str) -> None:
    """Answer and end the connection. headers: with `_` for `-`."""
    handler.send_response(status)
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), value)
    if status != 204:
        handler.send_header("Content-Length", str(len(text.encode())))
    handler.send_header("Connection", "close")
    handler.end_headers()
    handler.wfile.write(text.encode())
    handler.close_connection = True
