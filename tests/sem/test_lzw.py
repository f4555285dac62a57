"""How long a strip of LZW is, and whether an encoder has written it, without unpacking it."""

from __future__ import annotations

import imagecodecs
import numpy as np
import pytest

from edge.sem import lzw
from tests.sem.making import specimen

RNG = np.random.default_rng(7)
STRIPS = {
    "zeros": bytes(100_000),
    "noise": RNG.bytes(30_000),
    "image": specimen(120, 260).tobytes(),
    "image of 16 bits": (specimen(60, 260).astype(np.uint16) * 13).tobytes(),
    "pairs": b"ab" * 20_000,
    "one byte": b"a",
    "many": bytes(range(256)) * 60,
}


@pytest.mark.parametrize("name", STRIPS)
def test_an_intact_strip_has_its_length_and_no_fault(name: str) -> None:
    assert lzw.look(imagecodecs.lzw_encode(STRIPS[name])) == (len(STRIPS[name]), None)


@pytest.mark.parametrize("name", ["noise", "image", "image of 16 bits"])
@pytest.mark.parametrize("kind", ["zeros", "ones", "noise"])
def test_a_changed_stretch_is_no_encoders_work(name: str, kind: str) -> None:
    packed = imagecodecs.lzw_encode(STRIPS[name])
    for _ in range(60):
        length = int(RNG.integers(64, len(packed) // 3))
        first = int(RNG.integers(2, len(packed) - length))
        fill = {"zeros": bytes(length), "ones": b"\xff" * length, "noise": RNG.bytes(length)}[kind]
        unpacked, fault = lzw.look(packed[:first] + fill + packed[first + length :])
        assert fault or unpacked != len(STRIPS[name])


def test_the_length_is_that_of_the_decoder() -> None:
    packed = imagecodecs.lzw_encode(STRIPS["image"])
    for part in (0.1, 0.5, 0.9):
        cut = packed[: int(part * len(packed))]
        assert lzw.look(cut) == (len(imagecodecs.lzw_decode(cut)), None)


def test_a_bomb_is_measured_and_not_unpacked() -> None:
    packed = imagecodecs.lzw_encode(bytes(1 << 24))
    assert len(packed) < 1 << 15
    assert lzw.look(packed) == (1 << 24, None)


@pytest.mark.parametrize("packed", [b"", b"\x80", b"\0\1\2\3", b"\xff\xff\xff", b"\x80\x7f\xff\xff"])
def test_what_is_no_lzw_is_a_fault_or_nothing(packed: bytes) -> None:
    unpacked, fault = lzw.look(packed)
    assert fault or unpacked == 0
