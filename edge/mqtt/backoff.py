"""Failed tries in, how long to wait before the next one out."""

from __future__ import annotations

import random
from collections.abc import Callable


class Backoff:
    """How long to wait before the next try: doubling from `shortest_s` to `longest_s`, the upper half of it by chance.

    Chance keeps a hundred microscopes from coming back to a restarted broker at the same moment.
    """

    def __init__(self, shortest_s: float, longest_s: float, chance: Callable[[], float] = random.random) -> None:
        self._shortest_s, self._longest_s, self._chance = shortest_s, longest_s, chance
        self._tries = 0

    def next_s(self) -> float:
        """Seconds to wait now; rises with every call."""
        ceiling = min(self._longest_s, self._shortest_s * 2.0 ** min(self._tries, 30))
        self._tries += 1
        return ceiling * (0.5 + 0.5 * self._chance())

    def reset(self) -> None:
        """It worked: start from the shortest wait again."""
        self._tries = 0
