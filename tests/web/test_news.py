"""Events for all who listen: in order, bounded, and a reload where some are forgotten."""

from __future__ import annotations

import threading

from edge.web.news import AT_ONCE, KEPT, News


def test_events_come_in_order_behind_a_number() -> None:
    news = News()
    start = news.last
    news.add(("verdict", {"n": 1}), ("status", {"n": 2}))
    found = news.after(start, 0.0)
    assert [(event.kind, event.said) for event in found] == [("verdict", {"n": 1}), ("status", {"n": 2})]
    assert news.after(found[0].number, 0.0) == found[1:]
    assert news.after(news.last, 0.0) == []


def test_many_at_once_are_one_reload_and_so_is_what_was_forgotten() -> None:
    news = News()
    start = news.last
    news.add(*[("verdict", {})] * 5000)
    assert [event.kind for event in news.after(start, 0.0)] == ["reload"]
    for _ in range(KEPT + 1):
        news.add(*[("verdict", {})] * AT_ONCE)
    (event,) = news.after(start, 0.0)
    assert (event.kind, event.number) == ("reload", news.last)


def test_who_waits_is_woken() -> None:
    news, found = News(), []
    start = news.last
    waiting = threading.Thread(target=lambda: found.extend(news.after(start, 60.0)))
    waiting.start()
    news.add(("status", {}))
    waiting.join(60)
    assert [event.kind for event in found] == ["status"]


def test_adding_nothing_is_no_event() -> None:
    news = News()
    start = news.last
    news.add()
    assert news.last == start
