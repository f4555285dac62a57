"""A random generator in, everything that the images of one coupon have in common out: metal, corrosion, microscope.

The ranges of the domain randomisation stand here and nowhere else. `wide` is meant for transfer to images of other
microscopes and other metals (Tobin et al. 2017): wider than any one laboratory. `paper` is one laboratory that
follows a protocol: one steel, one preparation, one microscope whose settings hardly change.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

Surface = Literal["ground", "polished", "machined", "grains", "mottled", "rough", "dull"]
Placing = Literal["anywhere", "clusters", "lines"]
Attack = Literal["none", "uniform", "intergranular", "layer"]
SURFACES: tuple[Surface, ...] = ("ground", "polished", "machined", "grains", "mottled", "rough", "dull")
PLACINGS: tuple[Placing, ...] = ("anywhere", "clusters", "lines")
ATTACKS: tuple[Attack, ...] = ("none", "uniform", "intergranular", "layer")
PIT_STYLES = ("ringed", "ring", "crescent", "spot", "deep", "faceted", "lacy", "faint")
PRODUCT_HABITS = ("nodules", "flake", "crust", "rosette", "patch")


@dataclass(frozen=True, slots=True)
class Appearance:
    """What one coupon under one microscope looks like. Lengths hold for an image 640 px wide and grow with the image.

    Metal: grey 0…1; grinding, light: angles in radians; grooves, texture, grain_tone: contrast (standard deviation of
    grey); boundary: grey of etched grain boundaries against the grains.
    Corrosion: pit_px, product_px: median diameters after about 7 days; pit_styles, product_habits: parts of each.
    rim: brightness of a pit's rim; rim_part: its width over the radius; darkness: of a deep pit's ground, 0…1;
    opening: half the angle over which a crescent is lit, radians; crowding: how readily regions grow into each other;
    coalescence: part of the pits that are several grown together.
    Distractors: how many are expected in an image.
    Microscope: dose: electrons a pixel; bits: of the detector's values; bar: burnt-in data bar or overlay.
    """

    surface: Surface
    grey: float
    grinding: float
    grooves: float
    cross_grooves: float
    groove_px: float
    texture: float
    grain_px: float
    grain_tone: float
    boundary: float
    light: float

    attack: Attack
    pit_px: float
    pit_spread: float
    pit_styles: tuple[float, ...]
    product_px: float
    product_part: float
    product_habits: tuple[float, ...]
    rim: float
    rim_part: float
    darkness: float
    opening: float
    irregularity: float
    placing: Placing
    crowding: float
    coalescence: float

    scratches: float
    stains: float
    particles: float
    inclusions: float
    holes: float
    edge_part: float
    fibres: float

    focus_px: float
    astigmatism: float
    dose: float
    charging: float
    line_noise: float
    curtains: float
    drift_px: float
    shading: float
    gamma: float
    contrast: float
    brightness: float
    bits: int
    resampled: float
    jpeg_quality: int
    bar: bool


def _log(rng: np.random.Generator, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def _sometimes(rng: np.random.Generator, part: float, low: float, high: float) -> float:
    """A value in `part` of the cases, else 0."""
    value = float(rng.uniform(low, high))
    return value if rng.random() < part else 0.0


def _parts(rng: np.random.Generator, concentration: float, weights: tuple[float, ...]) -> tuple[float, ...]:
    return tuple(float(part) for part in rng.dirichlet(concentration * np.array(weights)))


def wide(rng: np.random.Generator) -> Appearance:
    """Any metal under any microscope."""
    surface = SURFACES[int(rng.choice(len(SURFACES), p=(0.40, 0.16, 0.06, 0.12, 0.08, 0.06, 0.12)))]
    ground = surface in ("ground", "machined")
    many_small = rng.random() < 0.3  # alloys whose pits are small, many and dark
    attack = ATTACKS[int(rng.choice(len(ATTACKS), p=(0.88, 0.05, 0.04, 0.03)))]
    if attack == "intergranular":
        surface = "grains"
    styles = (0.5, 0.3, 0.6, 2.0, 1.2, 0.4, 0.2, 0.3) if many_small else (1.2, 1.1, 1.5, 0.8, 0.8, 0.5, 0.45, 0.6)
    return Appearance(
        surface=surface,
        grey=float(rng.uniform(0.25, 0.7)),
        grinding=float(rng.uniform(0, np.pi)),
        grooves=_log(rng, 0.012, 0.09) if ground else _sometimes(rng, 0.4, 0.004, 0.03),
        cross_grooves=_sometimes(rng, 0.3 if ground else 0.1, 0.01, 0.04),
        groove_px=_log(rng, 0.5, 3.0),
        texture=_log(rng, 0.004, 0.05),
        grain_px=_log(rng, 18, 160),
        grain_tone=_log(rng, 0.01, 0.08),
        boundary=float(rng.choice((-1, 1), p=(0.7, 0.3)) * rng.uniform(0.0, 0.14)),
        light=float(rng.uniform(0, 2 * np.pi)),
        attack=attack,
        pit_px=_log(rng, 8, 17) if many_small else _log(rng, 11, 80),
        pit_spread=float(rng.uniform(0.2, 0.65)),
        pit_styles=_parts(rng, 0.45, styles),
        product_px=_log(rng, 12, 110),
        product_part=_sometimes(rng, 0.4, 0.05, 0.9),
        product_habits=_parts(rng, 0.5, (1.2, 0.8, 0.8, 0.5, 0.8)),
        rim=_log(rng, 0.05, 0.6),
        rim_part=_log(rng, 0.06, 0.35),
        darkness=float(rng.uniform(0.35, 0.97)),
        opening=float(rng.uniform(0.5, 2.6)),
        irregularity=_log(rng, 0.03, 0.38),
        placing=PLACINGS[int(rng.choice(3, p=(0.6, 0.28, 0.12)))],
        crowding=_log(rng, 0.02, 0.5),
        coalescence=_sometimes(rng, 0.5, 0.05, 0.5),
        scratches=float(rng.choice((0.0, 3.0, 15.0, 40.0), p=(0.3, 0.35, 0.25, 0.1))),
        stains=float(rng.choice((0.0, 1.5, 5.0), p=(0.5, 0.35, 0.15))),
        particles=float(rng.choice((0.0, 2.0, 12.0), p=(0.5, 0.35, 0.15))),
        inclusions=float(rng.choice((0.0, 6.0, 40.0), p=(0.65, 0.25, 0.1))),
        holes=float(rng.choice((0.0, 1.0), p=(0.95, 0.05))),
        edge_part=_sometimes(rng, 0.12, 0.05, 0.35),
        fibres=float(rng.choice((0.0, 0.8), p=(0.9, 0.1))),
        focus_px=float(rng.uniform(0.3, 1.0) if rng.random() < 0.75 else rng.uniform(1.0, 2.4)),
        astigmatism=_sometimes(rng, 0.2, 0.5, 2.0),
        dose=_log(rng, 40, 4000),
        charging=_sometimes(rng, 0.2, 0.1, 0.6),
        line_noise=_sometimes(rng, 0.25, 0.002, 0.03),
        curtains=_sometimes(rng, 0.08, 0.01, 0.06),
        drift_px=_sometimes(rng, 0.12, 0.5, 4.0),
        shading=_sometimes(rng, 0.6, 0.02, 0.25),
        gamma=_log(rng, 0.6, 1.6),
        contrast=_log(rng, 0.4, 2.0),
        brightness=float(rng.normal(0, 0.11)),
        bits=int(rng.choice((8, 16, 6), p=(0.55, 0.4, 0.05))),
        resampled=_sometimes(rng, 0.2, 0.45, 0.9),
        jpeg_quality=int(rng.integers(35, 95)) if rng.random() < 0.2 else 0,
        bar=bool(rng.random() < 0.06),
    )


# What annealing does to the steel of the drawn experiment: grains grow with the square root of time, and with them the
# pits turn from round to bounded by crystal planes. Only so can the paper's classes (its annealing conditions) be seen.
_PAPER_PIT_STYLES = {
    60.0: (0.80, 0.00, 0.00, 0.20, 0.00, 0.00, 0.00, 0.00),
    90.0: (0.00, 0.00, 0.85, 0.00, 0.15, 0.00, 0.00, 0.00),
    120.0: (0.00, 0.00, 0.00, 0.00, 0.00, 0.90, 0.10, 0.00),
}
_PAPER_GRAIN_PX = {60.0: 34.0, 90.0: 64.0, 120.0: 110.0}
_PAPER_PRODUCT_HABITS = {
    60.0: (1.0, 0.0, 0.0, 0.0, 0.0),
    90.0: (0.0, 0.9, 0.0, 0.1, 0.0),
    120.0: (0.0, 0.0, 1.0, 0.0, 0.0),
}


def paper(rng: np.random.Generator, annealing_min: float) -> Appearance:
    """One coupon of the drawn experiment. Raises KeyError for an annealing time that was not part of it."""
    return Appearance(
        surface="grains",
        grey=float(rng.uniform(0.42, 0.54)),
        grinding=float(rng.uniform(0, np.pi)),
        grooves=float(rng.uniform(0.008, 0.02)),
        cross_grooves=0.0,
        groove_px=1.0,
        texture=float(rng.uniform(0.006, 0.012)),
        grain_px=_PAPER_GRAIN_PX[annealing_min] * float(rng.lognormal(0, 0.06)),
        grain_tone=float(rng.uniform(0.015, 0.035)),
        boundary=float(rng.choice((-1, 1), p=(0.7, 0.3)) * rng.uniform(0.03, 0.08)),
        light=float(rng.uniform(0, 2 * np.pi)),
        attack="none",
        pit_px=float(rng.uniform(44, 50)),
        pit_spread=0.3,
        pit_styles=_PAPER_PIT_STYLES[annealing_min],
        product_px=float(rng.uniform(50, 60)),
        product_part=float(rng.uniform(0.12, 0.25)),
        product_habits=_PAPER_PRODUCT_HABITS[annealing_min],
        rim=float(rng.uniform(0.28, 0.42)),
        rim_part=float(rng.uniform(0.14, 0.22)),
        darkness=float(rng.uniform(0.7, 0.9)),
        opening=float(rng.uniform(1.5, 2.1)),
        irregularity=float(rng.uniform(0.05, 0.15)),
        placing="anywhere",
        crowding=0.02,
        coalescence=0.0,
        scratches=2.0,
        stains=0.7,
        particles=1.0,
        inclusions=6.0,
        holes=0.0,
        edge_part=0.0,
        fibres=0.0,
        focus_px=float(rng.uniform(0.5, 0.8)),
        astigmatism=0.0,
        dose=_log(rng, 300, 900),
        charging=_sometimes(rng, 0.1, 0.1, 0.3),
        line_noise=0.003,
        curtains=0.0,
        drift_px=0.0,
        shading=float(rng.uniform(0.02, 0.08)),
        gamma=1.0,
        contrast=float(rng.uniform(0.9, 1.15)),
        brightness=float(rng.normal(0, 0.03)),
        bits=8,
        resampled=0.0,
        jpeg_quality=0,
        bar=False,
    )


def next_image(appearance: Appearance, rng: np.random.Generator) -> Appearance:
    """The same coupon and microscope, another image: focus, dose, brightness are set anew each time."""
    return replace(
        appearance,
        focus_px=appearance.focus_px * float(rng.lognormal(0, 0.12)),
        dose=appearance.dose * float(rng.lognormal(0, 0.15)),
        contrast=appearance.contrast * float(rng.lognormal(0, 0.05)),
        brightness=appearance.brightness + float(rng.normal(0, 0.015)),
        pit_px=appearance.pit_px * float(rng.lognormal(0, 0.06)),
    )
