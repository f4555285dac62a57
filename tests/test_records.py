"""A value that contradicts itself is refused by name when it is made, and cannot be changed afterwards."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edge.records import ABSTAINING, REASONS, REVIEWED, Acquisition, Fingerprint, Guess, Micrograph, Regions, Severity, Timing

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


def judged(**changed: Any) -> Severity:
    fields: dict[str, Any] = {
        "label": "severe",
        "confidence": 0.8,
        "probabilities": {"low": 0.1, "moderate": 0.1, "severe": 0.8},
        "prediction_set": ("severe",),
        "needs_review": False,
        "reasons": (),
        "in_domain": True,
        "cam": np.ones((2, 2), np.float32),
    }
    return Severity(**{**fields, **changed})


GUESS = Guess("low", 0.5, {"low": 0.5, "severe": 0.5})


@pytest.mark.parametrize(
    "changed",
    [
        {"label": None},
        {"confidence": None},
        {"guess": GUESS},
        {"label": None, "confidence": None, "probabilities": None},
        {"source": "limits"},
        {"probabilities": None},
        {"label": None, "confidence": None, "probabilities": None, "guess": GUESS},
        {"label": None, "confidence": None, "probabilities": None, "guess": GUESS, "needs_review": True},
    ],
)
def test_a_severity_is_a_verdict_or_a_guess_with_reasons(changed: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"guess|verdict|abstaining"):
        judged(**changed)


@pytest.mark.parametrize("code", REVIEWED)
def test_a_doubt_asks_for_review_and_leaves_the_verdict(code: str) -> None:
    doubted = judged().doubted([f"{code}: so it is"])
    assert (doubted.abstained, doubted.needs_review, doubted.label) == (False, True, "severe")
    assert doubted.said == "severe 80%"


@pytest.mark.parametrize("code", ABSTAINING)
def test_a_reason_to_abstain_leaves_a_guess_and_stands_first(code: str) -> None:
    doubted = judged(reasons=("ambiguous: two", "blurred: a bit")).doubted([f"{code}: so it is"])
    assert doubted.abstained
    assert doubted.reasons == (f"{code}: so it is", "blurred: a bit")
    assert doubted.guess == doubted.answer == judged().answer
    assert doubted.said == f"not judged ({code})"
    again = doubted.doubted(["flat: as well", f"{code}: so it is"])
    assert (again.guess, again.reasons[0]) == (doubted.guess, f"{code}: so it is")
    assert len(again.reasons) == 3


def test_that_an_image_is_empty_is_said_before_that_it_is_foreign() -> None:
    doubted = judged(reasons=("out_of_domain: far",)).doubted(["flat: so", "stages_conflict: so", "no_contrast: so"])
    assert doubted.said == "not judged (no_contrast)"
    assert [reason.partition(":")[0] for reason in doubted.reasons] == [
        "no_contrast",
        "out_of_domain",
        "stages_conflict",
        "flat",
    ]


def test_without_a_doubt_nothing_is_to_be_reviewed() -> None:
    assert not judged().doubted([]).needs_review


def test_no_reason_has_two_meanings() -> None:
    assert len(set(REASONS)) == len(REASONS)


@pytest.mark.parametrize(
    ("tilt", "corrected", "um"),
    [(None, None, 0.25), (0.0, None, 0.25), (5.0, False, 0.25), (5.1, None, None), (-52.0, False, None), (52.0, True, 0.25)],
)
def test_a_tilt_that_nothing_corrected_leaves_no_scale_for_areas(tilt: float | None, corrected: bool | None, um: float) -> None:
    taken = Acquisition(tilt_deg=tilt, tilt_corrected=corrected)
    image = Micrograph(GREY, 40, 30, pixel_size_nm=250.0, pixel_size_source="metadata", acquisition=taken)
    assert (image.pixel_size_um, image.pixel_size_nm) == (um, 250.0)
