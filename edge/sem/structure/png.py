"""The bytes of a PNG (ISO/IEC 15948) in; out comes how it is laid out."""

from __future__ import annotations

import struct
from dataclasses import replace
from typing import Final

from edge.sem.structure.page import MAX_CHUNKS, MAX_PARTS, TRAILER, Layout, Page, Span

PNG_MAGIC: Final = b"\x89PNG\r\n\x1a\n"
SMALL: Final = 256  # bytes; writers fill chunks of 8 KiB
CHANNELS: Final = {0: 1, 2: 3, 3: 3, 4: 2, 6: 4}
IEND_CRC: Final = b"\xaeB`\x82"  # of a chunk without content


def png_layout(data: bytes) -> Layout:
    """Layout of bytes that begin with `PNG_MAGIC`. Its chunks are the ancillary ones and what lies behind the last."""
    if len(data) < 33:
        return Layout("png", missing=f"the PNG header ends after {len(data)} bytes")
    width, height, bits, colour = struct.unpack(">IIBB", data[16:26])
    layout = Layout("png", (Page(width, height, CHANNELS.get(colour, 4), bits),))
    chunks: list[tuple[str, Span]] = []
    at, small = len(PNG_MAGIC), 0
    while at + 8 <= len(data):
        length, name = struct.unpack(">I4s", data[at : at + 8])
        if not name.isalpha():
            return replace(layout, missing=f"no chunk begins at byte {at}: the rest has not been written")
        small += length < SMALL
        if small > MAX_PARTS:
            warning = f"header_damaged: over {MAX_PARTS} chunks of under {SMALL} bytes: the rest was not read"
            return replace(layout, pages=(), warnings=(warning,), chunks=tuple(chunks))
        content = Span(at + 8, length)
        at += 12 + length
        if name == b"IEND":
            if at > len(data):
                return replace(layout, missing="the IEND chunk is cut off", chunks=tuple(chunks))
            if data[at - 4 : at] != IEND_CRC:
                return replace(layout, metadata_missing="the IEND chunk has no check sum yet", chunks=tuple(chunks))
            trailer = ((TRAILER, Span(at, len(data) - at)),) if at < len(data) else ()
            return replace(layout, chunks=(*chunks, *trailer))
        if name[:1].islower() and at <= len(data) and len(chunks) < MAX_CHUNKS:  # lower case: not needed for the pixels
            chunks.append((name.decode("ascii"), content))
    return replace(layout, missing=f"no IEND chunk within {len(data)} bytes", chunks=tuple(chunks))
