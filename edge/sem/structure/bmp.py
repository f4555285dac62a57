"""The bytes of a BMP in; out comes how it is laid out."""

from __future__ import annotations

import struct
from typing import Final

import numpy as np

from edge.sem.structure.page import Layout, Page

SHORTEST_HOLE: Final = 8
SHORTEST_TAIL: Final = 32
HOLE: Final = "damaged: a stretch of the table of greys is empty"


def bmp_layout(data: bytes) -> Layout:
    """Layout of bytes that begin with BM."""
    if len(data) < 26:
        return Layout("bmp", missing=f"the BMP header ends after {len(data)} bytes")
    declared, _reserved, pixels_at, header = struct.unpack("<IIII", data[2:18])
    if header == 12:
        width, height, _planes, bits = struct.unpack("<HHHH", data[18:26])
        compression = 0
    elif header >= 40:
        if len(data) < 34:
            return Layout("bmp", missing=f"the BMP header ends after {len(data)} bytes")
        width, height, _planes, bits, compression = struct.unpack("<iiHHI", data[18:34])
    else:
        return Layout(None)
    palette = data[14 + header : pixels_at] if bits <= 8 else b""
    page = Page(abs(width), abs(height), 1 if palette and _is_grey(palette, header) else 3, bits)
    row_bytes = (abs(width) * bits + 31) // 32 * 4
    packed = compression in (0, 3, 6)
    needed = pixels_at + row_bytes * abs(height) if packed else declared
    if needed > len(data):
        return Layout("bmp", (page,), f"{needed} bytes are needed, the file has {len(data)}")
    if height > 0 and data[-SHORTEST_TAIL:] in (bytes(SHORTEST_TAIL), b"\xff" * SHORTEST_TAIL) and packed:
        # The upper row comes last, where no data bar is.
        return Layout("bmp", (page,), zero_tail=SHORTEST_TAIL)
    doubts = (HOLE,) if _has_hole(palette, header) else ()
    return Layout("bmp", (page,), warnings=doubts)


def _has_hole(palette: bytes, header: int) -> bool:
    """Whether a stretch of entries is all 0 or all 255, and what follows or comes before is far from it.

    That is how a table looks that is not written to its end yet. The greys of a stretched contrast run into black and white
    without a jump, and what is unused at the end of a table is no stretch in it.
    """
    step = 3 if header == 12 else 4
    blues = np.frombuffer(palette[: 256 * step], np.uint8)[::step].astype(np.int32)
    for value in (0, 255):
        edges = np.flatnonzero(np.diff((blues == value).astype(np.int8), prepend=0, append=0))
        for first, after in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
            if after - first < SHORTEST_HOLE:
                continue
            beside = [] if after == len(blues) else [*blues[first - 1 : first].tolist(), int(blues[after])]
            if any(blue not in (0, 255) and abs(blue - value) > (after - first) // 2 for blue in beside):
                return True
    return False


def _is_grey(palette: bytes, header: int) -> bool:
    """Whether all colours are greys; entries are blue, green, red and, but for the oldest header, one byte more."""
    step = 3 if header == 12 else 4
    colours = palette[: 256 * step]
    return colours[0::step] == colours[1::step] == colours[2::step]
