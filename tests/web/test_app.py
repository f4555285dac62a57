"""The routes: who may what, and requests that nobody's page makes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("starlette", reason="the extra web is not installed")
from starlette.testclient import TestClient

from edge.config import WebSettings
from edge.errors import StateError
from edge.web import users
from edge.web.app import BROWSER, COOKIE, build
from edge.web.sessions import Sessions
from edge.web.source import Event, Facts, Mode

PASSWORD = "correct horse"
HOST = "http://127.0.0.1:8080"
POSTS = ("/api/review", "/api/command", "/api/teach", "/api/taught", "/api/logout")
GETS = (
    "/api/fleet",
    "/api/now",
    "/api/rows",
    "/api/inspection/x",
    "/api/timeline",
    "/api/problems",
    "/api/teach",
    "/api/events",
)


class Told:
    """A source that says what a test puts into it, and remembers what it was asked."""

    mode: Mode = "journal"

    def __init__(self) -> None:
        self.document: Facts | None = None
        self.asked: list[Any] = []
        self.broken = False

    def fleet(self) -> list[Facts]:
        if self.broken:
            raise StateError("the journal cannot be read")
        return []

    def now(self, device: str) -> Facts:
        return {"row": None}

    def rows(self, device: str, *, before: str, limit: int, doubtful: bool, search: str) -> Facts:
        self.asked.append((device, before, limit, doubtful, search))
        return {"rows": [], "next": None}

    def inspection(self, device: str, verdict_id: str) -> Facts | None:
        return self.document

    def message(self, device: str, verdict_id: str) -> bytes | None:
        return b"{}" if verdict_id == "dead" else None

    def overlay(self, device: str, verdict_id: str) -> tuple[bytes, str] | None:
        return (b"picture", "image/webp") if verdict_id == "drawn" else None

    def image(self, device: str, verdict_id: str) -> bytes | None:
        return b"image" if verdict_id == "drawn" else None

    def timeline(self, device: str) -> Facts:
        return {}

    def problems(self, device: str) -> Facts:
        return {}

    def news(self, after: int, timeout_s: float) -> list[Event]:
        return []

    def last_event(self) -> int:
        return 1


@pytest.fixture(scope="module")
def hashed() -> str:
    return users.hashed(PASSWORD)


@pytest.fixture
def users_file(tmp_path: Path, hashed: str) -> Path:
    users.write(
        tmp_path / "users", {name: users.User(name, hashed, role) for name, role in zip("abc", users.ROLES, strict=True)}
    )
    return tmp_path / "users"


@pytest.fixture
def source() -> Told:
    return Told()


@pytest.fixture
def locked(source: Told, users_file: Path) -> Iterator[TestClient]:
    """A page with users, of whom nobody is logged in."""
    with client(source, Sessions(users_file)) as page:
        yield page


@pytest.fixture
def free(source: Told) -> Iterator[TestClient]:
    """A page without users."""
    with client(source, Sessions(None)) as page:
        yield page


def client(source: Told, sessions: Sessions) -> TestClient:
    app, _ = build(source, sessions, None, WebSettings(listen="127.0.0.1:8080"), "1.2.3")
    return TestClient(app, base_url=HOST, raise_server_exceptions=False)


def log_in(page: TestClient, name: str, password: str = PASSWORD) -> dict[str, str]:
    """The header that changes need."""
    answer = page.post("/api/login", json={"name": name, "password": password})
    assert answer.status_code == 200, answer.text
    return {"x-csrf-token": answer.json()["csrf"]}


@pytest.mark.parametrize("path", GETS)
def test_nothing_is_read_without_a_login_where_there_are_users(locked: TestClient, path: str) -> None:
    assert locked.get(path).status_code == 401


@pytest.mark.parametrize("path", POSTS)
def test_nothing_is_changed_without_users_or_a_login(locked: TestClient, free: TestClient, path: str) -> None:
    assert locked.post(path, json={"name": "pause"}).status_code == 401
    assert free.post(path, json={"name": "pause"}).status_code == 403


def test_a_session_says_who_and_its_cookie_is_kept_from_scripts_and_other_pages(locked: TestClient) -> None:
    said = locked.get("/api/session").json()
    assert len(said.pop("page")) == 32
    assert said | {"csrf": None} == {
        "user": None, "role": None, "may": [], "login": True, "csrf": None, "mode": "journal", "version": "1.2.3",
        "languages": ["en", "de"],
    }  # fmt: skip
    answer = locked.post("/api/login", json={"name": "a", "password": PASSWORD})
    assert {"HttpOnly", "SameSite=strict", "Path=/"} <= set(answer.headers["set-cookie"].split("; "))
    said = locked.get("/api/session").json()
    assert (said["user"], said["role"], said["csrf"]) == ("a", "read", answer.json()["csrf"])
    assert locked.get("/api/fleet").status_code == 200
    assert locked.post("/api/logout", json={}, headers={"x-csrf-token": said["csrf"]}).status_code == 200
    assert locked.get("/api/fleet").status_code == 401


@pytest.mark.parametrize(
    ("name", "path", "status"),
    [
        ("a", "/api/review", 403),
        ("a", "/api/teach", 403),
        ("b", "/api/taught", 403),
        ("c", "/api/taught", 403),  # this page only reads, whoever asks
    ],
)
def test_a_role_allows_what_it_contains(locked: TestClient, name: str, path: str, status: int) -> None:
    answer = locked.post(path, json={"sha256": None}, headers=log_in(locked, name))
    assert answer.status_code == status
    assert ("only reads" in answer.json()["error"]) == (name == "c")


def test_a_change_needs_the_token_of_its_session(locked: TestClient) -> None:
    token = log_in(locked, "c")
    for headers in ({}, {"x-csrf-token": ""}, {"x-csrf-token": token["x-csrf-token"] + "x"}):
        answer = locked.post("/api/taught", json={"sha256": None}, headers=headers)
        assert (answer.status_code, answer.json()) == (403, {"error": "the page is out of date: load it again"})


def test_a_login_is_refused_then_throttled(locked: TestClient) -> None:
    for _ in range(5):
        assert locked.post("/api/login", json={"name": "a", "password": "wrong"}).status_code == 401
    answer = locked.post("/api/login", json={"name": "a", "password": PASSWORD})
    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) >= 1


def test_a_browser_that_was_here_is_not_locked_out_by_a_stranger(locked: TestClient) -> None:
    log_in(locked, "a")
    kept = locked.cookies.get(BROWSER)
    locked.cookies.clear()
    for _ in range(5):
        assert locked.post("/api/login", json={"name": "a", "password": "wrong"}).status_code == 401
    assert locked.post("/api/login", json={"name": "a", "password": PASSWORD}).status_code == 429
    locked.cookies.set(BROWSER, kept or "")
    assert locked.get("/api/fleet").status_code == 401, "it lets nobody in"
    log_in(locked, "a")


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{", b"[" * 100_000, b'{"name": 1, "password": "x"}', b'{"name": "a"}', b"\xff\xfe"]
)
def test_a_login_that_is_none_is_a_mistake_of_who_asks(locked: TestClient, body: bytes) -> None:
    assert locked.post("/api/login", content=body, headers={"content-type": "application/json"}).status_code == 400


def test_a_password_that_is_no_utf_8_is_wrong(locked: TestClient) -> None:
    body = b'{"name": "a", "password": "\\ud800"}'
    assert locked.post("/api/login", content=body, headers={"content-type": "application/json"}).status_code == 401


def test_a_body_without_a_length_is_cut_off(locked: TestClient) -> None:
    def endless() -> Iterator[bytes]:
        for _ in range(40):
            yield b" " * 65536

    answer = locked.post("/api/login", content=endless(), headers={"content-type": "application/json"})
    assert answer.status_code == 413


@pytest.mark.parametrize("limit", ["0", "-1", "²", "٣", "9" * 5000, "x", "100000"])
def test_a_limit_that_nobody_means_is_one_that_can_be_given(free: TestClient, source: Told, limit: str) -> None:
    assert free.get("/api/rows", params={"limit": limit, "before": "²-1", "search": "s" * 999}).status_code == 200
    ((_, _, given, _, search),) = source.asked
    assert 1 <= given <= 200
    assert len(search) == 200


def test_what_a_message_held_cannot_break_the_answer(free: TestClient, source: Told) -> None:
    source.document = {"inspection": {"name": "\ud800<b>", "area": float("nan"), "lo": [float("inf")]}}
    answer = free.get("/api/inspection/x")
    assert answer.json() == {"inspection": {"name": "\ud800<b>", "area": None, "lo": [None]}}
    assert answer.headers["content-type"] == "application/json"


def test_pictures_are_kept_by_the_browser_alone_and_missing_ones_said(free: TestClient) -> None:
    for name in ("overlay", "image"):
        answer = free.get(f"/api/inspection/drawn/{name}")
        assert answer.status_code == 200
        assert "private" in answer.headers["cache-control"]
        assert free.get(f"/api/inspection/gone/{name}").status_code == 404


def test_a_message_comes_as_a_file_and_a_forgotten_one_is_said(free: TestClient) -> None:
    answer = free.get("/api/inspection/dead/message")
    assert (answer.status_code, answer.json()) == (200, {})
    assert "attachment" in answer.headers["content-disposition"]
    assert free.get("/api/inspection/gone/message").status_code == 404


def test_files_are_asked_for_again_only_when_they_changed(free: TestClient) -> None:
    answer = free.get("/")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert free.get("/", headers={"if-none-match": answer.headers["etag"]}).status_code == 304
    for path in ("/page/../app.py", "/page/%2e%2e/app.py", "/page//etc/passwd", "/page/none.js", "/none"):
        assert free.get(path).status_code == 404


def test_an_error_that_is_known_is_a_sentence_and_a_defect_says_nothing_of_its_inside(
    free: TestClient, source: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    source.broken = True
    answer = free.get("/api/fleet")
    assert (answer.status_code, answer.json()) == (409, {"error": "the journal cannot be read"})
    monkeypatch.setattr(source, "fleet", lambda: 1 // 0)
    answer = free.get("/api/fleet")
    assert (answer.status_code, answer.json()) == (500, {"error": "the page has a defect: its log says more"})


def test_who_is_taken_out_of_the_file_is_out_at_once(locked: TestClient, users_file: Path, hashed: str) -> None:
    log_in(locked, "a")
    assert COOKIE in locked.cookies
    users.write(users_file, {"c": users.User("c", hashed, "command")})
    assert locked.get("/api/fleet").status_code == 401
