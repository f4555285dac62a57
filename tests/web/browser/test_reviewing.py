"""The Review room as a plant uses it that has words of its own, and wants to know what to review next."""

from __future__ import annotations

from typing import Any

import pytest

from edge.samples import sample_files
from tests.fakes.brokers import eventually, needs_mosquitto
from tests.web.browser.conftest import Seen, Served, opened

pytestmark = [pytest.mark.slow, pytest.mark.broker, needs_mosquitto]

NAME = "Coarse <b>"


def opened_for_review(service: Served, seen: Seen, name: str, number: int) -> None:
    service.put(name, sample_files()[number].read_bytes())
    seen.enter("review", "review")
    seen.page.wait_for_selector("#only")
    seen.page.uncheck("#only")  # this one may be beyond doubt
    seen.says("#verdict", name)


def test_a_reviewer_corrects_to_a_class_of_the_plants_own_and_the_next_one_finds_it_on_a_key(
    service: Served, seen: Seen, chromium: Any
) -> None:
    opened_for_review(service, seen, "a.jpg", 0)
    seen.page.keyboard.press("o")
    seen.page.keyboard.type(NAME)
    seen.page.keyboard.press("Enter")
    seen.page.keyboard.press("j")
    seen.page.keyboard.press("v")
    wrong = seen.page.eval_on_selector("#do-class", "select => select.options[1].value")
    seen.page.select_option("#do-class", wrong)
    seen.says("#marked", NAME, "1 called otherwise", "not saved")
    seen.page.keyboard.press("Enter")
    seen.says("#reviewed", NAME)
    with opened(chromium, service.address) as other:
        other.enter("command", "review")
        other.page.uncheck("#only")
        other.says("#verdict", "a.jpg")
        other.says("#own-classes", NAME, "4")
        eventually(lambda: other.page.is_enabled("#say-own-0"), 600)
        other.page.keyboard.press("4")
        other.says("#marked", NAME)
        other.page.fill("#another", "coarse  <B>")
        other.page.press("#another", "Enter")
        assert NAME not in other.text("#marked"), "the same class again takes it back"


def test_what_teaches_most_is_offered_with_its_regions_and_is_gone_when_it_was_reviewed(service: Served, seen: Seen) -> None:
    opened_for_review(service, seen, "a.jpg", 0)
    seen.page.eval_on_selector("#ask", "button => { button.dataset.before = 'yes'; }")
    seen.page.click("#ask")
    seen.page.wait_for_selector("#ask:not([data-before])")  # its first image is opened, so the room is another
    seen.says("#doubtful", "a.jpg", "Right or not?")
    seen.says("#verdict", "a.jpg")
    eventually(lambda: seen.page.is_enabled("#do-accept"), 600)
    seen.page.keyboard.press("q")
    eventually(lambda: seen.text("#regions [aria-current=true]").startswith("?"), 600)
    seen.page.keyboard.press("y")
    eventually(lambda: seen.text("#regions [aria-current=true]").startswith("✓"), 600)
    seen.page.keyboard.press("Enter")
    seen.says("#doubtful", "Nothing is left to ask")
    seen.page.fill("#search", "nothing like it")
    seen.says("#doubtful", "No image fits")
    seen.page.fill("#search", "A.JP")
    seen.says("#doubtful", "a.jpg")


def test_an_answer_that_comes_late_does_not_replace_what_was_asked_since(service: Served, seen: Seen) -> None:
    opened_for_review(service, seen, "a.jpg", 0)
    held: list[Any] = []
    seen.page.route("**/api/questions", lambda route: route.continue_() if held else held.append(route))
    seen.page.click("#ask")
    eventually(lambda: seen.page.evaluate("1") and held, 600)
    seen.page.fill("#search", "nothing like it")
    seen.says("#doubtful", "No image fits")
    with seen.page.expect_request_finished(lambda request: request.url.endswith("/api/questions")):
        held[0].fulfill(json={"images": []})
    seen.page.evaluate("() => fetch('/api/questions').then((answer) => answer.json())")  # answered later than that
    assert "No image fits" in seen.text("#doubtful")


def test_a_part_that_was_looked_at_is_framed_by_mouse_or_keys_and_stored_as_its_box(service: Served, seen: Seen) -> None:
    opened_for_review(service, seen, "a.jpg", 0)
    eventually(lambda: seen.page.is_enabled("#do-part"), 600)
    page = seen.page
    page.keyboard.press("p")
    box = page.locator("#picture").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 3)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] + 50, box["y"] + 3, steps=4)  # beyond the image: the frame ends with it
    page.mouse.up()
    seen.says("#marked", "a part of the image was looked at")
    image = page.evaluate(
        "() => { const one = document.querySelector('svg').viewBox.baseVal; return [one.width, one.height]; }"
    )
    frame = [float(page.get_attribute("rect.part", name) or -1) for name in ("x", "y", "width", "height")]
    assert frame[1] < 20
    assert frame[0] + frame[2] == image[0]
    page.keyboard.press("z")
    seen.says("#marked", "Nothing is marked")
    page.keyboard.press("p")
    page.keyboard.press(" ")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    page.keyboard.press(" ")
    seen.says("#marked", "a part of the image was looked at", "not saved")
    page.keyboard.press("Enter")
    seen.says("#marked", "Saved")
    wide, high = (float(page.get_attribute("rect.part", name) or 0) for name in ("width", "height"))
    assert min(wide, high) > 10, "what was stored is drawn again"
    page.keyboard.press("w")
    seen.says("#marked", "whole image looked at")
    assert page.query_selector("rect.part") is None
