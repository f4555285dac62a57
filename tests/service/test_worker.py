"""What every thread does alike: it waits for room, gives signs of life, says what holds it up, and ends with the service."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable

import pytest

from edge.config import Settings
from edge.errors import StateError, StateFullError
from edge.journal import Journal
from edge.service import worker as module
from edge.service.shared import Shared
from edge.service.worker import Worker, printable


class Counter(Worker):
    """A thread whose parts the tests call one by one."""

    name = "decoder"

    def run(self) -> None:
        """Nothing."""


@pytest.fixture
def worker(settings: Settings, journal: Journal, shared: Shared) -> Counter:
    shared.status.report("start", None)
    return Counter(settings, journal, shared)


def failing(times: int, shared: Shared, seen: list[tuple[str, ...]]) -> Callable[[], int]:
    """A write for which there is room after so many attempts; notes what is reported before each."""

    def write() -> int:
        seen.append(shared.status.problems())
        if len(seen) <= times:
            raise StateFullError("no room in /state: delete something")
        return 7

    return write


def test_a_write_is_tried_until_there_is_room_and_says_so_meanwhile(
    worker: Counter, shared: Shared, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RETRY_S", 0.0)
    seen: list[tuple[str, ...]] = []
    assert worker.store(failing(2, shared, seen)) == 7
    full = ("no room in /state: delete something",)
    assert seen == [(), full, full]
    assert shared.status.problems() == ()


def test_a_service_that_stops_does_not_wait_for_room(worker: Counter, shared: Shared) -> None:
    shared.stopping.set()
    seen: list[tuple[str, ...]] = []
    assert worker.store(failing(100, shared, seen)) is None
    assert len(seen) == 1


def test_another_trouble_with_the_state_escapes(worker: Counter) -> None:
    def write() -> int:
        raise StateError("damaged")

    with pytest.raises(StateError, match="damaged"):
        worker.store(write)


def test_an_item_waits_for_room_in_the_queue(worker: Counter) -> None:
    full: queue.Queue[str] = queue.Queue(1)
    full.put("first")
    handing = threading.Thread(target=worker.hand_over, args=(full, "second", lambda: False))
    handing.start()
    assert full.get(timeout=30) == "first"
    assert full.get(timeout=30) == "second"
    handing.join(30)
    assert not handing.is_alive()


def test_an_item_that_is_given_up_is_not_handed_over(worker: Counter, shared: Shared) -> None:
    full: queue.Queue[str] = queue.Queue(1)
    full.put("first")
    shared.stopping.set()
    worker.hand_over(full, "second", shared.stopping.is_set)
    assert list(full.queue) == ["first"]


@pytest.mark.parametrize(("path", "line"), [("a ü.tif", "a ü.tif"), ("a\nb.tif", "a\\nb.tif"), ("a\x1b[2J", "a\\x1b[2J")])
def test_a_path_cannot_break_or_colour_the_log(path: str, line: str) -> None:
    assert printable(path) == line
