"""Whether a file is whole, told from its structure."""

from __future__ import annotations

import struct
from io import BytesIO

import numpy as np
import pytest
import tifffile

from edge.sem import FileState, black_is_black, completeness, read
from tests.sem.making import encoded, specimen, tiff

IMAGE = specimen(200, 260)
FILES = {
    "tiff": tiff(IMAGE),
    "tiff-strips": tiff(IMAGE, rowsperstrip=7),
    "tiff-tiles": tiff(IMAGE, tile=(64, 64)),
    "tiff-lzw": tiff(IMAGE, compression="lzw"),
    "tiff-big": tiff(IMAGE, bigtiff=True),
    "tiff-big-endian": tiff(IMAGE, byteorder=">"),
    "tiff-pages": tiff(np.stack([IMAGE] * 3), photometric="minisblack"),
    "png": encoded(IMAGE, ".png"),
    "jpeg": encoded(IMAGE, ".jpg"),
    "bmp": encoded(IMAGE, ".bmp"),
}


@pytest.mark.parametrize("kind", FILES)
def test_a_whole_file_is_complete(kind: str) -> None:
    assert completeness(FILES[kind]).state is FileState.COMPLETE


@pytest.mark.parametrize("kind", FILES)
@pytest.mark.parametrize("part", [0.0, 0.0001, 0.01, 0.5, 0.9])
def test_a_beginning_is_incomplete_and_says_why(kind: str, part: float) -> None:
    found = completeness(FILES[kind][: int(len(FILES[kind]) * part)])
    assert found.state is FileState.INCOMPLETE
    assert found.reason


@pytest.mark.parametrize("kind", ["tiff", "tiff-strips", "tiff-tiles", "tiff-lzw", "png", "jpeg", "bmp"])
def test_one_byte_less_is_incomplete(kind: str) -> None:
    assert completeness(FILES[kind][:-1]).state is FileState.INCOMPLETE


@pytest.mark.parametrize("kind", ["png", "jpeg"])
def test_a_preallocated_rest_of_zeros_is_incomplete(kind: str) -> None:
    data = FILES[kind]
    assert completeness(data[: len(data) // 2] + b"\0" * (len(data) - len(data) // 2)).state is FileState.INCOMPLETE


@pytest.mark.parametrize("kind", ["tiff", "tiff-strips"])
def test_plain_pixels_of_zeros_are_left_to_where_they_are_decoded(kind: str) -> None:
    data = FILES[kind]
    assert completeness(data[:-2600] + b"\0" * 2600).state is FileState.COMPLETE


def test_a_compressed_strip_of_zeros_is_a_zero_tail() -> None:
    data = FILES["tiff-lzw"]
    assert completeness(data[:-200] + b"\0" * 200).state is FileState.ZERO_TAIL


@pytest.mark.parametrize(
    ("kind", "proves"), [("png", True), ("jpeg", True), ("tiff", False), ("tiff-lzw", False), ("bmp", False)]
)
def test_a_format_with_check_sums_or_codes_proves_its_black_rows(kind: str, proves: bool) -> None:
    assert black_is_black(FILES[kind]) == proves


def test_a_tiff_whose_page_list_comes_last_is_incomplete_until_then() -> None:
    assert completeness(b"II*\0\0\0\0\0" + IMAGE.tobytes()).state is FileState.INCOMPLETE


def test_a_tiff_with_strips_not_yet_placed_is_incomplete() -> None:
    data = bytearray(FILES["tiff"])
    at = data.find(struct.pack("<HH", 273, 4))
    data[at + 8 : at + 12] = b"\0\0\0\0"
    assert completeness(bytes(data)).state is FileState.INCOMPLETE


def test_a_next_page_beyond_the_end_is_incomplete() -> None:
    data = bytearray(FILES["tiff"])
    (ifd,) = struct.unpack("<I", data[4:8])
    (count,) = struct.unpack("<H", data[ifd : ifd + 2])
    data[ifd + 2 + 12 * count : ifd + 6 + 12 * count] = struct.pack("<I", len(data) + 100)
    assert completeness(bytes(data)).state is FileState.INCOMPLETE


@pytest.mark.parametrize("tag", [330, 34665])
def test_a_sub_page_beyond_the_end_is_incomplete_but_does_not_cost_the_image(tag: int) -> None:
    stream = BytesIO()
    tifffile.imwrite(stream, IMAGE, extratags=[(65000, 4, 1, 10**6, True)], metadata=None)
    data = stream.getvalue().replace(struct.pack("<HHI", 65000, 4, 1), struct.pack("<HHI", tag, 4, 1))
    assert completeness(data).state is FileState.INCOMPLETE
    (micrograph,) = read(data, "a.tif")
    np.testing.assert_array_equal(micrograph.grey, IMAGE)


@pytest.mark.parametrize("data", [b"a text", b"GIF89a......", b"<xml/>"])
def test_unknown_formats_are_complete(data: bytes) -> None:
    assert completeness(data).state is FileState.COMPLETE


def test_bytes_after_the_end_of_a_jpeg_do_not_matter() -> None:
    assert completeness(FILES["jpeg"] + b"trailing").state is FileState.COMPLETE
