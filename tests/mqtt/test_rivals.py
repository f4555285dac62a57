"""Another client with our id is suspected by how connections end."""

from __future__ import annotations

from edge.mqtt.rivals import LONG_S, SHORT_S, SIGNS, Rivals


class Lives:
    """Connections that come and end at times that the test chooses."""

    def __init__(self) -> None:
        self.now = 0.0
        self.rivals = Rivals(lambda: "edge1", lambda: self.now)

    def one(self, lasts_s: float, *, taken_over: bool = False, closed_by_broker: bool = True) -> bool:
        self.rivals.accepted()
        self.now += lasts_s
        self.rivals.stands()
        self.rivals.ended(taken_over=taken_over, closed_by_broker=closed_by_broker)
        return self.rivals.suspected


def test_a_broker_that_says_so_is_believed_at_once() -> None:
    lives = Lives()
    assert lives.one(1000.0, taken_over=True)
    assert "edge1" in (lives.rivals.told() or "")


def test_a_few_losses_shortly_after_connecting_are_a_pattern() -> None:
    lives = Lives()
    assert [lives.one(SHORT_S / 2) for _ in range(SIGNS)] == [False] * (SIGNS - 1) + [True]


def test_losses_that_have_another_reason_or_come_late_are_none() -> None:
    lives = Lives()
    assert not any(lives.one(1.0, closed_by_broker=False) for _ in range(9))
    assert not any(lives.one(2 * SHORT_S) for _ in range(9))
    lives.rivals.ended(taken_over=False, closed_by_broker=True)  # it was never taken in
    assert lives.rivals.told() is None


def test_a_connection_that_stands_ends_the_suspicion() -> None:
    lives = Lives()
    lives.one(1.0, taken_over=True)
    lives.rivals.accepted()
    lives.now += LONG_S + 1
    lives.rivals.stands()
    assert lives.rivals.told() is None
