"""Where the metadata of a JPEG lie."""

from __future__ import annotations

import struct
from io import BytesIO

import cv2
import pytest
import tifffile

from edge.errors import ImageError
from edge.sem import read
from edge.sem.structure import TRAILER, layout
from edge.sem.structure.page import MAX_CHUNKS, MAX_PARTS
from tests.sem.making import encoded, specimen, tiff

JPEG = encoded(specimen(48, 64), ".jpg")


def segment(marker: int, body: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


def contents(data: bytes) -> list[tuple[str, bytes]]:
    return [(name, data[start : start + length]) for name, (start, length) in layout(data).chunks]


def test_comments_and_application_segments_are_placed_in_the_order_of_the_file() -> None:
    data = JPEG[:2] + segment(0xFE, b"kV=15") + segment(0xE5, b"maker") + segment(0xFE, b"WD=8") + JPEG[2:]
    found = contents(data)
    assert found[:3] == [("COM", b"kV=15"), ("APP5", b"maker"), ("COM", b"WD=8")]
    assert found[3:] == contents(JPEG)  # OpenCV's own APP0, JFIF
    assert layout(data).missing is None


def test_bytes_behind_the_end_of_image_are_the_trailer() -> None:
    assert contents(JPEG + b"[Main]\r\nkV=15")[-1] == (TRAILER, b"[Main]\r\nkV=15")


def test_a_segment_that_is_cut_off_is_not_placed() -> None:
    data = JPEG[:2] + segment(0xFE, b"kV=15")
    assert layout(data[:-1]).missing
    assert contents(data[:-1]) == []


def test_more_segments_than_any_microscope_writes_are_not_remembered() -> None:
    data = JPEG[:2] + segment(0xFE, b"x") * (MAX_CHUNKS + 50) + JPEG[2:]
    assert len(layout(data).chunks) == MAX_CHUNKS
    assert layout(data).missing is None


def test_padding_before_a_marker_is_passed_over() -> None:
    for length in (1, 2, 63, 64, 65, 1000, 3 << 20):
        data = JPEG[:2] + b"\xff" * length + JPEG[2:]
        assert layout(data).pages == layout(JPEG).pages
        assert layout(data).missing is None


def test_more_segments_than_any_header_has_are_left_to_the_decoder() -> None:
    found = layout(JPEG[:2] + segment(0xE0, b"") * (MAX_PARTS + 1) + JPEG[2:])
    assert found.missing is None
    assert found.warnings[0].startswith("header_damaged")


def progressive(more_scans: int) -> bytes:
    """A progressive JPEG whose last scan is there so many times more."""
    data = encoded(specimen(48, 64), ".jpg", cv2.IMWRITE_JPEG_PROGRESSIVE, 1)
    last = data.rindex(b"\xff\xda")
    return data[:-2] + data[last:-2] * more_scans + data[-2:]


def test_scans_are_counted_and_those_of_a_trailer_are_not() -> None:
    usual = layout(progressive(0)).pages[0].scans
    assert 1 < usual < 20
    assert layout(JPEG).pages[0].scans == 1
    assert layout(progressive(200)).pages[0].scans == usual + 200
    assert layout(progressive(0) + b"\xff\xda" * 500).pages[0].scans == usual


def test_a_jpeg_of_endless_scans_is_refused_before_it_is_decoded() -> None:
    with pytest.raises(ImageError, match="scans") as caught:
        read(progressive(200), "a.jpg")
    assert caught.value.code == "unsupported"
    assert read(progressive(10), "a.jpg")


def test_such_a_jpeg_inside_a_tiff_is_refused_too() -> None:
    stream = progressive(200)
    written = tiff(specimen(48, 64), compression="jpeg", metadata=None)
    with tifffile.TiffFile(BytesIO(written)) as file:
        count_at = file.pages[0].tags[279].valueoffset
        offset_at = file.pages[0].tags[273].valueoffset
    data = bytearray(written + stream)
    data[offset_at : offset_at + 4] = struct.pack("<I", len(written))
    data[count_at : count_at + 4] = struct.pack("<I", len(stream))
    with pytest.raises(ImageError, match="scans"):
        read(bytes(data), "a.tif")
