"""The one rule by which stored values become 8 bits."""

from __future__ import annotations

import numpy as np
import pytest

from edge.models.card import GREY_WINDOW_RULE
from edge.sem import grey, read
from tests.sem.making import bar, specimen, tiff


def test_the_rule_is_the_one_that_model_cards_name() -> None:
    assert GREY_WINDOW_RULE in (grey.__doc__ or "")


def test_8_bits_stay_as_they_are_without_a_copy() -> None:
    image = specimen()
    windowed = grey.window(image)
    assert np.shares_memory(windowed.grey, image)
    assert windowed.window == (0.0, 255.0)


@pytest.mark.parametrize("dtype", ["uint16", "int16", "int32", "uint32", "float32", "float64", "int8"])
def test_deeper_values_follow_the_percentiles(dtype: str) -> None:
    rng = np.random.default_rng(1)
    plane = rng.normal(60, 15, (200, 300)).clip(0, 126).astype(dtype)
    if np.dtype(dtype).itemsize > 1:
        plane = plane * np.array(100, dtype) + rng.integers(0, 100, plane.shape).astype(dtype)
    low, high = np.percentile(plane.astype(np.float64), [0.1, 99.9])
    expected = np.clip(np.rint((plane.astype(np.float64) - low) * 255 / (high - low)), 0, 255)
    windowed = grey.window(plane)
    assert windowed.window == pytest.approx((low, high))
    np.testing.assert_array_equal(windowed.grey, expected)


def test_rounding_is_half_to_even() -> None:
    plane = np.array([[0, 1, 3, 5, 510]], np.uint16).repeat(400, axis=0)
    assert grey.window(plane).window == (0, 510)
    assert grey.window(plane).grey[0].tolist() == [0, 0, 2, 2, 255]


def test_12_bits_in_16_use_their_real_range() -> None:
    plane = np.linspace(0, 4095, 100_000).astype(np.uint16).reshape(250, 400)
    windowed = grey.window(plane)
    assert windowed.grey.min() == 0
    assert windowed.grey.max() == 255
    assert windowed.window[1] < 4096


def test_rare_bright_pixels_on_nothing_still_get_a_window() -> None:
    plane = np.zeros((100, 200), np.uint16)
    plane[3, 4] = 1000
    windowed = grey.window(plane)
    assert windowed.window == (0, 1000)
    assert windowed.grey[3, 4] == 255


@pytest.mark.parametrize("dtype", ["uint16", "float32", "int32"])
def test_a_constant_image_becomes_zero_with_a_warning(dtype: str) -> None:
    windowed = grey.window(np.full((20, 20), 77, dtype))
    assert not windowed.grey.any()
    assert windowed.warnings == ("constant: every pixel has the value 77",)


def test_values_that_are_no_numbers_count_as_black_and_are_counted() -> None:
    plane = np.linspace(1, 2, 10_000, dtype=np.float32).reshape(100, 100)
    plane[5, 5], plane[6, 6], plane[7, 7] = np.nan, np.inf, -np.inf
    windowed = grey.window(plane)
    assert windowed.grey[5, 5] == windowed.grey[6, 6] == windowed.grey[7, 7] == 0
    assert windowed.warnings == ("not_finite: 3 pixels are NaN or infinite and count as black",)


ABSENT = [("float32", (-3.4028235e38,)), ("float32", (3.4028235e38,)), ("float64", (-1.7976931348623157e308,)),
          ("float32", (-3.4e38, 3.4e38)), ("float32", (-9999.0,)), ("float64", (1e20,)), ("int16", (-32768,)),
          ("int32", (-2147483648,)), ("float32", (9.969209968386869e36,))]  # fmt: skip


@pytest.mark.parametrize(("dtype", "absent"), ABSENT, ids=str)
def test_a_value_that_stands_for_none_has_no_part_in_the_window(dtype: str, absent: tuple[float, ...]) -> None:
    plane = np.random.default_rng(2).integers(100, 3000, (200, 300)).astype(dtype)
    expected = grey.window(plane[20:])
    for row, value in enumerate(absent):
        plane[10 * row : 10 * row + 10] = value
    windowed = grey.window(plane)
    assert windowed.window == pytest.approx(expected.window, abs=3)
    assert not windowed.grey[: 10 * len(absent)].any()
    assert "which stands for no value" in windowed.warnings[0]


@pytest.mark.parametrize("values", [(-9999, 1), (0, 65535), (-300, 0, 300), (1, 2, 3e5)])
def test_a_value_that_may_be_measured_stays(values: tuple[float, ...]) -> None:
    plane = np.random.default_rng(3).choice(np.array(values, np.float32), (100, 100))
    plane[0] = values[0] + np.arange(100) / 200 if values[0] >= 0 else values[0] / 2
    assert grey.window(plane).warnings == ()
    assert grey.window(plane).window[1] == pytest.approx(values[-1])


def test_of_planes_of_any_size_the_percentiles_are_those_of_all_values(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grey, "STRIP_VALUES", 1000)
    rng = np.random.default_rng(4)
    for plane in (rng.normal(0, 1e-3, (300, 70)), rng.integers(0, 3, (300, 70)).astype(np.float32) - 1):
        assert grey.window(plane).window == pytest.approx(np.percentile(plane, [0.1, 99.9]))


def test_a_float_image_of_nan_alone_is_black() -> None:
    assert not grey.window(np.full((4, 4), np.nan)).grey.any()


def test_the_widest_float_range_does_not_overflow() -> None:
    plane = np.array([[-1.7e308, 0, 1.7e308]] * 400)
    assert grey.window(plane).grey[0].tolist() == [0, 128, 255]


def test_equal_channels_are_one_channel() -> None:
    image = specimen()
    plane, warnings = grey.to_plane(np.dstack([image] * 3))
    np.testing.assert_array_equal(plane, image)
    assert warnings == ()


def test_colour_becomes_luma_with_a_warning() -> None:
    colours = np.zeros((64, 64, 3), np.uint8)
    colours[:, :20, 0], colours[:, 20:40, 1], colours[:, 40:, 2] = 255, 255, 255
    plane, warnings = grey.to_plane(colours)
    assert (plane[0, 0], plane[0, 30], plane[0, 50]) == (76, 150, 29)
    assert warnings[0].startswith("coloured: ")


def test_the_faint_colours_of_compression_are_no_warning() -> None:
    image = np.dstack([specimen()] * 3)
    image[..., 2] = np.clip(image[..., 2].astype(int) + 2, 0, 255)
    assert grey.to_plane(image)[1] == ()


def test_the_window_is_that_of_the_image_above_the_bar() -> None:
    image = specimen().astype(np.uint16) * 10 + 500
    with_bar = np.vstack([image, bar(32).astype(np.uint16) * 257])
    (micrograph,) = read(tiff(with_bar), "a.tif")
    assert micrograph.databar_px == 32
    assert micrograph.grey_window == pytest.approx(tuple(np.percentile(image, [0.1, 99.9])))


def test_saturation_is_that_of_the_stored_range_not_of_the_window() -> None:
    image = np.full((100, 100), 1000, np.uint16)
    image[:10], image[10:20] = 0, 65535
    image[20:] = np.arange(1000, 9000).reshape(80, 100)
    (micrograph,) = read(tiff(image), "a.tif")
    assert micrograph.saturated_fraction == pytest.approx(0.2)
