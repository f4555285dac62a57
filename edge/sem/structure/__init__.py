"""The bytes of an image file in; out comes how the file is laid out and whether all of it is there, no pixel decoded.

Sizes are known here before anything is allocated, and nothing outside the bytes is ever followed. A module a format:
TIFF 6.0 and BigTIFF, PNG (ISO/IEC 15948), JPEG (ITU-T T.81, Annex B) and BMP. `layout` never raises, whatever the bytes.
Metadata are not copied: a `Layout` says where they lie, `edge.sem.evidence.Evidence` cuts them out when asked.
"""

from __future__ import annotations

from typing import Final

from edge.sem.structure.bmp import bmp_layout
from edge.sem.structure.jpeg import jpeg_layout
from edge.sem.structure.page import TRAILER, Format, Layout, Page, Span
from edge.sem.structure.png import PNG_MAGIC, png_layout
from edge.sem.structure.tiff import TIFF_MAGICS, tiff_layout

__all__ = ["TRAILER", "Format", "Layout", "Page", "Span", "layout"]

JPEG_MAGIC: Final = b"\xff\xd8\xff"
BMP_MAGIC: Final = b"BM"
MAGICS: Final = (*TIFF_MAGICS, PNG_MAGIC, JPEG_MAGIC, BMP_MAGIC)


def layout(data: bytes) -> Layout:
    """Layout of a whole file. Bytes of no known format give `Layout(None)`; a beginning of one is missing the rest."""
    if data[:4] in TIFF_MAGICS:
        return tiff_layout(data)
    if data.startswith(PNG_MAGIC):
        return png_layout(data)
    if data.startswith(JPEG_MAGIC):
        return jpeg_layout(data)
    if data.startswith(BMP_MAGIC):
        return bmp_layout(data)
    if data and not data.strip(b"\0"):
        return Layout(None, missing=f"all {len(data)} bytes are zero: nothing has been written yet")
    if any(magic.startswith(data) for magic in MAGICS):
        return Layout(None, missing=f"the file ends after {len(data)} bytes")
    return Layout(None)
