"""A relief in, bare metal on it out: its height and its material, before corrosion.

Nothing here gets a label. What looks like corrosion and is none stands out most: etched grains and laths of another tone,
layers of a weld, lamellae, dimples, scratches, dust.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from training.draw.canvas import Floats, Image, Labels, brushed, fractal, unit

if TYPE_CHECKING:
    from training.draw.relief import Relief

KINDS = ("polished", "ground", "etched", "laths", "rough", "fibrous", "dimpled", "section")
KIND_PARTS = (0.24, 0.2, 0.12, 0.1, 0.1, 0.08, 0.04, 0.12)


def lay_metal(relief: Relief) -> str:
    """Draw the metal; returns its kind."""
    rng, width, height = relief.rng, relief.width, relief.height_px
    kind = str(rng.choice(KINDS, p=KIND_PARTS))
    relief.height += rng.uniform(0, 2) * fractal(rng, width, height, octaves=2, roughness=0.5, start=float(rng.uniform(2, 8)))
    relief.height += rng.uniform(0.01, 0.12) * fractal(rng, width, height, 3, 0.9, start=width / float(rng.uniform(4, 16)))
    if kind in ("ground", "section") or rng.random() < 0.2:
        _grind(relief, weak=kind != "ground")
    if kind in ("etched", "laths", "section"):
        _etch(relief, laths=kind != "etched")
    if kind == "section":
        _weld_layers(relief)
    if kind == "rough":
        _roughen(relief)
    if kind == "fibrous":
        _lamellae(relief)
    if kind == "dimpled":
        dimples = fractal(rng, width, height, 2, 0.5, start=float(rng.uniform(15, 60)))
        relief.height += rng.uniform(0.3, 1.5) * np.abs(dimples)
    for _ in range(int(rng.poisson(rng.choice((0, 3, 12), p=(0.45, 0.35, 0.2))))):
        _scratch(relief)
    if rng.random() < 0.25:
        _stain(relief)
    _speckle(relief)
    return kind


def _grind(relief: Relief, weak: bool) -> None:
    rng, angle = relief.rng, relief.rng.uniform(0, np.pi)
    for breadth in (0.8, 2.0, 4.5):
        depth = rng.uniform(0.01, 0.08) if weak else rng.uniform(0.03, 0.3)
        length = rng.uniform(60, 500)
        turn = angle + rng.normal(0, 0.03)
        relief.height += depth * brushed(rng, relief.width, relief.height_px, turn, length, breadth * relief.scale)


def warped_cells(rng: np.random.Generator, width: int, height: int, size_px: float, stretch: float = 1.0) -> Labels:
    """The number of each pixel's cell, from 1: irregular cells of about `size_px`, longer along a random direction."""
    angle = rng.uniform(0, np.pi)
    reach = 0.3 * size_px * rng.uniform(0.2, 1.0)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    x = x + reach * fractal(rng, width, height, 3, 0.6, start=max(3.0, width / size_px))
    y = y + reach * fractal(rng, width, height, 3, 0.6, start=max(3.0, width / size_px))
    along = (x * np.cos(angle) + y * np.sin(angle)) / np.sqrt(stretch)
    across = (-x * np.sin(angle) + y * np.cos(angle)) * np.sqrt(stretch)
    along, across = along - along.min(), across - across.min()
    shape = (int(across.max()) + 2, int(along.max()) + 2)
    count = max(3, int(shape[0] * shape[1] / size_px**2))
    seeds = np.ones(shape, np.uint8)
    seeds[rng.integers(0, shape[0], count), rng.integers(0, shape[1], count)] = 0
    _, numbers = cv2.distanceTransformWithLabels(seeds, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    return np.asarray(numbers[across.astype(np.intp), along.astype(np.intp)], np.int32)


def border_distance(numbers: Labels) -> Image:
    """Distance in pixels to the next cell, float32 [H, W]."""
    edge = cv2.morphologyEx(numbers.astype(np.float32), cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)) > 0
    return np.asarray(cv2.distanceTransform((~edge).astype(np.uint8), cv2.DIST_L2, 3), np.float32)


def _etch(relief: Relief, laths: bool) -> None:
    """Grains of another tone, which stand at other heights; in them laths, as in martensite or a weld."""
    rng, width, height = relief.rng, relief.width, relief.height_px
    size = float(np.exp(rng.uniform(np.log(14), np.log(150)))) * relief.scale
    grains = warped_cells(rng, width, height, size, float(rng.uniform(1, 6) if laths else rng.uniform(1, 2)))
    count = int(grains.max()) + 1
    tone = rng.normal(0, np.exp(rng.uniform(np.log(0.02), np.log(0.16))), count)
    relief.material += tone.astype(np.float32)[grains]
    relief.height += (rng.uniform(0, 0.5) * rng.normal(0, 1, count)).astype(np.float32)[grains]
    groove = rng.uniform(0, 1.5) * rng.choice((1, 1, -0.4))
    relief.height -= groove * np.exp(-((border_distance(grains) / rng.uniform(0.8, 2.5)) ** 2))
    if laths:
        depth, tint = rng.uniform(0, 0.3), rng.uniform(0.01, 0.1)
        turn = rng.integers(0, 3, count)[grains]
        for index in range(3):
            breadth = rng.uniform(1, 4) * relief.scale
            strokes = brushed(rng, width, height, rng.uniform(0, np.pi), rng.uniform(10, 60), breadth)
            relief.height += np.where(turn == index, depth * strokes, 0)
            relief.material += np.where(turn == index, tint * strokes, 0)


