"""Strips are unpacked to their length and no further, and what is wrong with them is said."""

from __future__ import annotations

import tracemalloc
import zlib

import imagecodecs
import pytest

from edge.errors import ImageError
from edge.sem.unpack import DEFLATE, LZW, NONE, PACKBITS, SURPLUS, ZSTD, unpack

ROWS = bytes(range(200)) * 50
PACKED = {
    NONE: ROWS,
    LZW: imagecodecs.lzw_encode(ROWS),
    DEFLATE: zlib.compress(ROWS),
    PACKBITS: imagecodecs.packbits_encode(ROWS),
    ZSTD: imagecodecs.zstd_encode(ROWS),
}


@pytest.mark.parametrize("compression", PACKED)
def test_whole_strips_have_no_fault(compression: int) -> None:
    assert unpack(PACKED[compression], compression, len(ROWS), len(ROWS)) == (ROWS, None)
    assert unpack(PACKED[compression], compression, len(ROWS) - 200, len(ROWS)) == (ROWS, None)  # rows below the page


@pytest.mark.parametrize("compression", PACKED)
def test_a_strip_of_another_length_has_a_fault(compression: int) -> None:
    for needed, most in ((len(ROWS) + 1, len(ROWS) + 1), (100, 200)):
        assert unpack(PACKED[compression], compression, needed, most)[1]


def test_a_stream_without_its_checksum_has_a_fault() -> None:
    assert unpack(PACKED[DEFLATE][:-2], DEFLATE, len(ROWS), len(ROWS)) == (ROWS, "the stream has no end")


def test_runs_that_no_encoder_writes_are_a_fault() -> None:
    packed = imagecodecs.packbits_encode(bytes(range(1, 100)) * 20)
    damaged = packed[:300] + bytes(200) + packed[500:]
    assert unpack(damaged, PACKBITS, 0, 1 << 20)[1] == "runs that no encoder writes"


@pytest.mark.parametrize("compression", [LZW, DEFLATE, PACKBITS, ZSTD])
def test_a_bomb_takes_no_memory(compression: int) -> None:
    bomb = bytes(16 << 20)
    packers = {LZW: imagecodecs.lzw_encode, DEFLATE: zlib.compress, ZSTD: imagecodecs.zstd_encode}
    packed = b"\x81\0" * (len(bomb) // 128) if compression == PACKBITS else packers[compression](bomb)
    tracemalloc.start()
    try:
        unpacked, fault = unpack(packed, compression, 100, 100)
        assert fault
        assert len(unpacked) <= 100 + SURPLUS
    except (ImageError, RuntimeError):
        pass
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < len(packed) + 8 * SURPLUS
