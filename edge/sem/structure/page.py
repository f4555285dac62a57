"""What the headers of a file say about its images, without their bytes: sizes, tags, and where things lie."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple

import numpy as np

Format = Literal["tiff", "png", "jpeg", "bmp"]

MAX_CHUNKS: Final = 1000  # of metadata that are remembered; real files have under twenty
MAX_PARTS: Final = 1 << 16  # segments of a JPEG's header, small chunks of a PNG; real files have under a hundred
TRAILER: Final = "trailer"
"""Name of the chunk of bytes behind the end of a PNG or JPEG, where some microscopes write."""
REDUCED_OR_MASK: Final = 0b101  # NewSubfileType, bit 0: a smaller copy of another page; bit 2: a transparency mask
TAIL_BLOCK: Final = 1 << 16


class Span(NamedTuple):
    """A part of the file: its first byte and its number of bytes, all of them inside the file."""

    start: int
    length: int


@dataclass(frozen=True)
class Page:
    """One image of a file, by its header alone.

    tags: where the text and byte tags of a TIFF page lie, by tag number.
    numbers: the first 16 values of each of its numeric tags.  offset: where its IFD begins.
    in_place: a TIFF page whose values lie one after another, as this machine stores them.
    behind: bytes from the place that its tags name to its values: ImageJ stores a stack behind one page.
    process: a JPEG's start-of-frame marker (T.81, table B.1).  scans: how often its pixels are gone over, 0 if not a JPEG.
    """

    width: int
    height: int
    channels: int = 1
    bits: int = 8
    offset: int = 0
    tags: Mapping[int, Span] = field(default_factory=dict)
    numbers: Mapping[int, tuple[float, ...]] = field(default_factory=dict)
    in_place: bool = False
    behind: int = 0
    process: int = 0
    scans: int = 0

    def first(self, tag: int, default: int) -> int:
        """First value of a numeric tag as an integer."""
        values = self.numbers.get(tag)
        return int(values[0]) if values and np.isfinite(values[0]) else default

    @property
    def photometric(self) -> int:
        """TIFF PhotometricInterpretation: 0 white is zero, 1 black is zero, 2 RGB, 3 palette, 6 YCbCr."""
        return self.first(262, 1)

    @property
    def value_bytes(self) -> int:
        """Bytes of one decoded value: 1, 2, 4 or 8."""
        return next((size for size in (1, 2, 4) if self.bits <= 8 * size), 8)

    @property
    def is_full_image(self) -> bool:
        """False for thumbnails, reduced copies and masks."""
        return not self.first(254, 0) & REDUCED_OR_MASK and self.first(255, 1) != 2


@dataclass(frozen=True)
class Layout:
    """What the headers say.

    format: None when the bytes are of no format we read.
    missing: why the pixels cannot all be there yet, None when they can.
    metadata_missing: why something that is not pixels is cut off.
    chunks: where the metadata of a PNG or JPEG lie, as (name, place) in the order of the file.
    zero_tail: bytes at the end of the pixels or of a text where nothing was written yet, it seems: too many to be chance.
    """

    format: Format | None
    pages: tuple[Page, ...] = ()
    missing: str | None = None
    metadata_missing: str | None = None
    zero_tail: int = 0
    warnings: tuple[str, ...] = ()
    chunks: tuple[tuple[str, Span], ...] = ()


def zeros_before(data: bytes, end: int, start: int) -> int:
    """Length of the run of zero bytes that ends at `end` and does not go back beyond `start`."""
    at = end
    while at > start:
        begin = max(start, at - TAIL_BLOCK)
        block = data[begin:at].rstrip(b"\0")
        if block:
            return end - begin - len(block)
        at = begin
    return end - start
