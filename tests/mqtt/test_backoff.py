"""Waits double, end at their limit, and differ by chance."""

from __future__ import annotations

from edge.mqtt.backoff import Backoff


def test_the_wait_between_tries_doubles_up_to_its_limit_and_starts_again() -> None:
    backoff = Backoff(1.0, 30.0, chance=lambda: 1.0)
    assert [backoff.next_s() for _ in range(7)] == [1, 2, 4, 8, 16, 30, 30]
    backoff.reset()
    assert backoff.next_s() == 1


def test_the_wait_between_tries_differs_by_chance() -> None:
    assert Backoff(1.0, 30.0, chance=lambda: 0.0).next_s() == 0.5
    assert Backoff(1.0, 30.0, chance=lambda: 0.999).next_s() > 0.99
