"""A canvas and a growth in, corrosion on the canvas out: pits, product, uniform and intergranular attack, oxide layers.

Drawn as secondary electrons show it: edges shine, hollows are dark, walls that look at the detector are bright. A deep
pit is a dark mouth with a rim; a shallow one no more than a ring, or a crescent where only one wall is lit. The outline
of a region is that of its mouth or foot, whatever part of it can be seen.
"""

from __future__ import annotations

import cv2
import numpy as np

from edge.records import Mask
from training.draw.appearance import PIT_STYLES, PRODUCT_HABITS
from training.draw.canvas import (
    ATTACK,
    PIT,
    PRODUCT,
    Canvas,
    Floats,
    Image,
    bearing_of,
    blob,
    cells,
    depth_of,
    facets,
    fractal,
    lobes,
    step,
)
from training.draw.kinetics import Growth, degree, size_factor

MOST_REGIONS = 450
_SMALLEST_PX, _LARGEST_PART = 6.0, 1 / 3


def corrode(canvas: Canvas, growth: Growth) -> None:
    """Draw regions until the growth's part of the field is corroded."""
    rng, appearance = canvas.rng, canvas.appearance
    left = growth.target_fraction * canvas.width * canvas.height
    if not left:
        return
    if appearance.attack == "layer":
        _draw_layer(canvas, left, growth.progress)
        return
    if appearance.attack == "uniform":
        left -= _attack_uniformly(canvas, rng.uniform(0.4, 0.9) * left, growth.progress)
    elif appearance.attack == "intergranular":
        left -= _attack_boundaries(canvas, rng.uniform(0.3, 0.8) * left, growth.progress)
    places = Places(canvas)
    product = appearance.product_part * left
    product -= _fill(canvas, places, PRODUCT, product, appearance.product_px, growth.progress)
    _fill(canvas, places, PIT, (1 - appearance.product_part) * left + product, appearance.pit_px, growth.progress)


def _fill(canvas: Canvas, places: Places, class_id: int, budget_px2: float, typical_px: float, progress: float) -> float:
    """Draw regions of one class until their area is used up; returns the area drawn."""
    rng, appearance = canvas.rng, canvas.appearance
    styles: tuple[str, ...] = PIT_STYLES if class_id == PIT else PRODUCT_HABITS
    parts = appearance.pit_styles if class_id == PIT else appearance.product_habits
    typical = typical_px * canvas.scale * size_factor(progress)
    room = MOST_REGIONS - len(canvas.class_ids)
    if room < 1 or budget_px2 <= 0:
        return 0.0
    # so many that the picture cannot hold them: larger ones instead, the corroded part has to come true
    mean_px2 = np.pi / 4 * np.exp(2 * appearance.pit_spread**2)
    typical = max(typical, float(np.sqrt(budget_px2 / (0.85 * room * mean_px2))))
    largest = _LARGEST_PART * min(canvas.width, canvas.height)
    left, attempts = budget_px2, 0
    while left > 15 and len(canvas.class_ids) < MOST_REGIONS and attempts < 4 * MOST_REGIONS:
        attempts += 1
        grown = degree(rng, progress)
        diameter = typical * (0.75 + 0.4 * grown) * float(rng.lognormal(0, appearance.pit_spread))
        diameter = float(np.clip(diameter, _SMALLEST_PX, min(largest, np.sqrt(max(1.3 * left, 60) * 4 / np.pi))))
        cx, cy = places.draw()
        if canvas.crowded(cx, cy, 0.55 * diameter) and rng.random() > appearance.crowding:
            continue
        style = str(rng.choice(styles, p=parts))
        draw = _draw_pit if class_id == PIT else _draw_product
        left -= draw(canvas, cx, cy, diameter / 2, style, grown)
    return budget_px2 - left


class Places:
    """Where regions begin: anywhere, in clusters, or along a few lines (scratches, rolling direction)."""

    def __init__(self, canvas: Canvas) -> None:
        self.canvas = canvas
        rng = canvas.rng
        self.centres = rng.uniform(0, 1, (int(rng.integers(1, 6)), 2)) * (canvas.width, canvas.height)
        self.radius = rng.uniform(0.05, 0.25) * max(canvas.width, canvas.height)

    def draw(self) -> tuple[float, float]:
        """x, y inside the field of view."""
        canvas, rng, placing = self.canvas, self.canvas.rng, self.canvas.appearance.placing
        if placing == "anywhere" or rng.random() < 0.25:
            return canvas.point()
        centre = self.centres[int(rng.integers(len(self.centres)))]
        if placing == "clusters":
            x, y = centre + rng.normal(0, self.radius, 2)
        else:
            angle = canvas.appearance.grinding
            along, across = rng.uniform(-1, 1) * max(canvas.width, canvas.height), rng.normal(0, 0.08 * self.radius)
            x = centre[0] + along * np.cos(angle) - across * np.sin(angle)
            y = centre[1] + along * np.sin(angle) + across * np.cos(angle)
        inside = 0 <= x < canvas.width and 0 <= y < canvas.height
        return (float(x), float(y)) if inside else canvas.point()


