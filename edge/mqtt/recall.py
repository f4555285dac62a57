"""A connection and topics in; the messages that the broker keeps on them out, or the end of a bounded wait."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Final

from edge.mqtt.connection import Connection, Received, Subscribed

QUIET_S: Final = 1.0
"""A broker sends what it keeps when it grants the subscription, or shortly after; one that keeps nothing says nothing."""
BETWEEN_S: Final = 0.25
"""So long after one of them the others follow, where they are kept."""
LONGEST_S: Final = 5.0
"""For a broker that does not even answer to the subscription."""


class Recall:
    """Asks at the beginning of a connection, before anything is published on these topics.

    found: by topic, what is kept.
    refused: by topic, why the broker does not let us read it.
    """

    def __init__(self, connection: Connection, topics: Sequence[str], clock: Callable[[], float] = time.monotonic) -> None:
        self.found: dict[str, bytes] = {}
        self.refused: dict[str, str] = {}
        self._connection, self._topics, self._clock = connection, tuple(topics), clock
        self._unanswered = set(topics)
        self._until = clock() + LONGEST_S
        for topic in topics:
            connection.subscribe(topic)

    def takes(self, received: Received) -> bool:
        """Whether this message is on one of the topics; a kept one is noted."""
        if received.topic not in self._topics:
            return False
        if received.retained:
            self.found[received.topic] = received.payload
            self._settle()
        return True

    def answered(self, answer: Subscribed) -> bool:
        """Whether this is the answer to one of our subscriptions, which is noted."""
        if answer.topics not in self._topics:
            return False
        if answer.refused is not None:
            self.refused[answer.topics] = answer.refused
        self._unanswered.discard(answer.topics)
        self._settle()
        return True

    def _settle(self) -> None:
        if not self._unanswered:
            self._until = min(self._until, self._clock() + (BETWEEN_S if self.found else QUIET_S))

    def over(self) -> bool:
        """Whether everything is known that will be; then the broker is asked for no more."""
        known = all(topic in self.found or topic in self.refused for topic in self._topics)
        if not known and self._clock() < self._until:
            return False
        for topic in self._topics:
            self._connection.unsubscribe(topic)
        return True
