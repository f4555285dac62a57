"""What Olympus Soft Imaging Solutions writes behind TIFF tag 33560."""

from __future__ import annotations

import struct
from datetime import datetime
from io import BytesIO

import numpy as np
import pytest
import tifffile

from edge.sem import needs_sidecar
from tests.sem.making import specimen, tiff
from tests.sem.micrographs import one, warned

IMAGE = specimen()
MARK = 0x5A5A5A5A


def structure(place: int, power: int = -6, across: float = 0.025, down: float = 0.025, month: int = 4) -> bytes:
    """The structure as it lies at byte `place`."""
    head = struct.pack("<4s6x5h6x32sH", b"SIS0", 30, 14, 5, month, 119, b"image", 2)
    behind = place + len(head) + 2 * 8
    entries = struct.pack("<hhI", 10, 1, 0) + struct.pack("<hhI", 1, 1, behind)
    return head + entries + struct.pack("<10xhdd8xd2x34s32x", power, across, down, 500.0, b"MegaView")


def exported(*, kind: int = 4, cut: int | None = None, **values: float) -> bytes:
    """A TIFF with the tag, and the structure at its end."""
    stream = BytesIO()
    with tifffile.TiffWriter(stream) as writer:
        writer.write(IMAGE, extratags=[(33560, kind, 1, MARK, True)], metadata=None)
    data = stream.getvalue() + bytes(stream.tell() % 2)
    data = data.replace(struct.pack("<I", MARK), struct.pack("<I", len(data)), 1)
    return data + structure(len(data), **values)[:cut]  # type: ignore[arg-type]


def test_the_pixel_is_the_length_times_the_power_of_ten() -> None:
    data = exported()
    micrograph = one(data)
    acquisition = micrograph.acquisition
    assert micrograph.pixel_size_nm == pytest.approx(25)
    assert (acquisition.vendor, acquisition.model, acquisition.magnification) == ("Olympus SIS", "MegaView", 500)
    assert acquisition.captured_at == datetime(2019, 5, 5, 14, 30)  # noqa: DTZ001
    assert micrograph.warnings == ()
    assert not needs_sidecar(data, "a.tif")


@pytest.mark.parametrize(
    "wrong", [{"power": 3}, {"power": -40}, {"across": 0.0}, {"down": float("nan")}, {"cut": 80}, {"across": float("inf")}]
)
def test_without_a_plausible_length_there_is_no_scale(wrong: dict[str, float]) -> None:
    micrograph = one(exported(**wrong))  # type: ignore[arg-type]
    assert micrograph.pixel_size_nm is None
    assert warned(micrograph, "pixel_size_unreadable")


@pytest.mark.parametrize("cut", [0, 3, 59])
def test_a_tag_that_leads_nowhere_is_a_strangers(cut: int) -> None:
    micrograph = one(exported(cut=cut))
    assert (micrograph.acquisition.vendor, micrograph.pixel_size_nm, micrograph.warnings) == (None, None, ())


def test_an_impossible_date_costs_the_date_alone() -> None:
    micrograph = one(exported(month=40))
    assert micrograph.acquisition.captured_at is None
    assert micrograph.pixel_size_nm == pytest.approx(25)


def test_a_tag_of_other_bytes_costs_nothing() -> None:
    np.testing.assert_array_equal(one(tiff(IMAGE, {33560: b"something else" * 10})).grey, IMAGE)
