"""The layout of a file in; out comes how much memory reading it takes, before anything is allocated."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from edge.sem.structure import Format, Page
from edge.sem.unpack import UNPACKED

FIXED: Final = 72 << 20
"""Strips that are worked on, the look for letters (on at most a few megapixels), and what the libraries take once."""
_RESERVE: Final = 1.08
"""Decoders round sizes up to whole blocks and rows, the allocator to whole pages."""
PROGRESSIVE: Final = (0xC2, 0xC6, 0xCA, 0xCE)
"""Start of frame of a JPEG whose coefficients are all held until the last scan is read (T.81, B.1.1.3)."""


def needed(size: int, form: Format, pages: tuple[Page, ...]) -> int:
    """Bytes that a file of `size` bytes needs while `pages` of it are read, itself included.

    The grey plane of each page stays, one page at a time is decoded. Measured on 48 megapixels of each kind, this is never
    below the peak and at most twice as much.
    """
    if form == "bmp":  # counts the bits of all channels
        pages = tuple(replace(page, bits=8, channels=4 if page.bits == 32 else page.channels) for page in pages)
    kept = sum(_kept(page) for page in pages)
    working = max(max(_decoding(size, form, page), _windowing(page)) - _kept(page) for page in pages)
    return int(size + _RESERVE * (kept + working)) + FIXED


def _kept(page: Page) -> int:
    """Bytes of the grey plane; none where it lies in the file."""
    return 0 if _is_grey_plane(page) and page.in_place else page.width * page.height


def _is_grey_plane(page: Page) -> bool:
    """Whether the values as they are decoded are the grey plane: nothing is left to be made of them."""
    return page.channels == 1 and page.value_bytes == 1 and page.photometric not in (0, 3)


def _windowing(page: Page) -> int:
    """Bytes while grey is made: the values, one plane of several channels, and the grey."""
    if _is_grey_plane(page):
        return _kept(page)
    pixels, value = page.width * page.height, page.value_bytes
    values = 0 if page.in_place and page.photometric != 0 else pixels * page.channels * value
    if page.photometric == 3:
        values += 3 * pixels
    # Of uint8 the plane is the grey; luma of others than uint8 and uint16 is float64.
    plane = 0 if page.channels == 1 or value == 1 else pixels * (value if value == 2 else 8)
    return values + plane + pixels


def _decoding(size: int, form: Format, page: Page) -> int:
    """Bytes while the values are made."""
    pixels = page.width * page.height
    decoded = pixels * page.channels * page.value_bytes
    if form != "tiff":
        # OpenCV takes twice what it gives; a palette's indices become three channels.
        coefficients = 2 * pixels * page.channels if page.process in PROGRESSIVE else 0
        return max(2 * decoded, decoded + coefficients)
    turned = 2.0 if page.photometric == 0 or page.bits < 8 else 1.0
    if page.in_place:
        return int((turned - 1) * decoded)
    segments = max(1, -(-page.height // max(1, page.first(278, page.height))))
    if page.first(322, 0) > 0 and page.first(323, 0) > 0:
        segments = -(-page.width // page.first(322, 1)) * -(-page.height // page.first(323, 1))
    compression = page.first(259, 1)
    if compression in UNPACKED:
        # Of one segment the values are what was unpacked; of several, one at a time is beside them.
        segment = decoded * (page.first(317, 1) != 1) if segments == 1 else 3 * decoded / segments
    else:  # tifffile takes a copy of the strips, too
        segment = size + decoded / segments
    return int(max(turned * decoded, decoded + segment))
