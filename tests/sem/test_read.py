"""Every kind of file that microscopes and their users export, and every kind that must be refused."""

from __future__ import annotations

import logging
import struct
from io import BytesIO

import cv2
import numpy as np
import pytest
import tifffile

from edge.errors import ImageError
from edge.records import Micrograph
from edge.sem import Limits, read

from .making import encoded, png_header, specimen, tiff

IMAGE = specimen(200, 260)


def one(data: bytes, name: str = "a.tif", **options: object) -> Micrograph:
    (micrograph,) = read(data, name, **options)  # type: ignore[arg-type]
    return micrograph


def refused(data: bytes, limits: Limits = Limits()) -> str:  # noqa: B008
    with pytest.raises(ImageError) as caught:
        read(data, "a.tif", limits=limits)
    return caught.value.code


# TIFF ------------------------------------------------------------------------------------------------------------


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


def test_pages_of_one_size_are_all_read() -> None:
    micrographs = read(tiff(np.stack([IMAGE, IMAGE // 2, IMAGE // 3]), photometric="minisblack"), "a.tif")
    assert [micrograph.page for micrograph in micrographs] == [0, 1, 2]
    assert all(micrograph.pages == 3 for micrograph in micrographs)
    np.testing.assert_array_equal(micrographs[1].grey, IMAGE // 2)


def several(*pages: tuple[np.ndarray, int]) -> bytes:
    stream = BytesIO()
    with tifffile.TiffWriter(stream) as writer:
        for values, kind in pages:
            writer.write(values, subfiletype=kind, metadata=None, photometric="minisblack")
    return stream.getvalue()


def test_pages_of_different_sizes_give_the_first_only() -> None:
    micrograph = one(several((IMAGE, 0), (IMAGE[:100], 0)))
    assert micrograph.stored_height_px == 200
    assert micrograph.pages == 1
    assert micrograph.warnings[0].startswith("pages_differ: ")


SMALLER = np.ascontiguousarray(IMAGE[::4, ::4])


@pytest.mark.parametrize(("other", "kind"), [(SMALLER, 1), (SMALLER > 100, 4)], ids=["thumbnail", "mask"])
def test_thumbnails_and_masks_are_no_pages(other: np.ndarray, kind: int) -> None:
    assert len(read(several((IMAGE, 0), (other, kind)), "a.tif")) == 1
    np.testing.assert_array_equal(one(several((other, kind), (IMAGE, 0))).grey, IMAGE)


def test_orientation_is_ignored_with_a_warning() -> None:
    stream = tiff(IMAGE, None)
    assert one(stream).warnings == ()
    extra = [(274, 3, 1, 6, True)]
    out = BytesIO()
    tifffile.imwrite(out, IMAGE, extratags=extra, metadata=None)
    micrograph = one(out.getvalue())
    assert micrograph.grey.shape == IMAGE.shape
    assert micrograph.warnings[0].startswith("orientation_ignored: ")


# PNG, JPEG, BMP --------------------------------------------------------------------------------------------------


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


def png_chunk(name: bytes, body: bytes) -> bytes:
    import zlib

    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def test_png_palette_and_interlace() -> None:
    import zlib

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


# Small and odd, but valid ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (300, 1), (2, 3)])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_tiny_images_are_read(shape: tuple[int, int], dtype: str) -> None:
    micrograph = one(tiff(np.ones(shape, dtype)))
    assert micrograph.grey.shape == shape
    assert micrograph.databar_px == 0


def test_an_all_black_image_is_read_with_a_warning() -> None:
    assert one(tiff(np.zeros((64, 64), np.uint8))).warnings == ("constant: every pixel has the value 0",)


def test_grey_is_contiguous() -> None:
    assert one(encoded(np.dstack([IMAGE] * 3), ".png")).grey.flags.c_contiguous


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


def test_tifffile_says_nothing_on_stderr(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        one(tiff(IMAGE, {34682: "[User"}))
    assert not caplog.records


# Refused ---------------------------------------------------------------------------------------------------------


def test_nothing_is_empty() -> None:
    assert refused(b"") == "empty"


@pytest.mark.parametrize("data", [b"hello world, this is a text", b"%PDF-1.7 " * 9, b"GIF89a" + b"x" * 50, b"\x00\x01" * 40])
def test_other_files_are_no_images(data: bytes) -> None:
    assert refused(data) == "not_an_image"


@pytest.mark.parametrize("data", [tiff(IMAGE), tiff(IMAGE, compression="zlib"), encoded(IMAGE, ".png"), encoded(IMAGE, ".jpg"),
                                  encoded(IMAGE, ".bmp")], ids=["tiff", "tiff-zlib", "png", "jpeg", "bmp"])  # fmt: skip
@pytest.mark.parametrize("part", [0.02, 0.3, 0.9, 0.999])
def test_a_cut_file_is_truncated(data: bytes, part: float) -> None:
    assert refused(data[: int(len(data) * part)]) == "truncated"


def test_a_file_of_zeros_is_truncated() -> None:
    assert refused(b"\0" * 5000) == "truncated"


def claiming(width: int, height: int) -> bytes:
    """A TIFF whose tags claim a size."""
    data = bytearray(tiff(IMAGE[:8, :8]))
    for tag, value in ((256, width), (257, height), (278, height)):
        for kind, code in ((4, "<I"), (3, "<H")):
            at = data.find(struct.pack("<HHI", tag, kind, 1))
            if at >= 0 and value < 1 << (32 if kind == 4 else 16):
                data[at + 8 : at + 8 + struct.calcsize(code)] = struct.pack(code, value)
    return bytes(data)


@pytest.mark.parametrize("data", [png_header(100_000, 100_000), claiming(100_000, 60_000)], ids=["png", "tiff"])
def test_a_bomb_is_refused_by_its_header(data: bytes) -> None:
    assert refused(data) == "too_large"


def test_a_bmp_bomb_is_refused_by_its_header() -> None:
    data = bytearray(encoded(IMAGE, ".bmp"))
    data[18:26] = struct.pack("<ii", 100_000, 100_000)
    assert refused(bytes(data)) == "too_large"


def test_a_jpeg_bomb_is_refused_by_its_header() -> None:
    data = bytearray(encoded(IMAGE, ".jpg"))
    at = data.find(b"\xff\xc0")
    data[at + 5 : at + 9] = struct.pack(">HH", 65000, 65000)
    assert refused(bytes(data)) == "too_large"


def test_many_pages_count_together() -> None:
    data = tiff(np.stack([IMAGE] * 5), photometric="minisblack")
    assert refused(data, Limits(max_pixels=4 * IMAGE.size)) == "too_large"
    assert len(read(data, "a.tif", limits=Limits(max_pixels=5 * IMAGE.size))) == 5


def test_too_many_bytes_are_refused() -> None:
    assert refused(tiff(IMAGE), Limits(max_bytes=1000)) == "too_large"


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


def test_a_message_says_what_to_do() -> None:
    with pytest.raises(ImageError, match="export the image again"):
        read(encoded(IMAGE, ".png")[:500], "a.png")


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
