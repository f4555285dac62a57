"""Events in, whether one more may be dealt with now out: a token bucket."""

from __future__ import annotations

import time
from collections.abc import Callable


class Bucket:
    """So many at once, then so many a second. clock: seconds, rising."""

    def __init__(self, at_once: int, per_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._at_once, self._per_s, self._clock = at_once, per_s, clock
        self._tokens, self._filled_at = float(at_once), clock()

    def take(self) -> bool:
        """Whether there was a token; it is gone then."""
        now = self._clock()
        self._tokens = min(float(self._at_once), self._tokens + (now - self._filled_at) * self._per_s)
        self._filled_at = now
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True
