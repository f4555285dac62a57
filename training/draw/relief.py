"""A seed in, a micrograph drawn by physics with its truth out: a height field first, then what a detector sees of it.

The other generator (`synthetic`) paints grey values that look like corrosion. This one builds the surface: metal
(`relief_metal`), corrosion as hollows, walls and heaps (`relief_corrosion`), and lets `electrons` light it. Crescents, rims,
dark mouths and shadows then come by themselves, and they agree with each other. Scenes of both are mixed for training.
The microscope behind the detector, with focus, dose, gain, bits and data bars, is the same for both (`microscope`).
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.records import SEVERITIES, Grey, Mask, Regions, SeverityLabel
from training.draw.appearance import wide
from training.draw.canvas import Canvas, Floats, Image, fractal, unit
from training.draw.electrons import any_detector, collected
from training.draw.kinetics import any_growth
from training.draw.metal import draw_above
from training.draw.microscope import amplified, photograph
from training.draw.relief_corrosion import corrode_relief
from training.draw.relief_metal import lay_metal
from training.draw.synthetic import CLASSES, Scene, write_scenes

GENERATOR = 1  # counts up when the same seed gives other pixels
RELIEF_SEED = 700_000
MOST_FRACTION = 0.62
_RING_PX, _FEWEST_RING_PX2 = 5, 10
_LEAST_STEP = 2.5  # grey levels


class Relief:
    """The surface while it is built.

    height: float32 [H, W] in pixels, up is positive.  material: float32 [H, W], what it adds to the signal of flat metal.
    hollow: float32 [H, W], 0…1, how much is caught by the walls of a pit.  canvas: labels, classes and degrees.
    """

    def __init__(self, canvas: Canvas) -> None:
        self.canvas, self.rng = canvas, canvas.rng
        self.width, self.height_px, self.scale = canvas.width, canvas.height, canvas.scale
        self.height: Image = np.zeros((canvas.height, canvas.width), np.float32)
        self.material: Image = np.zeros_like(self.height)
        self.hollow: Image = np.zeros_like(self.height)

    def add(self, cx: float, cy: float, half: int, height: Floats, material: Floats, hollow: Floats) -> None:
        """Put a square of side 2·half + 1 around a point; the deeper hollow stays."""
        rows, columns, own_rows, own_columns = self.canvas.window(cx, cy, half)
        self.height[rows, columns] += height[own_rows, own_columns].astype(np.float32)
        self.material[rows, columns] += material[own_rows, own_columns].astype(np.float32)
        there = self.hollow[rows, columns]
        np.maximum(there, hollow[own_rows, own_columns].astype(np.float32), out=there)

    def texture(self, side: int, size_px: float) -> Image:
        """A square of noise of unit deviation with cells of about `size_px`."""
        return fractal(self.rng, side, side, 2, 0.7, start=max(2.0, side / size_px))

    def wide_texture(self, size_px: float) -> Image:
        """The same over the whole picture."""
        return unit(fractal(self.rng, self.width, self.height_px, 2, 0.7, start=self.width / (size_px * self.scale)))


def render_relief(
    seed: int,
    size_px: tuple[int, int] = (640, 480),
    severity: SeverityLabel | None = None,
    *,
    fraction: float | None = None,
    zoom: float = 1.0,
    bars: bool = True,
) -> Scene:
    """Draw one scene; the same arguments give the same pixels.

    size_px: width, height.  severity: drawn evenly when None; decides how much is corroded, as in `synthetic.render`.
    fraction: the corroded part of the field, 0…`MOST_FRACTION`, instead; the scene's severity then means nothing.
    zoom: how much larger everything is drawn.  bars: whether some images have a data bar or overlay.
    """
    rng = np.random.default_rng([seed, 0x9E1])
    severity, growth = any_growth(rng, severity)
    appearance = wide(rng)
    appearance = replace(appearance, holes=0.0, bar=bars and appearance.bar)  # a drilled hole looks like a large flat pit
    canvas = Canvas(rng, appearance, *size_px)
    canvas.scale *= zoom
    relief = Relief(canvas)
    kind = lay_metal(relief)
    if kind == "section" and rng.random() < 0.5:
        canvas.appearance = replace(canvas.appearance, edge_part=float(rng.uniform(0.08, 0.4)))
    bare = relief.height.copy(), relief.material.copy(), relief.hollow.copy()
    if fraction is None:
        corrode_relief(relief, growth.target_fraction, growth.progress)
    else:
        corrode_relief(relief, min(fraction, MOST_FRACTION), float(rng.uniform(0.1, 1)))
    _light(relief, bare)
    draw_above(canvas)
    grey = photograph(canvas)
    regions, degrees = seen_in(grey, *canvas.regions())
    return Scene(grey, regions, degrees, severity, growth, f"relief-{seed}", seed, f"relief_{seed}")


def _light(relief: Relief, bare: tuple[Image, Image, Image]) -> None:
    """Turn heights into the canvas's grey, and forget what nobody could see. bare: the surface before it corroded."""
    canvas, rng = relief.canvas, relief.rng
    detector = any_detector(rng)
    gain = canvas.appearance.grey * float(rng.uniform(0.7, 1.3))
    before = _developed(collected(detector, *bare), canvas.appearance.grey, gain)
    after = _developed(collected(detector, relief.height, relief.material, relief.hollow), canvas.appearance.grey, gain)
    canvas.grey = after
    middle = float(np.median(after))
    canvas.forget_invisible(amplified(canvas.appearance, before, middle), amplified(canvas.appearance, after, middle))


