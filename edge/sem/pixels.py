"""One page of a file's bytes in, its stored values out as an array, and what speaks for damage in them.

tifffile (with imagecodecs) decodes TIFF, OpenCV the rest. Whatever they raise becomes `ImageError` here.
"""

from __future__ import annotations

import logging
import math
from io import BytesIO
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.errors import ImageError
from edge.sem import damage
from edge.sem.png_rows import sound_rows, with_stored
from edge.sem.structure import Format, Page, layout
from edge.sem.unpack import UNPACKED, unpack

Values = NDArray[Any]

# What microscopes and image editors write. The rarer codecs are left out: they bring no images, only attack surface.
COMPRESSIONS: Final = {1: "none", 5: "LZW", 6: "old JPEG", 7: "JPEG", 8: "deflate", 32773: "PackBits", 32946: "deflate",
                       50000: "Zstandard"}  # fmt: skip
PHOTOMETRICS: Final = {0: "white is zero", 1: "black is zero", 2: "RGB", 3: "palette", 6: "YCbCr"}
JPEGS: Final = (6, 7)
LARGEST_TILE: Final = 1 << 20  # pixels of a tile that may be larger than its page
COMMON_JPEG: Final = (0xC0, 0xC1, 0xC2)  # baseline, extended sequential, progressive
MOST_SCANS: Final = 100
"""Of a JPEG, each of which goes over all pixels: encoders write about ten, a hostile file can have a million."""
INSTEAD: Final = "export the image as TIFF or PNG of 8 or 16 bits"
TURNED_ROWS: Final = 64
COMPLEX_FORMATS: Final = (5, 6)


def decode(data: bytes, form: Format, page: Page) -> tuple[Values, int, tuple[str, ...]]:
    """Values of `page`, the bits each was stored in, and warnings of damage.

    [H, W], [H, W, 3] (RGB) or with one more channel of alpha; uint8, uint16 or another integer or float type.
    Less than 8 bits are stretched to 8, palettes are looked up, white-is-zero is turned round.
    The values may lie in `data` itself, and may be read-only.
    Raises ImageError "damaged" or "unsupported".
    """
    doubts: list[str] = []
    try:
        values, bits = _tiff(data, page, doubts) if form == "tiff" else _opencv(data, form, page, doubts)
    except ImageError:
        raise
    except MemoryError as error:
        raise ImageError("too_large", "there is not enough memory to decode this image") from error
    except Exception as error:  # the boundary to libraries that raise whatever occurs to them
        cause = str(error).strip().splitlines()
        detail = f"{type(error).__name__}: {cause[0][:200]}" if cause else type(error).__name__
        raise ImageError("damaged", f"the pixels cannot be decoded ({detail}); export the image again") from error
    also = f", and {len(doubts) - 1} more" if len(doubts) > 1 else ""
    return values, bits, tuple(f"damaged: the stored pixels are not what was written ({doubt}{also})" for doubt in doubts[:1])


def check_kind(page: Page, form: Format) -> None:
    """Raise ImageError "unsupported" for a page that is no grey or colour image, before anything is decoded."""
    if form == "jpeg" and page.bits != 8:
        raise ImageError("unsupported", f"a JPEG of {page.bits} bits is not read; {INSTEAD}")
    _check_scans(page)
    if form != "tiff":
        return
    compression, sample_format = page.first(259, 1), page.first(339, 1)
    if sample_format in COMPLEX_FORMATS:
        raise ImageError("unsupported", "the pixels are complex numbers; export the image as 8 or 16 bit grey")
    if compression not in COMPRESSIONS:
        raise ImageError("unsupported", f"TIFF compression {compression} is not read; export the image uncompressed")
    if page.photometric not in PHOTOMETRICS:
        raise ImageError("unsupported", f"TIFF photometric interpretation {page.photometric} is not read; export as grey")
    if page.first(266, 1) != 1:
        raise ImageError("unsupported", "the bits of each byte are stored in reverse (FillOrder 2); export the image again")
    if not 1 <= page.channels <= 4:
        raise ImageError("unsupported", f"{page.channels} channels are neither grey nor colour; export the image as grey")
    if page.first(32997, 1) != 1:
        raise ImageError("unsupported", "the page is a volume (ImageDepth); export single images")


def _check_scans(page: Page) -> None:
    """Raise ImageError "unsupported" where decoding would go over the pixels for hours."""
    if page.scans > MOST_SCANS:
        raise ImageError("unsupported", f"a JPEG of more than {MOST_SCANS} scans is not read; {INSTEAD}")


