"""How a BMP is laid out, cut ones included."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from edge.sem.structure.bmp import bmp_layout
from tests.sem.making import encoded, specimen

IMAGE = specimen(50, 61)  # an odd width, so that rows are padded
GREY = encoded(IMAGE, ".bmp")
COLOUR = encoded(np.dstack([IMAGE] * 3), ".bmp")


@pytest.mark.parametrize(("data", "channels", "bits"), [(GREY, 1, 8), (COLOUR, 3, 24)], ids=["grey", "colour"])
def test_size_and_channels_are_those_of_the_header(data: bytes, channels: int, bits: int) -> None:
    found = bmp_layout(data)
    (page,) = found.pages
    assert (found.format, found.missing) == ("bmp", None)
    assert (page.width, page.height, page.channels, page.bits) == (61, 50, channels, bits)


def test_rows_from_the_top_have_a_height_as_well() -> None:
    (page,) = bmp_layout(GREY[:22] + struct.pack("<i", -50) + GREY[26:]).pages
    assert page.height == 50


def test_the_old_header_of_twelve_bytes_is_read() -> None:
    pixels = bytes(range(1, 9)) * 2  # two rows of eight bytes
    data = b"BM" + struct.pack("<IIIIHHHH", 26 + len(pixels), 0, 26, 12, 8, 2, 1, 8) + pixels
    found = bmp_layout(data)
    assert (found.pages[0].width, found.pages[0].height, found.missing) == (8, 2, None)
    assert bmp_layout(data[:-1]).missing == f"{len(data)} bytes are needed, the file has {len(data) - 1}"


@pytest.mark.parametrize("length", [2, 25, 33])
def test_a_header_that_is_cut_says_where(length: int) -> None:
    assert bmp_layout(GREY[:length]).missing == f"the BMP header ends after {length} bytes"


def test_a_header_of_no_known_length_is_no_bmp() -> None:
    assert bmp_layout(GREY[:14] + struct.pack("<I", 13) + GREY[18:]).format is None
