"""Rows that nothing was written to."""

from __future__ import annotations

import io
import random

import numpy as np
import pytest
from PIL import Image

from edge import sem
from edge.sem.unfilled import unfilled_rows
from tests.sem.making import specimen, tiff


@pytest.mark.parametrize("value", [0, 255])
@pytest.mark.parametrize(("first", "last"), [(0, 0), (0, 9), (50, 50), (30, 79), (0, 79)])
def test_rows_of_one_value_are_found_wherever_they_are(first: int, last: int, value: int) -> None:
    plane = specimen(80, 120)
    plane[first : last + 1] = value
    assert unfilled_rows(plane) == (first, last)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, np.int32, np.float32, np.float64])
def test_whatever_the_pixels_are_made_of(dtype: type) -> None:
    plane = (specimen(80, 120) + 1).astype(dtype)
    assert unfilled_rows(plane) is None
    plane[20:30] = 0
    assert unfilled_rows(plane) == (20, 29)
    plane[20:30] = np.frombuffer(b"\xff" * plane.dtype.itemsize, dtype)[0]
    assert unfilled_rows(plane) == (20, 29)


def test_a_hole_need_not_begin_with_a_row() -> None:
    """Writers fill blocks of bytes, which know nothing of rows."""
    choose = random.Random(7)
    for _ in range(200):
        plane = specimen(64, choose.choice((100, 128, 333)))
        length = choose.randrange(plane.shape[1] * 5 // 4 + 4, 20 * plane.shape[1])
        start = choose.randrange(plane.size - length)
        plane.ravel()[start : start + length] = 0
        found = unfilled_rows(plane)
        assert found is not None
        assert abs(found[0] - start / plane.shape[1]) <= 1


def test_black_pixels_and_nearly_black_rows_are_no_hole() -> None:
    plane = specimen(80, 120)
    plane[10:70, 5:115] = 0
    plane[20, :] = 0
    plane[20, 60] = 1
    plane[40:50, :] = 255
    plane[40:50, ::20] = 254
    assert unfilled_rows(plane) is None


def test_a_palette_makes_any_grey_of_bytes_that_nobody_wrote() -> None:
    plane = specimen(96, 128)
    plane[40:50] = 77
    assert unfilled_rows(plane) == (40, 49)
    plane[50:60] = 78
    plane[50:60, ::20] = 77
    assert unfilled_rows(plane) == (40, 49)


@pytest.mark.parametrize("fill", [b"\0", b"\xff"])
@pytest.mark.parametrize("form", ["TIFF", "BMP"])
def test_a_hole_in_a_file_with_a_palette_is_doubted(form: str, fill: bytes) -> None:
    grey = specimen(96, 128)
    image = Image.fromarray((grey.astype(int) - 90).astype(np.uint8)).convert("P")
    image.putpalette([level for index in range(256) for level in [(index + 90) % 256] * 3])
    image.save(stream := io.BytesIO(), form)
    data = stream.getvalue()
    (whole,) = sem.read(data, f"a.{form}")
    assert not [warning for warning in whole.warnings if warning.startswith("zero_rows")]
    (partial,) = sem.read(data[:4000] + fill * 2000 + data[6000:], f"a.{form}")
    assert [warning for warning in partial.warnings if warning.startswith("zero_rows")]


def test_a_tile_that_was_not_filled_is_found() -> None:
    plane = specimen(128, 192)
    plane[64:128, 64:128] = 0
    assert unfilled_rows(plane) is None
    assert unfilled_rows(plane, tile_width=64) == (64, 127)


def test_the_reading_of_a_file_tells_of_them_and_not_of_its_bar() -> None:
    plane = specimen(96, 128)
    plane[40:50] = 0
    (micrograph,) = sem.read(tiff(plane), "a.tif")
    assert [warning for warning in micrograph.warnings if warning.startswith("zero_rows: rows 40 to 49 are")]


def test_images_of_any_size_are_looked_at() -> None:
    for shape in ((1, 1), (1, 3), (3, 1), (2, 4)):
        unfilled_rows(np.ones(shape, np.uint8))
    assert unfilled_rows(np.zeros((1, 4), np.uint8)) == (0, 0)


@pytest.mark.parametrize(("dtype", "pixel_bytes"), [(np.uint16, 2), (np.float64, 8), (np.uint8, 3)])
def test_a_block_of_a_file_system_is_found_in_rows_that_are_longer(dtype: type, pixel_bytes: int) -> None:
    choose = random.Random(3)
    for _ in range(30):
        plane = (specimen(40, 6144) + 1).astype(dtype)
        length = 4096 // pixel_bytes * 5 // 4 + 1
        start = choose.randrange(plane.size - length)
        plane.ravel()[start : start + length] = 0
        assert unfilled_rows(plane, 0, pixel_bytes) is not None
    assert unfilled_rows((specimen(40, 6144) + 1).astype(dtype), 0, pixel_bytes) is None