def _claim(canvas: Canvas, cx: float, cy: float, half: int, mask: Mask, class_id: int, grown: float) -> int:
    """Note a region drawn around a point; returns how many pixels became corroded that were not before."""
    rows, columns, own_rows, own_columns = canvas.window(cx, cy, half)
    seen = mask[own_rows, own_columns]
    fresh = int((seen & (canvas.labels[rows, columns] == 0)).sum())
    canvas.claim(rows, columns, seen, class_id, grown)
    return fresh


# --- pits ------------------------------------------------------------------------------------------------------------


def _draw_pit(canvas: Canvas, cx: float, cy: float, radius: float, style: str, grown: float) -> int:
    """Draw a pit, claim its mouth."""
    rng, appearance = canvas.rng, canvas.appearance
    half = int(np.ceil(radius * 1.9)) + 6
    side = 2 * half + 1
    if style == "faceted":
        mask = facets(rng, half, radius, int(rng.integers(3, 8)), rng.uniform(1.0, 1.5))
    elif radius > 5 and rng.random() < appearance.coalescence:
        mask = lobes(rng, half, radius, int(rng.integers(2, 6)))
    else:
        mask = blob(rng, half, radius, appearance.irregularity * rng.uniform(0.5, 1.5), 1 + rng.gamma(1.2, 0.18))
    depth, bearing = depth_of(mask), bearing_of(half)
    # rims and walls are uneven: they follow the grooves and the grains that they cut
    uneven = depth + rng.uniform(0, 0.05) * radius * canvas.piece(canvas.smooth, side)
    facing = np.cos(bearing - appearance.light - rng.normal(0, 0.15))

    ground = 1 - appearance.darkness * (0.35 + 0.65 * grown) * rng.uniform(0.8, 1.1)
    if style in ("ring", "crescent"):  # shallow: nearly as bright as the metal around
        ground = rng.uniform(0.72, 1.08)
    elif style == "faint":
        ground = rng.uniform(0.88, 1.06)
    wall = max(0.8, radius * rng.uniform(0.08, 0.6))
    if style in ("spot", "lacy"):
        wall = rng.uniform(0.8, 2.5)
    change = step(uneven / wall) * (max(0.04, ground) - 1)
    if radius > 9 and style in ("deep", "faceted", "ringed", "ring"):
        change = change + step(uneven / wall) * rng.uniform(0.0, 0.14) * canvas.piece(canvas.rough, side)
    if style == "lacy" and radius > 6:  # remains of the passive film over the mouth, pierced by many small holes
        cover = canvas.piece(canvas.smooth if rng.random() < 0.5 else canvas.fine, side) > rng.uniform(0.2, 1.0)
        change = np.where(cover & (depth > 1), change * rng.uniform(0.0, 0.3), change)
    # the far wall looks at the detector, the near one away from it
    inward = np.clip(depth, 0, wall) / wall
    relief = rng.uniform(0.0, 0.12) if style in ("spot", "faint") else rng.uniform(0.0, 0.35)
    change = change - relief * facing * 4 * inward * (1 - inward) * (depth > 0)

    rim = _crescent(canvas, radius, depth, facing) if style == "crescent" else _rim(canvas, radius, uneven, facing, style)
    if rng.random() < 0.15:  # a halo around the mouth: carbon from the beam, a thicker film, or what dripped out
        halo = rng.choice((-1, 1), p=(0.75, 0.25)) * rng.uniform(0.03, 0.12)
        rim = rim + halo * np.exp(-np.clip(-depth, 0, None) / (0.3 * radius + 1)) * (depth < 0)

    rows, columns, own_rows, own_columns = canvas.window(cx, cy, half)
    part = (own_rows, own_columns)
    canvas.grey[rows, columns] = canvas.grey[rows, columns] * (1 + change[part]) + rim[part]
    return _claim(canvas, cx, cy, half, mask, PIT, grown)


