"""Which pages of which files become micrographs, and which files are refused."""

from __future__ import annotations

import struct
from io import BytesIO

import numpy as np
import pytest
import tifffile

from edge.errors import ImageError
from edge.sem import Limits, needs_sidecar, read
from tests.sem.making import (
    bar,
    encoded,
    fei,
    png_header,
    specimen,
    tiff,
)
from tests.sem.micrographs import one, refused

IMAGE = specimen(200, 260)
WITH_BAR = np.vstack([specimen(), bar(32)])


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


def test_of_pages_of_different_sizes_the_largest_is_read_wherever_it_stands() -> None:
    for pages in ((IMAGE, 0), (IMAGE[:100], 0)), ((IMAGE[:100], 0), (IMAGE, 0)), ((IMAGE[:9], 0), (IMAGE, 0), (IMAGE[:8], 0)):
        micrograph = one(several(*pages))
        np.testing.assert_array_equal(micrograph.grey, IMAGE)
        assert (micrograph.page, micrograph.pages) == (0, 1)
        assert micrograph.warnings[0].startswith("pages_differ: ")
        assert f"not seen: 260x{100 if len(pages) == 2 else 9} of 1 x 8 bits" in micrograph.warnings[0]


def test_of_two_copies_the_deeper_is_one_field() -> None:
    deep = IMAGE.astype(np.uint16) * 200
    for pages in ((IMAGE, 0), (deep, 0)), ((deep, 0), (IMAGE, 0)):
        micrograph = one(several(*pages))
        assert micrograph.grey_window[1] > 255
        assert micrograph.warnings[0].startswith("pages_differ: ")


def stack(images: int, told: int, byteorder: str = ">", dtype: str = "uint8") -> bytes:
    """As ImageJ writes one: a single page, `images` images behind one another, of `told` in its description."""
    values = np.stack([IMAGE // (number + 1) for number in range(images)]).astype(dtype)
    data = tiff(values[0], {270: f"ImageJ=1.54f\nimages={told}\nslices={told}\nloop=false\n"}, byteorder=byteorder)
    with tifffile.TiffFile(BytesIO(data)) as file:
        assert file.pages[0].dataoffsets[0] + values[0].nbytes == len(data)
    return data + values[1:].astype(values.dtype.newbyteorder(byteorder)).tobytes()


@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_every_image_of_an_imagej_stack_behind_one_page_is_read(byteorder: str, dtype: str) -> None:
    micrographs = read(stack(4, 4, byteorder, dtype), "a.tif")
    assert [(page.page, page.pages, page.warnings) for page in micrographs] == [(number, 4, ()) for number in range(4)]
    for number, micrograph in enumerate(micrographs):
        np.testing.assert_array_equal(micrograph.grey, one(tiff((IMAGE // (number + 1)).astype(dtype))).grey)


def test_images_of_a_stack_that_are_not_there_are_said() -> None:
    micrographs = read(stack(2, 5), "a.tif")
    assert len(micrographs) == 2
    assert micrographs[0].warnings == ("stack_unseen: ImageJ speaks of 5 images, the first 2 are read",)
    assert refused(stack(3, 3), Limits(max_pixels=2 * IMAGE.size)) == "too_large"


@pytest.mark.parametrize("bits", [12, 16])
def test_a_jpeg_of_more_bits_is_unsupported_with_advice(bits: int) -> None:
    data = bytearray(encoded(IMAGE, ".jpg"))
    at = data.find(b"\xff\xc0")
    data[at + 1 : at + 5] = struct.pack(">BHB", 0xC1, 11, bits)
    with pytest.raises(ImageError, match="TIFF or PNG of 8 or 16 bits") as caught:
        read(bytes(data), "a.jpg")
    assert caught.value.code == "unsupported"


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


def test_a_message_says_what_to_do() -> None:
    with pytest.raises(ImageError, match="export the image again"):
        read(encoded(IMAGE, ".png")[:500], "a.png")


def test_an_all_black_image_is_read_with_a_warning() -> None:
    constant, empty = one(tiff(np.zeros((64, 64), np.uint8))).warnings
    assert constant == "constant: every pixel has the value 0"
    assert empty.startswith("zero_rows: rows 0 to 63 are")


def test_grey_is_contiguous() -> None:
    assert one(encoded(np.dstack([IMAGE] * 3), ".png")).grey.flags.c_contiguous


def test_a_configured_size_does_not_replace_one_that_the_file_contradicts() -> None:
    data = tiff(WITH_BAR, {34682: fei(Scan__PixelHeight="6e-007")})
    assert one(data, pixel_size_nm=10.0).pixel_size_nm is None


def test_a_configured_pixel_size_is_used_only_when_nothing_else_says_one() -> None:
    plain = one(tiff(IMAGE), pixel_size_nm=7.0)
    assert (plain.pixel_size_nm, plain.pixel_size_source) == (7.0, "config")
    known = one(tiff(WITH_BAR, {34682: fei()}), pixel_size_nm=7.0)
    assert (known.pixel_size_nm, known.pixel_size_source) == (pytest.approx(500), "metadata")


def test_a_sidecar_is_needed_when_the_file_has_no_pixel_size() -> None:
    assert needs_sidecar(tiff(IMAGE), "a.tif")
    assert not needs_sidecar(tiff(WITH_BAR, {34682: fei()}), "a.tif")
    assert not needs_sidecar(b"no image", "a.tif")
