"""A strip compressed by TIFF's LZW in; out comes how long it is unpacked and what no encoder would have written.

LZW has no checksum, so most changed bytes still unpack to something. But an encoder always takes the longest string that
its table has (TIFF 6.0, section 13). So no string is ever entered twice, and a changed stretch soon enters one twice.
Nothing is unpacked here: a kilobyte can stand for megabytes.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

Codes = NDArray[np.int64]

CLEAR, END, FIRST_ENTRY, TABLE = 256, 257, 258, 4096
MOST_CODES: Final = TABLE - FIRST_ENTRY + 1
"""Codes that fill a table: the first after a Clear enters nothing."""


def _widths() -> Codes:
    """Bits of each code after a Clear: they grow one entry early, as TIFF has it."""
    entries = FIRST_ENTRY + np.maximum(np.arange(MOST_CODES) - 1, 0)
    return np.asarray(9 + (entries >= 511) + (entries >= 1023) + (entries >= 2047), np.int64)


WIDTHS: Final = _widths()
OFFSETS: Final = np.concatenate([[0], WIDTHS.cumsum()])


def look(packed: bytes) -> tuple[int, str | None]:
    """Bytes that `packed` unpacks to, and why it is damaged, None where nothing speaks for it."""
    if len(packed) < 2 or packed[0] != 0x80 or packed[1] & 0x80:
        return 0, "it does not begin with a Clear code"
    raw = np.frombuffer(packed + bytes(4), np.uint8)
    end = 8 * len(packed)
    seen = np.empty(TABLE * 256, np.int32)
    at, total = 9, 0
    while at < end:
        codes = _codes(raw, at, end, OFFSETS)
        stops = np.flatnonzero((codes == CLEAR) | (codes == END))
        stop = int(stops[0]) if len(stops) else len(codes)
        length, fault = _table(codes[:stop], seen)
        if fault:
            return total + length, fault
        total += length
        if len(stops):
            if codes[stop] == END:
                return total, None
            at += int(OFFSETS[stop + 1])
            continue
        if len(codes) < MOST_CODES:
            return total, None  # the stream ends without an end code
        return total, "a table has overflowed"
    return total, None


def _codes(raw: NDArray[np.uint8], at: int, end: int, offsets: Codes) -> Codes:
    """The codes from bit `at` on until the table is full or the stream ends at bit `end`."""
    count = int(np.searchsorted(offsets, end - at, side="right")) - 1
    begin = at + offsets[:count]
    first = begin >> 3
    words = raw[first].astype(np.int64) << 16 | raw[first + 1].astype(np.int64) << 8 | raw[first + 2]
    widths = WIDTHS[:count]
    return np.asarray(words >> (24 - (begin & 7) - widths) & ((1 << widths) - 1), np.int64)


def _table(codes: Codes, seen: NDArray[np.int32]) -> tuple[int, str | None]:
    """Bytes that the codes between two Clears stand for, and why no encoder has written them. seen: room to work in."""
    if not len(codes):
        return 0, None
    known = FIRST_ENTRY + np.arange(len(codes))
    if codes[0] >= CLEAR or bool((codes[1:] >= known[1:]).any()):
        return 0, "a code stands for nothing"
    # An entry is the string of its code and one byte more: lengths and first bytes by following codes to single bytes.
    parent = np.concatenate([np.zeros(FIRST_ENTRY, np.int64), codes])
    parent[:CLEAR] = np.arange(CLEAR)
    length = np.concatenate([np.zeros(FIRST_ENTRY, np.int64), np.ones(len(codes), np.int64)])
    while int(parent.max()) >= FIRST_ENTRY:
        length += length[parent]
        parent = parent[parent]
    first = parent[codes]
    total = int((length[codes] + 1).sum())
    pairs = codes[:-1] * 256 + first[1:]
    numbers = np.arange(len(pairs), dtype=np.int32)
    seen[pairs] = numbers
    if not np.array_equal(seen[pairs], numbers):
        return total, "a string was entered twice"
    return total, None