def _tiff(data: bytes, page: Page, doubts: list[str]) -> tuple[Values, int]:
    # tifffile's remarks on odd tags are no news for an operator: what matters is said in the micrograph's warnings.
    logging.getLogger("tifffile").setLevel(logging.CRITICAL + 1)
    import tifffile

    with tifffile.TiffFile(BytesIO(data)) as file:
        file.filehandle.seek(page.offset)
        tiff_page = tifffile.TiffPage(file, index=0)
        expected = page.width * page.height * page.channels
        if tiff_page.size != expected:
            raise ImageError("damaged", f"the page's tags speak of {tiff_page.size} and of {expected} values")
        _check_segments(data, page, tiff_page, doubts)
        if tiff_page.is_final and len(data) >= tiff_page.dataoffsets[0] + page.behind + tiff_page.nbytes:
            values = _in_place(data, tiff_page, page.behind)
        elif page.first(259, 1) in UNPACKED and not tiff_page.is_subsampled:
            values = _unpacked(data, page, tiff_page, doubts)
        else:
            values = np.asarray(tiff_page.asarray(maxworkers=1))
        planar = int(tiff_page.planarconfig) == 2 and page.channels > 1
        colours = tiff_page.colormap
    if planar and values.ndim == 3:
        values = np.moveaxis(values, 0, -1)
    if values.ndim == 3 and values.shape[2] == 1:
        values = values[..., 0]
    if values.shape[:2] != (page.height, page.width) or values.ndim not in (2, 3):
        raise ImageError("damaged", f"decoded to {values.shape}, the header says {page.height} x {page.width}")
    if values.dtype.kind not in "biuf":
        raise ImageError("unsupported", f"pixels of type {values.dtype} are neither grey nor colour")
    if page.photometric == 3 and colours is not None:
        return _look_up(values, colours), 8
    bits = 8 * values.dtype.itemsize if page.bits < 1 else page.bits
    if values.dtype == np.bool_ or (values.dtype == np.uint8 and bits < 8):
        levels = np.minimum(np.arange(256) * 255 // ((1 << bits) - 1), 255).astype(np.uint8)
        values, bits = levels[values.view(np.uint8)], 8
    if page.photometric == 0:
        top = (1 << min(bits, 8 * values.dtype.itemsize)) - 1
        values = values.dtype.type(top) - values if values.dtype.kind == "u" else -values
    return values, bits


def _in_place(data: bytes, tiff_page: Any, behind: int) -> Values:
    """Values that are stored one after another as they are: no copy, unless this machine stores numbers otherwise."""
    dtype = np.dtype(tiff_page.dtype).newbyteorder(tiff_page.parent.byteorder)
    values = np.frombuffer(data, dtype, math.prod(tiff_page.shape), tiff_page.dataoffsets[0] + behind).reshape(tiff_page.shape)
    return np.asarray(values if values.dtype.isnative and values.flags.aligned else values.astype(dtype.newbyteorder("=")))


def _check_segments(data: bytes, page: Page, tiff_page: Any, doubts: list[str]) -> None:
    """Doubts about JPEG strips and tiles; unpacking tells of the others.

    Raises ImageError when a tile, or the JPEG stream of a tile or strip, is far larger than the page it is part of.
    """
    width, height = int(tiff_page.tilewidth), int(tiff_page.tilelength)  # 0 for strips
    if width * height > 4 * page.width * page.height + LARGEST_TILE:
        raise ImageError("damaged", f"tiles of {width}x{height} pixels in a page of {page.width}x{page.height}")
    if page.first(259, 1) not in JPEGS:
        return
    tables = bytes(tiff_page.jpegtables or b"")
    for index, (start, count) in enumerate(zip(tiff_page.dataoffsets, tiff_page.databytecounts, strict=True)):
        stream = data[start : start + count]
        for inner in layout(stream).pages:
            if inner.width * inner.height > 4 * page.width * page.height + LARGEST_TILE:
                raise ImageError("damaged", f"a JPEG of {inner.width}x{inner.height} in a page of {page.width}x{page.height}")
            _check_scans(inner)
        if stream.startswith(b"\xff\xd8") and (fault := damage.jpeg(stream, tables)):
            doubts.append(f"{_named(tiff_page, index)}: {fault}")


def _named(tiff_page: Any, index: int) -> str:
    return f"{'tile' if tiff_page.is_tiled else 'strip'} {index}"


def _segment_bytes(page: Page, tiff_page: Any, index: int) -> tuple[int, int]:
    """Bytes of the strip or tile `index`, unpacked: those of the page's rows, and with the rows below the page."""
    samples = 1 if int(tiff_page.planarconfig) == 2 else page.channels
    if tiff_page.is_tiled:
        whole = (int(tiff_page.tilewidth) * samples * page.bits + 7) // 8 * int(tiff_page.tilelength)
        return whole, whole
    rows = min(max(1, int(tiff_page.rowsperstrip)), page.height)
    first = index % -(-page.height // rows) * rows
    row_bytes = (page.width * samples * page.bits + 7) // 8
    return min(rows, page.height - first) * row_bytes, rows * row_bytes


def _unpacked(data: bytes, page: Page, tiff_page: Any, doubts: list[str]) -> Values:
    """Values of a page whose strips or tiles are unpacked here, where it is known how long they have to be."""
    compression = page.first(259, 1)
    tiff_page.compression = 1  # so that `decode` below only makes values of what has been unpacked here
    values = np.zeros(tiff_page.shaped, tiff_page.dtype)
    for index, (start, count) in enumerate(zip(tiff_page.dataoffsets, tiff_page.databytecounts, strict=True)):
        needed, most = _segment_bytes(page, tiff_page, index)
        unpacked, fault = unpack(data[start : start + count], compression, needed, most)
        if fault:
            doubts.append(f"{_named(tiff_page, index)}: {fault}")
        # Where a predictor has to be undone, that is done in place.
        raw = unpacked if int(tiff_page.predictor) == 1 else bytearray(unpacked)
        del unpacked
        segment, (sample, depth, row, column, _), shape = tiff_page.decode(raw, index)
        if len(tiff_page.dataoffsets) == 1 and segment.shape == tiff_page.shaped[1:] and segment.dtype.isnative:
            return np.asarray(segment.reshape(tiff_page.shape))
        part = values[sample, depth : depth + shape[0], row : row + shape[1], column : column + shape[2]]
        part[...] = segment[: part.shape[0], : part.shape[1], : part.shape[2]]
    return np.asarray(values.reshape(tiff_page.shape))


def _look_up(indices: Values, colours: Values) -> Values:
    """Palette colours [3, 2^bits] of 16 bits, as RGB of 8."""
    if indices.ndim != 2 or int(indices.max(initial=0)) >= colours.shape[1]:
        raise ImageError("damaged", "a pixel has no colour in the palette")
    wide = int(colours.max(initial=0)) > 255  # some writers put 8 bits into the 16-bit table
    table = (colours >> 8 if wide else colours).astype(np.uint8)
    if (table == table[0]).all():
        return np.asarray(table[0][indices])
    return np.ascontiguousarray(table.T[indices])


def _opencv(data: bytes, form: Format, page: Page, doubts: list[str]) -> tuple[Values, int]:
    fault = damage.jpeg(data) if form == "jpeg" else None
    if form == "png" and (image_rows := sound_rows(data, page)) is not None:
        data = with_stored(data, image_rows)
        del image_rows
    elif form == "png":
        fault = damage.png(data, page)
    # UNCHANGED also ignores the EXIF orientation: coordinates are those of the stored pixels.
    values = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED | cv2.IMREAD_IGNORE_ORIENTATION)
    if values is None and page.process not in (0, *COMMON_JPEG):
        raise ImageError("unsupported", f"a JPEG of a rare kind (SOF{page.process - 0xC0}) is not read; {INSTEAD}")
    if values is None:
        raise ImageError("damaged", f"the pixels cannot be decoded ({fault or 'nobody says why'}); export the image again")
    if values.shape[:2] != (page.height, page.width):
        raise ImageError("damaged", f"decoded to {values.shape[1]}x{values.shape[0]}, the header says otherwise")
    if fault:
        doubts.append(fault)
    if values.ndim == 3 and values.shape[2] >= 3:  # OpenCV has blue first
        order = cv2.COLOR_BGR2RGB if values.shape[2] == 3 else cv2.COLOR_BGRA2RGBA
        for first in range(0, page.height, TURNED_ROWS):
            rows = values[first : first + TURNED_ROWS]
            rows[...] = cv2.cvtColor(rows, order)
    return np.asarray(values), 8 * values.dtype.itemsize
