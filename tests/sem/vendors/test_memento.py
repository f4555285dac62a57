"""What a Helios 5 writes into TIFF tag 34682 in place of INI text."""

from __future__ import annotations

import numpy as np
import pytest

from tests.sem.making import bar, memento, specimen, tiff
from tests.sem.micrographs import one, warned

IMAGE = specimen()
WITH_BAR = np.vstack([IMAGE, bar(32)])


def test_the_pixel_and_the_model_are_read_from_the_sections_of_their_names() -> None:
    micrograph = one(tiff(WITH_BAR, {34682: memento()}))
    assert micrograph.pixel_size_nm == pytest.approx(25)
    assert (micrograph.acquisition.vendor, micrograph.acquisition.model) == ("Thermo Fisher (FEI)", "Helios 5 UX")
    assert micrograph.databar_px == 32
    assert micrograph.warnings == ()


@pytest.mark.parametrize(
    "xml", [memento(width="-1"), memento(height="many"), memento(unit="MementoItemUnitScalar"), "<MementoItem>"]
)
def test_a_pixel_that_is_no_length_in_metres_is_unknown(xml: str) -> None:
    micrograph = one(tiff(IMAGE, {34682: xml}))
    assert micrograph.pixel_size_nm is None
    assert warned(micrograph, "pixel_size_unreadable")


def test_pixel_sizes_that_differ_are_no_scale() -> None:
    micrograph = one(tiff(IMAGE, {34682: memento() + memento("5E-08", "5E-08")}))
    assert micrograph.pixel_size_nm is None
    assert warned(micrograph, "pixel_size_conflict")


@pytest.mark.parametrize("end", [60, 300, 700])
def test_xml_that_is_cut_off_does_not_cost_the_image(end: int) -> None:
    np.testing.assert_array_equal(one(tiff(IMAGE, {34682: memento()[:end]})).grey, IMAGE)