def _rim(canvas: Canvas, radius: float, uneven: Floats, facing: Floats, style: str) -> Floats:
    """The edge effect: a bright band along the mouth, stronger where it looks at the detector."""
    rng, appearance = canvas.rng, canvas.appearance
    gain = {"spot": 0.0, "ring": 1.2, "faint": 0.25, "lacy": 0.5}.get(style, 1.0) * appearance.rim * rng.lognormal(0, 0.35)
    breadth = max(0.8, 0.5 * appearance.rim_part * radius * rng.lognormal(0, 0.3))
    asymmetry = rng.uniform(0, 0.5) if style == "ring" else rng.uniform(0, 1.1)
    broken = 1 + rng.uniform(0, 0.5) * canvas.piece(canvas.smooth, len(uneven))
    band = np.exp(-(((uneven - 0.7 * breadth) / breadth) ** 2))
    return gain * band * np.clip(1 - asymmetry * facing, 0, 2.2) * np.clip(broken, 0, 2)  # type: ignore[no-any-return]


def _crescent(canvas: Canvas, radius: float, depth: Image, facing: Floats) -> Floats:
    """One lit wall: a lune as wide as the light's opening allows, thickest in the middle; at times a shadow opposite."""
    rng, appearance = canvas.rng, canvas.appearance
    opening = float(np.clip(appearance.opening + rng.normal(0, 0.2), 0.4, 2.9))
    thickest = max(1.2, radius * appearance.rim_part * rng.uniform(1.0, 2.2))
    swell = np.clip((-facing - np.cos(opening)) / (1 - np.cos(opening)), 0, 1)
    lune = step((thickest * swell**0.7 - depth) / (0.35 * thickest + 0.5)) * step((depth + 1.0) / 1.5) * (swell > 0)
    lit = 1.3 * appearance.rim * rng.lognormal(0, 0.3) * lune * (0.4 + 0.6 * swell)
    shadow = (
        rng.uniform(0, 0.6) * appearance.rim * np.clip(facing, 0, 1) * np.exp(-((depth / (0.3 * radius + 1) - 0.5) ** 2) * 4)
    )
    return lit - shadow * (depth > 0)  # type: ignore[no-any-return]


# --- product ---------------------------------------------------------------------------------------------------------


def _draw_product(canvas: Canvas, cx: float, cy: float, radius: float, habit: str, grown: float) -> int:
    """Draw a deposit of corrosion product, claim its foot."""
    rng, appearance = canvas.rng, canvas.appearance
    half = int(np.ceil(radius * 2.2)) + 8
    side = 2 * half + 1
    rough, fine = canvas.piece(canvas.rough, side), canvas.piece(canvas.fine, side)
    rough = rough - rough.mean()
    bright = rng.uniform(0.07, 0.25) * (0.6 + 0.8 * grown)
    if habit == "nodules":
        mask, height = _nodules(rng, half, radius)
        body = bright * 0.6 + height * rng.uniform(0.08, 0.3) + rng.uniform(0.01, 0.05) * fine
    elif habit == "flake":
        mask = facets(rng, half, radius, int(rng.integers(4, 9)), rng.uniform(1.0, 2.2))
        edge = rng.uniform(0.05, 0.25) * np.exp(-((depth_of(mask) - 1) ** 2) / 2)
        body = bright * 0.7 + rng.uniform(0.0, 0.06) * rough + edge
    elif habit == "crust":  # dried gel: mud cracks
        mask = blob(rng, half, radius, rng.uniform(0.2, 0.5), rng.uniform(1.0, 1.6))
        numbers, gap = cells(rng, side, side, max(4, int((side / max(6, radius * rng.uniform(0.25, 0.6))) ** 2)))
        tone = rng.normal(0, 0.04, int(numbers.max()) + 1).astype(np.float32)[numbers]
        body = bright * 0.6 + tone - rng.uniform(0.2, 0.5) * np.exp(-((gap / rng.uniform(0.7, 1.6)) ** 2)) + 0.03 * fine
    elif habit == "rosette":
        mask = blob(rng, half, radius, 0.45, 1.1)
        spokes = np.cos(bearing_of(half) * rng.integers(9, 30) + 3 * rough)
        body = bright * 0.6 + rng.uniform(0.03, 0.13) * spokes + rng.uniform(0.03, 0.1) * fine
    else:  # a thin oxide patch: rougher than the metal, a little brighter or darker
        mask = blob(rng, half, radius, rng.uniform(0.2, 0.4), rng.uniform(1.0, 1.8))
        body = rng.choice((-0.4, 0.7)) * bright * 0.6 + rng.uniform(0.05, 0.14) * rough + rng.uniform(0.02, 0.07) * fine
    depth, facing = depth_of(mask), np.cos(bearing_of(half) - appearance.light)
    shine = rng.uniform(0.0, 0.8) * appearance.rim * np.clip(1 - facing, 0, 2)
    edge = shine * np.exp(-(((depth - 1) / rng.uniform(0.8, 2)) ** 2))
    shadow = rng.uniform(0.0, 0.35) * np.exp(-((depth + 1.5) ** 2) / rng.uniform(3, 20)) * np.clip(facing, 0, 1) * (depth < 0)
    cover = step(depth / rng.uniform(0.8, 2.0) + 0.5)
    change = cover * (body + edge) - (0.0 if habit == "patch" else 1.0) * shadow
    rows, columns, own_rows, own_columns = canvas.window(cx, cy, half)
    canvas.grey[rows, columns] += change[own_rows, own_columns].astype(np.float32)
    return _claim(canvas, cx, cy, half, mask, PRODUCT, grown)


