"""A drawn scene in, what a scanning electron microscope stores of it out: uint8, with all the faults of real images.

In the order in which they arise:

1. The stage drifts, the beam is out of focus or astigmatic, the sample charges.
2. The lines flicker and the field is lit unevenly.
3. Gain, offset and gamma are set by hand, electrons are counted, the numbers get bits.
4. People resample, compress and annotate the files.
"""

from __future__ import annotations

import cv2
import numpy as np

from edge.records import Grey
from training.draw.appearance import Appearance
from training.draw.canvas import Canvas, Image, fractal


def photograph(canvas: Canvas) -> Grey:
    """The stored image. Drift moves the canvas's labels along, and a data bar covers them."""
    _drift(canvas)
    grey = _focused(canvas)
    grey = _charged(canvas, grey)
    grey = _striped(canvas, grey)
    grey = amplified(canvas.appearance, grey, float(np.median(grey)))
    grey = _counted(canvas, grey)
    stored = _digitised(canvas, grey)
    stored = _resampled(canvas, stored)
    if canvas.appearance.bar:
        stored = _annotated(canvas, stored)
    if canvas.appearance.jpeg_quality:
        _, data = cv2.imencode(".jpg", stored, [cv2.IMWRITE_JPEG_QUALITY, canvas.appearance.jpeg_quality])
        stored = np.asarray(cv2.imdecode(data, cv2.IMREAD_GRAYSCALE), np.uint8)
    return stored


def _drift(canvas: Canvas) -> None:
    """The sample moves while lines are scanned one after another: lines are shifted, smoothly, with their labels."""
    if not canvas.appearance.drift_px:
        return
    rng, height = canvas.rng, canvas.height
    knots = np.cumsum(rng.normal(0, 1, int(rng.integers(3, 12))))
    shift = np.interp(np.arange(height), np.linspace(0, height, len(knots)), knots - knots.mean())
    shift = (canvas.appearance.drift_px * canvas.scale * shift).astype(np.float32)
    x = np.arange(canvas.width, dtype=np.float32)[None, :] + shift[:, None]
    y = np.broadcast_to(np.arange(height, dtype=np.float32)[:, None], x.shape)
    canvas.grey = np.asarray(cv2.remap(canvas.grey, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101), np.float32)
    source = np.clip(np.rint(x), 0, canvas.width - 1).astype(np.intp)
    moved = np.take_along_axis(canvas.labels, source, axis=1)
    moved[(x < 0) | (x > canvas.width - 1)] = 0
    canvas.labels = moved


def _focused(canvas: Canvas) -> Image:
    appearance = canvas.appearance
    focus = max(0.3, appearance.focus_px)
    grey = cv2.GaussianBlur(canvas.grey, (0, 0), focus)
    if appearance.astigmatism:
        half = int(3 * appearance.astigmatism) + 2
        axis = np.arange(-half, half + 1, dtype=np.float32)
        angle = canvas.rng.uniform(0, np.pi)
        along = axis[None, :] * np.cos(angle) + axis[:, None] * np.sin(angle)
        across = -axis[None, :] * np.sin(angle) + axis[:, None] * np.cos(angle)
        kernel = np.exp(-0.5 * ((along / appearance.astigmatism) ** 2 + (across / 0.5) ** 2))
        grey = cv2.filter2D(grey, -1, kernel / kernel.sum(), borderType=cv2.BORDER_REFLECT_101)
    return np.asarray(grey, np.float32)


