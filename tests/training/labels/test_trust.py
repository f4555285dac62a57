"""A score falls with contrast and sharpness, and says why."""

from __future__ import annotations

import cv2
import numpy as np

from tests.training.labels.planted import disc, ground, photograph, pits
from training.labels.annotate import annotate


def test_clear_regions_score_high_with_no_reason_against_them() -> None:
    trust = annotate(pits()[0]).trust
    assert trust.score > 0.9
    assert trust.reasons == ()


def test_faint_regions_score_lower_and_say_why() -> None:
    clear, faint = annotate(pits()[0]).trust, annotate(pits(contrast=-22.0, noise=18.0)[0]).trust
    assert faint.score < clear.score - 0.2
    assert any("contrast" in reason or "unstable" in reason for reason in faint.reasons)


def test_blurred_edges_score_lower_and_say_why() -> None:
    image = ground(noise=1.5)
    for x, y in ((80, 70), (220, 70), (80, 180), (220, 180)):
        image -= 90 * cv2.GaussianBlur(disc(x, y, 14).astype(np.float64), (0, 0), 9)
    blurred = annotate(photograph(image)).trust
    assert blurred.edge_width_px is not None
    assert blurred.edge_width_px > 2 * (annotate(pits()[0]).trust.edge_width_px or 0)
    assert any("blurred" in reason for reason in blurred.reasons)


def test_nothing_found_is_neither_good_nor_bad() -> None:
    trust = annotate(photograph(ground())).trust
    assert trust.score == 0.5
    assert "nothing found" in trust.reasons[0]
