"""Regions under what is drawn over the specimen."""

from __future__ import annotations

import numpy as np

from edge.inspection.covered import without_drawn
from edge.inspection.measure import measure
from edge.records import Regions


def regions(*boxes: tuple[int, int, int, int]) -> Regions:
    return Regions(
        boxes_px=np.array(boxes, np.int32).reshape(-1, 4),
        scores=np.linspace(0.9, 0.5, len(boxes)).astype(np.float32),
        class_ids=np.arange(len(boxes), dtype=np.int32),
        masks=tuple(np.ones((height, width), np.bool_) for _, _, width, height in boxes),
        class_names=("a", "b", "c"),
    )


def drawn(*boxes: tuple[int, int, int, int]) -> np.ndarray:
    mask = np.zeros((100, 100), np.bool_)
    for x, y, width, height in boxes:
        mask[y : y + height, x : x + width] = True
    return mask


def test_a_region_beside_stays_as_it_is() -> None:
    found = without_drawn(regions((10, 10, 20, 20)), drawn((50, 50, 10, 10)))
    assert found.boxes_px.tolist() == [[10, 10, 20, 20]]
    assert found.masks[0].all()


def test_a_region_that_is_mostly_drawn_is_none() -> None:
    found = without_drawn(regions((10, 10, 20, 20), (60, 60, 5, 5)), drawn((10, 10, 20, 11)))
    assert found.boxes_px.tolist() == [[60, 60, 5, 5]]
    assert (found.class_ids.tolist(), found.scores.tolist()) == ([1], [0.5])


def test_a_region_that_is_cut_keeps_its_largest_piece_and_its_place_by_size() -> None:
    found = without_drawn(regions((10, 10, 20, 20), (60, 60, 18, 18)), drawn((10, 16, 20, 4)))
    assert found.boxes_px.tolist() == [[60, 60, 18, 18], [10, 20, 20, 10]]
    assert [int(mask.sum()) for mask in found.masks] == [324, 200]
    assert found.class_ids.tolist() == [1, 0]


def test_without_regions_there_are_none() -> None:
    assert len(without_drawn(regions(), drawn((0, 0, 100, 100)))) == 0
    assert len(without_drawn(regions((10, 10, 20, 20)), drawn((0, 0, 100, 100)))) == 0


def test_what_is_drawn_counts_neither_as_region_nor_as_field() -> None:
    covered = drawn((0, 0, 100, 50))
    measures = measure(without_drawn(regions((10, 60, 20, 20)), covered), (100, 100), covered)
    assert (measures.field_px, measures.union_px) == (5000, 400)
    assert measures.area_fraction == 0.08
    assert measure(regions(), (100, 100), drawn((0, 0, 100, 100))).area_fraction == 0.0