def _charged(canvas: Canvas, grey: Image) -> Image:
    """Dark tails along the scan behind bright places, a glow around them, and whole bands that jump."""
    rng, strength = canvas.rng, canvas.appearance.charging
    if not strength:
        return grey
    bright = np.clip(grey - np.quantile(grey, 0.85), 0, None).astype(np.float32)
    tail = np.exp(-np.arange(81) / rng.uniform(6, 30)).astype(np.float32)[None, ::-1]
    grey = grey - strength * 0.25 * np.asarray(cv2.filter2D(bright, -1, tail, anchor=(80, 0)), np.float32)
    glow = cv2.resize(bright, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
    glow = cv2.GaussianBlur(glow, (0, 0), rng.uniform(2, 8))
    grey = grey + strength * rng.uniform(0, 2) * np.asarray(cv2.resize(glow, grey.shape[::-1]), np.float32)
    if rng.random() < 0.4:
        bands = np.repeat(rng.normal(0, 0.06 * strength, 40), int(np.ceil(canvas.height / 40)))[: canvas.height]
        grey = grey + bands.astype(np.float32)[:, None]
    return np.asarray(grey, np.float32)


def _striped(canvas: Canvas, grey: Image) -> Image:
    """Unstable lines along the scan; curtains across it, as an ion beam leaves them on a polished section."""
    rng, appearance = canvas.rng, canvas.appearance
    if appearance.line_noise:
        grey = grey + rng.normal(0, appearance.line_noise, (canvas.height, 1)).astype(np.float32)
    if appearance.curtains:
        stripes = cv2.GaussianBlur(rng.standard_normal((1, canvas.width)).astype(np.float32), (0, 0), rng.uniform(1, 6))
        depth = 1 + 0.3 * fractal(rng, canvas.width, canvas.height, octaves=2, roughness=0.5, start=3)
        grey = grey + appearance.curtains * (stripes / (stripes.std() + 1e-6)) * depth
    if appearance.shading:
        angle = appearance.light
        x, y = np.linspace(-1, 1, canvas.width)[None, :], np.linspace(-1, 1, canvas.height)[:, None]
        ramp = np.cos(angle) * x + np.sin(angle) * y
        grey = grey * (1 + appearance.shading * ramp.astype(np.float32))
    return np.asarray(grey, np.float32)


def amplified(appearance: Appearance, grey: Image, middle: float) -> Image:
    """Gain, offset and gamma as an operator sets them for an image whose median is `middle`; extremes saturate. 0…1."""
    grey = (grey - middle) * appearance.contrast + float(np.clip(middle + appearance.brightness, 0.15, 0.85))
    return np.asarray(np.clip(grey, 0, 1) ** appearance.gamma, np.float32)


def _counted(canvas: Canvas, grey: Image) -> Image:
    """Shot noise (its variance grows with the signal) over the amplifier's own, sometimes joined along the line."""
    rng = canvas.rng
    grain = rng.standard_normal(grey.shape, dtype=np.float32)
    if rng.random() < 0.3:  # a slow amplifier
        grain = np.asarray(cv2.GaussianBlur(grain, (3, 1), 0.7), np.float32) * 1.3
    return np.asarray(grey + grain * np.sqrt((grey + 0.02) / canvas.appearance.dose), np.float32)


def _digitised(canvas: Canvas, grey: Image) -> Grey:
    """8 bits; deeper files are windowed by their percentiles, as the edge does; shallower ones show steps."""
    bits = canvas.appearance.bits
    if bits > 8:
        low, high = np.quantile(grey[::4, ::4], (0.001, 0.999))
        grey = (grey - low) / max(0.05, float(high - low))
    if bits < 8:
        grey = np.round(grey * (2**bits - 1)) / (2**bits - 1)
    return np.asarray(np.clip(np.round(grey * 255), 0, 255), np.uint8)


def _resampled(canvas: Canvas, stored: Grey) -> Grey:
    """Made smaller and larger again, as pictures in papers and reports are: the noise becomes soft and blotchy."""
    part = canvas.appearance.resampled
    if not part:
        return stored
    small = cv2.resize(stored, None, fx=part, fy=part, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(small, stored.shape[::-1], interpolation=cv2.INTER_CUBIC), np.uint8)


def _annotated(canvas: Canvas, stored: Grey) -> Grey:
    """A data bar that nobody cut off, or a scale bar and text over the picture; regions under the bar are gone."""
    rng, width, height = canvas.rng, canvas.width, canvas.height
    font, size = cv2.FONT_HERSHEY_SIMPLEX, 0.45 * canvas.scale
    stored = stored.copy()
    ink, paper = (255, 0) if rng.random() < 0.7 else (0, 255)
    top = height - max(14, round(rng.uniform(0.05, 0.1) * height))
    if rng.random() < 0.6:
        stored[top:] = paper
        canvas.labels[top:] = 0
    base = (top + height) // 2 + round(8 * size)
    words = ("SE 15.0 kV", f"WD {rng.uniform(5, 20):.1f} mm", f"x {int(rng.choice((250, 500, 1000, 5000)))}")
    for index, word in enumerate(words[: int(rng.integers(1, 4))]):
        cv2.putText(stored, word, (round((0.02 + 0.24 * index) * width), base), font, size, ink, 1, cv2.LINE_AA)
    right, length = round(0.97 * width), round(rng.uniform(0.1, 0.22) * width)
    cv2.line(stored, (right - length, base), (right, base), ink, max(1, round(3 * canvas.scale)))
    for end in (right - length, right):
        cv2.line(stored, (end, base - 5), (end, base + 5), ink, max(1, round(2 * canvas.scale)))
    return stored