def _weld_layers(relief: Relief) -> None:
    """Dark wavy lines one above the other, where a melt ended."""
    rng, width, height = relief.rng, relief.width, relief.height_px
    waves = fractal(rng, width, height, 3, 0.6, start=float(rng.uniform(3, 9)))
    turn = rng.normal(0, 0.1)
    down = np.arange(height, dtype=np.float32)[:, None] * np.cos(turn) + np.arange(width, dtype=np.float32)[None] * np.sin(turn)
    pitch = rng.uniform(20, 90) * relief.scale
    phase = np.abs((down + rng.uniform(0.1, 0.4) * pitch * waves) / pitch % 1 - 0.5) * pitch
    broken = np.clip(fractal(rng, width, height, 3, 0.7, start=6) + 0.7, 0, 1)
    line = np.exp(-((phase / rng.uniform(0.7, 2.0)) ** 2)) * broken
    relief.height -= rng.uniform(0, 1.2) * line
    relief.material -= rng.uniform(0, 0.25) * line


def _roughen(relief: Relief) -> None:
    rng, width, height = relief.rng, relief.width, relief.height_px
    for size in (2, 5, 12, 30):
        depth = rng.uniform(0.03, 0.45) * size / 8
        relief.height += depth * fractal(rng, width, height, 1, 1.0, start=width / (size * relief.scale))


def _lamellae(relief: Relief) -> None:
    """Thin bright ridges that bend and fan out, as in a polymer or a pearlite."""
    rng, width, height = relief.rng, relief.width, relief.height_px
    field = fractal(rng, width, height, 2, 0.5, start=float(rng.uniform(3, 8)))
    pitch = rng.uniform(0.05, 0.2)
    ridge = 1 - np.abs((field / pitch + 0.6 * fractal(rng, width, height, 3, 0.7, start=width / 25)) % 2 - 1)
    patchy = np.clip(fractal(rng, width, height, 2, 0.6, start=7) + rng.uniform(-0.3, 0.8), 0, 1.5)
    sharp = unit(ridge.astype(np.float32) ** rng.uniform(1, 4)) * patchy
    relief.height += rng.uniform(0.05, 0.6) * sharp
    relief.material += rng.uniform(0.0, 0.15) * sharp


def _scratch(relief: Relief) -> None:
    rng, width, height = relief.rng, relief.width, relief.height_px
    angle, reach = rng.uniform(0, np.pi), rng.uniform(0.1, 1.4) * width
    middle = rng.uniform(0, 1, 2) * (width, height)
    ends = np.array([-0.5, 0.5])[:, None] * reach * (np.cos(angle), np.sin(angle)) + middle
    line = np.zeros((height, width), np.uint8)
    breadth = int(np.clip(rng.lognormal(0.2, 0.5) * relief.scale, 1, 5))
    cv2.polylines(line, [np.round(ends * 16).astype(np.int32)], False, 255, breadth, cv2.LINE_AA, shift=4)
    soft = cv2.GaussianBlur(line.astype(np.float32) / 255, (0, 0), rng.uniform(0.6, 1.5))
    relief.height -= rng.uniform(0.3, 2.0) * soft
    relief.height += rng.uniform(0, 0.6) * (cv2.GaussianBlur(soft, (0, 0), 2) - 0.3 * soft)  # what the tool pushed aside


def _stain(relief: Relief) -> None:
    """Residues of cleaning: soft clouds, darker or brighter, thinner than the beam sees."""
    rng, width, height = relief.rng, relief.width, relief.height_px
    cloud = fractal(rng, width, height, 3, 0.6, start=float(rng.uniform(3, 14)))
    where = np.clip(fractal(rng, width, height, 2, 0.5, start=2.5) - 0.3, 0, 1)
    thick: Floats = np.clip((cloud - rng.uniform(0.2, 1.2)) / rng.uniform(0.8, 1.6), 0, 1) * where
    relief.material += rng.choice((-1, 1), p=(0.75, 0.25)) * rng.uniform(0.1, 0.5) * cv2.GaussianBlur(thick, (0, 0), 1.5)


def _speckle(relief: Relief) -> None:
    """Dust and fine inclusions, too small to be a region."""
    rng = relief.rng
    count = int(rng.poisson(rng.choice((0, 5, 30, 120), p=(0.4, 0.3, 0.2, 0.1))))
    spots = np.zeros((relief.height_px, relief.width), np.float32)
    spots[rng.integers(0, relief.height_px, count), rng.integers(0, relief.width, count)] = rng.normal(0.1, 0.35, count)
    breadth = rng.uniform(0.6, 1.1) * relief.scale
    relief.material += 2 * np.pi * breadth**2 * cv2.GaussianBlur(spots, (0, 0), breadth) * rng.uniform(0.3, 1)
