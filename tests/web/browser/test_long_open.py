"""A page that is left open for days: its memory, its login, its clock, its link, and a server that is renewed meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("starlette", reason="the extra web is not installed")
pytest.importorskip("uvicorn", reason="the extra web is not installed")

from edge.web import files, stream
from edge.web import users as users_of
from tests.fakes.brokers import eventually
from tests.web.browser.alone import Alone
from tests.web.browser.conftest import PASSWORD, ROOMS, Seen, opened

pytestmark = pytest.mark.slow

EVENTS = 2000
MORE_KB, MORE_NODES, MORE_LISTENERS = 2500, 400, 150
"""So much may differ between two looks at one page: how many regions the image has that is shown just then."""
MADE = """
window.made = 0;
const make = URL.createObjectURL, drop = URL.revokeObjectURL;
URL.createObjectURL = (blob) => { window.made += 1; return make.call(URL, blob); };
URL.revokeObjectURL = (url) => { window.made -= 1; drop.call(URL, url); };
window.timers = new Set();
const begin = window.setInterval, end = window.clearInterval;
window.setInterval = (...how) => { const timer = begin(...how); window.timers.add(timer); return timer; };
window.clearInterval = (timer) => { window.timers.delete(timer); end(timer); };
"""
LATE_CLOCK = "const now = Date.now; Date.now = () => now() - 3 * 3600 * 1000;"


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[Alone]:
    with Alone(tmp_path / "one", 60) as served:
        yield served


@pytest.fixture
def members(tmp_path: Path, users: Path) -> Iterator[Alone]:
    """The same behind a login, with a users file of its own."""
    mine = tmp_path / "users"
    mine.write_bytes(users.read_bytes())
    mine.chmod(0o600)
    with Alone(tmp_path / "one", 6, mine) as served:
        yield served


def kept(page: Any) -> dict[str, int]:
    """What the page holds after its garbage was collected. heap: KiB."""
    session = page.context.new_cdp_session(page)
    for _ in range(3):
        session.send("HeapProfiler.collectGarbage")
    counted = session.send("Memory.getDOMCounters")
    heap = session.send("Runtime.getHeapUsage")["usedSize"] // 1024
    session.detach()
    made, timers = page.evaluate("() => [window.made, window.timers.size]")
    return {"heap": heap, "nodes": counted["nodes"], "listeners": counted["jsEventListeners"], "made": made, "timers": timers}


def tour(seen: Seen) -> None:
    """Each room, and back to the first."""
    for room in (*ROOMS[1:], ROOMS[0]):
        seen.room(room)
        eventually(lambda: len(seen.text("#room")) > 40, 60)
    seen.page.wait_for_selector("#verdict")
    seen.page.wait_for_timeout(1500)


def test_thousands_of_news_with_every_room_opened_leave_nothing_behind(alone: Alone, chromium: Any) -> None:
    with opened(chromium, alone.address) as seen:
        seen.page.add_init_script(MADE)
        seen.page.goto(seen.address)
        alone.tell(200)
        tour(seen)
        before = kept(seen.page)
        for room in ROOMS:
            seen.room(room)
            alone.tell(EVENTS // len(ROOMS))
        tour(seen)
        after = kept(seen.page)
        print(before, after)
        assert after["heap"] < before["heap"] + MORE_KB
        assert after["nodes"] < before["nodes"] + MORE_NODES
        assert after["listeners"] < before["listeners"] + MORE_LISTENERS
        assert (after["made"], after["timers"]) == (before["made"], before["timers"])
        assert len(seen.page.query_selector_all("#strip button")) <= 24


def test_a_link_that_ends_again_and_again_leaves_nothing_behind(
    alone: Alone, chromium: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "RETRY_MS", 20)
    ends: list[int] = []
    hello = stream.Stream.events

    async def short(self: stream.Stream, *how: Any) -> Any:
        words = hello(self, *how)
        async for word in words:
            yield word
            ends.append(1)
            break
        await words.aclose()  # type: ignore[attr-defined]

    with opened(chromium, alone.address) as seen:
        seen.page.add_init_script(MADE)
        seen.page.goto(seen.address)
        tour(seen)
        before = kept(seen.page)
        monkeypatch.setattr(stream.Stream, "events", short)
        alone.restart()
        eventually(lambda: len(ends) > 200, 120, "links")
        monkeypatch.setattr(stream.Stream, "events", hello)
        seen.says("#link", "live")
        tour(seen)
        after = kept(seen.page)
        print(before, after, len(ends))
        assert after["heap"] < before["heap"] + MORE_KB
        assert after["nodes"] < before["nodes"] + MORE_NODES
        assert after["listeners"] < before["listeners"] + MORE_LISTENERS
        assert after["timers"] == before["timers"]


def test_a_clock_of_the_browser_that_is_hours_late_does_not_make_news_old(alone: Alone, chromium: Any) -> None:
    with opened(chromium, alone.address) as seen:
        seen.page.add_init_script(LATE_CLOCK)
        seen.page.goto(seen.address)
        seen.page.wait_for_selector("#verdict")
        seen.says("#link", "live")
        alone.tell(10)
        seen.says("#last", "second")
        assert "hour" not in seen.text("#last")


def test_a_page_that_was_renewed_on_its_server_is_loaded_again(
    alone: Alone, chromium: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(chromium, alone.address) as seen:
        seen.page.goto(seen.address)
        seen.page.wait_for_selector("#verdict")
        seen.page.evaluate("() => { window.former = true; }")
        alone.restart()
        seen.says("#link", "live")
        assert seen.page.evaluate("() => window.former") is True, "the same page stays"
        monkeypatch.setattr(files, "digest", lambda _files: "another")
        alone.restart()
        seen.page.wait_for_function("() => !window.former")
        seen.page.wait_for_selector("#verdict")
        assert seen.page.is_hidden("#renewed")


def test_marks_that_are_not_saved_keep_a_renewed_page_from_loading(
    members: Alone, chromium: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(chromium, members.address) as seen:
        seen.enter("review", "review")
        seen.page.click("#only")
        seen.page.wait_for_selector("#verdict")
        seen.page.keyboard.press("2")
        seen.says("#marked", "Moderate", "not saved")
        monkeypatch.setattr(files, "digest", lambda _files: "another")
        members.restart()
        seen.says("#over", "Your login is over")
        seen.says("#renewed", "was renewed")
        seen.page.fill("#name", "review")
        seen.page.fill("#password", PASSWORD)
        seen.page.click("#login button")
        seen.says("#marked", "Moderate", "not saved")
        seen.page.evaluate("() => { window.former = true; }")
        seen.page.click("#reload")
        seen.page.wait_for_function("() => !window.former")
        seen.page.wait_for_selector("#verdict")
        assert "not saved" not in seen.text("#marked")
        assert seen.page.is_hidden("#renewed")


def test_a_login_that_is_over_is_said_and_marks_are_kept_for_who_made_them(members: Alone, chromium: Any) -> None:
    file = Path(members.web.users_file)
    with opened(chromium, members.address) as seen:
        seen.enter("review", "review")
        seen.page.click("#only")
        seen.page.wait_for_selector("#verdict")
        seen.page.keyboard.press("3")
        seen.says("#marked", "Severe", "not saved")
        known = users_of.load(file)
        users_of.write(file, {**known, "review": users_of.User("review", users_of.hashed("another password"), "review")})
        seen.says("#over", "Your login is over")
        seen.page.fill("#name", "review")
        seen.page.fill("#password", "another password")
        seen.page.click("#login button")
        seen.says("#marked", "Severe", "not saved")
        users_of.write(file, {name: user for name, user in known.items() if name != "review"})
        seen.says("#over", "Your login is over")
        seen.page.fill("#name", "command")
        seen.page.fill("#password", PASSWORD)
        seen.page.click("#login button")
        seen.page.wait_for_selector("#verdict")
        assert "not saved" not in seen.text("#marked")
