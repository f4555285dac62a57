"""One strip or tile of a TIFF in; its bytes out, never more than it may have, and what speaks for damage in it."""

from __future__ import annotations

import re
import zlib
from typing import Final

from edge.errors import ImageError
from edge.sem import lzw

NONE, LZW, DEFLATE, OLD_DEFLATE, PACKBITS, ZSTD = 1, 5, 8, 32946, 32773, 50000
UNPACKED: Final = frozenset({NONE, LZW, DEFLATE, OLD_DEFLATE, PACKBITS, ZSTD})
"""Values of the tag Compression that are unpacked here."""
SURPLUS: Final = 1 << 20
"""Bytes that a strip may be too long by; they are not looked at, and are said."""
_NO_RUNS: Final = re.compile(rb"\0{64}|\xff{64}")
"""PackBits' literals of one byte or pairs of 255 again and again, which an encoder writes as one run; in Zstandard's
literals, what an encoder writes as a repetition. Neither has a checksum that is always there."""


def unpack(packed: bytes, compression: int, needed: int, most: int) -> tuple[bytes, str | None]:
    """The bytes, and why the segment is damaged; None where nothing speaks for it.

    needed: bytes of the rows that the page has.  most: bytes of the whole segment, rows below the page included.
    Raises ImageError "damaged" when it unpacks to far more, and whatever the libraries raise for what they cannot unpack.
    """
    fault: str | None = None
    if compression == NONE:
        unpacked = packed
    elif compression in (DEFLATE, OLD_DEFLATE):
        unpacked, fault = _inflate(packed, most)
    elif compression == LZW:
        unpacked, fault = _lzw(packed, most)
    elif compression == PACKBITS:
        import imagecodecs

        unpacked = bytes(imagecodecs.packbits_decode(packed, out=most + SURPLUS))
        fault = "runs that no encoder writes" if _NO_RUNS.search(packed) else None
    else:
        import imagecodecs

        unpacked = bytes(imagecodecs.zstd_decode(packed, out=most + SURPLUS))
        fault = "runs that no encoder writes" if _NO_RUNS.search(packed) else None
    if fault is None and not needed <= len(unpacked) <= most:
        fault = f"{len(unpacked)} bytes, {needed} are needed"
    return unpacked, fault


def _inflate(packed: bytes, most: int) -> tuple[bytes, str | None]:
    """As `unpack`, for zlib's format (RFC 1950), whose checksum is at its end. Raises zlib.error."""
    stream = zlib.decompressobj()
    unpacked = stream.decompress(packed, most + SURPLUS)
    return unpacked, None if stream.eof or len(unpacked) > most else "the stream has no end"


def _lzw(packed: bytes, most: int) -> tuple[bytes, str | None]:
    """As `unpack`.

    Told how much to expand, the LZW decoder of imagecodecs (2025.3.30) writes beyond its buffer where a damaged stream is
    longer, and kills the process; not told, it checks the stream first and sizes the buffer, however large.
    """
    import imagecodecs

    length, fault = lzw.look(packed)
    if length > most + SURPLUS:
        raise ImageError("damaged", f"a strip unpacks to {length} bytes where {most} are the most; export the image again")
    return bytes(imagecodecs.lzw_decode(packed)), fault
