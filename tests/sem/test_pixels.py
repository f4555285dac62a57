"""Every kind of file that microscopes and their users export, decoded to the same pixels."""

from __future__ import annotations

import logging
import struct
import zlib
from io import BytesIO

import cv2
import numpy as np
import pytest
import tifffile

from edge.errors import ImageError
from edge.sem import read
from tests.sem.making import (
    encoded,
    png_chunk,
    specimen,
    tiff,
)
from tests.sem.micrographs import one, refused

IMAGE = specimen(200, 260)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"byteorder": ">"},
        {"bigtiff": True},
        {"bigtiff": True, "byteorder": ">"},
        {"compression": "zlib"},
        {"compression": "lzw"},
        {"compression": "packbits"},
        {"compression": "zstd"},
        {"compression": "zlib", "predictor": True},
        {"tile": (64, 64)},
        {"tile": (64, 64), "compression": "lzw"},
        {"rowsperstrip": 1},
        {"photometric": "minisblack"},
    ],
    ids=str,
)
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_tiff_kinds_decode_to_the_same_pixels(options: dict[str, object], dtype: str) -> None:
    values = IMAGE.astype(dtype) * (257 if dtype == "uint16" else 1)
    micrograph = one(tiff(values, **options))
    assert (micrograph.stored_width_px, micrograph.stored_height_px) == (260, 200)
    expected = one(tiff(values)).grey
    np.testing.assert_array_equal(micrograph.grey, expected)
    if dtype == "uint8":
        np.testing.assert_array_equal(micrograph.grey, IMAGE)


def test_tiff_jpeg_is_close_to_the_pixels() -> None:
    micrograph = one(tiff(IMAGE, compression="jpeg", compressionargs={"level": 95}))
    assert np.abs(micrograph.grey.astype(int) - IMAGE).mean() < 3


def test_white_is_zero_is_turned_round() -> None:
    np.testing.assert_array_equal(one(tiff(255 - IMAGE, photometric="miniswhite")).grey, IMAGE)


def test_white_is_zero_in_16_bits_is_turned_round() -> None:
    deep = IMAGE.astype(np.uint16) * 257
    np.testing.assert_array_equal(one(tiff(65535 - deep, photometric="miniswhite")).grey, one(tiff(deep)).grey)


@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_rgb_of_equal_channels_is_grey(planar: str) -> None:
    values = np.dstack([IMAGE] * 3)
    if planar == "separate":
        values = np.moveaxis(values, -1, 0)
    micrograph = one(tiff(np.ascontiguousarray(values), photometric="rgb", planarconfig=planar))
    np.testing.assert_array_equal(micrograph.grey, IMAGE)
    assert micrograph.warnings == ()


def test_palette_of_greys_is_looked_up() -> None:
    table = np.stack([np.arange(256)[::-1] * 257] * 3).astype(np.uint16)
    micrograph = one(tiff(IMAGE, photometric="palette", colormap=table))
    np.testing.assert_array_equal(micrograph.grey, 255 - IMAGE)


def test_one_bit_becomes_black_and_white() -> None:
    values = IMAGE > 100
    np.testing.assert_array_equal(one(tiff(values, photometric="minisblack")).grey, values * np.uint8(255))


@pytest.mark.parametrize("dtype", ["int32", "float32", "float64", "int16", "uint32"])
def test_deep_images_are_windowed(dtype: str) -> None:
    micrograph = one(tiff(IMAGE.astype(dtype) * 3))
    assert micrograph.grey.dtype == np.uint8
    assert micrograph.grey_window[1] > 255


@pytest.mark.parametrize("extension", [".png", ".bmp"])
def test_8_bits_survive(extension: str) -> None:
    np.testing.assert_array_equal(one(encoded(IMAGE, extension), f"a{extension}").grey, IMAGE)


def test_png_of_16_bits_is_windowed() -> None:
    assert one(encoded(IMAGE.astype(np.uint16) * 20, ".png")).grey_window[1] > 2000


def test_png_with_alpha_drops_it() -> None:
    values = np.dstack([IMAGE, IMAGE, IMAGE, 255 - IMAGE])
    np.testing.assert_array_equal(one(encoded(values, ".png")).grey, IMAGE)


def test_rgb_order_is_not_mixed_up() -> None:
    red = np.zeros((32, 32, 3), np.uint8)
    red[..., 2] = 255  # OpenCV writes blue first
    for extension in (".png", ".bmp", ".jpg"):
        assert abs(int(one(encoded(red, extension)).grey[5, 5]) - 76) <= 2, extension


def test_png_palette_and_interlace() -> None:
    head = struct.pack(">IIBBBBB", 4, 2, 8, 3, 0, 0, 0)
    palette = bytes(value for level in (0, 100, 200, 255) for value in (level, level, level))
    rows = b"\0\0\1\2\3" + b"\0\3\2\1\0"
    body = png_chunk(b"IHDR", head) + png_chunk(b"PLTE", palette) + png_chunk(b"IDAT", zlib.compress(rows))
    data = b"\x89PNG\r\n\x1a\n" + body + png_chunk(b"IEND", b"")
    assert one(data).grey.tolist() == [[0, 100, 200, 255], [255, 200, 100, 0]]
    # Adam7 of a 1 x 1 image has one pass with one pixel.
    head = struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 1)
    body = png_chunk(b"IHDR", head) + png_chunk(b"IDAT", zlib.compress(b"\0\x2a")) + png_chunk(b"IEND", b"")
    assert one(b"\x89PNG\r\n\x1a\n" + body).grey.tolist() == [[42]]


