"""What a segmenter's network found and its masks, made where the network runs: a `MaskingNetwork` keeps its prototypes there.

The arithmetic is that of the host (`edge.inspection.segment.decode`): suppression, then masks in the boxes that are kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from edge.backends.crop import Crop
from edge.records import Grey, Mask


@dataclass(frozen=True, slots=True, eq=False)
class Masks:
    """What one crop came to, in the order of the scores: N candidates that no other one suppresses.

    scores: float32 [N].  classes: int [N].  places: int32 [N, 4], x0, y0, x1, y1 in pixels of the crop, empty where no pixel
    lies in the box.  bits: uint32, the masks one after the other, each row from a new word on, the lowest bit first.
    first_words: int32 [N], where each begins.
    """

    scores: NDArray[np.float32]
    classes: NDArray[Any]
    places: NDArray[np.int32]
    bits: NDArray[np.uint32]
    first_words: NDArray[np.int32]

    def mask(self, index: int) -> Mask:
        """Of one candidate, [y1 - y0, x1 - x0]."""
        x0, y0, x1, y1 = (int(side) for side in self.places[index])
        columns, rows = max(x1 - x0, 0), max(y1 - y0, 0)
        words = -(-columns // 32)
        first = int(self.first_words[index])
        packed = self.bits[first : first + words * rows].view(np.uint8).reshape(rows, words * 4)
        return np.unpackbits(packed, axis=1, count=columns, bitorder="little").view(np.bool_)


class PendingMasks(Protocol):
    """A run that was launched: its masks, when they are asked for."""

    def collect(self) -> Sequence[Masks] | None:
        """Wait for the masks, of each crop; None where there is no room for so many: the host makes them then.

        Raises BackendError.
        """
        ...


@runtime_checkable
class MaskingNetwork(Protocol):
    """A network that suppresses and makes masks where it runs."""

    def submit_masks(
        self, grey: Grey, crops: Sequence[Crop], rows: int, columns: int, confidence: float, iou: float
    ) -> PendingMasks | None:
        """Launch the crops of a uint8 [H, W] image; None where this network or these crops are not made for it."""
        ...
