"""The bytes of an image file in; out comes how the file is laid out and whether all of it is there, no pixel decoded.

Sizes are known here before anything is allocated, and nothing outside the bytes is ever followed. TIFF 6.0 and
BigTIFF, PNG (ISO/IEC 15948), JPEG (ITU-T T.81, Annex B) and BMP. `layout` never raises, whatever the bytes are.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

Format = Literal["tiff", "png", "jpeg", "bmp"]

PNG_MAGIC: Final = b"\x89PNG\r\n\x1a\n"
TIFF_MAGICS: Final = {b"II*\0": "<", b"MM\0*": ">", b"II+\0": "<", b"MM\0+": ">"}
MAGICS: Final = (*TIFF_MAGICS, PNG_MAGIC, b"\xff\xd8\xff", b"BM")

# Bytes a value of each TIFF type; type 13 (IFD) and 16 to 18 (BigTIFF) included.
TYPE_SIZE: Final = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
TYPE_CODE: Final = {1: "u1", 3: "u2", 4: "u4", 6: "i1", 7: "u1", 8: "i2", 9: "i4", 11: "f4", 12: "f8", 13: "u4", 16: "u8",
                    17: "i8", 18: "u8"}  # fmt: skip

MAX_PAGES: Final = 256
MAX_TAGS: Final = 1000  # of a page; real ones have under a hundred
REDUCED_OR_MASK: Final = 0b101  # NewSubfileType, bit 0: a smaller copy of another page; bit 2: a transparency mask
TAIL_BLOCK: Final = 1 << 16


@dataclass(frozen=True)
class Page:
    """One image of a file, by its header alone.

    tags: raw bytes of the text and byte tags of a TIFF page, by tag number.
    numbers: values of its numeric tags.  offset: where its IFD begins.
    """

    width: int
    height: int
    channels: int = 1
    bits: int = 8
    offset: int = 0
    tags: Mapping[int, bytes] = field(default_factory=dict)
    numbers: Mapping[int, tuple[float, ...]] = field(default_factory=dict)

    def first(self, tag: int, default: int) -> int:
        """First value of a numeric tag as an integer."""
        values = self.numbers.get(tag)
        return int(values[0]) if values and np.isfinite(values[0]) else default

    @property
    def photometric(self) -> int:
        """TIFF PhotometricInterpretation: 0 white is zero, 1 black is zero, 2 RGB, 3 palette, 6 YCbCr."""
        return self.first(262, 1)

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
    zero_tail: zero bytes at the end of the stored pixels, counted from one row upwards.
    """

    format: Format | None
    pages: tuple[Page, ...] = ()
    missing: str | None = None
    metadata_missing: str | None = None
    zero_tail: int = 0
    warnings: tuple[str, ...] = ()


def layout(data: bytes) -> Layout:
    """Layout of a whole file. Bytes of no known format give `Layout(None)`; a beginning of one is missing the rest."""
    if data[:4] in TIFF_MAGICS:
        return _tiff(data)
    if data.startswith(PNG_MAGIC):
        return _png(data)
    if data.startswith(b"\xff\xd8\xff"):
        return _jpeg(data)
    if data.startswith(b"BM"):
        return _bmp(data)
    if data and not data.strip(b"\0"):
        return Layout(None, missing=f"all {len(data)} bytes are zero: nothing has been written yet")
    if any(magic.startswith(data) for magic in MAGICS):
        return Layout(None, missing=f"the file ends after {len(data)} bytes")
    return Layout(None)


# TIFF ----------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Tiff:
    """How the numbers of one TIFF are stored."""

    data: bytes
    order: str
    big: bool

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
    """One IFD while it is being read; `missing` and `metadata_missing` as in `Layout`."""

    numbers: dict[int, tuple[float, ...]] = field(default_factory=dict)
    arrays: dict[int, NDArray[Any]] = field(default_factory=dict)
    texts: dict[int, bytes] = field(default_factory=dict)
    missing: str | None = None
    metadata_missing: str | None = None


WIDTH, LENGTH, BITS, COMPRESSION, PHOTOMETRIC, STRIP_OFFSETS, SAMPLES = 256, 257, 258, 259, 262, 273, 277
ROWS_PER_STRIP, STRIP_COUNTS, PLANAR, TILE_WIDTH, TILE_LENGTH, TILE_OFFSETS, TILE_COUNTS = 278, 279, 284, 322, 323, 324, 325
PIXEL_TAGS: Final = frozenset({WIDTH, LENGTH, BITS, COMPRESSION, PHOTOMETRIC, STRIP_OFFSETS, SAMPLES, ROWS_PER_STRIP,
                               STRIP_COUNTS, PLANAR, TILE_WIDTH, TILE_LENGTH, TILE_OFFSETS, TILE_COUNTS, 320, 347})  # fmt: skip

POINTERS: Final = (330, 34665)  # SubIFDs, EXIF


def _tiff(data: bytes) -> Layout:
    order = TIFF_MAGICS[data[:4]]
    tiff = _Tiff(data, order, big=data[2:4] in (b"+\0", b"\0+"))
    head, entry, word = (8, 20, 8) if tiff.big else (2, 12, 4)
    start = 8 if tiff.big else 4
    if len(data) < start + word:
        return Layout("tiff", missing=f"the TIFF header ends after {len(data)} bytes")
    pages: list[Page] = []
    warnings: list[str] = []
    metadata_missing = None
    extents: list[tuple[int, int, bool, int]] = []
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
        metadata_missing = metadata_missing or ifd.metadata_missing
        if WIDTH in ifd.numbers and LENGTH in ifd.numbers:
            page = _page(ifd, at)
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
    return Layout("tiff", tuple(pages), None, metadata_missing, _tiff_zero_tail(data, extents), tuple(warnings))


