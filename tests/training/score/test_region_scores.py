"""Found regions are counted against true ones."""

from __future__ import annotations

import numpy as np

from edge.records import Regions
from training.draw.synthetic import CLASSES, render
from training.score.region_scores import RegionScores, match

SIZE = (192, 144)


def regions_of(*boxes: tuple[int, int, int, int]) -> Regions:
    return Regions(
        boxes_px=np.array(boxes, np.int32).reshape(-1, 4),
        scores=np.ones(len(boxes), np.float32),
        class_ids=np.zeros(len(boxes), np.int32),
        masks=tuple(np.ones((height, width), bool) for _, _, width, height in boxes),
        class_names=CLASSES,
    )


def test_the_truth_matches_itself() -> None:
    regions = render(4, SIZE, "severe").regions
    assert match(regions, regions).all()


def test_a_found_region_counts_for_one_true_region_only() -> None:
    truth = regions_of((0, 0, 10, 10), (0, 0, 10, 9))
    assert match(truth, regions_of((0, 0, 10, 10))).tolist() == [True, False]


def test_too_little_overlap_is_no_match() -> None:
    assert match(regions_of((0, 0, 10, 10)), regions_of((6, 0, 10, 10))).tolist() == [False]


def test_the_smallest_resolved_diameter_is_where_half_are_found() -> None:
    diameters = np.repeat([7.0, 9.0, 12.0, 40.0], 20)
    found = np.repeat([False, True, True, True], 20)
    assert RegionScores(diameters, found, 60, 60, np.zeros(1)).smallest_resolved_px() == 8.0


def test_a_size_that_hardly_occurs_is_not_called_resolved() -> None:
    diameters, found = np.array([9.0] * 3 + [12.0] * 20), np.ones(23, bool)
    assert RegionScores(diameters, found, 23, 23, np.zeros(1)).smallest_resolved_px() == 10.0
