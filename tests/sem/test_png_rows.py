"""A PNG is decoded from the rows that its damage was looked for in, and nothing else of it changes."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable

import cv2
import numpy as np
import pytest

from edge.sem import damage, png_rows, structure
from tests.sem.making import encoded, png_chunk, specimen

IMAGE = specimen(97, 131)
DEEP = (IMAGE.astype(np.uint16) * 251).astype(np.uint16)
COLOUR = np.dstack([IMAGE, IMAGE[::-1], IMAGE[:, ::-1]])
KINDS = {
    "8 bits": IMAGE,
    "16 bits": DEEP,
    "colour": COLOUR,
    "with alpha": np.dstack([COLOUR, IMAGE]),
    "large": specimen(600, 900),
}


def rows_of(data: bytes) -> bytes | None:
    (page,) = structure.layout(data).pages
    return png_rows.sound_rows(data, page)


def decoded(data: bytes) -> np.ndarray:
    values = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    assert values is not None
    return np.asarray(values)


def with_image_data(data: bytes, *packed: bytes) -> bytes:
    """The same PNG with these chunks of image data."""
    (start, _), *_ = damage.image_data(data)
    return data[: start - 8] + b"".join(png_chunk(b"IDAT", part) for part in packed) + png_chunk(b"IEND", b"")


def packed_of(data: bytes) -> bytes:
    return b"".join(data[start : start + length] for start, length in damage.image_data(data))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("level", [0, 1, 9])
def test_the_pixels_are_those_of_the_file(kind: str, level: int) -> None:
    data = encoded(KINDS[kind], ".png", cv2.IMWRITE_PNG_COMPRESSION, level)
    rows = rows_of(data)
    assert rows is not None
    assert rows == zlib.decompress(packed_of(data))
    stored = png_rows.with_stored(data, rows)
    assert np.array_equal(decoded(stored), decoded(data))
    assert damage.png(stored, structure.layout(stored).pages[0]) is None


def test_texts_before_and_behind_the_image_data_stay() -> None:
    data = encoded(IMAGE, ".png")
    text, time = png_chunk(b"tEXt", b"Comment\0before"), png_chunk(b"tEXt", b"Comment\0behind")
    data = data[:33] + text + data[33:-12] + time + data[-12:]
    rows = rows_of(data)
    assert rows is not None
    stored = png_rows.with_stored(data, rows)
    assert stored.startswith(data[:33] + text)
    assert stored.endswith(time + data[-12:])


def test_many_small_chunks_become_one() -> None:
    data = encoded(IMAGE, ".png")
    packed = packed_of(data)
    many = with_image_data(data, *(packed[at : at + 100] for at in range(0, len(packed), 100)), b"")
    rows = rows_of(many)
    assert rows is not None
    assert len(list(damage.image_data(png_rows.with_stored(many, rows)))) == 1


def test_what_lies_between_image_data_is_left_to_the_decoder() -> None:
    data = encoded(IMAGE, ".png")
    packed = packed_of(data)
    apart = with_image_data(data, packed[:500])[:-12] + png_chunk(b"tEXt", b"a\0b") + with_image_data(data, packed[500:])[33:]
    rows = rows_of(apart)
    assert rows is not None
    assert png_rows.with_stored(apart, rows) == apart


DAMAGED: dict[str, Callable[[bytes], bytes]] = {
    "a flipped bit": lambda packed: packed[:300] + bytes([packed[300] ^ 4]) + packed[301:],
    "no end": lambda packed: packed[:-9],
    "a wrong checksum": lambda packed: packed[:-1] + bytes([packed[-1] ^ 1]),
    "more behind the end": lambda packed: packed + b"more",
    "the end twice": lambda packed: packed + packed[-4:],
    "nothing": lambda packed: b"",
    "too few rows": lambda packed: zlib.compress(zlib.decompress(packed)[:-5]),
    "too many rows": lambda packed: zlib.compress(zlib.decompress(packed) + b"12345"),
}


@pytest.mark.parametrize("what", DAMAGED)
def test_damaged_image_data_are_left_to_the_look_for_damage(what: str) -> None:
    data = encoded(IMAGE, ".png")
    broken = with_image_data(data, DAMAGED[what](packed_of(data)))
    assert damage.png(broken, structure.layout(broken).pages[0]) is not None
    assert rows_of(broken) is None


def test_a_wrong_checksum_of_a_chunk_is_left_to_the_look_for_damage() -> None:
    data = encoded(IMAGE, ".png")
    (start, length), *_ = damage.image_data(data)
    end = start + length
    written = struct.unpack(">I", data[end : end + 4])[0]
    assert rows_of(data[:end] + struct.pack(">I", written ^ 1) + data[end + 4 :]) is None


def test_images_too_large_for_a_copy_are_inflated_piece_by_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    data = encoded(IMAGE, ".png")
    monkeypatch.setattr(png_rows, "MOST_BYTES", IMAGE.size)
    assert rows_of(data) is None
