"""What describes a region."""

from __future__ import annotations

import numpy as np

from edge.inspection.features import FeatureMap
from edge.inspection.region_features import MEASURED, region_features
from edge.records import Regions
from tests.teach.making import spotted, truth_of


def test_a_dark_disc_is_dark_round_and_has_a_step_at_its_edge() -> None:
    grey, spots = spotted(2)
    x, y, radius = spots[0]
    mask = truth_of([(radius, radius, radius)], (2 * radius + 1, 2 * radius + 1))
    box = np.array([[x - radius, y - radius, 2 * radius + 1, 2 * radius + 1]], np.int32)
    regions = Regions(box, np.array([0.5], np.float32), np.zeros(1, np.int32), (mask,), ("pit", "other"))
    features = FeatureMap(np.ones((3, 60, 80), np.float32), 0.25, 0.25)
    row = region_features(grey, regions, features)[0]
    named = dict(zip(MEASURED, row.tolist(), strict=False))
    assert len(row) == len(MEASURED) + 2 + 3
    assert named["contrast"] < -0.3
    assert named["edge"] > 0
    assert named["circularity"] > 0.8
    assert named["elongation"] < 0.1
    assert abs(named["score"]) < 1e-6
    assert row[len(MEASURED) :].tolist() == [1.0, 0.0, 1.0, 1.0, 1.0]


def test_regions_at_the_border_of_one_pixel_and_of_the_whole_image_are_described_too() -> None:
    grey = np.full((20, 30), 7, np.uint8)
    boxes = np.array([[0, 0, 30, 20], [29, 19, 1, 1]], np.int32)
    masks = (np.ones((20, 30), np.bool_), np.ones((1, 1), np.bool_))
    regions = Regions(boxes, np.array([1.0, 0.0], np.float32), np.zeros(2, np.int32), masks, ("pit",))
    rows = region_features(grey, regions, FeatureMap(np.zeros((0, 1, 1), np.float32), 0.25, 0.25))
    assert np.isfinite(rows).all()
    assert rows.shape == (2, len(MEASURED) + 1)
