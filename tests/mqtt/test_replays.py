"""Ranges that touch are one, ranges wait their turn, and too many are refused."""

from __future__ import annotations

from typing import Any

import pytest

from edge.mqtt.replays import MOST_WAITING, Replays


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def asked(first: int, last: int, epoch: str = "e") -> dict[str, Any]:
    return {"epoch": epoch, "first": first, "last": last}


def waiting(*ranges: dict[str, Any]) -> tuple[Clock, Replays[int]]:
    clock = Clock()
    replays = Replays[int](clock)
    for number, one in enumerate(ranges):
        replays.add(one, number)
    return clock, replays


def test_the_first_is_taken_at_once_and_another_a_second_later() -> None:
    clock, replays = waiting(asked(1, 2), asked(9, 9))
    assert replays.take() == (asked(1, 2), [0])
    clock.now += 0.9
    assert replays.take() is None
    clock.now += 0.2
    assert replays.take() == (asked(9, 9), [1])
    clock.now += 2
    assert replays.take() is None


@pytest.mark.parametrize(
    "ranges", [[(1, 5), (3, 9)], [(4, 9), (1, 3)], [(1, 9), (2, 3)], [(1, 2), (7, 9), (2, 7)], [(1, 9)] * 50]
)
def test_ranges_that_touch_are_one(ranges: list[tuple[int, int]]) -> None:
    _, replays = waiting(*(asked(*one) for one in ranges))
    fields, askers = replays.take() or ({}, [])
    assert fields == asked(1, 9)
    assert sorted(askers) == list(range(len(ranges)))


@pytest.mark.parametrize("other", [asked(4, 5), asked(1, 2, "f"), asked(9, 1)])
def test_ranges_that_do_not_touch_stay_apart(other: dict[str, Any]) -> None:
    _, replays = waiting(asked(1, 2), other)
    assert replays.take() == (asked(1, 2), [0])


def test_too_many_are_refused_in_words() -> None:
    _, replays = waiting(*[asked(1, 1)] * MOST_WAITING)
    with pytest.raises(ValueError, match="wait already"):
        replays.add(asked(1, 1), MOST_WAITING)
