"""The bytes of a PNG in; out come its sound image data unpacked, and the same PNG with them stored as they are.

A PNG is inflated twice: once to know whether it is damaged, which decoders do not tell, and once by the decoder. libdeflate
takes a third of zlib's time for the first, and stored data leave next to nothing of the second.
"""

from __future__ import annotations

import struct
import zlib
from typing import Final

from edge.sem.damage import image_data, png_bytes
from edge.sem.structure import Page

MOST_BYTES: Final = 1 << 24
"""Unpacked. Larger ones are inflated piece by piece: three copies of them would be more memory than `edge.sem.memory` says."""
MOST_STORED: Final = 0xFFFF
"""Bytes of one stored block (RFC 1951, 3.2.4) of a stream (RFC 1950)."""


def sound_rows(data: bytes, page: Page) -> bytes | None:
    """The filtered rows, as long as the image needs; None where `edge.sem.damage.png` has to look closer."""
    import imagecodecs

    needed = png_bytes(data, page)
    chunks = list(image_data(data))
    view = memoryview(data)
    if needed > MOST_BYTES or any(
        zlib.crc32(view[start - 4 : start + length]) != int.from_bytes(view[start + length : start + length + 4], "big")
        for start, length in chunks
    ):
        return None
    packed = b"".join([view[start : start + length] for start, length in chunks])
    try:
        rows = bytes(imagecodecs.deflate_decode(packed, out=needed))
    except (imagecodecs.DeflateError, ValueError, MemoryError):
        return None
    # libdeflate takes no notice of what is left over. There is nothing where the checksum stands at the end, and there alone.
    checksum = struct.pack(">I", zlib.adler32(rows))
    return rows if len(rows) == needed and packed.find(checksum) == len(packed) - 4 else None


def with_stored(data: bytes, rows: bytes) -> bytes:
    """The PNG with `rows` for its image data; `data` itself where these do not lie together or are animated."""
    chunks = list(image_data(data))
    first, last = chunks[0], chunks[-1]
    begin, end = first[0] - 8, sum(last) + 4
    if end - begin != sum(length + 12 for _, length in chunks) or data.find(b"acTL", 0, begin) >= 0:
        return data
    view = memoryview(rows)
    parts: list[bytes | memoryview] = [b"IDAT", b"\x78\x01"]
    for at in range(0, len(rows), MOST_STORED):
        part = view[at : at + MOST_STORED]
        parts += [struct.pack("<BHH", at + len(part) == len(rows), len(part), len(part) ^ 0xFFFF), part]
    parts.append(struct.pack(">I", zlib.adler32(rows)))
    length, checksum = sum(map(len, parts)) - 4, 0
    for piece in parts:
        checksum = zlib.crc32(piece, checksum)
    return b"".join([data[:begin], struct.pack(">I", length), *parts, struct.pack(">I", checksum), data[end:]])
