"""Where the metadata of a PNG lie."""

from __future__ import annotations

import struct
import zlib

import pytest

from edge.sem.structure import TRAILER, Layout, layout
from edge.sem.structure.page import MAX_CHUNKS
from tests.sem.making import encoded, png_chunk, specimen, with_png_chunks

PNG = encoded(specimen(48, 64), ".png")


def contents(data: bytes, found: Layout) -> list[tuple[str, bytes]]:
    return [(name, data[start : start + length]) for name, (start, length) in found.chunks]


def test_ancillary_chunks_are_placed_in_the_order_of_the_file() -> None:
    chunks = [(b"tEXt", b"a\0first"), (b"pHYs", struct.pack(">IIB", 1, 2, 1)), (b"tEXt", b"b\0second")]
    data = with_png_chunks(PNG, *chunks)
    assert contents(data, layout(data)) == [(name.decode(), body) for name, body in chunks]
    assert layout(data).missing is None


def test_an_image_without_metadata_has_no_chunks() -> None:
    assert layout(PNG).chunks == ()


def test_bytes_behind_the_end_are_the_trailer() -> None:
    data = PNG + b"<maker/>"
    assert contents(data, layout(data)) == [(TRAILER, b"<maker/>")]


@pytest.mark.parametrize("cut", [1, 8, 20])
def test_a_chunk_that_is_cut_off_is_not_placed(cut: int) -> None:
    data = with_png_chunks(PNG, (b"tEXt", b"a\0first"))
    end = data.index(b"tEXt") + 4 + len(b"a\0first") + 4
    found = layout(data[: end - cut])
    assert found.missing
    assert found.chunks == ()


def test_more_chunks_than_any_microscope_writes_are_not_remembered() -> None:
    data = PNG[:33] + png_chunk(b"tEXt", b"") * (MAX_CHUNKS + 50) + PNG[33:]
    assert len(layout(data).chunks) == MAX_CHUNKS
    assert layout(data).missing is None


def test_a_length_of_gigabytes_is_missing_not_followed() -> None:
    data = PNG[:33] + struct.pack(">I", 0xFFFFFFFF) + b"tEXt" + zlib.compress(b"x")
    assert layout(data).missing
    assert layout(data).chunks == ()


@pytest.mark.parametrize("crc", [bytes(4), b"\xff" * 4, b"\xae\0\0\0"])
def test_an_end_without_its_check_sum_is_not_written_yet(crc: bytes) -> None:
    data = encoded(specimen(64, 64), ".png")
    assert layout(data).metadata_missing is None
    assert layout(data[:-4] + crc).metadata_missing == "the IEND chunk has no check sum yet"
