"""What becomes of detections that are one region: seen by the whole and by tiles, or cut by a tile's border."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edge.inspection.merge import Detection, merge


def piece(
    x: int,
    y: int,
    w: int,
    h: int,
    *,
    view: int,
    seen: tuple[int, int, int, int] = (0, 0, 2000, 1500),
    whole: bool = False,
    cut: bool = False,
    score: float = 0.9,
    coarse: bool = False,
) -> Detection:
    mask = np.ones((h, w), bool)
    return Detection(x, y, mask, score, 0, view, seen, whole, (cut, False, cut, False), w * h, coarse)


def boxes(detections: Sequence[Detection]) -> list[tuple[int, int, int, int]]:
    return sorted(detection.box for detection in detections)


def test_a_large_region_of_the_whole_beats_a_fragment_seen_by_a_tile() -> None:
    large, fragment = piece(0, 0, 900, 500, view=0, whole=True), piece(100, 100, 30, 30, view=1)
    assert boxes(merge([large, fragment], 0.7)) == [large.box]


def test_a_blob_that_tiles_resolve_into_pits_gives_way_to_them() -> None:
    blob = piece(0, 0, 100, 60, view=0, whole=True)
    pits = [piece(0, 0, 48, 60, view=1), piece(52, 0, 48, 60, view=1)]
    assert boxes(merge([blob, *pits], 0.7)) == boxes(pits)


def test_a_blob_of_the_coarse_view_gives_way_to_the_pits_that_the_whole_tells_apart() -> None:
    blob = piece(0, 0, 200, 120, view=1, whole=True, coarse=True)
    pits = [piece(0, 0, 90, 120, view=0, whole=True), piece(104, 0, 90, 120, view=0, whole=True)]
    assert boxes(merge([blob, *pits], 0.7)) == boxes(pits)


def test_of_a_region_seen_whole_and_coarse_the_finer_mask_stays_whatever_the_scores() -> None:
    fine, coarse = piece(0, 0, 100, 100, view=0, whole=True, score=0.4), piece(2, 0, 104, 98, view=1, whole=True, coarse=True)
    assert boxes(merge([coarse, fine], 0.7)) == [fine.box]


def test_a_fragment_that_the_whole_has_of_a_large_region_gives_way_to_the_coarse_view() -> None:
    fragment, coarse = piece(0, 0, 60, 60, view=0, whole=True), piece(0, 0, 300, 200, view=1, whole=True, coarse=True)
    assert boxes(merge([fragment, coarse], 0.7)) == [coarse.box]


def test_pieces_that_a_tile_border_cut_are_joined() -> None:
    left = piece(500, 100, 140, 50, view=1, seen=(0, 0, 640, 640), cut=True)
    right = piece(560, 100, 200, 50, view=2, seen=(544, 0, 1184, 640), cut=True)
    assert boxes(merge([left, right], 0.7)) == [(500, 100, 760, 150)]


def test_neighbours_in_one_view_stay_two_regions() -> None:
    first, second = piece(0, 0, 40, 40, view=1), piece(30, 0, 40, 40, view=1)
    assert len(merge([first, second], 0.7)) == 2


def test_a_large_complete_piece_of_a_tile_swallows_what_the_whole_saw_of_it() -> None:
    line, crumb = piece(0, 100, 500, 10, view=1), piece(20, 100, 200, 8, view=0, whole=True)
    assert boxes(merge([line, crumb], 0.7)) == [line.box]


def test_the_same_fragment_seen_by_two_tiles_does_not_explain_the_whole() -> None:
    large = piece(0, 0, 100, 100, view=0, whole=True)
    fragments = [piece(10, 10, 60, 60, view=1), piece(11, 11, 60, 60, view=2)]
    assert boxes(merge([large, *fragments], 0.7)) == [large.box]


def test_a_small_region_is_taken_from_the_tile_although_the_whole_draws_it_wide() -> None:
    fine, coarse = piece(10, 10, 20, 20, view=1), piece(6, 6, 28, 28, view=0, whole=True)
    assert boxes(merge([coarse, fine], 0.7)) == [fine.box]


def test_cut_pieces_of_two_neighbours_are_not_joined() -> None:
    left = piece(500, 100, 140, 20, view=1, seen=(0, 0, 640, 640), cut=True)
    right = piece(544, 119, 200, 60, view=2, seen=(544, 0, 1184, 640), cut=True)
    assert len(merge([left, right], 0.7)) == 2


def test_pieces_that_miss_the_middle_of_a_region_do_not_replace_the_whole() -> None:
    large = piece(0, 0, 1800, 100, view=0, whole=True)
    ends = [
        piece(0, 0, 640, 100, view=1, seen=(0, 0, 640, 640), cut=True),
        piece(1100, 0, 700, 100, view=3, seen=(1100, 0, 1800, 640), cut=True),
    ]
    assert boxes(merge([large, *ends], 0.7)) == [large.box]
