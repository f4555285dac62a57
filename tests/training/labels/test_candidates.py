"""Nets of lines are taken apart."""

from __future__ import annotations

import cv2
import numpy as np

from tests.training.labels.planted import SIZE, disc, ground, overlap, photograph
from training.labels.annotate import annotate


def test_grain_boundaries_are_refused_but_a_pit_among_them_is_found() -> None:
    image = ground()
    seeds = np.ones((SIZE[1], SIZE[0]), np.uint8)
    rng = np.random.default_rng(2)
    seeds[rng.integers(0, SIZE[1], 14), rng.integers(0, SIZE[0], 14)] = 0
    _, cells = cv2.distanceTransformWithLabels(seeds, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    image[cv2.morphologyEx(cells.astype(np.float32), cv2.MORPH_GRADIENT, np.ones((2, 2), np.uint8)) > 0] += 40
    image[disc(160, 120, 12)] = 20
    labels = annotate(photograph(image)).labels
    pit = labels == labels[120, 160]
    assert labels[120, 160] > 0
    assert overlap(pit, disc(160, 120, 12)) > 0.6
    assert (labels > 0).sum() < 2.5 * pit.sum()
