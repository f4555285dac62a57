"""What threads share: the reasons why a service is degraded, signs of life, names."""

from __future__ import annotations

import logging
import time

import pytest

from edge.records import Fingerprint
from edge.service import shared
from edge.service.shadow_child import Judged
from edge.service.shared import Arrival, Arrivals, Names, Offers, Status, Suspected
from tests.conftest import SOURCE, micrograph, pitted


def test_a_reason_is_logged_once_and_so_is_its_end(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    changes: list[None] = []
    status = Status(lambda: changes.append(None))
    status.report("start", None)
    for _ in range(3):
        status.report("scanner", "the share is gone")
    assert status.problems() == ("the share is gone",)
    for _ in range(3):
        status.report("scanner", None)
    assert status.problems() == ()
    assert caplog.messages == ["over: the models are being loaded", "the share is gone", "over: the share is gone"]
    assert len(changes) == 3


def test_one_reason_of_two_threads_is_given_once() -> None:
    status = Status(lambda: None)
    status.report("start", None)
    status.report("decoder", "no room")
    status.report("recorder", "no room")
    assert status.problems() == ("no room",)
    status.report("decoder", None)
    assert status.problems() == ("no room",)


def test_who_is_silent_longest_counts() -> None:
    status = Status(lambda: None)
    status._moved_at["decoder"] -= 1000
    assert status.silent_s("decoder", "inspector") >= 1000
    status.beat("decoder")
    assert status.silent_s("decoder", "inspector") < 1000


def test_names_are_there_until_they_are_taken_away() -> None:
    names = Names()
    names.add(["a", "b"])
    names.discard(["a", "never there"])
    assert ("a" in names, "b" in names, names.all()) == (False, True, ("b",))


def test_an_arrival_is_taken_once_and_is_now_where_none_is_known() -> None:
    arrivals = Arrivals()
    arrivals.put({"a.png": Arrival(1.0, closed=True)})
    assert arrivals.take("a.png") == Arrival(1.0, closed=True)
    before = time.monotonic()
    assert arrivals.take("a.png").changed_at >= before


def test_what_is_held_is_due_once_and_keeps_how_it_came_unless_it_changed() -> None:
    arrivals = Arrivals()
    arrivals.hold("a.png", Arrival(1.0), 5.0)
    arrivals.put({"b.png": Arrival(3.0)})
    arrivals.hold("b.png", Arrival(2.0), 6.0)
    assert (arrivals.next_due(), arrivals.take_due(4.9), arrivals.take_due(5.0)) == (5.0, [], ["a.png"])
    assert (arrivals.take("a.png"), arrivals.take("b.png")) == (Arrival(1.0), Arrival(3.0))
    assert (arrivals.next_due(), arrivals.take_due(9.0)) == (None, [])


def test_what_is_suspected_is_taken_once_in_order() -> None:
    suspected = Suspected()
    for path in ("b.png", "a.png", "b.png"):
        suspected.add(path, Fingerprint(1, 1))
    assert [suspected.take(), suspected.take(), suspected.take()] == [
        ("b.png", Fingerprint(1, 1)),
        ("a.png", Fingerprint(1, 1)),
        None,
    ]


def page(name: str) -> Judged:
    return Judged(name, b"{}", micrograph(pitted(64, 64)), SOURCE)


def test_nothing_is_offered_where_nobody_wants_it() -> None:
    offers = Offers()
    offers.offer(page("a"))
    assert offers.take(0.0) is None
    assert offers.missed() == 0


def test_offers_wait_in_their_order_and_what_comes_too_fast_is_counted_and_forgotten() -> None:
    offers = Offers()
    offers.want(True)
    for name in "abcdef":
        offers.offer(page(name))
    taken = [offers.take(0.0) for _ in range(5)]
    assert [one.inspection_id if one else None for one in taken] == ["a", "b", "c", "d", None]
    assert (offers.missed(), offers.missed()) == (2, 0)


def test_one_image_may_always_wait_however_large_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared, "OFFERED_BYTES", 100)
    offers = Offers()
    offers.want(True)
    offers.offer(page("a"))
    offers.offer(page("b"))
    assert offers.missed() == 1
    assert offers.take(0.0) is not None


def test_what_was_offered_is_forgotten_when_it_is_no_longer_wanted() -> None:
    offers = Offers()
    offers.want(True)
    offers.offer(page("a"))
    offers.want(False)
    offers.want(True)
    assert offers.take(0.0) is None
