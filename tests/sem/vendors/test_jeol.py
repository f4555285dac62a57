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
