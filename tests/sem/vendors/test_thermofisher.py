"""What Thermo Fisher (FEI) writes, and the traps in it."""

from __future__ import annotations

from datetime import datetime

import numpy as np
import pytest

from edge.records import Micrograph
from tests.sem.making import (
    bar,
    fei,
    specimen,
    tiff,
)
from tests.sem.micrographs import one, warned

IMAGE = specimen()
WITH_BAR = np.vstack([IMAGE, bar(32)])


def read_fei(values: np.ndarray = WITH_BAR, tag: int = 34682, **changes: str | None) -> Micrograph:
    return one(tiff(values, {tag: fei(**changes)}))


@pytest.mark.parametrize("tag", [34682, 34680])
def test_fei_text_tells_how_an_image_was_taken(tag: int) -> None:
    micrograph = read_fei(tag=tag)
    acquisition = micrograph.acquisition
    assert micrograph.pixel_size_nm == pytest.approx(500)
    assert micrograph.pixel_size_source == "metadata"
    assert (acquisition.vendor, acquisition.model, acquisition.detector) == ("Thermo Fisher (FEI)", "Quanta FEG", "LFD")
    assert (acquisition.acceleration_kv, acquisition.magnification) == (30.0, 500.0)
    assert acquisition.working_distance_mm == pytest.approx(11.051)
    assert acquisition.captured_at == datetime(2017, 12, 18, 13, 4, 14)  # noqa: DTZ001
    assert micrograph.warnings == ()


@pytest.mark.parametrize("height", ["32", "0", ""])
def test_fei_bar_is_the_rows_below_resolution_y_whatever_databarheight_says(height: str) -> None:
    micrograph = read_fei(PrivateFei__DatabarHeight=height)
    assert micrograph.databar_px == 32
    np.testing.assert_array_equal(micrograph.grey, IMAGE)


def test_fei_rows_that_the_metadata_call_a_bar_but_that_are_specimen_are_kept() -> None:
    micrograph = read_fei(specimen(416, 512))
    assert micrograph.databar_px == 0
    assert warned(micrograph, "databar_missing")


def test_fei_pixel_width_may_stand_in_the_named_scan_section_only() -> None:
    assert read_fei(Scan__PixelWidth=None, Scan__PixelHeight=None).pixel_size_nm == pytest.approx(500)


def test_fei_pixel_width_may_follow_from_the_field() -> None:
    changes = {f"{scan}__Pixel{side}": None for scan in ("Scan", "EScan") for side in ("Width", "Height")}
    assert read_fei(**changes).pixel_size_nm == pytest.approx(500)


def test_fei_xml_says_the_same_when_the_text_is_lost() -> None:
    xml = (
        '<?xml version="1.0"?><Metadata><Instrument><InstrumentClass>Scios 2</InstrumentClass></Instrument>'
        "<Acquisition><AcquisitionDatetime>2024-05-01T12:56:16</AcquisitionDatetime></Acquisition>"
        "<Optics><AccelerationVoltage>5000</AccelerationVoltage></Optics><BinaryResult>"
        "<ImageSize><X>512</X><Y>384</Y></ImageSize>"
        '<PixelSize><X unit="m" unitPrefixPower="1">2.5E-08</X><Y unit="m" unitPrefixPower="1">2.5E-08</Y></PixelSize>'
        "</BinaryResult>"
    )  # damaged on purpose: the root is not closed
    micrograph = one(tiff(WITH_BAR, {34682: "", 34683: xml}))
    assert micrograph.pixel_size_nm == pytest.approx(25)
    assert micrograph.databar_px == 32
    assert micrograph.acquisition.acceleration_kv == 5
    assert micrograph.acquisition.captured_at == datetime(2024, 5, 1, 12, 56, 16)  # noqa: DTZ001


