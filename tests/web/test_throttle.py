"""What wrong passwords cost, whom, and for how long."""

from __future__ import annotations

import pytest

from edge.web.throttle import FORGOTTEN_S, MOST, Throttle


class Clock:
    """Stands still until a test moves it."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def wrong(throttle: Throttle, times: int, name: str = "anna", address: str = "1.1.1.1", browser: str | None = None) -> float:
    """How long the next such try waits after so many wrong ones."""
    for _ in range(times):
        throttle.wrong(throttle.counts(name, address, browser))
    return throttle.wait_s(throttle.counts(name, address, browser))


@pytest.mark.parametrize(("times", "wait_s"), [(4, 0), (5, 2), (6, 4), (9, 32), (40, 900), (5000, 900)])
def test_the_wait_doubles_up_to_a_quarter_of_an_hour(clock: Clock, times: int, wait_s: float) -> None:
    assert max(0, wrong(Throttle(clock), times)) == wait_s


def test_one_who_tries_many_names_waits_at_all_of_them(clock: Clock) -> None:
    throttle = Throttle(clock)
    for number in range(20):
        throttle.wrong(throttle.counts(f"user{number}", "1.1.1.1", None))
    assert throttle.wait_s(throttle.counts("another", "1.1.1.1", None)) > 0
    assert throttle.wait_s(throttle.counts("another", "1.1.1.2", None)) <= 0


@pytest.mark.parametrize("address", ["10.0.{}.1", "2001:db8:0:{}::1", "no address {}"])
def test_one_who_tries_from_many_addresses_makes_strangers_wait_a_minute_at_most(clock: Clock, address: str) -> None:
    throttle = Throttle(clock)
    for number in range(200):
        throttle.wrong(throttle.counts("anna", address.format(number), None))
    assert 0 < throttle.wait_s(throttle.counts("anna", "9.9.9.9", None)) <= 60
    assert throttle.wait_s(throttle.counts("bert", "9.9.9.9", None)) <= 0


def test_a_network_of_version_6_is_one_address(clock: Clock) -> None:
    throttle = Throttle(clock)
    for number in range(5):
        throttle.wrong(throttle.counts("anna", f"2001:db8::{number}", None))
    assert throttle.wait_s(throttle.counts("anna", "2001:db8::ffff", None)) > 0


def test_who_was_here_is_counted_alone(clock: Clock) -> None:
    throttle = Throttle(clock)
    throttle.right("anna", "1.1.1.1", throttle.counts("anna", "1.1.1.1", None), "browser")
    wrong(throttle, 30, address="2.2.2.2")
    wrong(throttle, 30, name="bert", address="1.1.1.1")
    assert wrong(throttle, 0) <= 0, "the address is known"
    assert wrong(throttle, 5) > 0
    assert wrong(throttle, 0, browser="browser") <= 0, "the browser is known"
    assert wrong(throttle, 5, browser="browser") > 0
    assert wrong(throttle, 0, name="bert", browser="browser") > 0, "it is anna's"


def test_a_right_password_ends_its_wait_and_an_hour_ends_all(clock: Clock) -> None:
    throttle = Throttle(clock)
    wrong(throttle, 4)
    throttle.right("anna", "1.1.1.1", throttle.counts("anna", "1.1.1.1", None), "b")
    assert wrong(throttle, 4) <= 0
    wrong(throttle, 30, name="bert")
    clock.now += FORGOTTEN_S + 1
    assert wrong(throttle, 4, name="bert") <= 0


def test_memory_stays_bounded(clock: Clock) -> None:
    throttle = Throttle(clock)
    for number in range(MOST + 100):
        counts = throttle.counts(f"{number}" * 100, f"{number}", None)
        throttle.wrong(counts)
        throttle.right(f"{number}", f"{number}", counts, f"{number}")
    assert max(map(len, (throttle._tries, throttle._browsers, throttle._places))) <= MOST
