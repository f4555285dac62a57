"""Damaged pixel data of every compression are doubted, intact ones never."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile

from edge.errors import ImageError
from edge.sem import damage, read
from tests import ROOT
from tests.sem.making import SHARED, bar, encoded, png_chunk, png_header, specimen, tiff, with_png_chunks

IMAGE = np.vstack([specimen(240, 320), bar(16, 320)])
COLOUR = np.dstack([IMAGE, IMAGE[:, ::-1], IMAGE[::-1]])
NOISE = np.random.default_rng(5).integers(0, 256, (300, 400)).astype(np.uint8)
FLAT = np.full((300, 400), 90, np.uint8)
FLAT[100:200] = 200

QUALITIES = (5, 15, 30, 45, 55, 65, 75, 80, 85, 90, 95, 100)
SAMPLINGS = (cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_422, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444)
VENDOR = b'<?xml version="1.0"?><FeiImage><pixelWidth unit="nm">25</pixelWidth></FeiImage>'
Maker = Callable[[np.ndarray], bytes]


def jpeg(*options: int) -> Maker:
    return lambda values: encoded(values, ".jpg", *options)


JPEGS: dict[str, Maker] = {
    **{f"quality {quality}": jpeg(cv2.IMWRITE_JPEG_QUALITY, quality) for quality in QUALITIES},
    **{f"sampling {factor:#x}": jpeg(cv2.IMWRITE_JPEG_SAMPLING_FACTOR, factor) for factor in SAMPLINGS},
    "optimised": jpeg(cv2.IMWRITE_JPEG_OPTIMIZE, 1),
    "progressive": jpeg(cv2.IMWRITE_JPEG_PROGRESSIVE, 1),
    "restarts": jpeg(cv2.IMWRITE_JPEG_RST_INTERVAL, 7),
    "vendor's text behind the end": lambda values: encoded(values, ".jpg") + VENDOR,
}
TIFFS: dict[str, Maker] = {
    f"{compression} {name}": (lambda values, c=compression, o=options: tiff(values, compression=c, **o))  # type: ignore[misc]
    for compression in ("lzw", "zlib", "packbits", "jpeg")
    for name, options in {"strips": {"rowsperstrip": 32}, "one strip": {}, "tiles": {"tile": (64, 64)}}.items()
}
DEEP: dict[str, Maker] = {
    f"{compression} {dtype}": (
        lambda values, c=compression, d=dtype: tiff(values.astype(d) * 3, compression=c, rowsperstrip=16)
    )  # type: ignore[misc]
    for compression in ("lzw", "zlib")
    for dtype in ("uint16", "float32")
}
PNGS: dict[str, Maker] = {
    "png": lambda values: encoded(values, ".png"),
    "png 16": lambda values: encoded(values.astype(np.uint16) * 99, ".png"),
}
ALL = {**JPEGS, **TIFFS, **DEEP, **PNGS}


def doubt(data: bytes) -> str | None:
    """What a reader of the inspection learns of the damage."""
    try:
        found = [warning for page in read(data, "a") for warning in page.warnings if warning.startswith("damaged: ")]
    except ImageError as error:
        return error.code
    return found[0] if found else None


def pixels_of(data: bytes) -> tuple[int, int]:
    """First byte and end of stored, compressed pixels: of a strip or tile, or of all."""
    if data.startswith(b"II"):
        with tifffile.TiffFile(BytesIO(data)) as file:
            page = file.pages[0]
            middle = len(page.dataoffsets) // 2
            start, end = page.dataoffsets[middle], page.dataoffsets[middle] + page.databytecounts[middle]
            return (data.find(b"\xff\xda", start, end) + 10, end - 2) if page.compression == 7 else (start, end)
    if data.startswith(b"\xff\xd8"):
        return data.find(b"\xff\xda") + 14, data.find(b"\xff\xd9", data.find(b"\xff\xda"))
    return data.find(b"IDAT") + 4, len(data) - 16


@pytest.mark.parametrize("name", ALL)
def test_intact_files_are_not_doubted(name: str) -> None:
    for values in (IMAGE, NOISE, FLAT, np.zeros_like(FLAT), COLOUR) if "sampling" not in name else (COLOUR,):
        if values is COLOUR and not name.startswith(("quality", "sampling", "optimised", "progressive", "restarts", "png")):
            continue
        assert doubt(ALL[name](values)) is None


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("fill", [0, 0xFF])
def test_the_middle_third_overwritten(name: str, fill: int) -> None:
    data = ALL[name](COLOUR if "sampling" in name else IMAGE)
    start, end = pixels_of(data)
    third = (end - start) // 3
    assert doubt(data[: start + third] + bytes([fill]) * third + data[start + 2 * third :])


@pytest.mark.parametrize("kind", ["zeros", "ones", "noise"])
def test_of_stretches_anywhere_few_are_missed(kind: str) -> None:
    """From 64 bytes on. Noise may happen to be as many blocks of JPEG as it took the place of."""
    rng = np.random.default_rng(6)
    tried = missed = 0
    names = [name for name in ALL if name.startswith(("quality 7", "quality 9", "optim", "restart", "lzw", "zlib", "png"))]
    for name in names:
        data = ALL[name](IMAGE)
        start, end = pixels_of(data)
        for _ in range(12):
            length = min(int(64 * 2 ** rng.uniform(0, 6)), (end - start) // 2)
            first = int(rng.integers(start, end - length))
            fill = {"zeros": bytes(length), "ones": b"\xff" * length, "noise": rng.bytes(length)}[kind]
            tried += 1
            missed += doubt(data[:first] + fill + data[first + length :]) is None
    assert tried >= 180
    assert missed <= (0.03 if kind == "noise" else 0.01) * tried


@pytest.mark.parametrize("name", [*JPEGS, "jpeg strips", "jpeg tiles"])
def test_bytes_left_before_the_end_or_missing_there(name: str) -> None:
    data = ALL[name](COLOUR if "sampling" in name else IMAGE)
    start, end = pixels_of(data)
    if data.startswith(b"II"):  # a strip keeps its length
        cut = data[: end - 40] + b"\xff\xd9" + bytes(38) + data[end:]
        left = data[: end - 42] + data[end - 2 : end] * 20 + data[end - 2 :]
    else:
        cut, left = data[: end - 40] + data[end:], data[:end] + b"\x5a" * 40 + data[end:]
    assert doubt(cut)
    assert doubt(left)
    assert start < end


def test_restart_markers_that_are_missing_or_out_of_order() -> None:
    data = JPEGS["restarts"](IMAGE)
    at = data.find(b"\xff\xd3", len(data) // 2)
    assert doubt(data[:at] + data[at + 2 :])
    assert doubt(data[: at + 1] + b"\xd6" + data[at + 2 :])


def test_odd_application_segments_are_not_minded_and_hide_nothing() -> None:
    data = encoded(IMAGE, ".jpg")
    odd = data[:2] + b"\xff\xe0\0\x10JFIF\0\x09\x09\0\0\1\0\1\0\0" + b"\xff\xee\0\x0eAdobe\0\x64\0\0\0\0\x09" + data[20:]
    assert doubt(odd) is None
    assert doubt(odd[: len(odd) // 2] + bytes(300) + odd[len(odd) // 2 + 300 :])


def png_of(packed: bytes, *, more: bytes = b"") -> bytes:
    head = png_header(8, 8)
    return head[:33] + png_chunk(b"IDAT", packed) + more + png_chunk(b"IEND", b"")


ROWS = b"".join(b"\0" + bytes(range(8)) for _ in range(8))


@pytest.mark.parametrize(
    ("data", "whole"),
    [
        (png_of(zlib.compress(ROWS)), True),
        (png_of(zlib.compress(ROWS)[:9], more=png_chunk(b"IDAT", zlib.compress(ROWS)[9:])), True),
        (with_png_chunks(png_of(zlib.compress(ROWS)), (b"tEXt", b"a\0b")) + VENDOR, True),
        (png_of(zlib.compress(ROWS[:40])), False),
        (png_of(zlib.compress(ROWS + bytes(40))), False),
        (png_of(zlib.compress(ROWS)[:-3]), False),
        (png_of(zlib.compress(ROWS) + b"more"), False),
        (png_of(zlib.compress(ROWS), more=png_chunk(b"IDAT", b"more")), False),
        (png_of(zlib.compress(ROWS)[:-1] + b"\0"), False),
    ],
    ids=["whole", "two chunks", "texts", "short", "long", "no end", "left over", "a chunk left over", "checksum"],
)
def test_png_streams(data: bytes, whole: bool) -> None:
    assert (doubt(data) is None) == whole


def test_a_checksum_that_a_decoder_may_pass_over() -> None:
    data = bytearray(encoded(IMAGE, ".png"))
    at = data.find(b"IDAT")
    end = at + 4 + struct.unpack(">I", data[at - 4 : at])[0]
    data[end] ^= 0xFF
    assert doubt(bytes(data))


def test_plain_strips_that_are_shorter_than_their_rows() -> None:
    data = bytearray(tiff(IMAGE, rowsperstrip=100))
    with tifffile.TiffFile(BytesIO(bytes(data))) as file:
        tag = file.pages[0].tags[279]
    counts = list(tag.value)
    counts[1] -= 320
    counts[0] += 320  # as many bytes together
    form = f"<{len(counts)}{'H' if tag.dtype == 3 else 'I'}"
    data[tag.valueoffset : tag.valueoffset + struct.calcsize(form)] = struct.pack(form, *counts)
    assert (doubt(bytes(data)) or "").startswith("damaged")


REAL = [path for folder in (ROOT / "tests" / "data", ROOT / "edge" / "samples", SHARED) for path in sorted(folder.rglob("*.*"))]


@pytest.mark.parametrize("path", [path for path in REAL if path.suffix in (".tif", ".png", ".jpg")], ids=lambda path: path.name)
def test_real_files_are_not_doubted(path: Path) -> None:
    assert not (doubt(path.read_bytes()) or "").startswith("damaged")


def test_a_scan_of_which_nothing_is_known_is_left_alone() -> None:
    assert damage._means_nothing(b"", {})
    assert damage._means_nothing(b"\1\1\0\0\x3f\x10", {0x10: 1})  # a refinement
    assert not damage._means_nothing(b"\1\1\0\0\x3f\0", {0x10: 1})
