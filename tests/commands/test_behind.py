"""Writing behind the inspections: in order, said by one thread, and nothing that was inspected is lost."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from edge.commands import behind


@pytest.fixture(params=[1, 4], autouse=True)
def cores(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(behind, "cores", lambda: request.param)
    return int(request.param)


class Told:
    """Work that notes what is done, and what is said by which thread."""

    def __init__(self) -> None:
        self.done: list[int] = []
        self.said: list[int] = []

    def work(self, number: int) -> Callable[[], Callable[[], None]]:
        def do() -> Callable[[], None]:
            self.done.append(number)
            return say

        def say() -> None:
            assert threading.current_thread() is threading.main_thread()
            self.said.append(number)

        return do


def test_all_is_done_and_said_in_order() -> None:
    told = Told()
    with behind.Behind() as work:
        for number in range(20):
            work.add(told.work(number))
            assert len(told.said) >= number - behind.BEHIND
    assert told.done == told.said == list(range(20))
    assert not any(thread.name.startswith("write-behind") for thread in threading.enumerate())


def test_a_large_one_is_waited_for() -> None:
    told = Told()
    with behind.Behind() as work:
        work.add(told.work(0))
        work.add(told.work(1), large=True)
        assert told.said == [0, 1]


def test_what_was_added_before_ctrl_c_is_said() -> None:
    told = Told()

    def stopped() -> None:
        with behind.Behind() as work:
            work.add(told.work(0))
            work.add(told.work(1))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    assert told.said == [0, 1]


def test_what_goes_wrong_is_raised_where_it_is_added_or_at_the_end() -> None:
    def full() -> Callable[[], None]:
        raise OSError("no room left")

    with pytest.raises(OSError, match="no room left"), behind.Behind() as work:
        work.add(full)
