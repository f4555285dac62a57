"""The page as its users meet it: a verdict comes, a doubt is answered, the broker goes and comes back."""

from __future__ import annotations

from typing import Any

import pytest

from edge.samples import sample_files
from tests.fakes.brokers import Mosquitto, eventually, needs_mosquitto
from tests.web.browser.conftest import PASSWORD, ROOMS, Seen, Served, opened

pytestmark = [pytest.mark.slow, pytest.mark.broker, needs_mosquitto]

NASTY = '<img src=x onerror="alert(1)">"\'&\u202e.png'


def put(service: Served, name: str, number: int = 0) -> None:
    service.put(name, sample_files()[number].read_bytes())


def test_a_verdict_comes_with_its_own_picture_and_a_page_opened_late_is_not_empty(
    service: Served, seen: Seen, chromium: Any
) -> None:
    seen.enter("read")
    seen.says("#side", "Nothing was inspected yet")
    put(service, "a.jpg")
    seen.says("#verdict", "a.jpg")
    first = seen.page.get_attribute("#verdict", "data-id")
    assert f"/api/inspection/{first}/" in seen.page.get_attribute("#picture img", "src")
    put(service, "b.tif", 1)
    seen.says("#verdict", "b.tif")
    second = seen.page.get_attribute("#verdict", "data-id")
    assert f"/api/inspection/{second}/" in seen.page.get_attribute("#picture img", "src")
    with opened(chromium, service.address) as late:
        late.enter("read")
        late.says("#verdict", "b.tif")
        eventually(lambda: len(late.page.query_selector_all("#strip button")) == 2, 60)


def test_the_page_outlives_a_broker_that_goes_and_comes_back(service: Served, broker: Mosquitto, seen: Seen) -> None:
    seen.enter("read")
    eventually(lambda: seen.page.query_selector('[data-light=broker][data-state="good"]'), 120)
    broker.kill()
    eventually(lambda: seen.page.query_selector('[data-light=broker][data-state="bad"]'), 120)
    put(service, "meanwhile.jpg")
    seen.says("#verdict", "meanwhile.jpg")
    broker.start()
    eventually(lambda: seen.page.query_selector('[data-light=broker][data-state="good"]'), 120)
    eventually(lambda: "fine" in seen.text("[data-light=unsent]"), 120)


def test_a_review_by_keyboard_alone_is_stored_shown_and_withdrawn(service: Served, seen: Seen) -> None:
    put(service, "a.jpg")
    seen.enter("review", "review")
    seen.page.click("#only")  # this one may be beyond doubt
    seen.says("#verdict", "a.jpg")
    for key in "jxjxjy":
        seen.page.keyboard.press(key)
    seen.page.keyboard.press("2")
    seen.page.keyboard.press("m")
    seen.page.locator("#picture").scroll_into_view_if_needed()  # the box that was clicked first stands below it
    box = seen.page.locator("#picture").bounding_box()
    seen.page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    seen.page.keyboard.press("b")
    seen.page.mouse.move(box["x"] + 300, box["y"] + 300)
    seen.page.mouse.down()
    seen.page.mouse.move(box["x"] + 340, box["y"] + 310, steps=4)
    seen.page.mouse.up()
    seen.says("#marked", "Moderate", "2 struck", "1 right", "1 missed", "1 brushed")
    seen.page.keyboard.press("z")
    seen.says("#marked", "1 missed")
    assert "brushed" not in seen.text("#marked")
    seen.page.keyboard.press("Enter")
    seen.says("#reviewed", "review", "Moderate")
    seen.says("#reviews", "3 regions", "1 missed")
    seen.page.keyboard.press("z")
    eventually(lambda: seen.page.query_selector("#reviewed") is None, 60)


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_room_shows_a_nasty_name_as_text_and_never_scrolls_sideways(
    service: Served, chromium: Any, width: int, scheme: str
) -> None:
    put(service, NASTY.replace("/", "_"))
    service.put("broken.png", b"\x89PNG\r\n\x1a\n no image")
    with opened(chromium, service.address, width=width, scheme=scheme) as page:
        page.enter("command")
        eventually(lambda: "onerror" in page.text("#strip"), 120)
        for room in ROOMS:
            page.room(room)
            eventually(lambda: len(page.text("#room")) > 40, 60)
            assert page.page.evaluate("() => document.documentElement.scrollWidth <= innerWidth"), room
            assert page.page.query_selector("img[src=x]") is None
            nameless = page.page.evaluate(
                "() => [...document.querySelectorAll('button, input, select, a, img')].filter((one) => one.offsetParent"
                " && !(one.textContent.trim() || one.getAttribute('aria-label') || one.hasAttribute('alt')"
                " || one.labels?.length || one.title)).length"
            )
            assert nameless == 0, room


def test_who_may_only_read_can_press_nothing_that_changes(service: Served, seen: Seen) -> None:
    put(service, "a.jpg")
    seen.enter("read", "review")
    seen.page.click("#only")
    seen.says("#verdict", "a.jpg")
    assert seen.page.is_disabled("#do-save")
    seen.page.keyboard.press("x")
    seen.says("#marked", "role review")
    seen.room("problems")
    eventually(lambda: seen.page.query_selector("#ask-pause"), 60)
    assert seen.page.is_disabled("#ask-pause")


def test_pausing_is_done_by_the_service_and_shown(service: Served, seen: Seen) -> None:
    seen.page.on("dialog", lambda dialog: dialog.accept())
    seen.enter("command", "problems")
    seen.page.click("#ask-pause")
    seen.says("#answer", "Paused")
    seen.page.click("#ask-resume")
    seen.says("#answer", "It goes on")


def test_a_page_whose_process_was_killed_comes_back_and_the_service_goes_on(service: Served, seen: Seen) -> None:
    seen.enter("read")
    service.page().kill()
    put(service, "meanwhile.jpg")
    eventually(lambda: "meanwhile.jpg:" in service.log_text(), 120)
    eventually(lambda: service.log_text().count("served at") == 2, 120)
    eventually(lambda: service.plain().answers(), 120)
    seen.page.reload()
    seen.page.wait_for_selector("#login")  # sessions end with the process
    seen.enter("read")
    seen.says("#verdict", "meanwhile.jpg")


def test_a_wrong_password_is_told_and_tried_often_it_costs_time(service: Served, seen: Seen) -> None:
    seen.page.goto(seen.address)
    for _ in range(7):
        seen.page.fill("#name", "read")
        seen.page.fill("#password", PASSWORD[::-1])
        seen.page.click("#login button")
        eventually(lambda: seen.text(".wrong"), 60)
    seen.says(".wrong", "Too many tries")
