"""How a TIFF is laid out, damaged ones included."""

from __future__ import annotations

import struct

import numpy as np

from tests.sem.making import (
    specimen,
    tiff,
)
from tests.sem.micrographs import one

IMAGE = specimen(200, 260)


def test_a_private_tag_beyond_the_end_does_not_cost_the_image() -> None:
    data = bytearray(tiff(IMAGE, {65000: b"x" * 100}))
    at = data.find(struct.pack("<HHI", 65000, 7, 100))
    data[at + 8 : at + 12] = struct.pack("<I", len(data) + 5)
    micrograph = one(bytes(data))
    np.testing.assert_array_equal(micrograph.grey, IMAGE)
    assert micrograph.warnings[0].startswith("metadata_cut: ")


def next_page_at(data: bytes) -> int:
    """Where the offset of the next IFD stands in a little-endian TIFF of one page."""
    (ifd,) = struct.unpack("<I", data[4:8])
    (count,) = struct.unpack("<H", data[ifd : ifd + 2])
    return ifd + 2 + 12 * count


def test_a_loop_of_pages_is_cut() -> None:
    data = bytearray(tiff(IMAGE))
    at = next_page_at(data)
    data[at : at + 4] = data[4:8]
    micrograph = one(bytes(data))
    np.testing.assert_array_equal(micrograph.grey, IMAGE)
    assert micrograph.warnings[0].startswith("ifd_loop: ")
