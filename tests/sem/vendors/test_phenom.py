"""What a Phenom writes into TIFF tag 34683, and into and behind JPEGs."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from edge.sem import needs_sidecar
from tests.sem.making import bar, encoded, fei, specimen, tiff
from tests.sem.micrographs import one, warned

XML = (
    '<?xml version="1.0"?><FeiImage version="1"><databarHeight>32</databarHeight><pixelWidth unit="nm">25.5</pixelWidth>'
    '<pixelHeight unit="nm">25.5</pixelHeight><acquisition><scan><highVoltage unit="kV">-15</highVoltage></scan>'
    "</acquisition><instrument><edition>Phenom ProX</edition></instrument></FeiImage>"
)
IMAGE = specimen(384, 512)
WITH_BAR = np.vstack([IMAGE, bar(32, 512)])


JPEG = encoded(WITH_BAR, ".jpg", 1, 95)
COMMENT = b"\xff\xfe" + struct.pack(">H", len(XML) + 2) + XML.encode()


def test_phenom_xml_tells_scale_bar_voltage_and_model() -> None:
    data = tiff(WITH_BAR, {34683: XML})
    micrograph = one(data)
    assert micrograph.pixel_size_nm == pytest.approx(25.5)
    assert micrograph.databar_px == 32
    assert (micrograph.acquisition.model, micrograph.acquisition.acceleration_kv) == ("Phenom ProX", 15.0)
    assert micrograph.acquisition.vendor == "Thermo Fisher (Phenom)"
    assert micrograph.warnings == ()
    assert not needs_sidecar(data, "a.tif")


def test_other_xml_and_text_of_thermo_fisher_are_still_thermo_fishers() -> None:
    assert one(tiff(IMAGE, {34683: "<Metadata></Metadata>"})).acquisition.vendor == "Thermo Fisher (FEI)"
    assert one(tiff(WITH_BAR, {34682: fei()})).pixel_size_nm == pytest.approx(500)


@pytest.mark.parametrize("pixel", ["<pixelWidth>25.5<", '<pixelWidth unit="px">25.5<', '<pixelWidth unit="nm">-1<'])
def test_a_phenom_pixel_without_a_length_is_unknown(pixel: str) -> None:
    micrograph = one(tiff(IMAGE, {34683: XML.replace('<pixelWidth unit="nm">25.5<', pixel)}))
    assert micrograph.pixel_size_nm is None
    assert warned(micrograph, "pixel_size_unreadable")


@pytest.mark.parametrize("end", [20, 60, 200])
def test_phenom_xml_that_is_cut_off_does_not_cost_the_image(end: int) -> None:
    np.testing.assert_array_equal(one(tiff(IMAGE, {34683: XML[:end]})).grey, IMAGE)


@pytest.mark.parametrize(
    "data", [JPEG + b"\0\xff junk" + XML.encode(), JPEG[:2] + COMMENT + JPEG[2:]], ids=["behind its end", "comment"]
)
def test_phenom_xml_of_a_jpeg_is_read_as_that_of_a_tiff(data: bytes) -> None:
    micrograph = one(data, "a.jpg")
    assert (micrograph.pixel_size_nm, micrograph.databar_px) == (pytest.approx(25.5), 32)
    assert not needs_sidecar(data, "a.jpg")


def test_a_voltage_without_its_unit_is_unknown() -> None:
    assert one(tiff(IMAGE, {34683: XML.replace(' unit="kV"', "")})).acquisition.acceleration_kv is None


def test_a_root_element_that_only_begins_alike_is_no_phenoms() -> None:
    other = one(tiff(IMAGE, {34683: XML.replace("FeiImage", "FeiImageSet")}))
    assert other.acquisition.vendor == "Thermo Fisher (FEI)"
    assert other.pixel_size_nm is None
