"""Results of a segmenter as values, where no network has to run."""

from __future__ import annotations

from tests.training.score.conftest import NOWHERE
from training.score.evaluation import Curve, ImageScore, Number, SegmenterResult, SizeRow


def image_score(name: str, measured: float, labelled: float = 0.1, roc_auc: float | None = 0.9) -> ImageScore:
    """Each image is a group of its own."""
    return ImageScore(name, name, 0, 3, 3, 0.5, roc_auc, labelled, measured)


def segmenter(*images: ImageScore, name: str = "manual") -> SegmenterResult:
    """One that found what `images` say."""
    known = Number(0.9, len(images), "a test")
    sizes = tuple(SizeRow(from_px, below, 5, value, value, value) for from_px, below, value in SIZES)
    curve = Curve((0.0, 0.1, 1.0), (0.0, 0.9, 1.0), (1.0, 0.8, 0.1))
    numbers = {"roc_auc": known, "pr_auc": known}
    return SegmenterResult(name, ("pit",), 96, (), numbers, None, sizes, None, curve, NOWHERE, images)


SIZES = ((0.0, None, 0.7), (16.0, None, 0.8), (0.0, 16.0, None), (16.0, None, 0.8))
"""Least and greatest diameter in network pixels, and the score: all, the resolved, and two bins."""
