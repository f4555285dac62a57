"""What Gatan's DigitalMicrograph writes into a TIFF."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
import tifffile

from edge.sem import needs_sidecar
from tests.sem.making import fei, specimen, tiff
from tests.sem.micrographs import one, warned

IMAGE = specimen()
DOUBLE = 12


def exported(across: float = 25.0, down: float = 25.0, unit: str = "nm", down_unit: str = "nm", kind: int = DOUBLE) -> bytes:
    stream = BytesIO()
    texts = [
        (tag, 2, len(raw), raw, True)
        for tag, raw in ((65003, unit.encode()), (65004, down_unit.encode()), (65022, b"Counts"))
        if raw
    ]
    lengths = [(65006, kind, 1, 0.0, True), (65009, kind, 1, across, True), (65010, kind, 1, down, True)]
    with tifffile.TiffWriter(stream) as writer:
        writer.write(IMAGE, extratags=texts + lengths, metadata=None)
    return stream.getvalue()


@pytest.mark.parametrize(("unit", "length"), [("nm", 25.0), ("µm", 0.025), ("um", 0.025), ("Å", 250.0)])
def test_the_pixel_has_the_length_and_the_unit_that_stand_there(unit: str, length: float) -> None:
    data = exported(length, length, unit, unit)
    micrograph = one(data)
    assert micrograph.pixel_size_nm == pytest.approx(25)
    assert (micrograph.pixel_size_source, micrograph.acquisition.vendor) == ("metadata", "Gatan")
    assert micrograph.warnings == ()
    assert not needs_sidecar(data, "a.tif")


def test_a_length_of_single_precision_is_read_too() -> None:
    assert one(exported(kind=11)).pixel_size_nm == pytest.approx(25)


@pytest.mark.parametrize(
    "wrong",
    [{"unit": "1/nm"}, {"unit": " "}, {"unit": "pixels"}, {"down_unit": "s"}, {"across": 0.0}, {"down": -1.0},
     {"across": float("nan")}],
)  # fmt: skip
def test_what_is_no_length_is_no_scale(wrong: dict[str, object]) -> None:
    micrograph = one(exported(**wrong))  # type: ignore[arg-type]
    assert micrograph.pixel_size_nm is None
    assert warned(micrograph, "pixel_size_unreadable")


def test_a_pixel_that_is_not_square_is_no_scale() -> None:
    assert one(exported(down=50.0)).pixel_size_nm is None


def test_the_microscopes_own_tag_goes_before_that_of_the_camera() -> None:
    assert one(tiff(IMAGE, {34682: fei(), 65003: "nm"})).acquisition.vendor == "Thermo Fisher (FEI)"


def test_tags_of_these_numbers_without_a_unit_are_a_strangers() -> None:
    micrograph = one(tiff(IMAGE, {65003: "text of somebody else"}))
    assert (micrograph.acquisition.vendor, micrograph.warnings) == (None, ())
    np.testing.assert_array_equal(micrograph.grey, IMAGE)
