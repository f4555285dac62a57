"""A canvas in, bare metal on it out, and everything that looks like corrosion and is none.

What is drawn here gets no label, so a network learns from it what to leave alone. Why each is not corrosion:
scratches, machining marks and drilled holes were made by a tool; inclusions and second phases came with the melt; dust,
particles and fibres lie on the metal and belong to nobody's reaction; stains and drying rings are residues of cleaning,
thinner than the beam sees; the sample's edge is geometry. Where one of them covers a region, the region loses the pixels.
"""

from __future__ import annotations

import cv2
import numpy as np

from training.draw.canvas import Canvas, Floats, Image, blob, brushed, cells, depth_of, fractal, step, unit


def draw_surface(canvas: Canvas) -> None:
    """Bare metal over the whole picture: ground, polished, machined, etched to show grains, two-phased, rough, or dull."""
    rng, appearance, width, height, scale = canvas.rng, canvas.appearance, canvas.width, canvas.height, canvas.scale
    grey = canvas.grey
    if appearance.grooves:
        layers = int(rng.integers(1, 4))
        for _ in range(layers):
            angle, length = appearance.grinding + rng.normal(0, 0.05), rng.uniform(60, 500)
            breadth = max(0.4, appearance.groove_px * scale * rng.lognormal(0, 0.5))
            grey += (
                appearance.grooves
                / np.sqrt(layers)
                * rng.uniform(0.5, 1.3)
                * brushed(rng, width, height, angle, length, breadth)
            )
    if appearance.cross_grooves:
        angle = appearance.grinding + rng.uniform(0.3, np.pi - 0.3)
        grey += appearance.cross_grooves * brushed(
            rng, width, height, angle, rng.uniform(60, 300), appearance.groove_px * scale
        )
    if appearance.surface == "machined":
        across = np.arange(width)[None, :] * np.sin(appearance.grinding) - np.arange(height)[:, None] * np.cos(
            appearance.grinding
        )
        pitch = rng.uniform(8, 60) * scale
        marks = np.abs(np.sin(np.pi * across / pitch + 0.15 * canvas.smooth)) ** rng.uniform(0.3, 2.0)
        grey += (rng.uniform(0.03, 0.12) * (marks - marks.mean())).astype(np.float32)
    elif appearance.surface == "grains":
        _draw_grains(canvas)
    elif appearance.surface == "mottled":
        islands = fractal(rng, width, height, octaves=4, roughness=0.75, start=float(rng.uniform(8, 50)))
        tone = rng.choice((-1, 1)) * rng.uniform(0.03, 0.12)
        grey += tone * step((islands - rng.uniform(-0.3, 0.9)) / rng.uniform(0.1, 0.5))
    elif appearance.surface == "rough":  # broken or blasted: slopes towards the detector and edges shine
        relief = fractal(
            rng, width, height, octaves=5, roughness=float(rng.uniform(0.45, 0.65)), start=float(rng.uniform(6, 25))
        )
        down, along = np.gradient(relief)
        lit = unit(np.cos(appearance.light) * along + np.sin(appearance.light) * down)
        grey += rng.uniform(0.02, 0.09) * lit + rng.uniform(0.0, 0.05) * unit(np.hypot(along, down))
    elif appearance.surface == "dull":
        grey += rng.uniform(0.015, 0.08) * canvas.rough
    grey += appearance.texture * canvas.fine + 0.7 * appearance.texture * canvas.smooth
    grey += rng.uniform(0.0, 0.06) * fractal(rng, width, height, octaves=2, roughness=0.5, start=2)


def _draw_grains(canvas: Canvas) -> None:
    """Grains of different tone (channelling), and boundaries that etching made dark or bright."""
    rng, appearance = canvas.rng, canvas.appearance
    count = max(6, int(canvas.width * canvas.height / (appearance.grain_px * canvas.scale) ** 2))
    numbers, distance = cells(rng, canvas.width, canvas.height, count)
    canvas.grains = numbers
    tone = rng.normal(0, appearance.grain_tone, int(numbers.max()) + 1).astype(np.float32)
    canvas.grey += tone[numbers]
    canvas.grey += appearance.boundary * np.exp(-((distance / (rng.uniform(0.8, 1.4) * canvas.scale)) ** 2))


