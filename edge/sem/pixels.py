"""One page of a file's bytes in, its stored values out as an array: the only module that decodes pixels.

tifffile (with imagecodecs) decodes TIFF, OpenCV the rest. Whatever they raise becomes `ImageError` here.
"""

from __future__ import annotations

import logging
from io import BytesIO
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.errors import ImageError
from edge.sem.structure import Format, Page, layout

Values = NDArray[Any]

# What microscopes and image editors write. The rarer codecs are left out: they bring no images, only attack surface.
COMPRESSIONS: Final = {1: "none", 5: "LZW", 6: "old JPEG", 7: "JPEG", 8: "deflate", 32773: "PackBits", 32946: "deflate",
                       50000: "Zstandard"}  # fmt: skip
PHOTOMETRICS: Final = {0: "white is zero", 1: "black is zero", 2: "RGB", 3: "palette", 6: "YCbCr"}
LZW: Final = 5
JPEGS: Final = (6, 7)
LARGEST_TILE: Final = 1 << 20  # pixels of a tile that may be larger than its page
COMPLEX_FORMATS: Final = (5, 6)


def decode(data: bytes, form: Format, page: Page) -> tuple[Values, int]:
    """Values of `page` and the bits each was stored in.

    [H, W], [H, W, 3] (RGB) or with one more channel of alpha; uint8, uint16 or another integer or float type.
    Less than 8 bits are stretched to 8, palettes are looked up, white-is-zero is turned round.
    Raises ImageError "damaged" or "unsupported".
    """
    try:
        return _tiff(data, page) if form == "tiff" else _opencv(data, page)
    except ImageError:
        raise
    except MemoryError as error:
        raise ImageError("too_large", "there is not enough memory to decode this image") from error
    except Exception as error:  # the boundary to two libraries that raise whatever occurs to them
        cause = str(error).strip().splitlines()
        detail = f"{type(error).__name__}: {cause[0][:200]}" if cause else type(error).__name__
        raise ImageError("damaged", f"the pixels cannot be decoded ({detail}); export the image again") from error


def check_kind(page: Page, form: Format) -> None:
    """Raise ImageError "unsupported" for a TIFF page that is no grey or colour image, before anything is decoded."""
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


def _tiff(data: bytes, page: Page) -> tuple[Values, int]:
    # tifffile's remarks on odd tags are no news for an operator: what matters is said in the micrograph's warnings.
    logging.getLogger("tifffile").setLevel(logging.CRITICAL + 1)
    import tifffile

    with tifffile.TiffFile(BytesIO(data)) as file:
        file.filehandle.seek(page.offset)
        tiff_page = tifffile.TiffPage(file, index=0)
        expected = page.width * page.height * page.channels
        if tiff_page.size != expected:
            raise ImageError("damaged", f"the page's tags speak of {tiff_page.size} and of {expected} values")
        _check_segments(data, page, tiff_page)
        values = _lzw(tiff_page, data) if page.first(259, 1) == LZW else np.asarray(tiff_page.asarray(maxworkers=1))
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
        values = (values.astype(np.uint16) * 255 // ((1 << bits) - 1)).astype(np.uint8)
        bits = 8
    if page.photometric == 0:
        top = (1 << min(bits, 8 * values.dtype.itemsize)) - 1
        values = values.dtype.type(top) - values if values.dtype.kind == "u" else -values
    return values, bits


def _check_segments(data: bytes, page: Page, tiff_page: Any) -> None:
    """Raise ImageError when a tile, or the JPEG stream of a tile or strip, is far larger than the page it is part of."""
    width, height = int(tiff_page.tilewidth), int(tiff_page.tilelength)  # 0 for strips
    if width * height > 4 * page.width * page.height + LARGEST_TILE:
        raise ImageError("damaged", f"tiles of {width}x{height} pixels in a page of {page.width}x{page.height}")
    if page.first(259, 1) not in JPEGS:
        return
    for start, count in zip(tiff_page.dataoffsets, tiff_page.databytecounts, strict=True):
        for inner in layout(data[start : start + count]).pages:
            if inner.width * inner.height > 4 * page.width * page.height + LARGEST_TILE:
                raise ImageError("damaged", f"a JPEG of {inner.width}x{inner.height} in a page of {page.width}x{page.height}")


def _lzw(page: Any, data: bytes) -> Values:
    """Values of a tifffile page compressed by LZW.

    tifffile tells imagecodecs how many bytes to expect. Told so, its LZW decoder (2025.3.30) writes beyond that buffer
    where a damaged stream is longer, and kills the process; not told, it checks the stream first and sizes the buffer.
    """
    import imagecodecs

    page.compression = 1  # so that `decode` below only unpacks what has been decompressed here
    values = np.zeros(page.shaped, page.dtype)
    for index, (start, count) in enumerate(zip(page.dataoffsets, page.databytecounts, strict=True)):
        unpacked = bytearray(imagecodecs.lzw_decode(data[start : start + count]))
        segment, (sample, depth, row, column, _), shape = page.decode(unpacked, index)
        part = values[sample, depth : depth + shape[0], row : row + shape[1], column : column + shape[2]]
        part[...] = segment[: part.shape[0], : part.shape[1], : part.shape[2]]
    return np.asarray(values.reshape(page.shape))


def _look_up(indices: Values, colours: Values) -> Values:
    """Palette colours [3, 2^bits] of 16 bits, as RGB of 8."""
    if indices.ndim != 2 or int(indices.max(initial=0)) >= colours.shape[1]:
        raise ImageError("damaged", "a pixel has no colour in the palette")
    wide = int(colours.max(initial=0)) > 255  # some writers put 8 bits into the 16-bit table
    table = (colours >> 8 if wide else colours).astype(np.uint8)
    return np.ascontiguousarray(table.T[indices])


def _opencv(data: bytes, page: Page) -> tuple[Values, int]:
    # UNCHANGED also ignores the EXIF orientation: coordinates are those of the stored pixels.
    values = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED | cv2.IMREAD_IGNORE_ORIENTATION)
    if values is None:
        raise ImageError("damaged", "the pixels cannot be decoded; export the image again")
    if values.shape[:2] != (page.height, page.width):
        raise ImageError("damaged", f"decoded to {values.shape[1]}x{values.shape[0]}, the header says otherwise")
    if values.ndim == 3 and values.shape[2] >= 3:
        values = values[..., [2, 1, 0, *range(3, values.shape[2])]]  # OpenCV has blue first
    return np.asarray(values), 8 * values.dtype.itemsize