def seen_in(grey: Grey, regions: Regions, degrees: NDArray[np.float32]) -> tuple[Regions, NDArray[np.float32]]:
    """The regions that a person would find in the stored image: their inside or their rim is unlike the bare metal.

    grey: uint8 [H, W].  degrees: float32 [N]. Noise, blur and the texture of the metal can hide what the height field has.
    """
    smooth = cv2.GaussianBlur(grey, (0, 0), 1.0).astype(np.float32)
    taken = np.zeros(grey.shape, np.bool_)
    for (x, y, w, h), mask in zip(regions.boxes_px.tolist(), regions.masks, strict=True):
        taken[y : y + h, x : x + w] |= mask
    bare = ~cv2.dilate(taken.astype(np.uint8), np.ones((7, 7), np.uint8)).astype(bool)
    rough = np.abs(smooth - cv2.GaussianBlur(smooth, (0, 0), 8))[bare]
    texture = max(_LEAST_STEP, 1.48 * float(np.median(rough))) if rough.size else _LEAST_STEP
    places = zip(regions.boxes_px, regions.masks, strict=True)
    kept = [index for index, (box, mask) in enumerate(places) if _stands_out(smooth, taken, box, mask, texture)]
    chosen = Regions(
        regions.boxes_px[kept],
        regions.scores[kept],
        regions.class_ids[kept],
        tuple(regions.masks[index] for index in kept),
        regions.class_names,
    )
    return chosen, degrees[kept]


def _stands_out(smooth: Image, taken: Mask, box: NDArray[np.int32], mask: Mask, texture: float) -> bool:
    x, y, w, h = (int(value) for value in box)
    top, left = max(0, y - _RING_PX), max(0, x - _RING_PX)
    rows, columns = slice(top, y + h + _RING_PX), slice(left, x + w + _RING_PX)
    around = smooth[rows, columns]
    own = np.zeros(around.shape, np.uint8)
    own[y - top : y - top + h, x - left : x - left + w] = mask
    side = 2 * _RING_PX + 1
    ring = (cv2.dilate(own, np.ones((side, side), np.uint8)) > 0) & ~taken[rows, columns]
    if np.count_nonzero(ring) < _FEWEST_RING_PX2:
        return True  # between others: they are seen together
    inside, outside = around[own > 0], around[ring]
    step = abs(float(inside.mean()) - float(outside.mean()))
    return max(step / 1.3, float(inside.std()) / 1.7, float(outside.std()) / 2.0) > texture


def _developed(signal: Image, grey: float, gain: float) -> Image:
    """The signal in the canvas's grey: flat metal is `grey`, and what shines is compressed as an amplifier does."""
    value = grey + gain * (signal - 1)
    shoulder = np.where(value > 0.8, 0.8 + 0.4 * np.tanh((value - 0.8) / 0.4), value)
    return np.asarray(np.maximum(cv2.GaussianBlur(shoulder.astype(np.float32), (0, 0), 0.4), 0.01), np.float32)


def write_relief_set(folder: Path, images: int, seed: int = RELIEF_SEED, size_px: tuple[int, int] = (640, 480)) -> None:
    """Write `images` scenes with seeds seed, seed + 1, …, in the layout of `synthetic.write_scenes`; severities take turns."""
    scenes = (render_relief(seed + index, size_px, SEVERITIES[index % len(SEVERITIES)]) for index in range(images))
    write_scenes(folder, scenes, CLASSES, "relief", seed)
