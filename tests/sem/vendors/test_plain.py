"""Images of no microscope that we know."""

from __future__ import annotations

import pytest

from tests.sem.making import encoded, specimen, tiff, with_png_chunks
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


def scal(content: bytes) -> float | None:
    return one(with_png_chunks(encoded(IMAGE, ".png"), (b"sCAL", content)), "a.png").pixel_size_nm


def test_a_pngs_scale_in_metres_is_a_pixel_size() -> None:
    assert scal(b"\x012.5e-08\x002.5e-08") == pytest.approx(25)


@pytest.mark.parametrize(
    "content", [b"", b"\x022.5e-08\x002.5e-08", b"\x012.5e-08", b"\x01-1\x001", b"\x01many\x002", b"\x010\x000", b"\x01\x00"]
)
def test_a_pngs_scale_that_is_none_in_metres_is_no_pixel_size(content: bytes) -> None:
    assert scal(content) is None
