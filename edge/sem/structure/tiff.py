"""The bytes of a TIFF 6.0 or BigTIFF in; out comes how it is laid out: pages, tags, strips and tiles."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from edge.sem.structure.page import Layout, Page, Span, zeros_before

TIFF_MAGICS: Final = {b"II*\0": "<", b"MM\0*": ">", b"II+\0": "<", b"MM\0+": ">"}

# Bytes a value of each TIFF type; type 13 (IFD) and 16 to 18 (BigTIFF) included.
TYPE_SIZE: Final = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
TYPE_CODE: Final = {1: "u1", 3: "u2", 4: "u4", 6: "i1", 7: "u1", 8: "i2", 9: "i4", 11: "f4", 12: "f8", 13: "u4", 16: "u8",
                    17: "i8", 18: "u8"}  # fmt: skip

MAX_PAGES: Final = 256
MAX_TAGS: Final = 1000  # of a page; real ones have under a hundred
MAX_SEGMENTS: Final = 1 << 22  # strips or tiles of a page: 300 megapixels in tiles of 16x16 are a third of that
OVERLAP: Final = 4
"""Tables that are so many times larger than the file lie on one another; some writers share one among a few pages."""
LEAST_TABLES: Final = 1 << 16
"""Bytes of tables that are read from the smallest file."""


@dataclass
class _Tiff:
    """How the numbers of one TIFF are stored.

    taken: bytes of tables that were read, those that were read again too.  texts: where those lie that were looked through.
    """

    data: bytes
    order: str
    big: bool
    taken: int = 0
    texts: set[tuple[int, int]] = field(default_factory=set)
    text_bytes: int = 0

    def is_new_text(self, at: int, size: int) -> bool:
        """Whether a text is to be looked through: once, though all pages share it, and no more of all than the file is long."""
        if (at, size) in self.texts or self.text_bytes + size > len(self.data):
            return False
        self.texts.add((at, size))
        self.text_bytes += size
        return True

    def take(self, size: int) -> bool:
        """Whether the list of tags or values of `size` bytes may still be read: looking takes no longer than the file is."""
        self.taken += size
        return self.taken <= max(LEAST_TABLES, OVERLAP * len(self.data))

    def number(self, at: int, size: int) -> int:
        return int.from_bytes(self.data[at : at + size], "little" if self.order == "<" else "big")

    def entries(self, at: int) -> Iterator[tuple[int, int, int, int]]:
        """(tag, type, count, where the value lies) of the IFD at `at`."""
        head, entry, word = (8, 20, 8) if self.big else (2, 12, 4)
        for index in range(self.number(at, head)):
            here = at + head + index * entry
            tag, kind, count = self.number(here, 2), self.number(here + 2, 2), self.number(here + 4, word)
            inline = TYPE_SIZE.get(kind, 1) * count <= word
            yield tag, kind, count, here + 4 + word if inline else self.number(here + 4 + word, word)

    def values(self, kind: int, count: int, at: int) -> NDArray[Any]:
        return np.frombuffer(self.data, np.dtype(self.order + TYPE_CODE[kind]), count, at)


@dataclass
class _Ifd:
    """One IFD while it is being read; `missing` and `metadata_missing` as in `Layout`. damage: why it is not read on."""

    numbers: dict[int, tuple[float, ...]] = field(default_factory=dict)
    arrays: dict[int, NDArray[Any]] = field(default_factory=dict)
    texts: dict[int, Span] = field(default_factory=dict)
    missing: str | None = None
    metadata_missing: str | None = None
    damage: str | None = None


WIDTH, LENGTH, BITS, COMPRESSION, PHOTOMETRIC, STRIP_OFFSETS, SAMPLES = 256, 257, 258, 259, 262, 273, 277
ROWS_PER_STRIP, STRIP_COUNTS, PLANAR, TILE_WIDTH, TILE_LENGTH, TILE_OFFSETS, TILE_COUNTS = 278, 279, 284, 322, 323, 324, 325
PIXEL_TAGS: Final = frozenset({WIDTH, LENGTH, BITS, COMPRESSION, PHOTOMETRIC, STRIP_OFFSETS, SAMPLES, ROWS_PER_STRIP,
                               STRIP_COUNTS, PLANAR, TILE_WIDTH, TILE_LENGTH, TILE_OFFSETS, TILE_COUNTS, 320, 347})  # fmt: skip

ZEROS, UNWRITTEN = bytes(64), b"\xff" * 64
"""What no text holds: so much of nothing, before more text or, as some file systems have it, at all."""
POINTERS: Final = (330, 34665)  # SubIFDs, EXIF


def tiff_layout(data: bytes) -> Layout:
    """Layout of bytes that begin with one of `TIFF_MAGICS`."""
    order = TIFF_MAGICS[data[:4]]
    tiff = _Tiff(data, order, big=data[2:4] in (b"+\0", b"\0+"))
    head, entry, word = (8, 20, 8) if tiff.big else (2, 12, 4)
    start = 8 if tiff.big else 4
    if len(data) < start + word:
        return Layout("tiff", missing=f"the TIFF header ends after {len(data)} bytes")
    pages: list[Page] = []
    warnings: list[str] = []
    metadata_missing = None
    extents: list[tuple[int, int, bool]] = []
    seen: set[int] = set()
    at = tiff.number(start, word)
    while at:
        if at in seen:
            warnings.append("ifd_loop: the list of pages leads back to an earlier page and was cut there")
            break
        if len(seen) >= MAX_PAGES:
            warnings.append(f"pages_many: only the first {MAX_PAGES} pages are read")
            break
        seen.add(at)
        end = at + head + tiff.number(at, head) * entry
        if at + head > len(data) or end + word > len(data):
            return Layout("tiff", tuple(pages), f"page {len(pages)} is listed at byte {at}, the file has {len(data)}")
        if tiff.number(at, head) > MAX_TAGS:
            warnings.append(f"ifd_damaged: {tiff.number(at, head)} tags at byte {at}: the list of pages was cut there")
            break
        ifd = _ifd(tiff, at)
        if ifd.damage:
            warnings.append(f"ifd_damaged: {ifd.damage}: the list of pages was cut there")
            break
        metadata_missing = metadata_missing or ifd.metadata_missing
        if WIDTH in ifd.numbers and LENGTH in ifd.numbers:
            page = replace(_page(ifd, at), in_place=_in_place(tiff, ifd))
            pages.append(page)
            missing = ifd.missing or _segments(data, page, ifd, extents)
            if missing:
                return Layout("tiff", tuple(pages), f"page {len(pages) - 1}: {missing}", metadata_missing, 0, tuple(warnings))
        elif ifd.missing:
            return Layout("tiff", tuple(pages), f"page {len(pages)}: {ifd.missing}")
        at = tiff.number(end, word)
    if not pages and not at:
        # A writer that puts its IFD last leaves the pointer to it zero until it is done.
        return Layout("tiff", (), "no page of the TIFF has a size yet")
    return Layout(
        "tiff", tuple(pages), None, metadata_missing, _zero_tail(data, extents) or _text_tail(data, pages), tuple(warnings)
    )


def _ifd(tiff: _Tiff, at: int) -> _Ifd:
    ifd = _Ifd()
    size = len(tiff.data)
    for tag, kind, count, where in tiff.entries(at):
        width = TYPE_SIZE.get(kind)
        if not tiff.take(12):
            ifd.damage = f"the tables of {len(tiff.data)} bytes lie on one another"
            return ifd
        if width is None or count == 0:
            continue
        if where + width * count > size:
            message = f"the value of tag {tag} ends at byte {where + width * count}, the file has {size}"
            if tag in PIXEL_TAGS:
                ifd.missing = ifd.missing or message
            else:
                ifd.metadata_missing = ifd.metadata_missing or message
            continue
        if kind in (1, 2, 7) and tag not in PIXEL_TAGS:
            ifd.texts.setdefault(tag, Span(where, count))
            if ifd.metadata_missing is None and tiff.is_new_text(where, count):
                ifd.metadata_missing = _hole(tiff.data, tag, where, where + count)
        elif kind in (5, 10):
            pairs = np.frombuffer(tiff.data, np.dtype(tiff.order + ("u4" if kind == 5 else "i4")), 2 * min(count, 4), where)
            ratios = [float(top) / float(low) if low else 0.0 for top, low in pairs.reshape(-1, 2)]
            ifd.numbers.setdefault(tag, tuple(ratios))
        elif kind in TYPE_CODE:
            if (tag in PIXEL_TAGS or tag in POINTERS) and (count > MAX_SEGMENTS or not tiff.take(width * count)):
                ifd.damage = f"{count} values of tag {tag}"
                return ifd
            values = tiff.values(kind, count, where)
            if values.dtype.kind != "f":
                ifd.arrays.setdefault(tag, values)
            ifd.numbers.setdefault(tag, tuple(values[:16].tolist()))
            if tag in POINTERS and int(values.max()) >= size:
                ifd.metadata_missing = ifd.metadata_missing or f"tag {tag} points to byte {int(values.max())} of {size}"
    return ifd


def _hole(data: bytes, tag: int, start: int, end: int) -> str | None:
    """Why a text is not written to its end yet, None where it is: a long stretch of it is empty, and it goes on behind.

    Tags of bytes hold texts too; what does not begin as one has zeros of its own.
    """
    if (
        not data[start : min(end, start + 16)]
        .decode("latin-1")
        .replace("\r", "")
        .replace("\n", "")
        .replace("\t", "")
        .isprintable()
    ):
        return None
    if data.find(UNWRITTEN, start, end) >= 0:
        return f"the text of tag {tag} has a hole"
    zeros = data.find(ZEROS, start, end)
    if zeros >= 0 and data[zeros:end].strip(b"\0"):
        return f"the text of tag {tag} has a hole at byte {zeros}"
    return None


def _text_tail(data: bytes, pages: list[Page]) -> int:
    """Zero bytes at the end of a text: padding, which is rare, or a file that is still being written."""
    for page in pages:
        for place in page.tags.values():
            end = place.start + place.length
            if (
                place.length > len(ZEROS)
                and data.endswith(ZEROS, place.start, end)
                and data[place.start : place.start + 1].isascii()
            ):
                return len(ZEROS)
    return 0


def _page(ifd: _Ifd, at: int) -> Page:
    first = {tag: int(values[0]) for tag, values in ifd.numbers.items() if values and np.isfinite(values[0])}
    return Page(
        width=first.get(WIDTH, 0),
        height=first.get(LENGTH, 0),
        channels=first.get(SAMPLES, 1),
        bits=first.get(BITS, 1),
        offset=at,
        tags=ifd.texts,
        numbers=ifd.numbers,
    )


def _in_place(tiff: _Tiff, ifd: _Ifd) -> bool:
    """Whether the values of a page lie one after another in the file, as this machine stores them."""
    native = tiff.order == ("<" if sys.byteorder == "little" else ">")
    numbers = {tag: int(values[0]) for tag, values in ifd.numbers.items() if values and np.isfinite(values[0])}
    bits = numbers.get(BITS, 1)
    offsets, counts = ifd.arrays.get(STRIP_OFFSETS), ifd.arrays.get(STRIP_COUNTS)
    plain = numbers.get(COMPRESSION, 1) == numbers.get(317, 1) == 1 and numbers.get(PHOTOMETRIC, 1) != 6
    final = bits == 8 or (native and bits in (16, 32, 64))
    if offsets is None or TILE_OFFSETS in ifd.arrays or not plain or not final:
        return False
    if len(offsets) == 1:
        return int(offsets[0]) % (bits // 8) == 0
    if counts is None or len(counts) != len(offsets):
        return False
    ends = offsets.astype(np.uint64) + counts.astype(np.uint64)
    return bool((ends[:-1] == offsets[1:]).all()) and int(offsets[0]) % (bits // 8) == 0


def _segments(data: bytes, page: Page, ifd: _Ifd, extents: list[tuple[int, int, bool]]) -> str | None:
    """Why strips or tiles of this page are not all there; appends (start, end, compressed) of the last one."""
    tiled = TILE_OFFSETS in ifd.arrays
    offsets = ifd.arrays.get(TILE_OFFSETS if tiled else STRIP_OFFSETS)
    counts = ifd.arrays.get(TILE_COUNTS if tiled else STRIP_COUNTS)
    compressed = page.first(COMPRESSION, 1) != 1
    if page.width <= 0 or page.height <= 0 or offsets is None:
        return None  # not unfinished but wrong: the decoder will say what
    row_bytes = (page.width * page.channels * page.bits + 7) // 8
    if counts is None:
        if compressed or len(offsets) != 1:
            return None
        counts = np.array([row_bytes * page.height], np.uint64)
    kind = "tile" if tiled else "strip"
    length = min(len(offsets), len(counts))
    starts, sizes = offsets[:length].astype(np.uint64), counts[:length].astype(np.uint64)
    if length == 0:
        return None
    if bool((sizes == 0).any()) or bool((starts == 0).any()):
        return f"a {kind} has no data yet"
    ends = starts + sizes
    last = int(ends.argmax())
    if int(ends[last]) > len(data) or int(starts.max()) > len(data) or bool((ends < starts).any()):
        return f"a {kind} ends at byte {int(ends[last])}, the file has {len(data)}"
    if not compressed and not tiled and page.photometric != 6 and int(sizes.sum()) < row_bytes * page.height:
        return f"{int(sizes.sum())} bytes of pixels, {row_bytes * page.height} are needed"
    extents.append((int(starts[last]), int(ends[last]), compressed))
    return None


def _zero_tail(data: bytes, extents: list[tuple[int, int, bool]]) -> int:
    if not extents:
        return 0
    start, end, compressed = max(extents, key=lambda extent: extent[1])
    # No codec ends a finished segment with a long run of zeros. Plain pixels are looked at where they are decoded.
    zeros = zeros_before(data, end, start) if compressed else 0
    return zeros if zeros >= 64 else 0
