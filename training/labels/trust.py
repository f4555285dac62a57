"""The regions found in an image in, how far they can be trusted out, and why."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from edge.records import Mask
from training.labels.ground import Relief
from training.labels.image_labels import LabelImage
from training.labels.shapes import SMALL_DISC


@dataclass(frozen=True, slots=True)
class Trust:
    """How far an annotation can be trusted, and why.

    score: 0…1, geometric mean of four parts.  contrast_to_noise: median over regions of grey contrast over the ground's
    noise.  edge_width_px: median over regions of contrast over grey gradient at the outline.  stability: pixel IoU
    of the results at thresholds 10 % lower and 10 % higher.  rejected_share: of all candidates' area, the part that the
    shape rules refused.  reasons: what lowered the score, in words; empty when nothing did.  The first two are None where
    nothing was found: then the score is 0.5, because a clean surface looks the same as one whose regions are too faint.
    """

    score: float
    contrast_to_noise: float | None
    edge_width_px: float | None
    stability: float
    rejected_share: float
    reasons: tuple[str, ...]


def judge_trust(labels: LabelImage, relief: Relief, noise: Relief, stability: float, refused_px: int) -> Trust:
    """Score and reasons of one image's regions."""
    kept_px = int(np.count_nonzero(labels))
    rejected_share = refused_px / max(refused_px + kept_px, 1)
    if not kept_px:
        return Trust(0.5, None, None, stability, rejected_share, ("nothing found: a clean surface, or regions too faint",))
    contrasts, widths = _contrast_and_edges(labels, relief, noise)
    terms = (
        (_ramp(contrasts, 4.0, 14.0), f"low contrast: {contrasts:.1f} times the noise of the ground"),
        (_ramp(widths, 14.0, 5.0), f"blurred edges: about {widths:.0f} px wide"),
        (_ramp(stability, 0.4, 0.95), f"unstable: pixel IoU {stability:.2f} between thresholds 10 % lower and higher"),
        (_ramp(rejected_share, 0.8, 0.1), f"many refused: {rejected_share:.0%} of the area that stands out has another shape"),
    )
    score = float(np.prod([0.05 + 0.95 * term for term, _ in terms]) ** (1 / len(terms)))
    return Trust(score, contrasts, widths, stability, rejected_share, tuple(why for term, why in terms if term < 0.5))


def _contrast_and_edges(labels: LabelImage, relief: Relief, noise: Relief) -> tuple[float, float]:
    """Medians over regions: contrast over noise, and contrast over the gradient at the outline, in pixels."""
    gradient = np.hypot(cv2.Sobel(relief, cv2.CV_32F, 1, 0, scale=0.125), cv2.Sobel(relief, cv2.CV_32F, 0, 1, scale=0.125))
    shown = labels.astype(np.float32)
    rim = (cv2.dilate(shown, SMALL_DISC) != cv2.erode(shown, SMALL_DISC)) & (labels > 0)
    contrasts, widths = [], []
    for part, number in boxes(labels):
        own = labels[part] == number
        values = np.abs(relief[part])[own]
        contrast = float(np.percentile(values, 85))
        contrasts.append(contrast / float(noise[part][own].mean()))
        edge = gradient[part][own & rim[part]]
        widths.append(contrast / max(float(np.median(edge)) if len(edge) else 0.0, 1e-3))
    return float(np.median(contrasts)), float(np.median(widths))


def boxes(labels: LabelImage) -> Iterator[tuple[tuple[slice, slice], int]]:
    """Rows and columns of each label's bounds, with its number."""
    rows, columns = np.nonzero(labels)
    numbers = labels[rows, columns]
    count = int(labels.max(initial=0))
    low = np.full((count + 1, 2), max(labels.shape), np.intp)
    high = np.zeros((count + 1, 2), np.intp)
    for axis, values in enumerate((rows, columns)):
        np.minimum.at(low[:, axis], numbers, values)
        np.maximum.at(high[:, axis], numbers, values + 1)
    for number in range(1, count + 1):
        (top, left), (bottom, right) = low[number], high[number]
        if bottom > top:
            yield (slice(int(top), int(bottom)), slice(int(left), int(right))), number


def _ramp(value: float, worst: float, best: float) -> float:
    return float(np.clip((value - worst) / (best - worst), 0, 1))


def overlap(one: Mask, other: Mask) -> float:
    """Pixel IoU; 1 of two empty masks."""
    either = int(np.count_nonzero(one | other))
    return int(np.count_nonzero(one & other)) / either if either else 1.0
