"""Every route of the page with requests that nobody's page makes: 4xx and a sentence, whatever was sent."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

pytest.importorskip("starlette", reason="the extra web is not installed")
from starlette.testclient import TestClient

from edge.config import WebSettings
from edge.journal import Journal, page_requests
from edge.web import users
from edge.web.actions import Actions
from edge.web.app import build
from edge.web.journal_source import JournalSource
from edge.web.sessions import Sessions
from tests.conftest import settings_for
from tests.journal.examples import inspected, one
from tests.web.documents import inspection
from tests.web.test_journal_source import until

PASSWORD = "correct horse"
KNOWN: Final = "known-1"
UUID: Final = "0" * 8 + "-0000-0000-0000-" + "0" * 12
DEEP: Final = json.loads("[" * 50 + "]" * 50)
BROKEN: Final = (b"", b"{", b"[]", b"null", b"1", b'"x"', b"\xff\xfe", b"[" * 100_000, b'{"a": NaN', b"{} {}")
"""What is no object of JSON."""

POSTS: Final[dict[str, tuple[Any, ...]]] = {
    "/api/login": (
        {},
        {"name": "c"},
        {"password": PASSWORD},
        {"name": ["c"], "password": PASSWORD},
        {"name": "c", "password": {}},
        {"name": "c", "password": "x" * 1001},
        {"name": "nobody", "password": "wrong"},
        {"name": "\ud800", "password": "\ud800"},
    ),
    "/api/logout": (),
    "/api/review": (
        {},
        {"inspection_id": None, "complete": True},
        {"inspection_id": "unknown", "complete": True},
        {"inspection_id": ["known-1"], "complete": True},
        {"inspection_id": KNOWN},
        {"inspection_id": KNOWN, "reviewer": "eve", "complete": True},
        {"inspection_id": KNOWN, "complete": "yes"},
        {"inspection_id": KNOWN, "complete": DEEP},
        {"inspection_id": KNOWN, "regions": {}},
        {"inspection_id": KNOWN, "regions": [1]},
        {"inspection_id": KNOWN, "regions": [{"index": 9999, "box_px": [1, 2, 3, 4], "verdict": "right"}]},
        {"inspection_id": KNOWN, "regions": [{"index": 0, "box_px": [1, 2], "verdict": "right"}]},
        {"inspection_id": KNOWN, "missed": [{"point_px": ["x", 1]}]},
        {"inspection_id": KNOWN, "missed": [{"point_px": [1e9, 1]}]},
        {"inspection_id": KNOWN, "missed": [{"point_px": [1e999, 1]}]},
        {"inspection_id": KNOWN, "missed": [{"point_px": [1, 1]}] * 501},
        {"inspection_id": KNOWN, "brushed": [{"points_px": [], "radius_px": 1}]},
        {"inspection_id": KNOWN, "severity": "low"},
        {"inspection_id": KNOWN, "severity": {"verdict": 1}},
        {"inspection_id": KNOWN, "severity": {"verdict": " "}},
        {"inspection_id": KNOWN, "severity": {"verdict": "x" * 500}},
        {"inspection_id": KNOWN, "note": 3},
        {"inspection_id": KNOWN, "note": "x" * 20_000},
        {"inspection_id": KNOWN, "complete": True, "supersedes": ["x"]},
        {"inspection_id": KNOWN, "withdrawn": "yes"},
    ),
    "/api/command": (
        {},
        {"name": 1},
        {"name": "\ud800"},
        {"name": "delete", "fields": {}},
        {"name": "replay", "fields": {}},
        {"name": "info", "fields": {}},
        {"name": "pause", "fields": []},
        {"name": "pause", "fields": {"for": "ever"}},
        {"name": "inspect"},
        {"name": "inspect", "fields": {"inspection_id": 3}},
        {"name": "inspect", "fields": {"inspection_id": "../../etc/passwd"}},
        {"name": "inspect", "fields": {"inspection_id": UUID, "path": "/etc/passwd"}},
        {"name": "inspect", "fields": {"inspection_id": UUID}},
        {"name": "taught", "fields": {}},
        {"name": "taught", "fields": {"sha256": "0" * 63}},
        {"name": "taught", "fields": {"sha256": DEEP}},
    ),
    "/api/teach": (
        {},
        {"classes": "fine,coarse"},
        {"classes": []},
        {"classes": [{"name": "fine", "label": "bad"}, {"name": "coarse"}]},
        {"classes": [{"name": "a,b"}, {"name": "c=d"}]},
        {"classes": DEEP},
    ),
    "/api/taught": (
        {},
        {"sha256": 5},
        {"sha256": ""},
        {"sha256": "0" * 63},
        {"sha256": "Z" * 64},
        {"sha256": ["0" * 64]},
        {"sha256": "0" * 64},
        {"sha256": None, "also": 1},
        {"taught": None},
    ),
}
"""Of each route that changes something: what it refuses."""

GETS: Final[dict[str, tuple[tuple[str, int], ...]]] = {
    "/": (("/?x=<script>", 200),),
    "/page/{path:path}": (("/page/", 404), ("/page/../app.py", 404), ("/page/words/xx.json", 404)),
    "/api/session": (("/api/session?a=b", 200),),
    "/api/fleet": (("/api/fleet?device=none", 200),),
    "/api/now": (("/api/now?device=" + "x" * 5000, 200),),
    "/api/rows": (
        ("/api/rows?limit=-1&before=x-y&doubtful=maybe", 200),
        ("/api/rows?search=%00%ff%25_'\"", 200),
        ("/api/rows?before=99999999999999999999-1", 200),
    ),
    "/api/inspection/{id}": (
        ("/api/inspection/unknown", 404),
        ("/api/inspection/%00", 404),
        ("/api/inspection/" + "x" * 5000, 404),
    ),
    "/api/inspection/{id}/overlay": (("/api/inspection/unknown/overlay", 404), (f"/api/inspection/{KNOWN}/overlay", 404)),
    "/api/inspection/{id}/image": (("/api/inspection/unknown/image", 404), (f"/api/inspection/{KNOWN}/image", 404)),
    "/api/inspection/{id}/message": (("/api/inspection/unknown/message", 404), ("/api/inspection/%00/message", 404)),
    "/api/timeline": (("/api/timeline?device=none", 200),),
    "/api/problems": (("/api/problems?device=none", 200),),
    "/api/events": (),  # has no end: see test_stream
    "/api/teach": (("/api/teach?x", 200),),
    "/api/questions": (("/api/questions?x", 200),),
}
"""Of each route that reads: what it answers to what it does not know."""


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The page of a service that refuses every command, with one inspection."""
    folder = tmp_path_factory.mktemp("page")
    (folder / "watched").mkdir()
    settings = settings_for(folder / "watched")
    with Journal.open(settings.state.folder) as journal:
        inspected(journal, "a.tif", one("known", payload=json.dumps({**inspection(), "inspection_id": KNOWN}).encode()))
    users.write(folder / "users", {"c": users.User("c", users.hashed(PASSWORD), "command")})
    with JournalSource(settings) as source, refusing(settings.state.folder):
        until(lambda: source.inspection("", KNOWN))  # None, until the journal was looked at
        assert source.document(KNOWN)
        yield build(source, Sessions(folder / "users"), Actions(source), WebSettings(listen="127.0.0.1:8080"), "1")[0]


