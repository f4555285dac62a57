"""The bytes of a BMP in; out comes how it is laid out."""

from __future__ import annotations

import struct

from edge.sem.structure.page import Layout, Page


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
    page = Page(abs(width), abs(height), 1 if bits <= 8 and _is_grey(data[14 + header : pixels_at], header) else 3, bits)
    row_bytes = (abs(width) * bits + 31) // 32 * 4
    packed = compression in (0, 3, 6)
    needed = pixels_at + row_bytes * abs(height) if packed else declared
    if needed > len(data):
        return Layout("bmp", (page,), f"{needed} bytes are needed, the file has {len(data)}")
    return Layout("bmp", (page,))


def _is_grey(palette: bytes, header: int) -> bool:
    """Whether all colours are greys; entries are blue, green, red and, but for the oldest header, one byte more."""
    step = 3 if header == 12 else 4
    colours = palette[: 256 * step]
    return colours[0::step] == colours[1::step] == colours[2::step]
