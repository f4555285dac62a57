"""The bytes of a JPEG or PNG in; out comes what speaks for damage in its compressed pixels, which decoders pass over.

A decoder makes an image of whatever it gets: libjpeg goes on after a stretch that it cannot decode and says so only in
warnings, which OpenCV and imagecodecs drop.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator
from typing import Final

from edge.sem.structure import Page, layout

_OF_HEADERS: Final = ("JFIF", "Adobe", "ICC")
"""In libjpeg's warnings of application segments (jerror.h), which nobody minds."""
_NOT_TRIED: Final = "subsampling level"
"""In the refusal of channels of rare sizes, before any code is read."""
_NO_CODES: Final = re.compile(rb"\xff\xff+\0|\0{24,}")
PNG_PIECE: Final = 1 << 20
_PASSES: Final = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
"""Adam7 (ISO/IEC 15948, 8.2): first column and row, steps across and down."""


def jpeg(data: bytes, tables: bytes = b"") -> str | None:
    """Why the entropy-coded data of a JPEG are damaged, None where nothing speaks for it.

    tables: the tables of an abbreviated stream, as the TIFF tag JPEGTables has them.
    """
    if len(tables) > 4 and tables.startswith(b"\xff\xd8"):
        data = data[:2] + tables[2:].removesuffix(b"\xff\xd9") + data[2:]
    fault = _decoded(data)
    if fault and any(mark in fault for mark in _OF_HEADERS):
        fault = _decoded(_without_applications(data))
    return fault or _no_codes(data)


def _decoded(data: bytes) -> str | None:
    """The first warning or error of libjpeg, at an eighth of the size: all codes are read, hardly a pixel is made."""
    import simplejpeg

    try:
        simplejpeg.decode_jpeg(data, "GRAY", fastdct=True, fastupsample=True, min_factor=8, strict=True)
    except ValueError as error:
        return None if _NOT_TRIED in str(error) else str(error).strip().rstrip(".")
    return None


def _without_applications(data: bytes) -> bytes:
    parts, at = [], 0
    for name, (start, length) in layout(data).chunks:
        if name.startswith("APP"):
            parts.append(data[at : start - 4])
            at = start + length
    return b"".join([*parts, data[at:]])


def _no_codes(data: bytes) -> str | None:
    """Why some bytes of the scans cannot be codes of an image.

    A stretch of zeros is valid: the shortest code again and again. But unless that code ends a block, no picture
    has block after block with the same step in each of its coefficients.
    """
    begin = data.find(b"\xff\xda")
    if begin < 0 or not _NO_CODES.search(data, begin, max(begin, data.find(b"\xff\xd9", begin))):
        return None
    for first, end, blocks_end in _scans(data):
        for found in _NO_CODES.finditer(data, first, end):
            if found.group().startswith(b"\xff"):
                return f"a code is broken at byte {found.start()}"
            if not blocks_end:
                return f"{len(found.group())} bytes at byte {found.start()} are zero"
    return None


def _scans(data: bytes) -> Iterator[tuple[int, int, bool]]:
    """Of each scan its first byte, its end, and whether its codes of zeros alone mean that nothing is there."""
    at = 2
    shortest: dict[int, int] = {}  # symbol of the shortest code, all zeros, by class and number of the table
    while at + 4 <= len(data):
        marker = data[at + 1]
        if data[at] != 0xFF or marker == 0xD9:
            return
        if marker == 0xFF or 0xD0 <= marker <= 0xD8 or marker == 0x01:
            at += 1 if marker == 0xFF else 2
            continue
        segment = data[at + 4 : at + 2 + struct.unpack(">H", data[at + 2 : at + 4])[0]]
        at += 4 + len(segment)
        if marker == 0xC4:
            while len(segment) > 17:
                shortest[segment[0]] = segment[17]
                segment = segment[17 + sum(segment[1:17]) :]
        elif marker == 0xDA:
            end = _scan_end(data, at)
            yield at, end, _means_nothing(segment, shortest)
            at = end


_SCAN_END: Final = re.compile(rb"\xff[^\0\xd0-\xd7\xff]", re.DOTALL)


def _scan_end(data: bytes, at: int) -> int:
    found = _SCAN_END.search(data, at)
    return len(data) if found is None else found.start()


def _means_nothing(header: bytes, shortest: dict[int, int]) -> bool:
    """Whether zeros alone may be codes of this scan (T.81, B.2.3): blocks without coefficients, or bits of refinement."""
    count = header[0] if header else 0
    if len(header) < 4 + 2 * count or header[3 + 2 * count] >> 4:
        return True
    selected = [header[2 + 2 * index] for index in range(count)]
    if not header[2 + 2 * count]:  # DC alone
        return all(shortest.get(tables >> 4, 0) < 2 for tables in selected)
    symbols = [shortest.get(0x10 | tables & 15, 0) for tables in selected]
    return not any(symbol & 15 or symbol == 0xF0 for symbol in symbols)


def png(data: bytes, page: Page) -> str | None:
    """Why the image data of a PNG are damaged, None where nothing speaks for it: checksums, length, end."""
    needed = png_bytes(data, page)
    stream, unpacked = zlib.decompressobj(), 0
    for start, length in image_data(data):
        written = int.from_bytes(data[start + length : start + length + 4], "big")
        if zlib.crc32(memoryview(data)[start - 4 : start + length]) != written:
            return f"the checksum of the chunk at byte {start - 8} is wrong"
        packed = data[start : start + length]
        if stream.eof and packed:
            return f"{length} bytes at byte {start} are left over"
        try:
            while not stream.eof:
                rows = stream.decompress(packed, PNG_PIECE)
                packed = stream.unconsumed_tail
                unpacked += len(rows)
                if unpacked > needed:
                    return f"more than the {needed} bytes of the image"
                # What did not fit into a piece is still inside, also where all of the chunk has been taken in.
                if not packed and len(rows) < PNG_PIECE:
                    break
        except zlib.error as error:
            return str(error)
    if stream.unused_data:
        return f"{len(stream.unused_data)} bytes behind the image data are left over"
    if not stream.eof or unpacked != needed:
        return f"{unpacked} bytes unpacked, {needed} are needed" if unpacked != needed else "the image data have no end"
    return None


def image_data(data: bytes) -> Iterator[tuple[int, int]]:
    """First byte and length of the content of each IDAT chunk."""
    at = 8
    while at + 12 <= len(data):
        length, name = struct.unpack(">I4s", data[at : at + 8])
        if name == b"IEND" or at + 12 + length > len(data):
            return
        if name == b"IDAT":
            yield at + 8, length
        at += 12 + length


def png_bytes(data: bytes, page: Page) -> int:
    """Bytes of the filtered rows of a PNG's image (8.1, 9.1)."""
    palette, interlaced = data[25] == 3, data[28] != 0
    bits = page.bits if palette else page.bits * page.channels
    passes = _PASSES if interlaced else ((0, 0, 1, 1),)
    total = 0
    for left, top, across, down in passes:
        columns = -(-(page.width - left) // across)
        rows = -(-(page.height - top) // down)
        if columns > 0 and rows > 0:
            total += rows * (1 + (columns * bits + 7) // 8)
    return total
