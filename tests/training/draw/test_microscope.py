"""What the microscope does to pixels it does to labels."""

from __future__ import annotations

import cv2
import numpy as np

from tests.training.draw.scenes import appearance_with, drawn
from training.draw import synthetic
from training.draw.appearance import PIT_STYLES


def test_drift_moves_labels_with_their_pixels() -> None:
    styles = tuple(float(name == "deep") for name in PIT_STYLES)
    scene = drawn(
        appearance_with(drift_px=4.0, pit_styles=styles, product_part=0.0, surface="polished", boundary=0.0), 0.1, (320, 240)
    )
    inside = synthetic._numbered(scene.regions, 320, 240) > 0
    core = cv2.erode(inside.astype(np.uint8), np.ones((7, 7), np.uint8)) > 0
    assert scene.grey[core].mean() < scene.grey[~inside].mean() - 20
