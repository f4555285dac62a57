"""A value that contradicts itself is refused by name when it is made, and cannot be changed afterwards."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edge.records import Fingerprint, Micrograph, Regions, Timing

GREY = np.zeros((30, 40), np.uint8)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"grey": GREY.astype(np.float32)}, "grey must be uint8, not float32"),
        ({"grey": GREY[:0]}, "grey must not be empty"),
        ({"stored_width_px": 41}, "grey is 40 px wide, the stored image 41"),
        ({"databar_px": -2, "stored_height_px": 28}, "databar_px must not be negative"),
        ({"databar_px": 4}, r"30 rows \+ a bar of 4 are not the 30 stored rows"),
        ({"pixel_size_nm": 5.0}, "a pixel size needs a source"),
        ({"pixel_size_source": "config"}, "a pixel size needs a source"),
        ({"pixel_size_nm": 0.0, "pixel_size_source": "config"}, "pixel_size_nm must be positive"),
        ({"pixel_size_nm": float("nan"), "pixel_size_source": "config"}, "pixel_size_nm must be positive"),
    ],
)
def test_a_micrograph_that_contradicts_itself_is_refused_by_name(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Micrograph(**{"grey": GREY, "stored_width_px": 40, "stored_height_px": 30, **fields})


def test_a_micrograph_knows_its_size_without_the_bar_and_its_scale_in_micrometres() -> None:
    micrograph = Micrograph(GREY, 40, 36, databar_px=6, pixel_size_nm=250.0, pixel_size_source="metadata")
    assert (micrograph.width_px, micrograph.height_px, micrograph.pixel_size_um) == (40, 30, 0.25)
    assert Micrograph(GREY, 40, 30).pixel_size_um is None


def test_nobody_can_paint_over_a_micrograph_and_the_array_that_was_given_stays_writable() -> None:
    given = GREY.copy()
    micrograph = Micrograph(given, 40, 30)
    with pytest.raises(ValueError, match="read-only"):
        micrograph.grey[0, 0] = 1
    given[0, 0] = 1


def regions(**fields: Any) -> Regions:
    whole: dict[str, Any] = {
        "boxes_px": np.array([[1, 2, 4, 3]], np.int32),
        "scores": np.ones(1, np.float32),
        "class_ids": np.zeros(1, np.int32),
        "masks": (np.ones((3, 4), np.bool_),),
        "class_names": ("pit",),
    }
    return Regions(**{**whole, **fields})


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"boxes_px": np.empty((0, 4), np.int32)}, r"boxes_px is \(0, 4\), expected \(1, 4\)"),
        ({"scores": np.ones(2, np.float32)}, "scores and class_ids must have one entry a mask"),
        ({"class_ids": np.empty(0, np.int32)}, "scores and class_ids must have one entry a mask"),
        ({"masks": (np.ones((4, 3), np.bool_),)}, r"a mask of \(4, 3\) in a box of"),
    ],
)
def test_regions_whose_arrays_do_not_fit_each_other_are_refused_by_name(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        regions(**fields)


def test_regions_are_as_many_as_their_masks() -> None:
    assert len(regions()) == 1


def test_the_pages_of_a_file_share_its_reading_and_each_waited_as_long() -> None:
    shared = Timing(wait=8.0, read=6.0, decode=4.0, segment=5.0, total=23.0).shared_by(2)
    assert (shared.wait, shared.read, shared.decode, shared.segment, shared.total) == (8.0, 3.0, 2.0, 5.0, 23.0)


@pytest.mark.parametrize("mtime_ns", [1 << 63, -(1 << 63) - 1, 10**19, 1 << 70])
def test_a_time_beyond_64_bits_is_a_fingerprint_that_64_bits_hold(mtime_ns: int) -> None:
    kept = Fingerprint(1, mtime_ns).mtime_ns
    assert -(1 << 63) <= kept < 1 << 63
    assert (kept - mtime_ns) % (1 << 64) == 0
    assert Fingerprint(1, mtime_ns) == Fingerprint(1, kept) != Fingerprint(1, mtime_ns + 1)


@pytest.mark.parametrize("mtime_ns", [0, -1, -(1 << 63), (1 << 63) - 1])
def test_a_time_of_64_bits_is_kept_as_it_is(mtime_ns: int) -> None:
    assert Fingerprint(1, mtime_ns).mtime_ns == mtime_ns
