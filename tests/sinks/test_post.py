"""One POST: what servers, networks, certificates and proxies do to it, and the words for that."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timezone
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
import trustme

from edge.config_sinks import WebhookSettings
from edge.sinks.post import post, proxy_of, reach, retry_after
from edge.sinks.sink import NotNowError
from tests.fakes.http_server import HttpServer, answer


@pytest.fixture(autouse=True)
def _no_proxy_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "no_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def server() -> Iterator[HttpServer]:
    with HttpServer() as running:
        yield running


def at(server: HttpServer, **more: Any) -> WebhookSettings:
    return WebhookSettings(url=f"http://127.0.0.1:{server.port}/hook?line=7", **more)


def test_the_body_and_the_headers_arrive_as_they_are(server: HttpServer) -> None:
    assert post(at(server), "ü".encode(), {"X-A": "b"}).status == 204
    (asked,) = server.asked
    assert (asked.method, asked.target, asked.body) == ("POST", "/hook?line=7", "ü".encode())
    assert (asked.headers["x-a"], asked.headers["host"]) == ("b", f"127.0.0.1:{server.port}")


def test_an_answer_tells_why_how_long_and_where_to(server: HttpServer) -> None:
    server.says = lambda handler, _: answer(handler, 429, "slow\n down", Retry_After="7", Location="https://other/")
    told = post(at(server), b"{}", {})
    assert (told.status, told.text, told.retry_after_s, told.location) == (429, "slow down", 7.0, "https://other/")


def test_a_redirect_is_not_followed(server: HttpServer) -> None:
    server.says = lambda handler, _: answer(handler, 307, Location=f"http://127.0.0.1:{server.port}/other")
    assert post(at(server), b"{}", {}).status == 307
    assert len(server.asked) == 1


def drips(handler: BaseHTTPRequestHandler, _: int) -> None:
    """A byte now and then, for ever: no read ever waits long."""
    with suppress(OSError):
        for _ in range(3000):
            handler.wfile.write(b"H")
            handler.wfile.flush()
            time.sleep(0.02)


def test_a_server_that_is_slow_is_given_up_after_one_limit_for_the_whole(server: HttpServer) -> None:
    go_on = threading.Event()
    for says in (drips, lambda handler, _: go_on.wait(60)):
        server.says = says
        with pytest.raises(NotNowError, match=r"no whole answer within 0\.3 s"):
            post(at(server, timeout_s=0.3), b"{}", {})
    go_on.set()


def test_a_connection_that_is_reset_half_way_is_no_answer(server: HttpServer) -> None:
    def resets(handler: BaseHTTPRequestHandler, number: int) -> None:
        if number == 2:
            handler.wfile.write(b"HTTP/1.1 500 Oops\r\nContent-Length: 100\r\n\r\nhalf")
            handler.wfile.flush()
        handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
        handler.connection.close()
        handler.close_connection = True

    server.says = resets
    for _ in range(2):
        with pytest.raises(NotNowError, match=r"ended the connection before its answer was whole|is no HTTP"):
            post(at(server), b"{}", {})


def test_what_was_taken_is_taken_whatever_becomes_of_the_rest_of_the_answer(server: HttpServer) -> None:
    def half(handler: BaseHTTPRequestHandler, _: int) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
        handler.close_connection = True

    server.says = half
    assert post(at(server), b"{}", {}).status == 200


def test_a_large_body_that_is_refused_before_its_end_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"

        def refuse() -> None:
            end, _ = listener.accept()
            with end, suppress(ConnectionError):  # whoever was refused hangs up, too, with bytes on their way
                end.recv(1000)
                end.sendall(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
                end.shutdown(socket.SHUT_RDWR)
                while end.recv(65536):
                    pass

        thread = threading.Thread(target=refuse)
        thread.start()
        try:
            assert post(WebhookSettings(url=url), b"x" * (8 << 20), {}).status == 413
        except NotNowError as error:  # where the kernel drops the answer with the connection
            assert "ended the connection" in str(error)  # noqa: PT017 - one of both must be
        thread.join()


def test_what_is_no_http_and_who_does_not_listen_are_told_apart() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

        def babble() -> None:
            end, _ = listener.accept()
            end.sendall(b"SSH-2.0-x\r\n")
            end.close()

        thread = threading.Thread(target=babble)
        thread.start()
        with pytest.raises(NotNowError, match=r"no HTTP|ended the connection"):
            post(WebhookSettings(url=f"http://127.0.0.1:{port}/"), b"{}", {})
        thread.join()
    with pytest.raises(NotNowError, match="Connection refused"):
        post(WebhookSettings(url=f"http://127.0.0.1:{port}/"), b"{}", {})


@contextmanager
def with_tls(tmp_path: Path, name: str = "127.0.0.1") -> Iterator[tuple[HttpServer, str]]:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    with HttpServer(context) as running:
        yield running, str(tmp_path / "ca.pem")


def test_https_is_spoken_with_whom_the_authority_knows_and_with_nobody_else(tmp_path: Path) -> None:
    with with_tls(tmp_path) as (server, ca_file):
        url = f"https://127.0.0.1:{server.port}/"
        assert post(WebhookSettings(url=url, ca_file=ca_file), b"{}", {}).status == 204
        reach(WebhookSettings(url=url, ca_file=ca_file))
        with pytest.raises(NotNowError, match=r"is not trusted .*see webhook\.ca_file"):
            post(WebhookSettings(url=url), b"{}", {})
        assert len(server.asked) == 1
    with with_tls(tmp_path, "elsewhere.example") as (server, ca_file):
        with pytest.raises(NotNowError, match=r"is for another name .*see webhook\.url"):
            post(WebhookSettings(url=f"https://127.0.0.1:{server.port}/", ca_file=ca_file), b"{}", {})
        assert server.asked == []


def test_https_to_a_server_without_it_and_a_missing_authority_are_told(server: HttpServer, tmp_path: Path) -> None:
    with pytest.raises(NotNowError, match=r"no TLS with it|ended the connection"):
        post(WebhookSettings(url=f"https://127.0.0.1:{server.port}/"), b"{}", {})
    with pytest.raises(NotNowError, match=r"certificates in \[webhook\] cannot be used"):
        post(WebhookSettings(url="https://127.0.0.1:1/", ca_file=str(tmp_path / "missing")), b"{}", {})


def test_a_server_that_wants_our_certificate_gets_it(tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    ours = authority.issue_cert("sem-01")
    ours.private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "ours.pem"))
    with HttpServer(context) as running:
        url, ca_file = f"https://127.0.0.1:{running.port}/", str(tmp_path / "ca.pem")
        files = {"cert_file": str(tmp_path / "ours.pem"), "key_file": str(tmp_path / "ours.pem")}
        assert post(WebhookSettings(url=url, ca_file=ca_file, **files), b"{}", {}).status == 204  # type: ignore[arg-type]


def test_a_proxy_is_asked_for_plain_http_with_the_whole_address(server: HttpServer) -> None:
    webhook = WebhookSettings(url="http://plant.invalid/hook", proxy=f"http://me:pass%20word@127.0.0.1:{server.port}")
    assert post(webhook, b"{}", {}).status == 204
    (asked,) = server.asked
    assert (asked.target, asked.headers["host"]) == ("http://plant.invalid/hook", "plant.invalid")
    assert asked.headers["proxy-authorization"] == "Basic bWU6cGFzcyB3b3Jk"


def tunnel(to: Callable[[], int]) -> Callable[[BaseHTTPRequestHandler, int], None]:
    """CONNECT, as a proxy does it."""

    def says(handler: BaseHTTPRequestHandler, _: int) -> None:
        with socket.create_connection(("127.0.0.1", to())) as far:
            handler.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
            handler.wfile.flush()
            thread = threading.Thread(target=copied, args=(far, handler.connection), daemon=True)
            thread.start()
            copied(handler.connection, far)
            thread.join(10)
        handler.close_connection = True

    return says


def copied(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)


def test_a_proxy_makes_a_tunnel_for_https_and_its_refusal_is_told(server: HttpServer, tmp_path: Path) -> None:
    with with_tls(tmp_path) as (behind, ca_file):
        server.says = tunnel(lambda: behind.port)
        webhook = WebhookSettings(
            url=f"https://127.0.0.1:{behind.port}/hook", ca_file=ca_file, proxy=f"http://127.0.0.1:{server.port}"
        )
        assert post(webhook, b"{}", {"Authorization": "Bearer x"}).status == 204
        assert server.asked[0].target == f"127.0.0.1:{behind.port}"
        assert "authorization" not in server.asked[0].headers
        assert behind.asked[0].target == "/hook"
        server.says = lambda handler, _: answer(handler, 407)
        with pytest.raises(NotNowError, match="Tunnel connection failed: 407"):
            post(webhook, b"{}", {})


def test_the_environments_proxy_is_used_unless_it_says_or_we_say_not(monkeypatch: pytest.MonkeyPatch) -> None:
    webhook = WebhookSettings(url="https://plant.example/x")
    assert proxy_of(webhook) is None
    monkeypatch.setenv("https_proxy", "http://proxy.example:3128")
    proxy = proxy_of(webhook)
    assert proxy is not None
    assert (proxy.hostname, proxy.port) == ("proxy.example", 3128)
    assert proxy_of(WebhookSettings(url="https://plant.example/x", proxy="none")) is None
    monkeypatch.setenv("no_proxy", "plant.example")
    assert proxy_of(webhook) is None


def test_retry_after_is_a_number_or_a_date() -> None:
    now = datetime(2026, 5, 2, 8, 0, tzinfo=timezone.utc)
    assert retry_after("120", now) == 120
    assert retry_after("Sat, 02 May 2026 08:01:30 GMT", now) == 90
    assert [retry_after(text, now) for text in (None, "", "soon", "-5", "Fri, 01 May 2026 08:00:00 GMT")] == [0, 0, 0, 0, 0]
