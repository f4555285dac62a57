"""What every request passes: hosts, origins, lengths, and the headers of every answer."""

from __future__ import annotations

import pytest

pytest.importorskip("starlette", reason="the extra web is not installed")
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient

from edge.config import WebSettings
from edge.web.guard import HEADERS, LARGEST_BODY_BYTES, Guard

JSON = {"content-type": "application/json"}


async def echo(request: Request) -> Response:
    return PlainTextResponse(f"{len(await request.body())}")


def guarded(**web: object) -> TestClient:
    app = Starlette(routes=[Route("/", echo, methods=["GET", "POST"])])
    settings = WebSettings.model_validate({"listen": "127.0.0.1:8080", **web})
    return TestClient(Guard(app, settings), base_url="http://localhost:8080")


@pytest.mark.parametrize("host", ["localhost:8080", "127.0.0.1", "[::1]:8080", "LOCALHOST:1", "sem.plant:8080"])
def test_its_own_names_are_served(host: str) -> None:
    assert guarded(hosts=["SEM.plant"]).get("/", headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "127.0.0.1.nip.example", "", "[::2]:8080", "[", "::1"]
)
def test_a_name_that_was_bent_to_this_address_is_refused(host: str) -> None:
    answer = guarded().get("/", headers={"host": host})
    assert answer.status_code == 421
    assert answer.headers["content-security-policy"] == HEADERS["content-security-policy"]


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "http://["},
        {"origin": "http://localhost:8081"},
        {"origin": "http://localhost:8080.evil.example"},
        {"origin": "http://x@localhost:8080"},
        {"origin": "file://localhost:8080"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "none"},
    ],
)
def test_a_change_from_another_page_is_refused(headers: dict[str, str]) -> None:
    assert guarded().post("/", content=b"{}", headers={**JSON, **headers}).status_code == 403


@pytest.mark.parametrize("headers", [{}, {"origin": "http://localhost:8080"}, {"sec-fetch-site": "same-origin"}])
def test_a_change_from_the_page_itself_passes(headers: dict[str, str]) -> None:
    assert guarded().post("/", content=b"{}", headers={**JSON, **headers}).text == "2"


@pytest.mark.parametrize("media_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
def test_what_a_form_of_another_page_can_send_is_no_change(media_type: str) -> None:
    assert guarded().post("/", content=b"{}", headers={"content-type": media_type}).status_code == 415


def test_other_methods_and_long_bodies_are_refused() -> None:
    page = guarded()
    assert page.put("/", content=b"{}", headers=JSON).status_code == 405
    assert page.delete("/").status_code == 405
    assert page.post("/", content=b" " * LARGEST_BODY_BYTES, headers=JSON).status_code == 200
    assert page.post("/", content=b" " * (LARGEST_BODY_BYTES + 1), headers=JSON).status_code == 413


def test_every_answer_has_the_headers_and_no_script_may_stand_in_the_page() -> None:
    answer = guarded().get("/")
    assert HEADERS.items() <= dict(answer.headers).items()
    assert answer.headers["cache-control"] == "no-store"
    assert "unsafe" not in answer.headers["content-security-policy"]
    assert "strict-transport-security" not in answer.headers
    assert "strict-transport-security" in guarded(behind_proxy=True, users_file="users").get("/").headers
