"""The page for people who hear it, see little contrast or have no mouse: names, headings, contrast, focus, keys."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

pytest.importorskip("starlette", reason="the extra web is not installed")
pytest.importorskip("uvicorn", reason="the extra web is not installed")

from edge.samples import sample_files
from edge.web.files import PAGE
from tests.fakes.brokers import eventually, free_port
from tests.service.running_daemon import png
from tests.web.browser.conftest import PASSWORD, ROOMS, Seen, Served, opened
from tests.web.browser.plain import Plain

pytestmark = pytest.mark.slow

REACH: Final = (Path(__file__).parent / "reach.js").read_text(encoding="utf-8")
NAMED: Final = {
    "button",
    "link",
    "textbox",
    "searchbox",
    "checkbox",
    "combobox",
    "image",
    "region",
    "group",
    "navigation",
    "toolbar",
}
"""Roles of the accessibility tree that say nothing without a name."""
COLOURS: Final = re.findall(
    r"#[0-9a-f]{6}", re.search(r"const COLOURS = \[(.*?)\]", (PAGE / "rooms/timeline.js").read_text())[1]
)  # type: ignore[index]


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory, users: Path) -> Iterator[Served]:
    """A real service with verdicts of each kind. It has no broker to speak to."""
    with Served(tmp_path_factory.mktemp("reach") / "microscope", free_port(), users) as service:
        for file in sample_files()[:4]:
            service.put(file.name, file.read_bytes())
        service.put("broken.png", b"\x89PNG\r\n\x1a\n no image")
        service.put("small.png", png(1))
        eventually(lambda: Plain(service.port).answers(), 120, "the page answers")
        plain = service.plain("read")
        eventually(lambda: len(plain.get("/api/rows").body["rows"]) == 6, 120, "six verdicts")
        yield service


def go(seen: Seen, room: str) -> None:
    """To a room, until it is drawn."""
    seen.room(room)
    eventually(lambda: len(seen.text("#room")) > 60, 60)
    if room in ("now", "review"):
        seen.page.wait_for_selector("#verdict")
        seen.page.wait_for_selector("#picture img")
    seen.page.wait_for_timeout(600)


def tree(seen: Seen) -> list[dict[str, Any]]:
    """The accessibility tree as a screen reader gets it: role, name, level."""
    session = seen.page.context.new_cdp_session(seen.page)
    found = session.send("Accessibility.getFullAXTree")["nodes"]
    session.detach()
    told = []
    for node in found:
        if node.get("ignored"):
            continue
        facts = {one["name"]: one["value"].get("value") for one in node.get("properties", [])}
        name = node.get("name", {}).get("value", "").strip()
        told.append({"role": node["role"].get("value"), "name": name, "level": facts.get("level"), "live": facts.get("live")})
    return told


def test_every_room_has_names_landmarks_and_headings_in_order(filled: Served, chromium: Any) -> None:
    with opened(chromium, filled.address) as seen:
        seen.page.goto(seen.address)
        seen.page.wait_for_selector("#login")
        check(tree(seen), "login")
        seen.enter("command")
        for room in ROOMS:
            go(seen, room)
            check(tree(seen), room)


def check(nodes: list[dict[str, Any]], where: str) -> None:
    assert [node for node in nodes if node["role"] in NAMED and not node["name"]] == [], where
    roles = [node["role"] for node in nodes]
    assert (roles.count("main"), roles.count("banner")) == (1, 1), where
    levels = [node["level"] for node in nodes if node["role"] == "heading"]
    assert levels[0] == 1, where
    assert levels.count(1) == 1, where
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels)), where
    assert [node for node in nodes if node["live"] == "polite"], where


def test_a_new_verdict_is_said_to_who_listens(filled: Served, chromium: Any) -> None:
    with opened(chromium, filled.address) as seen:
        seen.enter("read")
        seen.says("#link", "live")
        filled.put("heard.png", png(7))
        seen.says("#news", "heard.png: ")
        assert [node for node in tree(seen) if node["role"] == "status" and node["live"] == "polite"]


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_everything_that_is_read_has_contrast(filled: Served, chromium: Any, width: int, scheme: str) -> None:
    with opened(chromium, filled.address, width=width, scheme=scheme) as seen:
        seen.page.goto(seen.address)
        seen.page.wait_for_selector("#login")
        pale = weak(seen, "login")
        seen.enter("command")
        for room in ROOMS:
            go(seen, room)
            if room == "timeline":
                seen.page.click("#legend button")
            pale += weak(seen, room)
        assert pale == []


def weak(seen: Seen, where: str) -> list[tuple[str, str, float]]:
    """What has too little contrast."""
    seen.page.evaluate(REACH)
    found = seen.page.evaluate("(colours) => [...reach.texts(), ...reach.edges(), ...reach.against(colours)]", COLOURS)
    assert len(found) > 10
    return [(where, one["text"], round(one["contrast"], 2)) for one in found if one["contrast"] < one["least"]]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_focus_is_seen_wherever_the_tab_key_goes(filled: Served, chromium: Any, scheme: str) -> None:
    with opened(chromium, filled.address, scheme=scheme) as seen:
        seen.enter("command")
        for room in ROOMS:
            go(seen, room)
            seen.page.evaluate(REACH)
            seen.page.evaluate("() => { document.activeElement.blur(); scrollTo(0, 0); }")
            names = set()
            for _ in range(25):
                seen.page.keyboard.press("Tab")
                told = seen.page.evaluate("() => reach.focused()")
                if told is None:
                    break
                names.add(told["name"])
                assert told["ring"], (room, told)
                assert told["contrast"] >= 3, (room, told)
                assert told["inView"], (room, told)
            assert len(names) > 4, (room, names)


def test_a_link_followed_by_key_keeps_the_focus_and_the_first_one_leads_past_the_rooms(filled: Served, chromium: Any) -> None:
    with opened(chromium, filled.address) as seen:
        seen.enter("read")
        go(seen, "now")
        seen.page.focus("#to-timeline")
        seen.page.keyboard.press("Enter")
        seen.page.wait_for_selector("#to-timeline[aria-current=page]")
        assert seen.page.evaluate("() => document.activeElement.id") == "to-timeline"
        seen.page.focus("#skip")
        seen.page.keyboard.press("Enter")
        assert seen.page.evaluate("() => document.activeElement.id") == "room"
        assert seen.page.get_attribute("#to-timeline", "aria-current") == "page", "it leads to no other room"


def test_a_whole_review_from_the_login_on_without_a_mouse(filled: Served, chromium: Any) -> None:
    with opened(chromium, filled.address) as seen:
        press = seen.page.keyboard.press
        seen.page.goto(seen.address)
        seen.page.wait_for_selector("#login")
        seen.page.keyboard.type("review")
        press("Tab")
        seen.page.keyboard.type(PASSWORD)
        press("Enter")
        seen.page.wait_for_selector("#verdict")
        reach(seen, "to-review")
        press("Enter")
        seen.page.wait_for_selector("#only")
        reach(seen, "only")
        press("Space")
        eventually(lambda: "small.png" in seen.text("#doubtful"), 60)
        seen.page.evaluate(REACH)
        eventually(lambda: "small.png" in tab(seen), 60)
        press("Enter")
        seen.says("#verdict", "small.png")
        for key in "jx2":
            press(key)
        press("m")
        press("Space")
        press("ArrowRight")
        press("Space")
        press("b")
        press("Space")
        seen.says("#marked", "Moderate", "1 struck", "2 missed", "1 brushed")
        press("Escape")
        press("w")
        press("Enter")
        seen.says("#reviewed", "review", "Moderate")
        seen.says("#reviews", "1 regions", "2 missed", "1 brushed")


def reach(seen: Seen, wanted: str) -> None:
    """Press Tab until it has the focus."""
    eventually(lambda: seen.page.keyboard.press("Tab") or seen.page.evaluate("() => document.activeElement.id") == wanted, 60)


def tab(seen: Seen) -> str:
    """What has the focus after one more Tab."""
    seen.page.keyboard.press("Tab")
    told = seen.page.evaluate("() => document.activeElement.textContent")
    return str(told or "")
