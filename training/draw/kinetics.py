"""Exposure and annealing in, how much of a field of view is corroded and how far single regions have grown out.

The law is invented for drawn images; it is no measurement of any steel. Its form is that of nucleation and growth to
a limit (Kolmogorov–Johnson–Mehl–Avrami):

    A(t, T) = A_start + A_limit(T) · (1 − exp(−(t / τ(T))^n)),    n = 1.3

A is the corroded part of the field, t the exposure in hours, T the annealing in minutes. A_start are the pits that
open at inclusions within the first minutes. Two factors scatter around it, both log-normal with median 1: one for each
coupon (no two coupons corrode alike), one for each image (no two places on a coupon do). The scatter is chosen so that
the severity classes overlap about as much as the paper's did: whoever knows the exact area is right in about
94 of 100 images (`training.score.baselines` measures it).

A region's degree is how deep it has grown, 0…1. Progress is the image's corroded part over that of the worst condition.
A region began at any time on the way there. It deepens with the square root of what passed since, as for growth that is
limited by diffusion, with a log-normal scatter. Degrees and sizes follow the progress and not the hours, so they betray no
more about the exposure than the area does. The oracle that knows the area is therefore the best judge there can be.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edge.records import SEVERITIES, SeverityLabel

ANNEALING_MIN = (60.0, 90.0, 120.0)
EXPOSURES_H = (1.0, 168.0, 336.0, 504.0)
SEVERITY_EXPOSURES_H: dict[SeverityLabel, tuple[float, ...]] = {"low": (1.0,), "moderate": (168.0,), "severe": (336.0, 504.0)}

START_FRACTION = 0.006
LIMIT_FRACTION = {60.0: 0.20, 90.0: 0.23, 120.0: 0.26}
TIME_CONSTANT_H = {60.0: 400.0, 90.0: 375.0, 120.0: 350.0}
AVRAMI_EXPONENT = 1.3
COUPON_SCATTER = 0.15
IMAGE_SCATTER = 0.13
WIDE_SCATTER = 0.4  # of an image of any metal
NEVER_EXPOSED = 0.15  # part of the low class: a third of all, so 5 of 100 images are without corrosion
DEGREE_SCATTER = 0.15
FULL_FRACTION = 0.22
DEGREE_LIMITS = (0.30, 0.58)  # between low and moderate, moderate and severe
MOST_FRACTION = 0.45


@dataclass(frozen=True, slots=True)
class Growth:
    """The true parameters behind one image.

    exposure_h 0 stands for metal that was never exposed: nothing is corroded.
    coupon_factor, image_factor: the scatter, median 1.
    """

    annealing_min: float
    exposure_h: float
    coupon_factor: float = 1.0
    image_factor: float = 1.0

    @property
    def law_fraction(self) -> float:
        """What the law says without scatter, 0…1."""
        return corroded_fraction(self.exposure_h, self.annealing_min)

    @property
    def target_fraction(self) -> float:
        """What is to be drawn, 0…`MOST_FRACTION`."""
        return min(MOST_FRACTION, self.law_fraction * self.coupon_factor * self.image_factor)

    @property
    def progress(self) -> float:
        """How far corrosion went here, 0…1: 1 at the law's worst or beyond."""
        return min(1.0, self.target_fraction / FULL_FRACTION)


def corroded_fraction(exposure_h: float, annealing_min: float) -> float:
    """The law's median corroded part of the field, 0…1. Raises KeyError for an annealing time that the law does not know."""
    if exposure_h <= 0:
        return 0.0
    grown = -np.expm1(-((exposure_h / TIME_CONSTANT_H[annealing_min]) ** AVRAMI_EXPONENT))
    return float(START_FRACTION + LIMIT_FRACTION[annealing_min] * grown)


def scatter(rng: np.random.Generator, sigma: float) -> float:
    """A log-normal factor of median 1."""
    return float(rng.lognormal(0.0, sigma))


def any_growth(rng: np.random.Generator, severity: SeverityLabel | None) -> tuple[SeverityLabel, Growth]:
    """A severity, drawn evenly when None, and the growth behind one image of any metal."""
    chosen = SEVERITIES[int(rng.integers(3))]
    severity = severity or chosen
    annealing_min = float(rng.choice(ANNEALING_MIN))
    exposure_h = float(rng.choice(SEVERITY_EXPOSURES_H[severity]))
    if severity == "low" and rng.random() < NEVER_EXPOSED:
        exposure_h = 0.0
    return severity, Growth(annealing_min, exposure_h, image_factor=scatter(rng, WIDE_SCATTER))


def degree(rng: np.random.Generator, progress: float) -> float:
    """How deep one region has grown, 0…1. progress: of its image, 0…1."""
    since = progress * (1 - rng.random() ** 2)
    return float(np.clip(np.sqrt(since) * scatter(rng, DEGREE_SCATTER), 0.02, 1.0))


def degree_severity(value: float) -> SeverityLabel:
    """The severity of one region by itself, from its degree."""
    return SEVERITIES[int(np.searchsorted(DEGREE_LIMITS, value, side="right"))]


def size_factor(progress: float) -> float:
    """How much wider regions are than after about 7 days: 0.6 after an hour, 1.2 after 21 days."""
    return float(np.clip((3 * progress) ** 0.2, 0.5, 1.25))
