"""The regions of one image as pixels, whatever file they came from."""

from __future__ import annotations

import numpy as np

from training.labels.image_labels import Finding, ImageLabels, LabelledRegion, lines_of


def test_covered_is_the_union_of_all_regions_where_they_lie() -> None:
    ring = np.ones((3, 3), np.bool_)
    ring[1, 1] = False
    labels = ImageLabels((LabelledRegion("pit", 1, 0, ring), LabelledRegion(1, 3, 1, np.ones((1, 2), np.bool_))))
    expected = [[0, 1, 1, 1, 0, 0], [0, 1, 0, 1, 1, 0], [0, 1, 1, 1, 0, 0], [0, 0, 0, 0, 0, 0]]
    np.testing.assert_array_equal(labels.covered(6, 4), np.array(expected, np.bool_))


def test_an_image_without_regions_is_covered_nowhere() -> None:
    covered = ImageLabels().covered(7, 5)
    assert (covered.shape, covered.dtype, covered.any()) == ((5, 7), np.bool_, False)


def test_a_finding_is_fatal_unless_it_says_otherwise() -> None:
    assert Finding("no labels", "a.txt").fatal
    assert not Finding("cut off", "a.txt", fatal=False).fatal


def test_findings_of_a_kind_are_one_line_with_their_places() -> None:
    findings = [Finding("no labels", name) for name in "abcdefg"] + [Finding("cut off", "a", fatal=False)]
    assert lines_of(findings, fatal=True) == ["no labels (7 times): a, b, c, d, e, and 2 more"]
    assert lines_of(findings, fatal=False) == ["cut off: a"]
