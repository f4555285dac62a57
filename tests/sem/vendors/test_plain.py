"""Images of no microscope that we know."""

from __future__ import annotations

import pytest

from tests.sem.making import (
    specimen,
    tiff,
)
from tests.sem.micrographs import one

IMAGE = specimen()


def test_resolution_tags_are_no_pixel_size() -> None:
    micrograph = one(tiff(IMAGE, resolution=(300, 300), resolutionunit="INCH"))
    assert micrograph.pixel_size_nm is None
    assert micrograph.pixel_size_source is None


@pytest.mark.parametrize(
    ("unit", "nm"), [("um", 1000), ("\\u00B5m", 1000), ("nm", 1), ("micron", 1000), ("micrometer", 1000), ("Micrometres", 1000)]
)
def test_imagej_unit_makes_the_resolution_a_pixel_size(unit: str, nm: float) -> None:
    data = tiff(IMAGE, imagej=True, resolution=(4, 4), metadata={"unit": unit})
    assert one(data).pixel_size_nm == pytest.approx(nm / 4)


def test_imagej_without_a_length_unit_has_no_size() -> None:
    assert one(tiff(IMAGE, imagej=True, resolution=(4, 4), metadata={"unit": "pixel"})).pixel_size_nm is None


def test_imagej_with_another_unit_down_than_across_has_no_size() -> None:
    assert one(tiff(IMAGE, imagej=True, resolution=(4, 4), metadata={"unit": "um", "yunit": "mm"})).pixel_size_nm is None


def test_ome_physical_size_is_a_pixel_size() -> None:
    metadata = {
        "axes": "YX",
        "PhysicalSizeX": 12.5,
        "PhysicalSizeXUnit": "nm",
        "PhysicalSizeY": 12.5,
        "PhysicalSizeYUnit": "nm",
    }
    assert one(tiff(IMAGE, ome=True, metadata=metadata), "a.ome.tif").pixel_size_nm == pytest.approx(12.5)
