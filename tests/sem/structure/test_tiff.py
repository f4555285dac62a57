"""How a TIFF is laid out, damaged ones included."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from edge.sem import FileState, completeness
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


TEXT = b"[User]\r\n" + b"Name=value\r\n" * 100


@pytest.mark.parametrize("hole", [bytes(64), b"\xff" * 64], ids=["zeros", "ones"])
def test_a_hole_in_a_text_says_that_it_is_not_written_to_its_end(hole: bytes) -> None:
    whole = tiff(IMAGE, {34682: TEXT})
    at = whole.find(b"Name=value") + 300
    data = whole[:at] + hole + whole[at + 64 :]
    assert completeness(whole).state is FileState.COMPLETE
    assert completeness(data).state is FileState.INCOMPLETE
    assert one(data).warnings[0].startswith("metadata_cut: the text of tag 34682 has a hole")


def test_zeros_in_binary_tags_are_no_hole_and_at_the_end_of_a_text_they_may_be_padding() -> None:
    assert completeness(tiff(IMAGE, {65000: b"\0\1\2\3" + bytes(200) + TEXT})).state is FileState.COMPLETE
    assert completeness(tiff(IMAGE, {65000: TEXT + bytes(400)})).state is FileState.ZERO_TAIL
    assert one(tiff(IMAGE, {65000: TEXT + bytes(400)})).warnings == ()
