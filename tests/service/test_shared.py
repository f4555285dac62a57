"""What threads share: the reasons why a service is degraded, signs of life, names."""

from __future__ import annotations

import logging
import time

import pytest

from edge.records import Fingerprint
from edge.service.shared import Arrival, Arrivals, Names, Status, Suspected


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
