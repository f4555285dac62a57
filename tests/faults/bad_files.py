"""A source of chance and a number in; the bytes of a bad file of one class out, and what may be told of it."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from edge.errors import FAILURE_CODES
from tests.faults.book import FORMATS, picture
from tests.sem.making import png_header, tiff

NUMBERS_FROM: Final = 500_000
"""The pictures in bad files are others than the good ones of a book."""
Made = tuple[str, bytes]
ANY: Final = frozenset(FAILURE_CODES) - {"internal", "crashed"}


@dataclass(frozen=True)
class Bad:
    """One class.

    make: the ending and the bytes.  told: codes of failures that fit, `inspected` among them where a verdict with a doubt
    does, too.  whole: it is an image after all, and may be judged without a doubt.
    """

    make: Callable[[random.Random, int], Made]
    told: frozenset[str]
    whole: bool = False


def _good(chance: random.Random, number: int, *extensions: str) -> Made:
    extension = chance.choice(extensions or FORMATS)
    return extension, picture(NUMBERS_FROM + number, extension)


def _any_ending(data: bytes, chance: random.Random) -> Made:
    return chance.choice(FORMATS), data


def _cut(chance: random.Random, number: int) -> Made:
    extension, data = _good(chance, number)
    return extension, data[: chance.randrange(1, len(data) * 9 // 10)]


def _zeros_behind(chance: random.Random, number: int) -> Made:
    extension, data = _good(chance, number)
    kept = chance.randrange(len(data) // 4, len(data) * 3 // 4)
    return extension, data[:kept] + bytes(len(data) - kept)


def _zeros_before(chance: random.Random, number: int) -> Made:
    extension, data = _good(chance, number)
    lost = min(512, len(data) // 2)
    return extension, bytes(lost) + data[lost:]


def _flipped(chance: random.Random, number: int) -> Made:
    extension, data = _good(chance, number, ".png")
    spoilt = bytearray(data)
    for _ in range(chance.randint(1, 8)):
        spoilt[chance.randrange(100, len(data) - 16)] ^= 1 << chance.randrange(8)
    return extension, bytes(spoilt)


def _overwritten(chance: random.Random, number: int) -> Made:
    """A stretch of another file in the midst of the compressed bytes."""
    extension, data = _good(chance, number, ".png")
    at = chance.randrange(100, len(data) // 2)
    return extension, data[:at] + chance.randbytes(256) + data[at + 256 :]


def _head_then_noise(chance: random.Random, number: int) -> Made:
    extension, data = _good(chance, number)
    return extension, data[:8] + chance.randbytes(chance.randint(64, 4096))


def _another_ending(chance: random.Random, number: int) -> Made:
    extension, data = _good(chance, number)
    return chance.choice([one for one in FORMATS if one != extension]), data


def _more_behind(chance: random.Random, number: int) -> Made:
    extension, data = _good(chance, number)
    return extension, data + chance.randbytes(chance.randint(1, 2000))


def _complex(chance: random.Random, number: int) -> Made:
    return ".tif", tiff(np.full((32, 32), number + 1j, np.complex64))


def _foreign(chance: random.Random, number: int) -> Made:
    head = chance.choice((b"GIF89a\x40\0\x40\0\xf7\0\0", b"%PDF-1.7\n%\xe2\xe3\n", b"PK\3\4\x14\0", b"\x89HDF\r\n\x1a\n"))
    return _any_ending(head + chance.randbytes(2000), chance)


def _text(chance: random.Random, number: int) -> Made:
    return _any_ending(f"no image, number {number}\n".encode() * chance.randint(1, 100), chance)


def _page(chance: random.Random, number: int) -> Made:
    return _any_ending(b"<!DOCTYPE html><html><body>502 Bad Gateway" + chance.randbytes(20).hex().encode(), chance)


BAD: Final[dict[str, Bad]] = {
    "empty": Bad(lambda chance, _: _any_ending(b"", chance), frozenset({"empty"})),
    "text": Bad(_text, frozenset({"not_an_image"})),
    "a page of a web server": Bad(_page, frozenset({"not_an_image"})),
    "noise": Bad(lambda chance, _: _any_ending(b"\x07" + chance.randbytes(3000), chance), frozenset({"not_an_image"})),
    "zeros": Bad(lambda chance, _: _any_ending(bytes(chance.randint(1, 9000)), chance), ANY),
    "another format": Bad(_foreign, frozenset({"not_an_image", "unsupported"})),
    "a head, then noise": Bad(_head_then_noise, ANY),
    "cut off": Bad(_cut, ANY | {"inspected"}),
    "zeros at the end": Bad(_zeros_behind, ANY | {"inspected"}),
    "zeros at the beginning": Bad(_zeros_before, ANY),
    "flipped bits": Bad(_flipped, ANY | {"inspected"}),
    "a stretch of noise": Bad(_overwritten, ANY | {"inspected"}),
    "a claim of too many pixels": Bad(
        lambda chance, _: (".png", png_header(chance.randint(60_000, 2_000_000), 100_000)), frozenset({"too_large"})
    ),
    "complex numbers": Bad(_complex, frozenset({"unsupported"})),
    "another ending": Bad(_another_ending, frozenset({"inspected"}), whole=True),
    "bytes behind the end": Bad(_more_behind, frozenset({"inspected"}), whole=True),
}
