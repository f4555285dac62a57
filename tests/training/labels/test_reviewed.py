"""What people said of one image becomes its labelled regions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edge.errors import ConfigError, ReviewError
from edge.inspection.measure import measure
from edge.records import Mask, Regions
from edge.teach.reviews import Review
from tests.teach.test_reviews import parsed
from tests.training.labelled_images import HEIGHT, WIDTH, blobs, ring
from training.labels.image_labels import ImageLabels, LabelledRegion
from training.labels.regions import make_regions
from training.labels.reviewed import NO_CLASS, Inspected, cropped, inspected_of, labels_of

SEGMENTER = "b" * 64


def document(regions: Regions, sha256: str = "a" * 64, **changed: Any) -> dict[str, Any]:
    """The parts of an inspection document that labels need."""
    measures = measure(regions, (HEIGHT, WIDTH))
    return {
        "inspection_id": "i1",
        "image": {"sha256": sha256, "page": 0},
        "model": {"segmenter": {"sha256": SEGMENTER}, "taught": None},
        "corrosion": {"by_class": {key: {} for key in regions.class_names}, "regions_below": 0},
        "regions": [
            {
                "index": index,
                "class": regions.class_names[int(regions.class_ids[index])],
                "box_px": regions.boxes_px[index].tolist(),
                "outline_px": measures.outlines_px[index].tolist(),
                "holes_px": [hole.tolist() for hole in measures.holes_px[index]],
            }
            for index in range(len(regions))
        ],
        "regions_truncated": False,
        **changed,
    }


def found(*masks: Mask) -> Regions:
    drawn = [LabelledRegion(0, 0, 0, mask) for mask in masks]
    return make_regions(drawn, ("pit", "product"), WIDTH, HEIGHT, "")[0]


def square(x: int, y: int, side: int = 20) -> Mask:
    mask = np.zeros((HEIGHT, WIDTH), np.bool_)
    mask[y : y + side, x : x + side] = True
    return mask


TWO = found(square(10, 10, 21), square(70, 40, 20))
FIRST, SECOND = ([int(side) for side in box] for box in TWO.boxes_px)


def said(*, of: Regions = TWO, **changed: Any) -> ImageLabels:
    blank: dict[str, Any] = {"regions": [], "missed": [], "brushed": [], "complete": True}
    return labelled([parsed(**{**blank, **changed})], inspected_of(document(of), "a.json"))


def labelled(reviews: list[Review], inspected: Inspected) -> ImageLabels:
    return labels_of(reviews, inspected, WIDTH, HEIGHT, "a")


def covered(labels: ImageLabels) -> Mask:
    return labels.covered(WIDTH, HEIGHT)


def notes(labels: ImageLabels) -> str:
    assert not any(finding.fatal for finding in labels.findings)
    return "; ".join(finding.what for finding in labels.findings)


@pytest.mark.parametrize("mask", [ring(), blobs(1), blobs(2, share=0.7)])
def test_what_was_found_comes_back_with_its_holes(mask: Mask) -> None:
    regions = found(mask)
    labels = said(of=regions)
    assert len(labels.regions) == len(regions)
    canvas = np.zeros((HEIGHT, WIDTH), np.bool_)
    for (x, y, w, h), one in zip(regions.boxes_px.tolist(), regions.masks, strict=True):
        canvas[y : y + h, x : x + w] |= one
    differing = np.count_nonzero(covered(labels) ^ canvas)
    assert differing < 0.03 * np.count_nonzero(canvas), "outlines are simplified by half a pixel"


def test_what_is_unmarked_is_right_and_what_is_not_corrosion_is_no_label() -> None:
    labels = said(regions=[{"index": 0, "box_px": FIRST, "verdict": "not_corrosion"}])
    np.testing.assert_array_equal(covered(labels), square(70, 40, 20))
    assert not notes(labels)


def test_a_corrected_class_and_outline_are_taken() -> None:
    outline = [[70, 40], [79, 40], [79, 59], [70, 59]]
    labels = said(
        regions=[
            {"index": 0, "box_px": FIRST, "verdict": "wrong_class", "class": "product"},
            {"index": 1, "box_px": SECOND, "verdict": "wrong_outline", "outline_px": outline},
        ]
    )
    assert [one.label for one in labels.regions] == ["product", "pit"]
    half = square(70, 40, 20)
    half[:, 80:] = False
    np.testing.assert_array_equal(covered(labels), half | square(10, 10, 21))


def test_a_region_that_is_of_the_class_background_is_no_label() -> None:
    labels = said(regions=[{"index": 0, "box_px": FIRST, "verdict": "wrong_class", "class": "background"}])
    np.testing.assert_array_equal(covered(labels), square(70, 40, 20))


def test_of_an_outline_that_is_wrong_and_not_drawn_anew_the_found_one_is_taken_and_told() -> None:
    labels = said(regions=[{"index": 0, "box_px": FIRST, "verdict": "wrong_outline"}])
    assert len(labels.regions) == 2
    assert "none was drawn" in notes(labels)


def test_missed_outlines_and_boxes_are_labels_and_points_are_told() -> None:
    missed = [
        {"outline_px": [[40, 10], [59, 10], [59, 29], [40, 29]], "class": "pit"},
        {"box_px": [10, 50, 20, 30]},
        {"point_px": [110, 80]},
        {"point_px": [45, 15]},
    ]
    labels = said(missed=missed)
    assert [one.label for one in labels.regions] == ["pit", "pit", "pit", NO_CLASS]
    assert labels.regions[2].mask.sum() == 400
    assert labels.regions[3].mask.sum() == pytest.approx(np.pi / 4 * 20 * 30, rel=0.1)
    assert notes(labels).count("marked by a point") == 1, "the other point lies in a region that was drawn"
    assert "the ellipse in it" in notes(labels)


def test_a_stroke_is_a_region_or_extends_the_one_it_touches() -> None:
    alone = {"class": "corrosion", "points_px": [[20, 70], [60, 70]], "radius_px": 4}
    touching = {"class": "corrosion", "points_px": [[30, 20], [45, 20]], "radius_px": 4}
    labels = said(brushed=[alone, touching])
    assert sorted(str(one.label) for one in labels.regions) == [NO_CLASS, "pit", "pit"]
    assert covered(labels)[20, 47]
    assert covered(labels)[70, 40]
    assert "strokes" in notes(labels)


def test_a_stroke_of_another_class_is_a_region_of_its_own() -> None:
    labels = said(brushed=[{"class": "product", "points_px": [[20, 20], [45, 20]], "radius_px": 4}])
    assert sorted(str(one.label) for one in labels.regions) == ["pit", "pit", "product"]


def test_what_is_brushed_as_background_is_no_part_of_a_region() -> None:
    labels = said(brushed=[{"class": "background", "points_px": [[0, 12], [60, 12]], "radius_px": 8}])
    assert not covered(labels)[:19].any()
    assert covered(labels)[25, 20]
    assert "cut out" in notes(labels)


def test_the_same_pixels_as_both_are_a_contradiction() -> None:
    strokes = [{"class": name, "points_px": [[0, 70], [60, 70]], "radius_px": 5} for name in ("background", "corrosion")]
    with pytest.raises(ReviewError, match="brush them once"):
        said(brushed=strokes)


def test_a_part_has_the_regions_in_its_own_coordinates() -> None:
    part = cropped(said(), (75, 30, 40, 40))
    assert [(one.x_px, one.y_px, one.mask.shape) for one in part.regions] == [(0, 10, (20, 15))]


@pytest.mark.parametrize(
    "broken", [[], {}, {"regions": 3}, {**document(TWO), "regions": [{"index": 1}]}, {**document(TWO), "model": 1}]
)
def test_what_is_no_inspection_is_named(broken: Any) -> None:
    with pytest.raises(ConfigError, match=r"i1\.json is no inspection"):
        inspected_of(broken, "i1.json")
