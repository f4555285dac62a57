"""Labelled regions are cut to the image and taken once; unknown classes are named."""

from __future__ import annotations

import numpy as np
import pytest

from tests.training.labelled_images import HEIGHT, WIDTH
from training.labels.image_labels import LabelledRegion
from training.labels.regions import make_regions


def test_what_lies_in_the_data_bar_is_cut_off_and_reported() -> None:
    drawn = [LabelledRegion(0, 10, 60, np.ones((30, 10), np.bool_)), LabelledRegion(0, 50, 85, np.ones((4, 4), np.bool_))]
    regions, findings = make_regions(drawn, ("pit",), WIDTH, 80, "a")
    assert regions.boxes_px.tolist() == [[10, 60, 10, 20]]
    assert [finding.what.split(": ")[1] for finding in findings] == ["cut off", "left out"]


def test_a_region_labelled_twice_is_taken_once() -> None:
    drawn = [LabelledRegion(0, 10, 10, np.ones((20, 20), np.bool_)), LabelledRegion(0, 10, 10, np.ones((20, 19), np.bool_))]
    regions, findings = make_regions(drawn, ("pit",), WIDTH, HEIGHT, "a")
    assert len(regions) == 1
    assert "twice" in findings[0].what


@pytest.mark.parametrize("label", [3, "rust"])
def test_an_unknown_class_is_named_with_the_known_ones(label: str | int) -> None:
    _, findings = make_regions([LabelledRegion(label, 1, 1, np.ones((5, 5), np.bool_))], ("pit", "product"), WIDTH, HEIGHT, "a")
    assert findings[0].fatal
    assert str(label) in findings[0].what
    assert "0 pit, 1 product" in findings[0].what