def draw_below(canvas: Canvas) -> None:
    """What lies on the metal and under the corrosion: scratches, stains, drying rings, inclusions."""
    rng, appearance = canvas.rng, canvas.appearance
    for _ in range(int(rng.poisson(appearance.stains))):
        _draw_stain(canvas)
    for _ in range(int(rng.poisson(appearance.scratches))):
        _draw_scratch(canvas)
    if appearance.inclusions:
        tone, size = rng.choice((-0.2, -0.1, 0.15)), rng.uniform(0.8, 2.2) * canvas.scale
        for _ in range(int(rng.poisson(appearance.inclusions))):
            _draw_inclusion(canvas, tone * rng.uniform(0.5, 1.5), size * rng.lognormal(0, 0.3))
    canvas.grey = np.clip(canvas.grey, 0.02, 1.2)


def draw_above(canvas: Canvas) -> None:
    """What covers or removes corrosion: drilled holes, particles, fibres, the edge of the sample with nothing behind it.

    Some scratches were made after the corrosion and cross it; a scratched pit is still a pit and keeps its label.
    """
    rng, appearance = canvas.rng, canvas.appearance
    for _ in range(int(rng.poisson(0.05 * appearance.scratches))):
        _draw_scratch(canvas)
    for _ in range(int(rng.poisson(appearance.holes))):
        _draw_hole(canvas)
    for _ in range(int(rng.poisson(appearance.particles))):
        _draw_particle(canvas)
    for _ in range(int(rng.poisson(appearance.fibres))):
        _draw_fibre(canvas)
    if appearance.edge_part:
        _draw_sample_edge(canvas)


def _add(canvas: Canvas, cx: float, cy: float, half: int, change: Floats) -> None:
    rows, columns, own_rows, own_columns = canvas.window(cx, cy, half)
    canvas.grey[rows, columns] += change[own_rows, own_columns].astype(np.float32)


def _draw_stain(canvas: Canvas) -> None:
    rng = canvas.rng
    half = int(rng.uniform(0.03, 0.3) * max(canvas.width, canvas.height)) + 4
    depth = depth_of(blob(rng, half, half * 0.5, 0.4, rng.uniform(1, 2)))
    soft = half * rng.uniform(0.15, 0.5)
    change: Floats = rng.choice((-1, 1), p=(0.65, 0.35)) * rng.uniform(0.03, 0.18) * step(depth / soft + 0.5)
    if rng.random() < 0.3:  # a drying ring: only the border of the drop is left, wide and soft, unlike a pit's rim
        change = rng.choice((-1, 1)) * rng.uniform(0.02, 0.1) * np.exp(-((depth / rng.uniform(2.5, 7)) ** 2))
    _add(canvas, *canvas.point(), half, change * (1 + 0.3 * canvas.piece(canvas.rough, 2 * half + 1)))


def _draw_inclusion(canvas: Canvas, tone: float, breadth: float) -> None:
    """A small soft dash along the rolling direction, or a rounded speck: too small or too flat for a pit."""
    length = breadth * canvas.rng.uniform(1.0, 6)
    half = int(length + 3 * breadth) + 2
    axis = np.arange(-half, half + 1, dtype=np.float32)
    angle = canvas.appearance.grinding
    along = axis[None, :] * np.cos(angle) + axis[:, None] * np.sin(angle)
    across = -axis[None, :] * np.sin(angle) + axis[:, None] * np.cos(angle)
    dash = step((1 - np.hypot(along / length, across / breadth)) * breadth + 0.5)
    _add(canvas, *canvas.point(), half, tone * dash)


def _draw_hole(canvas: Canvas) -> None:
    """Drilled: an exact circle, far larger than the pits, black, with an even bright burr."""
    rng = canvas.rng
    radius = rng.uniform(0.12, 0.25) * canvas.width
    cx, cy = canvas.point()
    y, x = np.mgrid[: canvas.height, : canvas.width].astype(np.float32)
    inside = radius - np.hypot(x - cx, y - cy)
    canvas.labels[inside > 0] = 0
    canvas.grey = np.where(inside > 0, rng.uniform(0.02, 0.15), canvas.grey).astype(np.float32)
    canvas.grey += rng.uniform(0.1, 0.4) * np.exp(-((inside / rng.uniform(1.5, 4)) ** 2)).astype(np.float32)


def _draw_line(canvas: Canvas, points: Floats, breadth: int, value: float) -> None:
    line = np.zeros((canvas.height, canvas.width), np.uint8)
    cv2.polylines(line, [np.round(points * 16).astype(np.int32)], False, 255, breadth, cv2.LINE_AA, shift=4)
    canvas.grey += value * (line.astype(np.float32) / 255)


