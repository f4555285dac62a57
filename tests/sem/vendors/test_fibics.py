"""What Fibics Atlas writes into TIFF tag 51023."""

from __future__ import annotations

import math

import numpy as np
import pytest

from edge.sem import needs_sidecar
from tests.sem.making import fibics, specimen, tiff, zeiss
from tests.sem.micrographs import one, warned

IMAGE = specimen()


def test_the_pixel_is_the_length_of_the_scans_steps() -> None:
    data = tiff(IMAGE, {51023: fibics()})
    micrograph = one(data)
    assert micrograph.pixel_size_nm == pytest.approx(25)
    assert (micrograph.acquisition.vendor, micrograph.acquisition.model) == ("Fibics", "Gemini 300")
    assert micrograph.warnings == ()
    assert not needs_sidecar(data, "a.tif")


def test_a_turned_scan_has_steps_in_both_directions() -> None:
    across, up = str(0.025 * math.cos(0.5)), str(0.025 * math.sin(0.5))
    turned = fibics(Ux=across, Uy=up, Vx=up, Vy=f"-{across}")
    assert one(tiff(IMAGE, {51023: turned})).pixel_size_nm == pytest.approx(25)


def test_without_steps_the_pixel_is_the_field_over_the_size() -> None:
    assert one(tiff(IMAGE, {51023: fibics(Ux="", Uy="", Vx="", Vy="")})).pixel_size_nm == pytest.approx(25)


def test_steps_and_field_that_contradict_each_other_are_no_scale() -> None:
    micrograph = one(tiff(IMAGE, {51023: fibics(FOV_X="25.6")}))
    assert micrograph.pixel_size_nm is None
    assert warned(micrograph, "pixel_size_conflict")


@pytest.mark.parametrize("steps", [{"Ux": "0"}, {"Ux": ""}, {"Vx": "0.02"}, {"Vy": "many"}])
def test_steps_that_are_missing_zero_or_askew_are_no_scale_without_a_field(steps: dict[str, str]) -> None:
    micrograph = one(tiff(IMAGE, {51023: fibics(FOV_X="", **steps)}))
    assert micrograph.pixel_size_nm is None
    assert warned(micrograph, "pixel_size_unreadable")


def test_smartsems_own_tag_goes_before_that_of_atlas() -> None:
    assert one(tiff(IMAGE, {34118: zeiss(), 51023: fibics()})).acquisition.vendor == "Zeiss"


@pytest.mark.parametrize("end", [20, 90, 250])
def test_xml_that_is_cut_off_does_not_cost_the_image(end: int) -> None:
    np.testing.assert_array_equal(one(tiff(IMAGE, {51023: fibics()[:end]})).grey, IMAGE)
