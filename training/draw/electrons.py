"""A height field and a material in, the secondary-electron signal that a detector would collect out.

The yield of a tilted surface rises with 1/cos of the tilt (Reimer, Scanning Electron Microscopy, 1998, chapter 4), until the
escape depth rounds it off. Convex edges give more, hollows less: what leaves a deep pit hits its wall. A detector at one side
sees the slopes that face it, and what stands in the way throws a soft shadow.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from training.draw.canvas import Image

_STEEPEST = 3.5  # 1/cos of the tilt, beyond which a beam of finite width sees no more
_SHADOW_STEPS_PX = (2, 5, 11, 22)


@dataclass(frozen=True, slots=True)
class Detector:
    """How a height field turns into grey. Lengths in pixels, angles in radians, the rest in parts of the flat metal's signal.

    escape_px: mean way of secondary electrons in the metal.  tilt, side, edge, dent: how much slope, the slope's direction,
    convex and concave edges count.  occlusion: how dark a hollow is.  mouth: how dark a deep pit's ground is.
    azimuth: where the detector stands.  shadow: how dark its shadows are; elevation: slope under which it is seen.
    """

    escape_px: float
    edge_px: float
    tilt: float
    side: float
    edge: float
    dent: float
    occlusion: float
    mouth: float
    mouth_gamma: float
    azimuth: float
    shadow: float
    elevation: float


def any_detector(rng: np.random.Generator) -> Detector:
    """An in-lens detector (no side), an Everhart-Thornley one (much side), or something between."""
    inlens = rng.random() < 0.35
    return Detector(
        escape_px=float(rng.uniform(0.5, 1.5)),
        edge_px=float(rng.uniform(1.3, 4.5)),
        tilt=float(rng.uniform(0.15, 1.0)),
        side=float(rng.uniform(0, 0.15) if inlens else rng.uniform(0.1, 0.9)),
        edge=float(np.exp(rng.uniform(np.log(0.08), np.log(0.9)))),
        dent=float(rng.uniform(0, 0.3)),
        occlusion=float(rng.uniform(0.1, 0.6)),
        mouth=float(rng.uniform(0.1, 0.9)),
        mouth_gamma=float(rng.uniform(0.7, 1.6)),
        azimuth=float(rng.uniform(0, 2 * np.pi)),
        shadow=float(0 if inlens or rng.random() < 0.4 else rng.uniform(0.05, 0.45)),
        elevation=float(rng.uniform(0.2, 0.8)),
    )


def collected(detector: Detector, height: Image, material: Image, hollow: Image) -> Image:
    """The signal, float32 [H, W]: 1 on flat metal, never below 0.03.

    height: float32 [H, W] in pixels.  material: what another material adds to the signal.  hollow: 0…1, how much of what
    leaves the ground of a pit is caught by its walls.
    """
    rounded: Image = np.asarray(cv2.GaussianBlur(height, (0, 0), detector.escape_px), np.float32)
    along = cv2.Sobel(rounded, cv2.CV_32F, 1, 0, ksize=3) / 8
    down = cv2.Sobel(rounded, cv2.CV_32F, 0, 1, ksize=3) / 8
    secant = np.sqrt(1 + along**2 + down**2)
    facing = (along * np.cos(detector.azimuth) + down * np.sin(detector.azimuth)) / secant
    bend = (height - cv2.GaussianBlur(height, (0, 0), detector.edge_px)) / (detector.edge_px + 0.5)
    bend = np.clip(bend, -1.2, 1.2)
    sunk = np.clip(cv2.GaussianBlur(height, (0, 0), 8) - height, 0, None) / 8
    signal = 1 + detector.tilt * (np.minimum(secant, _STEEPEST) - 1) + detector.side * facing
    signal += detector.edge * np.maximum(bend, 0) + detector.dent * np.minimum(bend, 0)
    signal -= detector.occlusion * np.tanh(sunk) + detector.mouth * np.power(hollow, detector.mouth_gamma)
    if detector.shadow:
        signal -= detector.shadow * _shadow(detector, rounded)
    return np.asarray(np.maximum(signal + material, 0.03), np.float32)


def _shadow(detector: Detector, height: Image) -> Image:
    """0…1, how much of the detector is hidden by what stands between."""
    x, y = np.cos(detector.azimuth), np.sin(detector.azimuth)
    steepest = np.full_like(height, -np.inf)
    for step in _SHADOW_STEPS_PX:
        move = np.array([[1, 0, -step * x], [0, 1, -step * y]], np.float64)
        there = cv2.warpAffine(height, move, height.shape[::-1], borderMode=cv2.BORDER_REFLECT_101)
        steepest = np.maximum(steepest, (there - height) / step)
    dark = np.clip((steepest - detector.elevation) / 0.6, 0, 1)
    return np.asarray(cv2.GaussianBlur(dark, (0, 0), 0.8), np.float32)