def _nodules(rng: np.random.Generator, half: int, radius: float) -> tuple[Mask, Image]:
    """Domes that grew into each other: where they are, and how high (0…1)."""
    axis = np.arange(-half, half + 1, dtype=np.float32)
    height = np.zeros((2 * half + 1, 2 * half + 1), np.float32)
    for index in range(int(np.clip(rng.poisson(3 + radius / 3), 2, 30))):
        size = radius * (rng.uniform(0.25, 0.6) if index else 0.6)
        reach = max(0.0, radius - size) if index else 0.0
        angle, away = rng.uniform(0, 2 * np.pi), reach * np.sqrt(rng.random())
        dy, dx = axis[:, None] - away * np.sin(angle), axis[None, :] - away * np.cos(angle)
        height = np.maximum(height, np.sqrt(np.clip(1 - (dx * dx + dy * dy) / size**2, 0, 1)) * rng.uniform(0.6, 1.0))
    return height > 0.05, height


# --- attack without pits ---------------------------------------------------------------------------------------------


def _attack_uniformly(canvas: Canvas, budget_px2: float, progress: float) -> float:
    """Large patches from which metal has gone evenly: pebbled, rougher, a step at their border. Returns the area."""
    rng = canvas.rng
    drawn = 0.0
    for _ in range(12):
        radius = float(np.sqrt(max(1.0, budget_px2 - drawn) / np.pi) * rng.uniform(0.5, 1.0))
        radius = min(radius, _LARGEST_PART * min(canvas.width, canvas.height))
        if radius < 0.02 * canvas.width:
            break
        grown = degree(rng, progress)
        half = int(radius * 1.7) + 6
        side = 2 * half + 1
        mask = blob(rng, half, radius, rng.uniform(0.3, 0.6), rng.uniform(1.0, 1.8))
        depth = depth_of(mask)
        pebbles = np.abs(canvas.piece(canvas.smooth, side)) + 0.6 * canvas.piece(canvas.rough, side)
        body = rng.choice((-1, 1), p=(0.75, 0.25)) * rng.uniform(0.0, 0.12) + (0.04 + 0.1 * grown) * (pebbles - 0.8)
        border = rng.uniform(0.0, 0.2) * np.exp(-((depth / 1.5) ** 2))
        cx, cy = canvas.point()
        rows, columns, own_rows, own_columns = canvas.window(cx, cy, half)
        change = step(depth / rng.uniform(1.0, 4.0) + 0.5) * body + border
        canvas.grey[rows, columns] += change[own_rows, own_columns].astype(np.float32)
        drawn += _claim(canvas, cx, cy, half, mask, ATTACK, grown)
    return drawn


