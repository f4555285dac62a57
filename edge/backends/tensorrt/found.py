"""A segmenter's outputs on the GPU in, what is kept and its masks as bits out: the launches behind the network (`found.h`).

The prototypes stay on the GPU. What comes back of a view is 48 bytes a candidate that may be kept, and `MOST_WORDS` words of
bits; where the boxes hold more, the host makes the masks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import numpy as np

from edge.backends.crop import Crop
from edge.backends.masks import Masks
from edge.backends.network import require_numbers
from edge.backends.tensorrt.cuda import Cuda, Shared
from edge.backends.tensorrt.flight import Flight, Output

MOST_CANDIDATES = 1024
"""As in found.h, and so are the two types."""
VIEW = np.dtype([("scale_x", "f8"), ("scale_y", "f8"), ("width", "i4"), ("height", "i4")])
KEPT = np.dtype(
    [("candidate", "i4"), ("place", "i4", 4), ("under", "i4", 4), ("word", "i4"), ("cell", "i4"), ("padding", "i4")]
)
FOUND = np.dtype(
    [("candidates", "i4"), ("kept", "i4"), ("words", "i4"), ("cells", "i4"), ("broken", "i4"), ("padding", "i4", 3)]
)
MOST_WORDS = 1 << 16
"""Of a view's masks: two million pixels of boxes."""
MOST_CELLS = 1 << 17
"""Of a view's logits."""
NEEDED = ("boxes", "scores", "classes", "coefficients", "prototypes")
_BLOCKS = 128
"""Of the two launches that stride over their work: more than a Jetson's multiprocessors, enough for a large GPU."""


@dataclass(frozen=True, slots=True, eq=False)
class MaskRoom:
    """What the masks of one batch need, of at most `views` views. near, order, logits: on the GPU alone."""

    views: int
    views_there: Shared
    found: Shared
    kept: Shared
    bits: Shared
    order: int
    near: int
    logits: int


def mask_room(share: Callable[[int], Shared], allocate: Callable[[int], int], views: int) -> MaskRoom:
    """Room for the masks of `views` views. share, allocate: memory for both, and of the GPU alone, freed by the caller."""
    return MaskRoom(
        views,
        share(views * VIEW.itemsize),
        share(views * FOUND.itemsize),
        share(views * MOST_CANDIDATES * KEPT.itemsize),
        share(views * MOST_WORDS * 4),
        allocate(views * MOST_CANDIDATES * 4),
        allocate(views * MOST_CANDIDATES * MOST_CANDIDATES // 8),
        allocate(views * MOST_CELLS * 4),
    )


def fits(outputs: Sequence[Output], shapes: Mapping[str, tuple[int, ...]]) -> bool:
    """Whether a network's outputs are those of a segmenter that the kernels are made for. shapes: as the engine gives them."""
    types = {output.name: output.dtype for output in outputs}
    return (
        all(name in types for name in NEEDED)
        and all(types[name] == np.float32 for name in NEEDED if name != "classes")
        and shapes["scores"][1] <= MOST_CANDIDATES
        and shapes["coefficients"][2] == shapes["prototypes"][1] == 32
    )


def describe_views(room: MaskRoom, crops: Sequence[Crop], count: int) -> None:
    """Write what the launches read of the crops, `count` of them: beyond `crops` views without a pixel."""
    rows = [(a.columns / a.width_px, a.rows / a.height_px, a.width_px, a.height_px) for a in crops]
    rows += [(1.0, 1.0, 0, 0)] * (count - len(crops))
    room.views_there.host[: count * VIEW.itemsize].view(VIEW)[:] = rows


def enqueue(
    cuda: Cuda,
    room: MaskRoom,
    outputs: Sequence[Output],
    shapes: Mapping[str, tuple[int, ...]],
    confidence: float,
    iou: float,
) -> None:
    """Put on the stream what makes of the outputs of a batch what is kept, and its masks, and brings both to the host."""
    at = {output.name: output.shared.address for output in outputs}
    views, count = shapes["scores"][:2]
    rows, columns = shapes["prototypes"][2:]
    there, found, kept = room.views_there.address, room.found.address, room.kept.address
    launch, most = cuda.launch, (MOST_WORDS, MOST_CELLS)
    launch("rank_candidates", (1, views, 1), (MOST_CANDIDATES, 1, 1),
           at["scores"], at["boxes"], count, confidence, room.order, found)  # fmt: skip
    launch("mark_overlaps", (32, MOST_CANDIDATES // 8, views), (32, 8, 1),
           at["boxes"], count, iou, room.order, found, room.near)  # fmt: skip
    launch("keep_boxes", (1, views, 1), (32, 1, 1),
           at["boxes"], count, there, rows, columns, room.order, room.near, found, kept)  # fmt: skip
    launch("make_logits", (_BLOCKS, views, 1), (256, 1, 1),
           at["coefficients"], count, at["prototypes"], rows, columns, kept, found, room.logits, *most)  # fmt: skip
    launch("make_masks", (_BLOCKS, views, 1), (32, 8, 1), there, kept, found, room.logits, room.bits.address, *most)
    cuda.fetch(room.found, views * FOUND.itemsize)
    cuda.fetch(room.kept, views * MOST_CANDIDATES * KEPT.itemsize)
    cuda.fetch(room.bits, views * MOST_WORDS * 4)
    for output in outputs:
        if output.name in {"scores", "classes"}:
            cuda.fetch(output.shared, views * count * output.dtype.itemsize)


def read(room: MaskRoom, outputs: Sequence[Output], candidates: int, count: int) -> list[Masks] | None:
    """Copies of what came back, of the first `count` views; None where there was no room for all masks.

    Raises BackendError where what is used is not a number.
    """
    by_name = {output.name: output for output in outputs}
    answers = []
    for view in range(count):
        found = room.found.host.view(FOUND)[view]
        if found["broken"]:
            require_numbers(np.array([np.nan]), "scores, boxes or masks")
        if found["words"] > MOST_WORDS or found["cells"] > MOST_CELLS:
            return None
        start = view * MOST_CANDIDATES
        kept = room.kept.host.view(KEPT)[start : start + found["kept"]].copy()
        scores, classes = (
            by_name[name].shared.host.view(by_name[name].dtype)[view * candidates :][kept["candidate"]]
            for name in ("scores", "classes")
        )
        bits = room.bits.host.view(np.uint32)[view * MOST_WORDS :][: found["words"]].copy()
        answers.append(Masks(scores, classes, kept["place"], bits, kept["word"]))
    return answers


class MaskRun:
    """A batch of views whose masks the GPU makes; see `edge.backends.masks.PendingMasks`."""

    def __init__(self, flight: Flight, watched: Callable[[], AbstractContextManager[None]]) -> None:
        self._flight: Flight | None = flight
        self._watched = watched
        self._answers: list[Masks] | None = None

    def collect(self) -> Sequence[Masks] | None:
        """The masks, as soon as they are there; None where the host has to make them. Raises BackendError."""
        if self._flight is not None:
            with self._watched():
                answers: Any = self._flight.land()
            self._answers, self._flight = answers, None
        return self._answers

    def give_up(self) -> None:
        """Nobody can collect it any more: the engine is closed."""
        if self._flight is not None:
            self._flight.give_up()
