"""Server-sent events: what a browser reads, who is slow, who may no longer listen."""

from __future__ import annotations

import asyncio
import json
from typing import cast

import pytest

pytest.importorskip("starlette", reason="the extra web is not installed")
from edge.web.news import News
from edge.web.source import Event, Source
from edge.web.stream import MOST_LISTENERS, QUEUED, Stream, encoded, put


class OnlyNews:
    """A source of which nothing but its news is asked."""

    def __init__(self) -> None:
        self.row = News()

    def news(self, after: int, timeout_s: float) -> list[Event]:
        return self.row.after(after, min(timeout_s, 0.05))

    def last_event(self) -> int:
        return self.row.last


def test_an_event_is_one_block_whatever_it_says() -> None:
    said = encoded(Event(7, "verdict", {"name": "a\n\ndata: evil\r\u2028\ud800", "area": float("nan")})).decode("ascii")
    lines = said.split("\n")
    assert lines[:2] == ["id: 7", "event: verdict"]
    assert lines[3:] == ["", ""]
    assert json.loads(lines[2].removeprefix("data: ")) == {"name": "a\n\ndata: evil\r\u2028\ud800", "area": None}


def test_who_reads_too_slowly_is_told_to_reload_and_keeps_no_more() -> None:
    queue: asyncio.Queue[Event] = asyncio.Queue(maxsize=QUEUED)
    for number in range(QUEUED + 1):
        put(queue, Event(number, "verdict", {}))
    assert queue.qsize() == 1
    assert queue.get_nowait() == Event(QUEUED, "reload", {})
    for number in range(QUEUED):
        put(queue, Event(number, "verdict", {}))
    put(queue, Event(0, "end", {}))
    assert queue.get_nowait().kind == "end"


async def _heard(after: int | None, source: OnlyNews, allowed: list[bool]) -> list[str]:
    stream = Stream(cast(Source, source))
    stream.start()
    heard: list[str] = []
    async for text in stream.events(after, lambda: allowed.pop(0) if allowed else False):
        heard.append(text.decode().split("event: ")[1].split("\n")[0])
        if heard[-1] != "hello" or allowed:
            source.row.add(("status", {}))
    assert not stream.full
    stream.stop()
    return heard


def test_who_may_no_longer_listen_hears_nothing_more() -> None:
    source = OnlyNews()
    assert asyncio.run(_heard(None, source, [True, True])) == ["hello", "status", "status"]


def test_a_browser_that_comes_back_gets_what_it_missed_or_reloads() -> None:
    source = OnlyNews()
    seen = source.row.last
    source.row.add(("review", {}))
    assert asyncio.run(_heard(seen, source, [])) == ["hello", "review"]
    assert asyncio.run(_heard(source.row.last + 10**9, source, [])) == ["hello", "reload"]


def test_listeners_are_counted_and_leave() -> None:
    async def many() -> None:
        stream = Stream(cast(Source, OnlyNews()))
        streams = [stream.events(None) for _ in range(MOST_LISTENERS)]
        for one in streams:
            await one.__anext__()
        assert stream.full
        for one in streams:
            await one.aclose()  # type: ignore[attr-defined]
        assert not stream.full

    asyncio.run(many())
