"""What the broker keeps is asked for, and not waited for longer than it takes."""

from __future__ import annotations

from typing import cast

from edge.mqtt.connection import Connection, Received, Subscribed
from edge.mqtt.recall import BETWEEN_S, LONGEST_S, QUIET_S, Recall


class Line:
    """A connection that notes what is subscribed to."""

    def __init__(self) -> None:
        self.topics: list[str] = []

    def subscribe(self, topics: str) -> None:
        self.topics.append(topics)

    def unsubscribe(self, topics: str) -> None:
        self.topics.remove(topics)


def recalling(now: list[float]) -> tuple[Line, Recall]:
    line = Line()
    return line, Recall(cast(Connection, line), ("a", "b"), lambda: now[0])


def test_it_is_over_when_everything_has_come_and_hears_no_more() -> None:
    line, recall = recalling([0.0])
    assert line.topics == ["a", "b"]
    assert recall.takes(Received("a", b"1", True, None, None))
    assert not recall.over()
    assert recall.takes(Received("b", b"live", False, None, None)), "what is said now is not for the commands"
    assert not recall.takes(Received("c", b"", True, None, None))
    assert recall.takes(Received("b", b"2", True, None, None))
    assert recall.over()
    assert (recall.found, line.topics) == ({"a": b"1", "b": b"2"}, [])


def test_a_broker_that_keeps_nothing_is_waited_for_a_moment_after_it_answered() -> None:
    now = [0.0]
    _, recall = recalling(now)
    assert recall.answered(Subscribed("a", None))
    now[0] = 2 * QUIET_S
    assert not recall.over()
    assert recall.answered(Subscribed("b", None))
    assert not recall.over()
    now[0] += QUIET_S
    assert recall.over()
    assert recall.found == {}


def test_what_does_not_follow_soon_is_not_kept() -> None:
    now = [0.0]
    _, recall = recalling(now)
    for topic in ("a", "b"):
        recall.answered(Subscribed(topic, None))
    recall.takes(Received("a", b"1", True, None, None))
    assert not recall.over()
    now[0] = BETWEEN_S
    assert recall.over()


def test_a_broker_that_does_not_answer_is_not_waited_for_for_ever() -> None:
    now = [0.0]
    _, recall = recalling(now)
    now[0] = LONGEST_S
    assert recall.over()


def test_what_the_broker_refuses_is_not_waited_for() -> None:
    _, recall = recalling([0.0])
    assert not recall.answered(Subscribed("command/+", None))
    for topic in ("a", "b"):
        recall.answered(Subscribed(topic, "not authorized"))
    assert recall.over()
    assert recall.refused == {"a": "not authorized", "b": "not authorized"}
