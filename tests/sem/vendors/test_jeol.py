"""What JEOL writes beside the image."""

from __future__ import annotations

from datetime import datetime

import numpy as np
import pytest

from tests.sem.making import (
    bar,
    jeol,
    specimen,
    tiff,
)
from tests.sem.micrographs import one, warned

IMAGE = specimen()
WITH_BAR = np.vstack([IMAGE, bar(32)])


def test_jeol_pixel_is_the_marker_over_the_bar() -> None:
    micrograph = one(tiff(WITH_BAR), sidecars={"a.TXT": jeol()})
    acquisition = micrograph.acquisition
    assert micrograph.pixel_size_nm == pytest.approx(10000 / 106)
    assert micrograph.pixel_size_source == "sidecar"
    assert (acquisition.vendor, acquisition.model, acquisition.detector) == ("JEOL", "7800F", "LED")
    assert (acquisition.acceleration_kv, acquisition.magnification, acquisition.working_distance_mm) == (15.0, 1000.0, 3.78)
    assert acquisition.captured_at == datetime(2023, 7, 13, 14, 38, 59)  # noqa: DTZ001
    assert micrograph.databar_px == 32


@pytest.mark.parametrize(("marker", "nm"), [("100nm", 100), ("1mm", 1e6), ("10 um", 1e4), ("10µm", 1e4)])
def test_jeol_marker_units(marker: str, nm: float) -> None:
    micrograph = one(tiff(IMAGE), sidecars={"a.txt": jeol(SM_MICRON_MARKER=marker, SM_MICRON_BAR="100")})
    assert micrograph.pixel_size_nm == pytest.approx(nm / 100)


def test_jeol_marker_in_degrees_is_no_length() -> None:
    micrograph = one(tiff(IMAGE), sidecars={"a.txt": jeol(SM_MICRON_MARKER="5deg.")})
    assert micrograph.pixel_size_nm is None
    assert warned(micrograph, "scale_bar_unreadable")


def test_jeol_bar_inside_the_declared_height_is_found_from_the_pixels() -> None:
    image = IMAGE.copy()
    image[-40:] = bar(40)
    assert one(tiff(image), sidecars={"a.txt": jeol()}).databar_px == 40


def test_jeol_export_at_half_size_has_pixels_twice_as_large() -> None:
    half = np.ascontiguousarray(WITH_BAR[::2, ::2])
    micrograph = one(tiff(half), sidecars={"a.txt": jeol()})
    assert micrograph.pixel_size_nm == pytest.approx(2 * 10000 / 106)
    assert micrograph.databar_px == 16


def test_jeol_text_may_be_japanese() -> None:
    raw = jeol().replace(b"$CM_FULL", "$CM_TITLE 試料表面\r\n$CM_FULL".encode("cp932"))
    assert one(tiff(IMAGE), sidecars={"a.txt": raw}).pixel_size_nm == pytest.approx(10000 / 106)


def with_field(field: str = "12.800\u00b5m 9.600\u00b5m", size: str = "512 384", **changes: str) -> bytes:
    return f"$CM_FIELD_OF_VIEW {field}\r\n$CM_IMAGE_SIZE {size}\r\n".encode() + jeol(**changes)


NO_BAR = {"SM_MICRON_BAR": "", "SM_MICRON_MARKER": ""}


@pytest.mark.parametrize("field", ["12.800\u00b5m 9.600\u00b5m", "12800 nm  9600 nm", "12.8um 9.6um"])
def test_jeol_pixel_is_the_field_over_the_size_without_a_scale_bar(field: str) -> None:
    micrograph = one(tiff(WITH_BAR), sidecars={"a.txt": with_field(field, **NO_BAR)})
    assert (micrograph.pixel_size_nm, micrograph.databar_px) == (pytest.approx(25), 32)
    assert micrograph.warnings == ()


def test_jeol_field_is_exact_where_the_scale_bar_is_rounded() -> None:
    micrograph = one(tiff(IMAGE), sidecars={"a.txt": with_field(SM_MICRON_MARKER="1um", SM_MICRON_BAR="41")})
    assert micrograph.pixel_size_nm == pytest.approx(25)


def test_jeol_field_and_scale_bar_that_contradict_each_other_are_no_scale() -> None:
    micrograph = one(tiff(IMAGE), sidecars={"a.txt": with_field(SM_MICRON_MARKER="1um", SM_MICRON_BAR="80")})
    assert micrograph.pixel_size_nm is None
    assert warned(micrograph, "pixel_size_conflict")


@pytest.mark.parametrize(
    ("field", "size"), [("12.8 9.6", "512 384"), ("12.8um", "512 384"), ("12.8um 9.6um", "0 0"), ("-1um 0um", "512 384")]
)
def test_jeol_field_without_units_or_size_is_no_scale(field: str, size: str) -> None:
    assert one(tiff(IMAGE), sidecars={"a.txt": with_field(field, size, **NO_BAR)}).pixel_size_nm is None
