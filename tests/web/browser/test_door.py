"""The page's door as strangers try it: foreign pages, foreign hosts, too small a role, a user who is gone."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.web import users as users_of
from tests.fakes.brokers import needs_mosquitto
from tests.web.browser.conftest import PASSWORD, Served
from tests.web.browser.plain import Plain

pytestmark = [pytest.mark.slow, pytest.mark.broker, needs_mosquitto]

READS = ("fleet", "now", "rows", "timeline", "problems", "teach", "events", "inspection/x", "inspection/x/image")
CHANGES = {
    "/api/review": {"inspection_id": "x"},
    "/api/command": {"name": "pause", "fields": {}},
    "/api/teach": {},
    "/api/taught": {"sha256": None},
}


def test_nobody_reads_or_changes_without_a_login(service: Served) -> None:
    stranger = service.plain()
    assert {path: stranger.get(f"/api/{path}").status for path in READS} == dict.fromkeys(READS, 401)
    assert {stranger.post(path, body).status for path, body in CHANGES.items()} == {401}


def test_a_reader_changes_nothing_and_a_reviewer_commands_nothing(service: Served) -> None:
    reader, reviewer = service.plain("read"), service.plain("review")
    assert {path: reader.post(path, body).status for path, body in CHANGES.items()} == dict.fromkeys(CHANGES, 403)
    for path in ("/api/command", "/api/taught"):
        assert reviewer.post(path, CHANGES[path]).status == 403


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"x_csrf_token": None}, 403),
        ({"x_csrf_token": "guessed"}, 403),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"sec_fetch_site": "cross-site"}, 403),
        ({"sec_fetch_site": "same-site"}, 403),
        ({"content_type": "text/plain"}, 415),
        ({"content_type": None}, 415),
        ({"host": "evil.example"}, 421),
        ({"host": "127.0.0.1.evil.example"}, 421),
        ({"host": None}, 400),
    ],
)
def test_a_change_from_elsewhere_is_refused(commander: Plain, headers: dict[str, str | None], status: int) -> None:
    assert commander.post("/api/command", {"name": "rescan", "fields": {}}, **headers).status == status


def test_a_page_under_a_foreign_host_reads_nothing(commander: Plain) -> None:
    assert commander.get("/api/now", host="evil.example").status == 421
    assert commander.get("/api/now").status == 200


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"null", b"\xff\xfe", b"[" * 100_000, b'{"name": 1}', b'{"name": "\\ud800"}']
)
def test_garbage_is_refused_with_a_sentence(commander: Plain, body: bytes) -> None:
    for path in ("/api/login", "/api/review", "/api/command"):
        answer = commander.post(path, body)
        assert 400 <= answer.status < 500, path
        assert answer.body["error"], path


def test_an_answer_says_what_a_browser_may_do_with_it(commander: Plain) -> None:
    for path in ("/", "/page/app.js", "/api/now", "/api/nothing"):
        headers = commander.get(path).headers
        assert "default-src 'none'" in headers["content-security-policy"], path
        assert "unsafe" not in headers["content-security-policy"], path
        assert headers["x-content-type-options"] == "nosniff", path


@pytest.mark.parametrize(
    "path", ["../app.py", "..%2f..%2fconfig.py", "%2e%2e/users.py", "/etc/passwd", "words/../../app.py", "a%00b"]
)
def test_no_path_leads_out_of_the_files_of_the_page(commander: Plain, path: str) -> None:
    assert commander.get(f"/page/{path}").status in (400, 404)


def test_who_is_taken_out_of_the_file_is_out_at_once(service: Served) -> None:
    reader = service.plain("read")
    assert reader.get("/api/now").status == 200
    left = {name: user for name, user in users_of.load(service.users_file).items() if name != "read"}
    users_of.write(service.users_file, left)
    assert reader.get("/api/now").status == 401
    assert service.plain("review").get("/api/now").status == 200


def test_the_cookie_is_kept_from_scripts_and_from_other_pages(service: Served) -> None:
    cookie = service.plain().log_in("read", PASSWORD).headers["set-cookie"].casefold()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie


def test_no_password_stands_in_a_log(service: Served) -> None:
    service.plain().log_in("read", "a wrong secret")
    service.plain("read")
    assert "a wrong secret" not in Path(service.log).read_text()
    assert PASSWORD not in Path(service.log).read_text()
