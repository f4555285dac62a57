"""Numbers of verdicts as they are heard in, the ranges that are missing between them out."""

from __future__ import annotations

from typing import Final

MOST_EPOCHS: Final = 16
MOST_RANGES: Final = 200


class Gaps:
    """Of one microscope. What came before the first number that was heard is not called missing."""

    def __init__(self) -> None:
        self._epochs: dict[str, list[int]] = {}  # the first and the last number heard
        self._missing: dict[str, list[tuple[int, int]]] = {}
        self._begun = 0
        self._order: dict[str, int] = {}

    def heard(self, epoch: str, seq: int) -> bool:
        """Note a number; False where it was heard before."""
        span = self._epochs.get(epoch)
        if span is None:
            self._begin(epoch, seq)
            return True
        first, last = span
        missing = self._missing[epoch]
        if seq > last:
            if seq > last + 1:
                missing.append((last + 1, seq - 1))
                del missing[:-MOST_RANGES]
            span[1] = seq
            return True
        if seq < first:
            if seq < first - 1:
                missing.insert(0, (seq + 1, first - 1))
                del missing[MOST_RANGES:]
            span[0] = seq
            return True
        for place, (low, high) in enumerate(missing):
            if low <= seq <= high:
                missing[place : place + 1] = [part for part in ((low, seq - 1), (seq + 1, high)) if part[0] <= part[1]]
                return True
        return False

    def order(self, epoch: str) -> int:
        """A number that rises with each epoch, in the order in which they were first heard."""
        return self._order.get(epoch, 0)

    def ranges(self) -> list[tuple[str, int, int]]:
        """What is missing: epoch, first, last."""
        return [(epoch, low, high) for epoch, missing in self._missing.items() for low, high in missing]

    def _begin(self, epoch: str, seq: int) -> None:
        self._begun += 1
        self._order[epoch] = self._begun
        self._epochs[epoch] = [seq, seq]
        self._missing[epoch] = []
        while len(self._epochs) > MOST_EPOCHS:
            oldest = next(iter(self._epochs))
            for table in (self._epochs, self._missing, self._order):
                del table[oldest]