def _ifd(tiff: _Tiff, at: int) -> _Ifd:
    ifd = _Ifd()
    size = len(tiff.data)
    for tag, kind, count, where in tiff.entries(at):
        width = TYPE_SIZE.get(kind)
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
            ifd.texts.setdefault(tag, tiff.data[where : where + count])
        elif kind in (5, 10):
            pairs = np.frombuffer(tiff.data, np.dtype(tiff.order + ("u4" if kind == 5 else "i4")), 2 * min(count, 4), where)
            ratios = [float(top) / float(low) if low else 0.0 for top, low in pairs.reshape(-1, 2)]
            ifd.numbers.setdefault(tag, tuple(ratios))
        elif kind in TYPE_CODE:
            values = tiff.values(kind, count, where)
            if values.dtype.kind != "f":
                ifd.arrays.setdefault(tag, values)
            ifd.numbers.setdefault(tag, tuple(values[:16].tolist()))
            if tag in POINTERS and int(values.max()) >= size:
                ifd.metadata_missing = ifd.metadata_missing or f"tag {tag} points to byte {int(values.max())} of {size}"
    return ifd


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


def _segments(data: bytes, page: Page, ifd: _Ifd, extents: list[tuple[int, int, bool, int]]) -> str | None:
    """Why strips or tiles of this page are not all there; appends (start, end, compressed, bytes a row)."""
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
    # Plain strips follow one another, so the run of zeros may begin in an earlier one.
    begin = int(starts[last] if compressed else starts.min())
    # Tiles are padded with zeros, so only a whole one counts.
    extents.append((begin, int(ends[last]), compressed, int(sizes[last]) if tiled else row_bytes))
    return None


def _tiff_zero_tail(data: bytes, extents: list[tuple[int, int, bool, int]]) -> int:
    if not extents:
        return 0
    start, end, compressed, row_bytes = max(extents, key=lambda extent: extent[1])
    zeros = _zeros_before(data, end, start)
    # No codec ends a finished segment with a long run of zeros; plain pixels may well end in a few.
    return zeros if zeros >= (64 if compressed else row_bytes) else 0


def _zeros_before(data: bytes, end: int, start: int) -> int:
    """Length of the run of zero bytes that ends at `end` and does not go back beyond `start`."""
    at = end
    while at > start:
        begin = max(start, at - TAIL_BLOCK)
        block = data[begin:at].rstrip(b"\0")
        if block:
            return end - begin - len(block)
        at = begin
    return end - start


# PNG, JPEG, BMP ------------------------------------------------------------------------------------------------------

PNG_CHANNELS: Final = {0: 1, 2: 3, 3: 3, 4: 2, 6: 4}


def _png(data: bytes) -> Layout:
    if len(data) < 33:
        return Layout("png", missing=f"the PNG header ends after {len(data)} bytes")
    width, height, bits, colour = struct.unpack(">IIBB", data[16:26])
    layout = Layout("png", (Page(width, height, PNG_CHANNELS.get(colour, 4), bits),))
    at = len(PNG_MAGIC)
    while at + 8 <= len(data):
        length, name = struct.unpack(">I4s", data[at : at + 8])
        if not name.isalpha():
            return replace(layout, missing=f"no chunk begins at byte {at}: the rest has not been written")
        at += 12 + length
        if name == b"IEND":
            return layout if at <= len(data) else replace(layout, missing="the IEND chunk is cut off")
    return replace(layout, missing=f"no IEND chunk within {len(data)} bytes")


def _jpeg(data: bytes) -> Layout:
    at, page = 2, None
    while at + 4 <= len(data):
        if data[at] != 0xFF:
            return Layout("jpeg", (page,) if page else (), f"no marker at byte {at}" if not data[at:].strip(b"\0") else None)
        marker = data[at + 1]
        if marker == 0xFF or 0xD0 <= marker <= 0xD8 or marker == 0x01:  # padding, or a marker without a length
            at += 1 if marker == 0xFF else 2
            continue
        length = struct.unpack(">H", data[at + 2 : at + 4])[0]
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC) and at + 10 <= len(data):
            bits, height, width, channels = struct.unpack(">BHHB", data[at + 4 : at + 10])
            page = Page(width, height, channels, bits)
        at += 2 + length
        if marker == 0xDA:
            pages = (page,) if page else ()
            # Inside entropy-coded data FF is followed by 00 or RSTn, so FF D9 after the first scan is the real end.
            return Layout("jpeg", pages, None if data.find(b"\xff\xd9", at) >= 0 else "no end-of-image marker")
    return Layout("jpeg", (page,) if page else (), f"the JPEG header ends after {len(data)} bytes")


def _bmp(data: bytes) -> Layout:
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
    page = Page(abs(width), abs(height), 1 if bits <= 8 else 3, bits)
    row_bytes = (abs(width) * bits + 31) // 32 * 4
    packed = compression in (0, 3, 6)
    needed = pixels_at + row_bytes * abs(height) if packed else declared
    if needed > len(data):
        return Layout("bmp", (page,), f"{needed} bytes are needed, the file has {len(data)}")
    zeros = _zeros_before(data, needed, pixels_at) if packed else 0
    return Layout("bmp", (page,), zero_tail=zeros if zeros >= max(1, row_bytes) else 0)