def _draw_scratch(canvas: Canvas) -> None:
    """One long line, straight or bent, dark with a bright lip or the other way round; it may begin weak and end strong."""
    rng = canvas.rng
    angle = canvas.appearance.grinding + rng.normal(0, 0.1) if rng.random() < 0.6 else rng.uniform(0, np.pi)
    reach = rng.uniform(0.08, 1.3) * max(canvas.width, canvas.height)
    along = np.linspace(-reach / 2, reach / 2, 24)
    bend = rng.normal(0, 0.04) * along * along / reach
    cx, cy = canvas.point()
    points = np.stack(
        (cx + along * np.cos(angle) - bend * np.sin(angle), cy + along * np.sin(angle) + bend * np.cos(angle)), axis=1
    )
    tone = rng.choice((-1, 1)) * rng.lognormal(np.log(0.1), 0.6)
    breadth = int(np.clip(rng.lognormal(0.2, 0.6) * canvas.scale, 1, 7))
    lip = np.array([-np.sin(angle), np.cos(angle)]) * (0.7 * breadth + 0.6)
    lip_tone = -tone * rng.uniform(0.0, 0.9)
    strong_from = int(rng.integers(0, 12)) if rng.random() < 0.5 else 0
    _draw_line(canvas, points, breadth, 0.5 * tone if strong_from else tone)
    if strong_from:
        _draw_line(canvas, points[strong_from:], breadth, 0.5 * tone)
    _draw_line(canvas, points[strong_from:] + lip, max(1, breadth // 2), lip_tone)


def _draw_particle(canvas: Canvas) -> None:
    """Dust or grit: a compact bright grain, sharper and brighter than corrosion product, often in its own shadow."""
    rng = canvas.rng
    radius = float(rng.lognormal(np.log(2.5), 0.5)) * canvas.scale
    half = int(radius * 2.5) + 8
    cx, cy = canvas.point()
    mask = blob(rng, half, radius, 0.25, rng.uniform(1, 2.5))
    depth = depth_of(mask)
    halo = rng.uniform(0.0, 0.15) * np.exp(-np.clip(-depth, 0, None) / (0.6 * radius + 1)) * (depth < 0)
    _add(canvas, cx, cy, half, rng.uniform(0.2, 0.6) * step(depth / 1.5 + 0.5) - halo)
    rows, columns, own_rows, own_columns = canvas.window(cx, cy, half)
    canvas.labels[rows, columns][mask[own_rows, own_columns]] = 0


def _draw_fibre(canvas: Canvas) -> None:
    """Lint: a bright curl."""
    rng = canvas.rng
    t = np.linspace(0, 1, 60)
    size = rng.uniform(0.1, 0.5) * canvas.width
    cx, cy = canvas.point()
    x = cx + size * (t + 0.3 * np.sin(rng.uniform(3, 9) * t))
    y = cy + size * rng.uniform(-0.6, 0.6) * np.sin(rng.uniform(2, 7) * t)
    _draw_line(canvas, np.stack((x, y), axis=1), int(rng.integers(2, 5)), rng.uniform(0.2, 0.5))


def _draw_sample_edge(canvas: Canvas) -> None:
    """Black, or a blurred depth, beyond a straight or ragged line at any angle; the edge itself shines."""
    rng, width, height = canvas.rng, canvas.width, canvas.height
    angle = rng.uniform(0, 2 * np.pi)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    across: Image = np.asarray((x - width / 2) * np.cos(angle) + (y - height / 2) * np.sin(angle), np.float32)
    extent = float(across.max())
    ragged = rng.uniform(0, 0.03) * max(width, height) * fractal(rng, width, height, octaves=4, roughness=0.6, start=4)
    distance = across + extent * (1 - 2 * canvas.appearance.edge_part) + rng.uniform(0, 1) * ragged
    beyond = distance < 0
    depth = rng.uniform(0.02, 0.3) + rng.uniform(0, 0.08) * canvas.rough
    shine = rng.uniform(0.1, 0.6) * np.exp(-np.clip(distance, 0, None) / rng.uniform(1.5, 6))
    canvas.grey = np.where(beyond, depth, canvas.grey + shine).astype(np.float32)
    canvas.labels[beyond] = 0
