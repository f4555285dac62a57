"""The bytes of an image file in; out comes whether they are the whole file, or one that is still being written."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from edge.sem.structure import layout


class FileState(Enum):
    """Whether the bytes are a whole file."""

    COMPLETE = "complete"
    INCOMPLETE = "incomplete"
    ZERO_TAIL = "zero_tail"


@dataclass(frozen=True)
class Completeness:
    """Whether a file is whole, as far as its structure says.

    INCOMPLETE: something that the structure names lies beyond the end, see `reason`: wait.
    ZERO_TAIL: all is there, but the last `zero_bytes` bytes of the compressed pixels are zero, as no codec leaves them, or of
    a text: a file that was made in its full length and is still being written. Wait a while, then take it.
    COMPLETE: also for bytes of no known format, which `read` refuses. Plain pixels that may still be filled in are found
    where they are decoded: see `edge.sem.unfilled`.
    """

    state: FileState
    reason: str = ""
    zero_bytes: int = 0


def completeness(data: bytes) -> Completeness:
    """Whether `data` is a whole file, without decoding its pixels. Never raises."""
    if not data:
        return Completeness(FileState.INCOMPLETE, "the file is empty")
    found = layout(data)
    reason = found.missing or found.metadata_missing
    if reason:
        return Completeness(FileState.INCOMPLETE, reason)
    if found.zero_tail:
        return Completeness(
            FileState.ZERO_TAIL, f"the last {found.zero_tail} bytes of the pixels or a text are zero", found.zero_tail
        )
    return Completeness(FileState.COMPLETE)


def black_is_black(data: bytes) -> bool:
    """Whether black rows of this file were stored as such: a PNG has check sums, and zero bytes are no black rows of a JPEG."""
    return layout(data).format in ("png", "jpeg")
