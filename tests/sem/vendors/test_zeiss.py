"""What Zeiss SmartSEM writes, and the traps in it."""

from __future__ import annotations

from datetime import datetime

import pytest

from edge.records import Micrograph
from tests.sem.making import (
    bar,
    specimen,
    tiff,
    zeiss,
)
from tests.sem.micrographs import one, warned

IMAGE = specimen()


def read_zeiss(width: int = 512, **options: object) -> Micrograph:
    height = width * 3 // 4
    options.setdefault("store", f"{width} * {height}")
    return one(tiff(specimen(height, width), {34118: zeiss(**options)}))  # type: ignore[arg-type]


def test_zeiss_image_pixel_size_wins_over_pixel_size() -> None:
    micrograph = read_zeiss()
    acquisition = micrograph.acquisition
    assert micrograph.pixel_size_nm == pytest.approx(35.94)
    assert (acquisition.vendor, acquisition.model, acquisition.detector) == ("Zeiss", "ULTRA 55", "InLens")
    assert (acquisition.acceleration_kv, acquisition.magnification, acquisition.working_distance_mm) == (
        5.0,
        10000.0,
        pytest.approx(4.1),
    )
    assert acquisition.captured_at == datetime(2018, 9, 25, 8, 20, 42)  # noqa: DTZ001
    assert micrograph.warnings == ()


@pytest.mark.parametrize(("text", "nm"), [("558.2 pm", 0.5582), ("1.2 µm", 1200), ("1.2 um", 1200), ("0.01 mm", 10000)])
def test_zeiss_units(text: str, nm: float) -> None:
    assert read_zeiss(AP_IMAGE_PIXEL_SIZE=f"Image Pixel Size = {text}").pixel_size_nm == pytest.approx(nm)


def test_zeiss_head_wins_over_a_pixel_size_of_another_store_resolution() -> None:
    micrograph = read_zeiss(1024, AP_IMAGE_PIXEL_SIZE="", AP_PIXEL_SIZE="Pixel Size = 20.00 nm")
    assert micrograph.pixel_size_nm == pytest.approx(10)
    assert warned(micrograph, "pixel_size_conflict")


def test_zeiss_head_that_agrees_with_pixel_size_is_that_of_a_display_1024_wide() -> None:
    micrograph = read_zeiss(512, AP_IMAGE_PIXEL_SIZE="", AP_PIXEL_SIZE="Pixel Size = 10.00 nm")
    assert micrograph.pixel_size_nm == pytest.approx(20)


def test_zeiss_head_that_is_of_the_stored_pixels_is_taken_as_it_is() -> None:
    micrograph = read_zeiss(512, AP_IMAGE_PIXEL_SIZE="", AP_PIXEL_SIZE="Pixel Size = 5.00 nm")
    assert micrograph.pixel_size_nm == pytest.approx(10)


def test_zeiss_without_anything_sure_has_no_size() -> None:
    micrograph = read_zeiss(512, head=(), AP_IMAGE_PIXEL_SIZE="", AP_PIXEL_SIZE="Pixel Size = 5.00 nm")
    assert micrograph.pixel_size_nm is None
    assert warned(micrograph, "pixel_size_unsure")


def test_zeiss_field_width_gives_the_pixel_of_older_files() -> None:
    micrograph = read_zeiss(512, AP_IMAGE_PIXEL_SIZE="", AP_WIDTH="Width = 5.12 µm")
    assert micrograph.pixel_size_nm == pytest.approx(10)


@pytest.mark.parametrize("older", [{}, {"AP_IMAGE_PIXEL_SIZE": "", "AP_WIDTH": "Width = 5.12 \u00b5m"}])
def test_zeiss_file_of_half_the_store_resolution_may_be_a_part_and_has_no_size(older: dict[str, str]) -> None:
    micrograph = read_zeiss(512, store="1024 * 768", **older)
    assert micrograph.pixel_size_nm is None
    assert warned(micrograph, "resized")


@pytest.mark.parametrize(("background", "ink"), [(255, 0), (0, 255)])
def test_zeiss_data_zone_is_found_in_the_rows_of_the_image(background: int, ink: int) -> None:
    image = specimen(384, 512)
    image[340:] = bar(44, 512, background, ink, frame=True)
    assert one(tiff(image, {34118: zeiss()})).databar_px == 44


@pytest.mark.parametrize(
    "raw", [b"\xff\xfe\x00", b"AP_MAG", b"AP_IMAGE_PIXEL_SIZE\r\nImage Pixel Size = many nm\r\n", b"0\r\n" * 3]
)
def test_damaged_zeiss_text_does_not_cost_the_image(raw: bytes) -> None:
    assert one(tiff(IMAGE, {34118: raw})).pixel_size_nm is None
