"""What Hitachi writes beside the image, in the encodings of the world."""

from __future__ import annotations

from datetime import datetime

import pytest

from tests.sem.making import (
    bar,
    hitachi,
    specimen,
    tiff,
)
from tests.sem.micrographs import one, warned

IMAGE = specimen()


def full_width(text: str) -> str:
    return "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" and c not in "=[]\r\n" else c for c in text)


@pytest.mark.parametrize(
    "raw",
    [
        hitachi().encode(),
        hitachi().encode("utf-16"),
        hitachi().encode("utf-16-le"),
        hitachi().encode("utf-16-be"),
        (hitachi() + "SampleName=試料\r\n").encode("cp932"),
        (hitachi() + "SampleName=Oberfläche 5 µm\r\n").encode("latin-1"),
        full_width(hitachi()).encode("utf-8"),
    ],
    ids=["ascii", "utf-16", "utf-16-le", "utf-16-be", "cp932", "latin-1", "full-width"],
)
def test_hitachi_sidecar_in_each_encoding(raw: bytes) -> None:
    micrograph = one(tiff(IMAGE), sidecars={"A.txt": raw})
    acquisition = micrograph.acquisition
    assert micrograph.pixel_size_nm == pytest.approx(99.21875)
    assert micrograph.pixel_size_source == "sidecar"
    assert (acquisition.vendor, acquisition.model) == ("Hitachi", "SU5000")
    assert (acquisition.acceleration_kv, acquisition.magnification, acquisition.working_distance_mm) == (
        15.0,
        1000.0,
        pytest.approx(8.1),
    )
    assert acquisition.captured_at == datetime(2019, 5, 30, 14, 5, 6)  # noqa: DTZ001


@pytest.mark.parametrize(
    ("date", "expected"),
    [
        ("2019/03/12", datetime(2019, 3, 12, 14, 5, 6)),  # noqa: DTZ001
        ("03/30/2019", datetime(2019, 3, 30, 14, 5, 6)),  # noqa: DTZ001
        ("03/12/2019", None),
    ],
)
def test_hitachi_dates_are_those_of_some_country(date: str, expected: datetime | None) -> None:
    micrograph = one(tiff(IMAGE), sidecars={"a.txt": hitachi(Date=date).encode()})
    assert micrograph.acquisition.captured_at == expected
    assert warned(micrograph, "date_ambiguous") == (expected is None)


def test_hitachi_bar_is_inside_the_declared_size() -> None:
    image = IMAGE.copy()
    image[-32:] = bar(32)
    micrograph = one(tiff(image), sidecars={"a.txt": hitachi().encode()})
    assert micrograph.databar_px == 32
    assert micrograph.pixel_size_nm == pytest.approx(99.21875)


def test_a_text_file_of_something_else_is_ignored() -> None:
    micrograph = one(tiff(IMAGE), sidecars={"a.txt": b"Notes: PixelSize unknown, ask Anna\n\x00\xff"})
    assert micrograph.pixel_size_nm is None
    assert micrograph.warnings == ()
