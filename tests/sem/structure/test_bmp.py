"""How a BMP is laid out, cut ones included."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from edge.sem.structure.bmp import HOLE, SHORTEST_TAIL, bmp_layout
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


def with_palette(blues: list[int]) -> bytes:
    """A BMP of greys by a table."""
    palette = bytes(byte for blue in blues for byte in (blue, blue, blue, 0))
    at = 54 + len(palette)
    header = struct.pack("<IHHIIiiHHIIiiII", at + 64, 0, 0, at, 40, 8, 8, 1, 8, 0, 64, 0, 0, len(blues), 0)
    return b"BM" + header + palette + bytes(range(64))


RAMP = list(range(256))


@pytest.mark.parametrize("value", [0, 255])
@pytest.mark.parametrize(("first", "after"), [(0, 100), (40, 60), (100, 200)])
def test_a_hole_in_the_table_of_greys_is_damage(first: int, after: int, value: int) -> None:
    assert bmp_layout(with_palette([*RAMP[:first], *[value] * (after - first), *RAMP[after:]])).warnings == (HOLE,)


@pytest.mark.parametrize(
    "palette",
    [
        RAMP,
        RAMP[::-1],
        [min(255, max(0, 2 * grey - 100)) for grey in RAMP],
        [0] * 128 + [255] * 128,
        [*range(0, 256, 17), *[0] * 240],
        [0, 255],
        [],
    ],
    ids=["ramp", "inverted", "stretched", "threshold", "sixteen and padding", "two", "none"],
)
def test_tables_that_real_programs_write_have_no_hole(palette: list[int]) -> None:
    assert bmp_layout(with_palette(palette)).warnings == ()


@pytest.mark.parametrize("value", [0, 255])
def test_a_picture_whose_last_bytes_are_empty_may_still_be_written(value: int) -> None:
    assert bmp_layout(GREY[:-SHORTEST_TAIL] + bytes([value]) * SHORTEST_TAIL).zero_tail == SHORTEST_TAIL
    assert bmp_layout(GREY).zero_tail == 0
