"""Commands to replay in, at most one range a second out, made of all that were asked for and touch."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, Generic, TypeVar

Asker = TypeVar("Asker")

BETWEEN_S: Final = 1.0
"""Each replay is a transaction of the journal and traffic of the broker's."""
MOST_WAITING: Final = 100
"""More commands than these are refused: whoever asks so often does not wait for the answers."""
TOO_MANY: Final = f"{MOST_WAITING} replays wait already: wait for their answers, or ask for one longer range"


@dataclass(slots=True)
class Replays(Generic[Asker]):
    """What was asked for and not carried out yet, first come, first served. It belongs to the publisher's thread.

    clock: seconds, rising.
    """

    clock: Callable[[], float] = time.monotonic
    _waiting: list[tuple[dict[str, Any], Asker]] = field(default_factory=list)
    _next_at: float = 0.0

    @property
    def full(self) -> bool:
        """Whether another one is refused."""
        return len(self._waiting) >= MOST_WAITING

    def add(self, fields: dict[str, Any], asker: Asker) -> None:
        """Keep a command's fields: epoch, first, last. Raises ValueError with a sentence for the sender when too many wait."""
        if self.full:
            raise ValueError(TOO_MANY)
        self._waiting.append((fields, asker))

    def take(self) -> tuple[dict[str, Any], list[Asker]] | None:
        """What to carry out now, and who asked for a part of it; None when there is nothing, or it is too early."""
        if not self._waiting or self.clock() < self._next_at:
            return None
        self._next_at = self.clock() + BETWEEN_S
        fields, asker = self._waiting.pop(0)
        askers = [asker]
        while touching := [one for one in self._waiting if _touch(fields, one[0])]:
            self._waiting = [one for one in self._waiting if one not in touching]
            askers += [asker for _, asker in touching]
            ranges = [fields, *(other for other, _ in touching)]
            fields = {
                **fields,
                "first": min(one["first"] for one in ranges),
                "last": max(one["last"] for one in ranges),
            }
        return fields, askers


def _touch(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether two ranges of one epoch overlap or follow each other. A range that ends before it begins touches none."""
    if one["epoch"] != other["epoch"] or one["last"] < one["first"] or other["last"] < other["first"]:
        return one == other
    return bool(one["first"] <= other["last"] + 1 and other["first"] <= one["last"] + 1)