def _attack_boundaries(canvas: Canvas, budget_px2: float, progress: float) -> float:
    """Trenches along grain boundaries, each from one triple point to the next a region. Returns their area."""
    rng, appearance, width, height = canvas.rng, canvas.appearance, canvas.width, canvas.height
    numbers = canvas.grains
    if numbers is None:
        numbers, _ = cells(rng, width, height, max(12, int(width * height / (appearance.grain_px * canvas.scale) ** 2)))
    right, below = np.roll(numbers, -1, axis=1), np.roll(numbers, -1, axis=0)
    other = np.where(right != numbers, right, below)
    other[:, -1], other[-1] = numbers[:, -1], numbers[-1]
    ys, xs = np.nonzero(other != numbers)
    one, two = numbers[ys, xs].astype(np.int64), other[ys, xs].astype(np.int64)
    names, segment = np.unique(np.minimum(one, two) * (int(numbers.max()) + 1) + np.maximum(one, two), return_inverse=True)
    breadth = rng.uniform(2.5, 6.0) * canvas.scale
    drawn, claimed = 0, canvas.labels > 0
    for index in rng.permutation(len(names)):
        chosen = segment == index
        if drawn >= budget_px2 or len(canvas.class_ids) >= MOST_REGIONS:
            break
        if chosen.sum() < 2.5 * breadth:
            continue
        grown = degree(rng, progress)
        x0, y0 = int(xs[chosen].min() - 2 * breadth), int(ys[chosen].min() - 2 * breadth)
        x0, y0 = max(0, x0), max(0, y0)
        x1, y1 = int(xs[chosen].max() + 2 * breadth) + 1, int(ys[chosen].max() + 2 * breadth) + 1
        rows, columns = slice(y0, min(height, y1)), slice(x0, min(width, x1))
        line = np.ones((rows.stop - y0, columns.stop - x0), np.uint8)
        line[ys[chosen] - y0, xs[chosen] - x0] = 0
        away = cv2.distanceTransform(line, cv2.DIST_L2, 5)
        reach = 0.5 * breadth * (0.7 + 0.6 * grown)
        trench = reach + 0.6 * canvas.smooth[rows, columns] - away
        mask = (trench > 0) & ~claimed[rows, columns]
        dark = 1 - appearance.darkness * (0.4 + 0.6 * grown) * step(trench / reach)
        lip = rng.uniform(0, 0.5) * appearance.rim * np.exp(-((trench / 1.2) ** 2))
        canvas.grey[rows, columns] = canvas.grey[rows, columns] * np.where(mask, dark, 1) + lip * (trench > -2)
        claimed[rows, columns] |= mask
        canvas.claim(rows, columns, mask, ATTACK, grown)
        drawn += int(mask.sum())
    return float(drawn)


def _draw_layer(canvas: Canvas, budget_px2: float, progress: float) -> None:
    """A cross-section: metal, its oxide (product) with pores and cracks, and the mount or a coating above."""
    rng, width, height = canvas.rng, canvas.width, canvas.height
    grown = degree(rng, progress)
    thickness = float(np.clip(budget_px2 / width, 8.0, 0.45 * height))
    wave = fractal(rng, width, 2, octaves=5, roughness=0.6, start=4)
    x, y = np.arange(width), np.arange(height, dtype=np.float32)[:, None]
    middle = rng.uniform(0.35, 0.65) * height + rng.uniform(-0.1, 0.1) * (x - width / 2)
    top = middle - thickness / 2 + rng.uniform(0.02, 0.15) * thickness * wave[0]
    bottom = middle + thickness / 2 + rng.uniform(0.02, 0.25) * thickness * wave[1]
    above, inside = top[None, :] - y, (y >= top[None, :]) & (y < bottom[None, :])
    mount = float(rng.choice((0.05, 0.15, 0.8)))
    canvas.grey[above > 0] = (mount + 0.04 * canvas.rough)[above > 0]
    tone = np.clip(canvas.appearance.grey + rng.choice((-1, 1), p=(0.7, 0.3)) * rng.uniform(0.08, 0.25), 0.1, 0.9)
    oxide = tone + 0.02 * canvas.rough
    pores = canvas.smooth > rng.uniform(1.6, 2.6)
    _, gap = cells(rng, width, height, int(rng.integers(8, 60)))
    oxide = np.where(gap < rng.uniform(0, 1.2), tone * 0.4, np.where(pores, tone * 0.3, oxide))
    canvas.grey[inside] = oxide[inside].astype(np.float32)
    border = np.minimum(np.abs(above), np.abs(y - bottom[None, :]))
    canvas.grey += (rng.uniform(0, 0.15) * np.exp(-((border / 1.5) ** 2))).astype(np.float32)
    if rng.random() < 0.3:  # turned a quarter: as many sections are mounted
        turned = cv2.resize(np.ascontiguousarray(canvas.grey.T), (width, height), interpolation=cv2.INTER_AREA)
        canvas.grey = np.asarray(turned, np.float32)
        inside = (
            cv2.resize(np.ascontiguousarray(inside.T).astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST) > 0
        )
    canvas.claim(slice(0, height), slice(0, width), inside, PRODUCT, grown)
