"""The bytes of a JPEG (ITU-T T.81, Annex B) in; out comes how it is laid out."""

from __future__ import annotations

import re
import struct
from dataclasses import replace
from typing import Final

import numpy as np

from edge.sem.structure.page import MAX_CHUNKS, MAX_PARTS, TRAILER, Layout, Page, Span

METADATA: Final = {**{0xE0 + number: f"APP{number}" for number in range(16)}, 0xFE: "COM"}
FEW_SCANS: Final = 64
MANY_SCANS: Final = 1000
_AFTER_CODES: Final = re.compile(rb"\xff[^\0\x01\xd0-\xd7\xff]", re.DOTALL)


def jpeg_layout(data: bytes) -> Layout:
    """Layout of bytes that begin with a JPEG's start of image.

    Its chunks are the comments (COM), the application segments (APP0 to APP15) and what lies behind the end of image.
    """
    at, page, parts = 2, None, 0
    chunks: list[tuple[str, Span]] = []
    while at + 4 <= len(data):
        if data[at] != 0xFF:
            return Layout("jpeg", (page,) if page else (), f"no marker at byte {at}" if not data[at:].strip(b"\0") else None)
        marker = data[at + 1]
        if marker == 0xFF:  # padding
            at = _after_padding(data, at) - 1
            continue
        parts += 1
        if parts > MAX_PARTS:
            warning = f"header_damaged: over {MAX_PARTS} segments before the first scan: the rest was not read"
            return Layout("jpeg", (page,) if page else (), warnings=(warning,), chunks=tuple(chunks))
        if 0xD0 <= marker <= 0xD8 or marker == 0x01:  # without a length
            at += 2
            continue
        length = struct.unpack(">H", data[at + 2 : at + 4])[0]
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC) and at + 10 <= len(data):
            bits, height, width, channels = struct.unpack(">BHHB", data[at + 4 : at + 10])
            page = Page(width, height, channels, bits, process=marker)
        content = Span(at + 4, length - 2)
        at += 2 + length
        if marker in METADATA and content.length > 0 and at <= len(data) and len(chunks) < MAX_CHUNKS:
            chunks.append((METADATA[marker], content))
        if marker == 0xDA:
            pages = (replace(page, scans=_scans(data, at)),) if page else ()
            # Inside entropy-coded data FF is followed by 00 or RSTn, so FF D9 after the first scan is the real end.
            end = data.find(b"\xff\xd9", at)
            if end < 0:
                return Layout("jpeg", pages, "no end-of-image marker", chunks=tuple(chunks))
            if end + 2 < len(data):
                chunks.append((TRAILER, Span(end + 2, len(data) - end - 2)))
            return Layout("jpeg", pages, chunks=tuple(chunks))
    return Layout("jpeg", (page,) if page else (), f"the JPEG header ends after {len(data)} bytes")


def _scans(data: bytes, at: int) -> int:
    """How many scans there are, the first of which has its codes from `at` on; no more than `MANY_SCANS` are counted.

    Few are counted quickly, and with them what looks like one in other segments.
    """
    count = 1 + data.count(b"\xff\xda", at)
    if count <= FEW_SCANS:
        return count
    count = 1
    while count < MANY_SCANS and (found := _AFTER_CODES.search(data, at)):
        marker, at = data[found.end() - 1], found.end()
        if marker == 0xD9:
            break
        count += marker == 0xDA
        at += int.from_bytes(data[at : at + 2], "big")
    return count


def _after_padding(data: bytes, at: int) -> int:
    """The first byte from `at` on that is not FF, or the end: in blocks that grow, for padding may be long or often short."""
    size = 64
    while at < len(data):
        other = np.frombuffer(data, np.uint8, min(size, len(data) - at), at) != 0xFF
        first = int(other.argmax())
        if other[first]:
            return at + first
        at += len(other)
        size = min(2 * size, 1 << 20)
    return len(data)
