"""Kinds of messages that the broker refuses wait for a growing time, and no others."""

from __future__ import annotations

import itertools

from edge.journal import Outgoing
from edge.mqtt.holding import BY_LOSS_S, FIRST_S, LONGEST_S, SHORTEST_S, Holding, kind_of


def row(number: int, topic: str, channel: str = "") -> Outgoing:
    return Outgoing(number, number, "v", "channel" if channel else "overlay", topic, b"", None, 0, "e", channel)


class Held:
    """A holding with a clock that the test moves."""

    def __init__(self) -> None:
        self.now = 0.0
        self.holding = Holding(lambda: self.now)

    def waits_s(self, kind: str) -> float:
        """How long it is shut, to a tenth of a second."""
        began = self.now
        while kind in self.holding.shut():
            self.now += 0.1 if self.now - began < 2 * FIRST_S else 1.0
        return self.now - began


def test_each_refusal_is_waited_for_longer_up_to_an_hour() -> None:
    held = Held()
    waits = []
    for _ in range(10):
        held.holding.refused("overlay", "told")
        waits.append(round(held.waits_s("overlay"), 1))
    assert FIRST_S <= waits[0] < 2 * FIRST_S
    assert SHORTEST_S <= waits[1] < 1.1 * SHORTEST_S
    assert all(later > 0.99 * sooner for sooner, later in itertools.pairwise(waits))
    assert LONGEST_S <= waits[-1] < 1.1 * LONGEST_S


def test_refusals_of_what_was_in_flight_together_count_once_and_the_second_is_told() -> None:
    held = Held()
    for _ in range(20):
        held.holding.refused("overlay", "told")
    assert held.holding.told() is None
    held.waits_s("overlay")
    for _ in range(20):
        held.holding.refused("overlay", "told")
    assert held.holding.told() == "told"
    assert held.waits_s("overlay") < 1.1 * SHORTEST_S


def test_one_message_of_a_kind_on_trial_is_enough_and_the_first_that_is_taken_ends_it() -> None:
    held = Held()
    held.holding.refused("overlay", "told")
    held.waits_s("overlay")
    assert held.holding.shut({"overlay", "inspection"}) == {"overlay"}
    held.holding.taken("overlay")
    assert held.holding.shut({"overlay"}) == frozenset()
    assert held.holding.told() is None


def test_a_row_that_ended_a_connection_comes_behind_the_others_while_its_kind_waits() -> None:
    held = Held()
    rows = [row(number, f"overlay/{number}") for number in range(3)]
    held.holding.refused("overlay", "told", victim=0)
    assert BY_LOSS_S <= held.waits_s("overlay") < 1.1 * BY_LOSS_S
    assert [one.id for one in held.holding.in_turn(rows)] == [1, 2, 0]
    held.holding.taken("overlay")
    assert [one.id for one in held.holding.in_turn(rows)] == [0, 1, 2]


def test_a_kind_is_a_level_of_the_contract_and_a_whole_topic_of_a_channel() -> None:
    assert kind_of(row(1, "overlay/abc")) == "overlay"
    assert kind_of(row(1, "homes/a/state", "discovery")) == "homes/a/state"
