"""The page behind real proxies, with the settings that its documentation gives."""

from __future__ import annotations

import logging
import os
import re
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest

pytest.importorskip("uvicorn", reason="the extra web is not installed")

from edge.config import WebSettings
from edge.web.broker import broker_of
from edge.web.broker_source import BrokerSource
from edge.web.serve import serve
from edge.web.users import User, hashed, write
from tests import ROOT
from tests.fakes.brokers import eventually, free_port
from tests.web.test_heard import failure, status

httpx = pytest.importorskip("httpx")
trustme = pytest.importorskip("trustme")

NAME: Final = "sem.plant.example"
ONE: Final = "plant/lab/sem/one"
PASSWORD: Final = "long enough"
NGINX: Final = """
pid {folder}/pid;
error_log stderr;
worker_processes 1;
events {{ }}
http {{
  access_log off;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  {server}
}}
"""
CADDY: Final = "{{\n  admin off\n  auto_https disable_redirects\n  http_port {http}\n  https_port {port}\n}}\n{server}"


def documented(language: str, port: int, page: int, folder: Path) -> str:
    """The settings in docs/use/dashboard.md, for these ports and this folder's certificate."""
    text = (ROOT / "docs/use/dashboard.md").read_text(encoding="utf-8")
    found = re.search(rf"^ *```{language}\n(.*?)^ *```", text, re.DOTALL | re.MULTILINE)
    assert found is not None
    server = found[1].replace("127.0.0.1:8080", f"127.0.0.1:{page}").replace("listen 443", f"listen 127.0.0.1:{port}")
    return re.sub(r"/etc/(nginx|caddy)/page", f"{folder}/page", server)


def nginx(folder: Path, port: int, page: int) -> list[str]:
    file = folder / "nginx.conf"
    file.write_text(NGINX.format(folder=folder, server=documented("nginx", port, page, folder)))
    return ["nginx", "-p", str(folder), "-c", str(file), "-g", "daemon off;"]


def caddy(folder: Path, port: int, page: int) -> list[str]:
    file = folder / "Caddyfile"
    file.write_text(CADDY.format(http=free_port(), port=port, server=documented("caddy", port, page, folder)))
    return ["caddy", "run", "--config", str(file), "--adapter", "caddyfile"]


@contextmanager
def served(folder: Path, source: BrokerSource) -> Iterator[int]:
    """The page on loopback behind a proxy, with one user."""
    write(folder / "users", {"ann": User("ann", hashed(PASSWORD), "review")})
    port, until, beats = free_port(), threading.Event(), threading.Event()
    web = WebSettings(listen=f"127.0.0.1:{port}", behind_proxy=True, hosts=(NAME,), users_file=str(folder / "users"))
    named: Any = {"version": "1", "until": until, "beat": beats.set}
    thread = threading.Thread(target=serve, args=(source, web), kwargs=named)
    thread.start()
    try:
        assert beats.wait(60)
        yield port
    finally:
        until.set()
        thread.join(60)


@pytest.fixture(params=[nginx, caddy], ids=["nginx", "caddy"])
def proxied(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Any, BrokerSource]]:
    """A browser before the proxy, coming from 127.0.0.2, and what the page shows."""
    command: Callable[[Path, int, int], list[str]] = request.param
    if shutil.which(command.__name__) is None:
        pytest.skip(f"{command.__name__} is not installed")
    folder = tmp_path / "proxy"
    folder.mkdir()
    authority = trustme.CA()
    issued = authority.issue_cert(NAME)
    issued.private_key_pem.write_to_path(str(folder / "page.key"))
    (folder / "page.crt").write_bytes(b"".join(one.bytes() for one in issued.cert_chain_pems))
    context = ssl.create_default_context()
    authority.configure_trust(context)
    source, port = BrokerSource(broker_of("mqtt://localhost")), free_port()
    source.take(f"{ONE}/status", status("online"))
    with served(tmp_path, source) as page, (folder / "log").open("wb") as log:
        homes = {**os.environ, "HOME": str(folder), "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
        process = subprocess.Popen(command(folder, port, page), cwd=folder, stdout=log, stderr=log, env=homes)
        try:
            eventually(lambda: answers(port), 60.0, (folder / "log").read_text())
            transport = httpx.HTTPTransport(verify=context, local_address="127.0.0.2")
            with httpx.Client(transport=transport, base_url=f"https://127.0.0.1:{port}", timeout=60.0) as client:
                client.headers["host"] = f"{NAME}:{port}"
                client.event_hooks["request"] = [lambda asked: asked.extensions.update(sni_hostname=NAME)]
                yield client, source
        finally:
            process.terminate()
            process.wait(60)


def answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1.0).close()
    except OSError:
        return False
    return True


def log_in(client: Any, password: str = PASSWORD) -> Any:
    origin = f"https://{client.headers['host']}"
    return client.post("/api/login", json={"name": "ann", "password": password}, headers={"origin": origin})


def test_who_is_not_logged_in_sees_the_door_alone(proxied: tuple[Any, BrokerSource]) -> None:
    client, _ = proxied
    assert client.get("/").status_code == 200
    for path in ("/api/fleet", "/api/now", "/api/rows", "/api/problems", "/api/events", "/api/inspection/x/overlay"):
        assert client.get(path).status_code == 401
    assert client.get("/api/fleet", headers={"host": "evil.example"}).status_code in (200, 421)  # 200: caddy's own empty page
    assert not client.get("/api/fleet", headers={"host": "evil.example"}).content.startswith(b"[")


def test_a_login_comes_through_with_a_secure_cookie_and_news_at_once(proxied: tuple[Any, BrokerSource]) -> None:
    client, source = proxied
    answer = log_in(client)
    assert answer.status_code == 200, answer.text
    cookie = answer.headers["set-cookie"]
    assert all(word in cookie for word in ("Secure", "HttpOnly", "SameSite=strict", "Path=/"))
    assert "max-age" in answer.headers["strict-transport-security"]
    assert [one["device"] for one in client.get("/api/fleet").json()] == [ONE]
    with client.stream("GET", "/api/events") as events:
        lines = events.iter_lines()
        assert next(line for line in lines if line.startswith("event")) == "event: hello"
        source.take(f"{ONE}/failure", failure(1))
        source._looked = 0.0
        source.turn()
        assert next(line for line in lines if line.startswith("event: verdict"))  # a proxy that holds back never gives it


def test_a_change_from_another_page_is_refused_and_a_wrong_password_is_counted_by_who_sent_it(
    proxied: tuple[Any, BrokerSource], caplog: pytest.LogCaptureFixture
) -> None:
    client, _ = proxied
    answer = client.post("/api/login", json={}, headers={"origin": "https://evil.example"})
    assert answer.status_code == 403
    assert "Host header" in answer.json()["error"]
    with caplog.at_level(logging.WARNING):
        client.headers["x-forwarded-for"] = "6.6.6.6"
        assert log_in(client, "wrong password").status_code == 401
    assert "from 127.0.0.2" in caplog.text
    assert "6.6.6.6" not in caplog.text