@pytest.fixture(scope="module")
def page(app: Any) -> Iterator[TestClient]:
    """One who may do everything."""
    with TestClient(app, base_url="http://127.0.0.1:8080", raise_server_exceptions=False) as client:
        answer = client.post("/api/login", json={"name": "c", "password": PASSWORD})
        client.headers["x-csrf-token"] = answer.json()["csrf"]
        client.headers["content-type"] = "application/json"
        yield client


class refusing:  # noqa: N801 - reads as what it does
    """A service that refuses every command, as for an id that it does not know."""

    def __init__(self, state: Path) -> None:
        self._state, self._ended = state, threading.Event()
        self._thread = threading.Thread(target=self._answer, daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _answer(self) -> None:
        while not self._ended.is_set():
            for file in page_requests.waiting(self._state, page_requests.COMMAND):
                page_requests.answer(file, page_requests.Answer(False, "nothing with this id is known here", None))
            time.sleep(0.02)


def routes(app: Any, method: str) -> set[str]:
    return {route.path for route in app._app.routes if method in route.methods}


def test_the_tables_name_every_route(app: Any) -> None:
    assert routes(app, "POST") == set(POSTS)
    assert routes(app, "GET") == set(GETS)


@pytest.mark.parametrize("path", POSTS)
def test_what_is_no_object_of_json_is_refused(page: TestClient, path: str) -> None:
    for body in BROKEN:
        answer = page.post(path, content=body) if path != "/api/logout" else None
        if answer is not None:
            assert answer.status_code == 400, body[:20]
            assert answer.json() == {"error": "what was sent is no object of JSON"}


@pytest.mark.parametrize("path", POSTS)
def test_a_huge_body_is_refused_with_and_without_its_length(page: TestClient, path: str) -> None:
    def endless() -> Iterator[bytes]:
        for _ in range(40):
            yield b" " * 65536

    if path != "/api/logout":  # reads no body
        assert page.post(path, content=endless()).status_code == 413
    answer = page.post(path, content=b"{" + b" " * (1 << 20) + b"}")
    assert (answer.status_code, answer.json()["error"]) == (413, "more than 1048576 bytes")


@pytest.mark.parametrize(("path", "body"), [(path, body) for path, bodies in POSTS.items() for body in bodies])
def test_what_a_route_cannot_use_is_refused_in_our_own_words(page: TestClient, path: str, body: Any) -> None:
    answer = page.post(path, content=json.dumps(body))
    assert 400 <= answer.status_code < 500, answer.text
    said = answer.json()["error"]
    assert len(said.split()) > 2, said
    for library in ("pydantic", "Extra inputs", "Input should", "Traceback", "NoneType", "Field required"):
        assert library not in said


@pytest.mark.parametrize(("path", "status"), [one for asked in GETS.values() for one in asked])
def test_what_a_route_does_not_know_is_said(page: TestClient, path: str, status: int) -> None:
    answer = page.get(path)
    assert answer.status_code == status, answer.text
    if status >= 400:
        assert answer.json()["error"]


def test_other_methods_and_paths_are_refused_with_a_sentence(page: TestClient) -> None:
    for method in ("PUT", "DELETE", "PATCH", "OPTIONS"):
        assert page.request(method, "/api/now").status_code == 405
    for answer in (page.post("/api/now", content=b"{}"), page.get("/api/review"), page.get("/api/none"), page.get("/api/../x")):
        assert answer.status_code in (404, 405)
        assert answer.json()["error"]