@pytest.mark.parametrize(
    ("date", "time", "expected"),
    [
        ("12/18/2017", "01:04:14 PM", datetime(2017, 12, 18, 13, 4, 14)),  # noqa: DTZ001
        ("18/12/2017", "13:04:14", datetime(2017, 12, 18, 13, 4, 14)),  # noqa: DTZ001
        ("18.12.2017", "13:04:14", datetime(2017, 12, 18, 13, 4, 14)),  # noqa: DTZ001
        ("05/01/2024", "12:56:16 PM", datetime(2024, 5, 1, 12, 56, 16)),  # noqa: DTZ001
        ("05/05/2024", "12:56:16", datetime(2024, 5, 5, 12, 56, 16)),  # noqa: DTZ001
        ("05/01/2024", "12:56:16", None),
        ("yesterday", "noon", None),
    ],
)
def test_fei_date_without_time_of_creation_is_unknown_when_ambiguous(date: str, time: str, expected: datetime | None) -> None:
    micrograph = read_fei(PrivateFei__TimeOfCreation=None, User__Date=date, User__Time=time)
    assert micrograph.acquisition.captured_at == expected


def test_fei_pixels_that_are_not_square_have_no_size() -> None:
    micrograph = read_fei(Scan__PixelHeight="6e-007")
    assert micrograph.pixel_size_nm is None
    assert warned(micrograph, "pixels_not_square")


def test_fei_image_exported_at_half_size_has_pixels_twice_as_large() -> None:
    micrograph = read_fei(np.ascontiguousarray(WITH_BAR[::2, ::2]))
    assert micrograph.pixel_size_nm == pytest.approx(1000)
    assert micrograph.databar_px == 16
    assert warned(micrograph, "resized")


def test_fei_part_of_the_same_shape_is_not_taken_for_a_smaller_copy() -> None:
    micrograph = read_fei(np.ascontiguousarray(IMAGE[100:292, 100:356]))
    assert micrograph.pixel_size_nm is None
    assert warned(micrograph, "resized")


def test_fei_part_with_the_whole_height_of_its_bar_has_no_size_and_loses_the_bar() -> None:
    micrograph = read_fei(np.ascontiguousarray(WITH_BAR[-208:, :256]))
    assert micrograph.pixel_size_nm is None
    assert micrograph.databar_px == 32


@pytest.mark.parametrize(("micrometres", "nm"), [(1.0, 1000), (0.5, None)], ids=["that of a copy", "that of a part"])
def test_fei_smaller_copy_without_a_bar_needs_imagej_to_say_its_pixel(micrometres: float, nm: float | None) -> None:
    small = np.ascontiguousarray(IMAGE[::2, ::2])
    description = b"ImageJ=1.54f\nunit=um\n"
    data = tiff(small, {34682: fei(), 270: description}, resolution=(1 / micrometres, 1 / micrometres))
    assert one(data).pixel_size_nm == (nm and pytest.approx(nm))


def test_fei_image_a_pixel_narrower_than_its_metadata_keeps_its_size() -> None:
    assert read_fei(np.ascontiguousarray(WITH_BAR[:, :511])).pixel_size_nm == pytest.approx(500, rel=0.01)


def test_fei_image_of_another_shape_than_its_metadata_has_no_size() -> None:
    micrograph = read_fei(specimen(200, 400))
    assert micrograph.pixel_size_nm is None
    assert warned(micrograph, "resized")


@pytest.mark.parametrize(
    "text", ["", "[Scan\nPixelWidth", "\0" * 40, "PixelWidth=banana", "[Scan]\nPixelWidth=nan\n", "é" * 99]
)
def test_damaged_fei_text_does_not_cost_the_image(text: str) -> None:
    micrograph = one(tiff(IMAGE, {34682: text or " "}))
    assert micrograph.pixel_size_nm is None
    np.testing.assert_array_equal(micrograph.grey, IMAGE)


def test_text_of_philips_is_not_called_damaged() -> None:
    micrograph = one(tiff(specimen(), {34680: "[DatabarData]\r\nlHV=15000\r\n[Vector]\r\nMagnification=100\r\n"}))
    assert micrograph.pixel_size_nm is None
    assert micrograph.warnings == ()
