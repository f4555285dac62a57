"""A source's news in, server-sent events for each browser out; who reads too slowly is told to fetch everything anew."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import AsyncIterator, Callable
from typing import Final

from edge.errors import EdgeError
from edge.web.said import text
from edge.web.source import Event, Facts, Source

log = logging.getLogger(__name__)

MOST_LISTENERS: Final = 64
QUEUED: Final = 100
ALIVE_S: Final = 5.0
"""A browser that hears nothing for four times as long believes the link lost: a cut cable ends no connection."""
RETRY_MS: Final = 2000
LOOK_S: Final = 1.0


class Stream:
    """One thread waits for news and hands them to the event loop; there each listener has a bounded queue."""

    def __init__(self, source: Source, page: str = "") -> None:
        """page: of `edge.web.files.digest`, by which a browser that comes back knows whether the page was renewed."""
        self._source, self._page = source, page
        self._listeners: set[asyncio.Queue[Event]] = set()
        self._stopping = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin, inside the event loop."""
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._wait, name="stream", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread and every stream."""
        self._stopping.set()
        for listener in list(self._listeners):
            put(listener, Event(0, "end", {}))

    @property
    def full(self) -> bool:
        """Whether no further listener is taken."""
        return len(self._listeners) >= MOST_LISTENERS

    async def events(self, after: int | None, allowed: Callable[[], bool] = lambda: True) -> AsyncIterator[bytes]:
        """The text of an event stream, without end. after: the last number that the browser has seen.

        allowed: asked before each word, so that who logs out, or is taken out of the users file, hears nothing more.
        """
        queue: asyncio.Queue[Event] = asyncio.Queue(maxsize=QUEUED)
        self._listeners.add(queue)
        try:
            last = self._source.last_event()
            yield f"retry: {RETRY_MS}\n".encode() + encoded(Event(last, "hello", {"page": self._page, **clock()}))
            if after is not None and after != last:
                for missed in self._source.news(after, 0.0) if after < last else [Event(last, "reload", {})]:
                    yield encoded(missed)
            while not self._stopping.is_set():
                event: Event | None
                try:
                    event = await asyncio.wait_for(queue.get(), ALIVE_S)
                except asyncio.TimeoutError:
                    event = None
                if (event is not None and event.kind == "end") or not allowed():
                    return
                yield encoded(event) if event is not None else f"event: alive\ndata: {text(clock())}\n\n".encode()
        finally:
            self._listeners.discard(queue)

    def _wait(self) -> None:
        seen = self._source.last_event()
        while not self._stopping.is_set():
            try:
                events = self._source.news(seen, LOOK_S)
            except EdgeError as error:
                log.debug("no news: %s", error)
                self._stopping.wait(LOOK_S)
                continue
            for event in events:
                seen = event.number
            if events and self._loop is not None:
                try:
                    self._loop.call_soon_threadsafe(self._tell, events)
                except RuntimeError:  # the loop has ended
                    return

    def _tell(self, events: list[Event]) -> None:
        for listener in list(self._listeners):
            for event in events:
                put(listener, event)


def clock() -> Facts:
    """The time of this machine, by which pages tell how long ago something was: a browser's own may be wrong, or be set."""
    return {"clock_ms": round(time.time() * 1000)}


def put(queue: asyncio.Queue[Event], event: Event) -> None:
    """One more; where there is no room, all that waits becomes a `reload`."""
    if queue.full():
        while not queue.empty():
            queue.get_nowait()
        event = event if event.kind == "end" else Event(event.number, "reload", {})
    queue.put_nowait(event)


def encoded(event: Event) -> bytes:
    """As the HTML standard has it, 9.2. JSON holds no raw line break."""
    return f"id: {event.number}\nevent: {event.kind}\ndata: {text(event.said)}\n\n".encode()
