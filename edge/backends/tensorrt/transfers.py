"""Copies that were put on the stream in, how long the bus takes for them out, to the GPU and back told apart.

A recorded graph tells no times of its parts, and clocking each copy would cost what is measured. So a copy of each size is
timed once, alone, and counted whenever one of that size was launched. Beside other work on the bus a copy takes longer.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from edge.backends.tensorrt.cuda import Copy, Cuda

REPEATS = 5
MOST_SIZES = 256
"""Kept where nobody asks, as in the daemon."""


class Transfers:
    """What one network copied since it was last asked. Used by the thread of its `Cuda`."""

    def __init__(self, cuda: Cuda) -> None:
        self._cuda = cuda
        self._launched: Counter[Copy] = Counter()
        self._took_ms: dict[Copy, float] = {}

    def launched(self, copies: Sequence[Copy]) -> None:
        """Note what went onto the stream."""
        if len(self._launched) > MOST_SIZES:
            self._launched.clear()
        self._launched.update(copies)

    def take_ms(self) -> tuple[float, float]:
        """Milliseconds to the GPU and back of all that was launched since the last call. Raises BackendError."""
        launched, self._launched = self._launched, Counter()
        sums = {True: 0.0, False: 0.0}
        for copy, times in launched.items():
            sums[copy.to_gpu] += times * self._ms(copy)
        return sums[True], sums[False]

    def _ms(self, copy: Copy) -> float:
        if copy not in self._took_ms:
            with self._cuda.translated("a copy cannot be timed"):
                self._took_ms[copy] = _measured_ms(self._cuda, copy)
        return self._took_ms[copy]


def _measured_ms(cuda: Cuda, copy: Copy) -> float:
    """The median of a few copies."""
    room = cuda.share(copy.size)
    try:
        move = cuda.send if copy.to_gpu else cuda.fetch
        return sorted(cuda.timed_ms(lambda: move(room)) for _ in range(REPEATS))[REPEATS // 2]
    finally:
        cuda.wait()
        cuda.release(room)