def bmp(values: np.ndarray, bits: int, palette: bytes, top_down: bool = False) -> bytes:
    """A BMP of 1 or 8 bits with a palette."""
    packed = np.packbits(values, axis=1) if bits == 1 else values
    rows = [row.tobytes() + b"\0" * (-len(row.tobytes()) % 4) for row in packed]
    pixels = b"".join(rows if top_down else rows[::-1])
    height, width = values.shape
    offset = 14 + 40 + len(palette)
    info = struct.pack("<IiiHHIIiiII", 40, width, -height if top_down else height, 1, bits, 0, 0, 0, 0, len(palette) // 4, 0)
    return b"BM" + struct.pack("<IHHI", offset + len(pixels), 0, 0, offset) + info + palette + pixels


@pytest.mark.parametrize("top_down", [False, True])
def test_bmp_of_8_bits_uses_its_palette(top_down: bool) -> None:
    palette = b"".join(bytes((255 - level,) * 3) + b"\0" for level in range(256))
    np.testing.assert_array_equal(one(bmp(IMAGE, 8, palette, top_down)).grey, 255 - IMAGE)


def test_bmp_of_one_bit() -> None:
    values = (IMAGE > 100).astype(np.uint8)
    np.testing.assert_array_equal(one(bmp(values, 1, b"\0\0\0\0\xff\xff\xff\0")).grey, values * 255)


def test_jpeg_rotation_flag_is_ignored() -> None:
    data = encoded(IMAGE, ".jpg")
    tags = b"II*\0\x08\0\0\0\x01\0" + struct.pack("<HHIHH", 274, 3, 1, 6, 0) + b"\0\0\0\0"
    exif = b"Exif\0\0" + tags
    turned = data[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + data[2:]
    assert one(turned, "a.jpg").grey.shape == IMAGE.shape


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (300, 1), (2, 3)])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_tiny_images_are_read(shape: tuple[int, int], dtype: str) -> None:
    micrograph = one(tiff(np.ones(shape, dtype)))
    assert micrograph.grey.shape == shape
    assert micrograph.databar_px == 0


def test_tifffile_says_nothing_on_stderr(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        one(tiff(IMAGE, {34682: "[User"}))
    assert not caplog.records


def test_complex_pixels_are_unsupported() -> None:
    assert refused(tiff(np.ones((8, 8), np.complex64))) == "unsupported"


def test_many_channels_are_unsupported() -> None:
    assert refused(tiff(np.ones((16, 16, 7), np.uint8), photometric="minisblack", planarconfig="contig")) == "unsupported"


def test_pixels_that_do_not_decode_are_damaged() -> None:
    data = bytearray(tiff(IMAGE, compression="zlib"))
    (start,) = (page.dataoffsets[0] for page in tifffile.TiffFile(BytesIO(bytes(data))).pages)
    data[start : start + 40] = b"\xaa" * 40
    assert refused(bytes(data)) == "damaged"


def test_a_jpeg_bomb_inside_a_tiff_is_damaged() -> None:
    data = bytearray(tiff(IMAGE, compression="jpeg"))
    at = data.find(b"\xff\xc0")
    data[at + 5 : at + 9] = struct.pack(">HH", 65000, 65000)
    assert refused(bytes(data)) == "damaged"


def test_an_lzw_strip_longer_than_its_image_does_no_harm() -> None:
    """The decoder that tifffile calls writes beyond its buffer here."""
    data = bytearray(tiff(np.zeros((400, 260), np.uint8), compression="lzw"))
    for tag in (257, 278):
        at = next(at for kind in (3, 4) if (at := data.find(struct.pack("<HHI", tag, kind, 1))) >= 0)
        data[at + 8 : at + 10] = struct.pack("<H", 2)
    assert one(bytes(data)).grey.shape == (2, 260)


@pytest.mark.parametrize("options", [{}, {"tile": (64, 64)}, {"rowsperstrip": 9}, {"predictor": True}], ids=str)
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_lzw_in_every_arrangement(options: dict[str, object], dtype: str) -> None:
    values = IMAGE.astype(dtype)
    np.testing.assert_array_equal(one(tiff(values, compression="lzw", **options)).grey, one(tiff(values)).grey)


def test_lzw_in_colour_planes() -> None:
    values = np.ascontiguousarray(np.moveaxis(np.dstack([IMAGE] * 3), -1, 0))
    data = tiff(values, compression="lzw", photometric="rgb", planarconfig="separate")
    np.testing.assert_array_equal(one(data).grey, IMAGE)


def test_a_png_with_a_wrong_byte_is_read_or_damaged() -> None:
    broken = bytearray(encoded(IMAGE, ".png", cv2.IMWRITE_PNG_COMPRESSION, 0))
    broken[len(broken) // 2] ^= 0xFF
    assert outcome(bytes(broken)) in ("read", "damaged")


def outcome(data: bytes) -> str:
    try:
        read(data, "a.png")
    except ImageError as error:
        return error.code
    return "read"
