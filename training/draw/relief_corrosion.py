"""A relief and a growth in, corrosion as heights and materials on it out: pits, packed plates, agglomerates, films, attack.

A pit is a hollow with a profile, and its degree is how deep it is. A plate is a large flat region with a wall or a lip around,
one of many that grew until they met. Product is a heap of grains, or a film that cracked as it dried.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.records import Mask
from training.draw.canvas import ATTACK, PIT, PRODUCT, Floats, Image, blob, depth_of, facets, fractal, lobes, unit
from training.draw.corrosion import MOST_REGIONS, Places
from training.draw.kinetics import degree, size_factor
from training.draw.relief_metal import border_distance, warped_cells

if TYPE_CHECKING:
    from training.draw.relief import Relief

PLANS = ("pits", "plates", "agglomerates", "mixed")
PLAN_PARTS = (0.5, 0.17, 0.17, 0.16)
PROFILES = ("bowl", "flat", "cone", "step")
_SMALLEST_PX = 5.0
_MOST_SCATTERED = 0.4  # of the field: more single regions than that lie on top of each other
_AGGLOMERATE_GRAINS = 45


def corrode_relief(relief: Relief, target_fraction: float, progress: float) -> None:
    """Draw regions until `target_fraction` of the field is corroded. progress: 0…1, see `training.draw.kinetics`."""
    if target_fraction <= 0:
        return
    rng, pixels = relief.rng, relief.width * relief.height_px
    plan = str(rng.choice(PLANS, p=PLAN_PARTS))
    budget = target_fraction * pixels
    if rng.random() < 0.05:
        budget -= _attack(relief, rng.uniform(0.3, 0.8) * budget, progress)
    if budget < 15:
        return
    if plan == "plates":
        budget -= _plates(relief, budget, progress)
        _fill(relief, rng.uniform(0.02, 0.5) * max(budget, 0.004 * pixels), progress, rng.uniform(5, 11), product=0.0)
        return
    budget = min(budget, _MOST_SCATTERED * pixels)
    if plan == "agglomerates":
        _fill(relief, budget, progress, _size(rng, 14, 90), product=rng.uniform(0.8, 1))
    else:
        part = 0.0 if plan == "pits" and rng.random() < 0.75 else rng.uniform(0.1, 0.7)
        sizes = ((6, 13), (11, 45), (30, 130))[int(rng.choice(3, p=(0.35, 0.45, 0.2)))]
        _fill(relief, budget, progress, _size(rng, *sizes), product=part)


def _size(rng: np.random.Generator, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def _fill(relief: Relief, budget: float, progress: float, typical_px: float, product: float) -> None:
    """Regions one after another, of about `typical_px`, `product` of them heaps or films, until the area is used up."""
    rng, canvas = relief.rng, relief.canvas
    places, spread = Places(canvas), float(rng.uniform(0.15, 0.7))
    style = _Style(rng)
    room = max(1, MOST_REGIONS - len(canvas.class_ids))
    typical = typical_px * relief.scale * size_factor(progress)
    typical = max(typical, float(np.sqrt(budget / (0.7 * room * np.exp(2 * spread**2)))))
    crowding, attempts, left = rng.uniform(0.02, 0.4), 0, budget
    while left > 15 and len(canvas.class_ids) < MOST_REGIONS and attempts < 3 * MOST_REGIONS:
        attempts += 1
        grown = degree(rng, progress)
        diameter = typical * (0.75 + 0.4 * grown) * float(rng.lognormal(0, spread))
        largest = min(0.5 * min(relief.width, relief.height_px), np.sqrt(max(1.3 * left, 60) * 4 / np.pi))
        diameter = float(np.clip(diameter, _SMALLEST_PX, max(largest, _SMALLEST_PX)))
        cx, cy = places.draw()
        if canvas.crowded(cx, cy, 0.55 * diameter) and rng.random() > crowding:
            continue
        if rng.random() >= product:
            left -= _pit(relief, style, cx, cy, diameter / 2, grown)
        elif rng.random() < style.films:
            left -= _film(relief, style, cx, cy, diameter / 2, grown)
        else:
            left -= _heap(relief, style, cx, cy, diameter / 2, grown)


class _Style:
    """What the regions of one scene have in common."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.profiles = rng.dirichlet(0.6 * np.array((1.3, 1.2, 0.4, 0.6)))
        self.outlines = rng.dirichlet(0.6 * np.array((1.6, 0.5, 0.4)))
        self.wobble = float(np.exp(rng.uniform(np.log(0.03), np.log(0.4))))
        self.stretch = float(rng.uniform(1, 1.3) if rng.random() < 0.7 else rng.uniform(1.3, 2.6))
        self.depth = float(np.exp(rng.uniform(np.log(0.4), np.log(2.5))))  # about its usual value
        self.lip = float(rng.uniform(0.03, 0.3)) if rng.random() < 0.4 else 0.0
        self.floor = float(rng.uniform(0.03, 0.25)) if rng.random() < 0.4 else 0.0
        self.tint = float(rng.normal(-0.05, 0.08))
        self.undercut = float(rng.uniform(0.2, 0.9)) if rng.random() < 0.25 else 0.0
        self.filled = float(rng.uniform(0.1, 0.8)) if rng.random() < 0.15 else 0.0
        self.films = float(rng.choice((0.0, 0.2, 1.0), p=(0.55, 0.25, 0.2)))
        self.bright = float(rng.uniform(0.0, 0.25) if rng.random() < 0.35 else rng.uniform(0.25, 1.0))
        self.film_tone = float(rng.choice((-1, 1)) * rng.uniform(0.08, 0.5))
        self.grain_part = float(np.exp(rng.uniform(np.log(0.08), np.log(0.45))))
        self.boxes = float(rng.choice((0.0, 0.5, 1.0), p=(0.5, 0.3, 0.2)))


def _outline(rng: np.random.Generator, style: _Style, half: int, radius: float) -> Mask:
    kind = int(rng.choice(3, p=style.outlines))
    if kind == 0 or radius < 4:
        return blob(rng, half, radius, style.wobble, style.stretch)
    if kind == 1:
        return lobes(rng, half, radius, int(rng.integers(2, 7)))
    return facets(rng, half, radius, int(rng.integers(3, 8)), style.stretch)


def _profile(rng: np.random.Generator, kind: str, inside: Floats, radius: float) -> Floats:
    """0 at the mouth to 1 at the ground. inside: distance to the outline in pixels."""
    part = np.clip(inside / max(radius, 1.0), 0, 1)
    if kind == "bowl":
        return np.asarray(np.sqrt(np.maximum(0, 1 - (1 - part) ** 2)))
    if kind == "flat":
        return np.asarray(np.clip(part / rng.uniform(0.06, 0.4), 0, 1))
    if kind == "cone":
        return np.asarray(part)
    return np.asarray(0.5 * np.clip(part / 0.12, 0, 1) + 0.5 * np.clip((part - 0.45) / 0.2, 0, 1))


def _claim(relief: Relief, cx: float, cy: float, half: int, mask: Mask, class_id: int, grown: float) -> int:
    """Note a region; returns how many pixels became corroded that were not before."""
    canvas = relief.canvas
    rows, columns, own_rows, own_columns = canvas.window(cx, cy, half)
    seen = mask[own_rows, own_columns]
    fresh = int((seen & (canvas.labels[rows, columns] == 0)).sum())
    canvas.claim(rows, columns, seen, class_id, grown)
    return fresh


def _pit(relief: Relief, style: _Style, cx: float, cy: float, radius: float, grown: float) -> int:
    rng = relief.rng
    half = int(1.9 * radius * np.sqrt(style.stretch)) + 6
    mask = _outline(rng, style, half, radius)
    signed = depth_of(mask)
    deepest = float(signed.max())
    kind = PROFILES[int(rng.choice(4, p=style.profiles))]
    profile = np.where(mask, _profile(rng, kind, signed, deepest), 0)
    aspect = style.depth * 0.09 * np.exp(2.9 * grown) * float(rng.lognormal(0, 0.25))  # about 0.1 … 1.6 of the radius
    height = -aspect * deepest * profile
    if style.lip and rng.random() < 0.8:
        height += style.lip * deepest * np.exp(-(((signed + 0.12 * deepest + 0.5) / (0.12 * deepest + 0.7)) ** 2))
    if style.floor:
        height += np.where(mask, style.floor * deepest * relief.texture(2 * half + 1, max(2.0, deepest / 4)), 0)
    hollow = profile * min(aspect, 2.0) / 2
    if style.undercut and rng.random() < style.undercut and grown > 0.3:
        hollow = np.maximum(hollow, np.where(signed > 0.5, min(1.0, 0.3 + aspect), 0))
    material = np.where(mask, style.tint + rng.normal(0, 0.03), 0)
    if deepest > 3 and rng.random() < style.filled:
        material = material + np.where(signed > rng.uniform(0.3, 0.7) * deepest, rng.uniform(0.05, 0.45), 0)
    relief.add(cx, cy, half, height, material, hollow)
    return _claim(relief, cx, cy, half, mask, PIT, grown)


def _heap(relief: Relief, style: _Style, cx: float, cy: float, radius: float, grown: float) -> int:
    """Grains on top of each other; the heap covers what was there."""
    rng = relief.rng
    half = int(2.1 * radius) + 5
    axis = np.arange(-half, half + 1, dtype=np.float32)
    heap = np.zeros((2 * half + 1, 2 * half + 1), np.float32)
    count = int(np.clip(rng.uniform(0.5, 1.3) / style.grain_part**2 * 0.7, 1, _AGGLOMERATE_GRAINS))
    squeeze, turn = rng.uniform(0.55, 1), rng.uniform(0, 2 * np.pi)
    for _ in range(count):
        at, far = rng.uniform(0, 2 * np.pi), radius * np.sqrt(rng.random()) * (1 - 0.6 * style.grain_part)
        x, y = far * np.cos(at), far * squeeze * np.sin(at)
        x, y = x * np.cos(turn) - y * np.sin(turn), x * np.sin(turn) + y * np.cos(turn)
        own = max(1.3, radius * style.grain_part * float(rng.lognormal(0, 0.35)))
        np.maximum(heap, _grain(rng, axis, x, y, own, rng.random() < style.boxes), out=heap)
    mask = cv2.morphologyEx((heap > 0).astype(np.uint8), cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8))
    _, parts, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=4)
    if len(stats) < 2:
        return 0
    own_part: Mask = parts == 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))
    heap *= (0.4 + 0.7 * grown) * rng.uniform(0.7, 1.2)
    tone = np.where(own_part, style.bright * rng.uniform(0.7, 1.2), 0)
    relief.add(cx, cy, half, np.where(own_part, heap, 0), tone, np.zeros_like(heap))
    return _claim(relief, cx, cy, half, own_part, PRODUCT, grown)


def _grain(rng: np.random.Generator, axis: Image, x: float, y: float, own: float, box: bool) -> Image:
    """Height of one grain, float32: half a ball, or a block at any angle with its top aslant."""
    across, down = axis[None, :] - x, axis[:, None] - y
    if not box:
        ball = np.clip(1 - (across**2 + down**2) / own**2, 0, 1)
        return np.asarray(np.sqrt(ball) * own * rng.uniform(0.5, 1.1), np.float32)
    turn = rng.uniform(0, np.pi)
    u, v = across * np.cos(turn) + down * np.sin(turn), -across * np.sin(turn) + down * np.cos(turn)
    side = np.clip(own - np.maximum(np.abs(u), np.abs(v) * rng.uniform(0.8, 1.8)), 0, 1)
    return np.asarray(
        side * own * np.clip(0.7 + (rng.normal(0, 0.4) * u + rng.normal(0, 0.4) * v) / own, 0.15, 1.6), np.float32
    )


def _film(relief: Relief, style: _Style, cx: float, cy: float, radius: float, grown: float) -> int:
    """A flat layer of another tone with a clear edge; a thick one has cracks."""
    rng = relief.rng
    half = int(1.9 * radius * np.sqrt(style.stretch)) + 5
    mask = blob(rng, half, radius, style.wobble + 0.1, style.stretch)
    signed, side = depth_of(mask), 2 * half + 1
    thick = np.clip(signed / rng.uniform(1, 4), 0, 1)
    height = thick * rng.uniform(0.2, 2.0) * grown + np.where(mask, rng.uniform(0, 0.4) * relief.texture(side, 3.0), 0)
    if radius > 12 and rng.random() < 0.5:
        cracks = border_distance(warped_cells(rng, side, side, rng.uniform(8, 30) * relief.scale))
        height = height - np.where(mask, rng.uniform(0.5, 3) * np.exp(-((cracks / rng.uniform(0.7, 1.6)) ** 2)), 0)
    material = thick * style.film_tone * (0.6 + 0.6 * grown) + np.where(mask, 0.03 * relief.texture(side, 5.0), 0)
    relief.add(cx, cy, half, height, material, np.zeros_like(height))
    return _claim(relief, cx, cy, half, mask, PRODUCT, grown)


def _plates(relief: Relief, budget: float, progress: float) -> float:
    """Large regions that grew until they nearly met, with a wall between them; returns the area that they cover."""
    rng, width, height = relief.rng, relief.width, relief.height_px
    size = _size(rng, 22, 150) * relief.scale
    numbers = warped_cells(rng, width, height, size, float(rng.uniform(1, 1.6)))
    count = int(numbers.max()) + 1
    joined = np.arange(count)
    for number in rng.choice(count, int(rng.uniform(0, 0.5) * count), replace=False):
        joined[number] = joined[int(rng.integers(count))] if rng.random() < 0.1 else joined[max(0, number - 1)]
    numbers = joined[numbers].astype(np.int32)
    gap = rng.uniform(1.5, 7) * relief.scale * np.clip(size / 60, 0.6, 2)
    free = (border_distance(numbers) > gap * (1 + 0.25 * fractal(rng, width, height, 3, 0.6, start=9))).astype(np.uint8)
    rounded = int(np.clip(rng.uniform(0.03, 0.2) * size, 1, 15))
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * rounded + 1, 2 * rounded + 1))
    free = cv2.morphologyEx(free, cv2.MORPH_OPEN, kernel)
    found, parts, stats, _ = cv2.connectedComponentsWithStats(free, connectivity=4)
    chosen, left = np.zeros(found, np.bool_), budget
    for number in rng.permutation(np.arange(1, found)):
        area = int(stats[number, cv2.CC_STAT_AREA])
        if area < 40 or area > 1.4 * left:
            continue
        chosen[number], left = True, left - area
        if left < 40:
            break
    if chosen.any():
        _raise_plates(relief, parts, chosen, stats, progress)
    return budget - left


def _raise_plates(relief: Relief, parts: NDArray[Any], chosen: NDArray[np.bool_], stats: NDArray[Any], progress: float) -> None:
    """Heights and materials of the chosen plates, all at once; product stands up, pits lie below."""
    rng, canvas = relief.rng, relief.canvas
    mask = chosen[parts]
    inside = cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, 5)
    outside = cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, 5)
    class_id = PIT if rng.random() < 0.8 else PRODUCT
    degrees = np.array([degree(rng, progress) for _ in chosen], np.float32)
    wall = rng.uniform(0.8, 5) * relief.scale
    depth = rng.uniform(0.3, 4.0) * relief.scale * (0.4 + degrees)[parts]
    sign = -1 if class_id == PIT else 1
    relief.height += np.where(mask, sign * depth * np.clip(inside / wall, 0, 1), 0).astype(np.float32)
    if rng.random() < 0.6:
        breadth = rng.uniform(1, 4) * relief.scale
        relief.height += np.where(mask, 0, rng.uniform(0.2, 2.0) * np.exp(-(((outside - breadth) / breadth) ** 2))).astype(
            np.float32
        )
    tone = sign * rng.choice((0.0, 1.0), p=(0.2, 0.8)) * rng.choice((-1, 1), p=(0.12, 0.88)) * rng.uniform(0.02, 0.5)
    spots = np.clip(relief.wide_texture(rng.uniform(6, 25)) - rng.uniform(0, 1), 0, 1) * rng.choice((0, 0, 0.3))
    relief.material += np.where(mask, tone * (0.7 + 0.5 * degrees[parts]) - spots, 0).astype(np.float32)
    if class_id == PIT and rng.random() < 0.4:
        caught = np.clip(inside / (2 * wall), 0, 1) * (0.2 + 0.5 * degrees[parts])
        relief.hollow = np.maximum(relief.hollow, np.where(mask, caught, 0).astype(np.float32))
    for number in np.flatnonzero(chosen):
        x, y, w, h = (int(value) for value in stats[number, :4])
        rows, columns = slice(y, y + h), slice(x, x + w)
        canvas.claim(rows, columns, parts[rows, columns] == number, class_id, float(degrees[number]))


def _attack(relief: Relief, budget: float, progress: float) -> float:
    """Patches of metal that were eaten evenly: rough, a little lower, without a clear edge."""
    rng, width, height = relief.rng, relief.width, relief.height_px
    field = fractal(rng, width, height, 3, 0.5, start=float(rng.uniform(2, 6)))
    part = float(np.clip(budget / (width * height), 0.01, 0.6))
    field = np.asarray(field - np.quantile(field, 1 - part), np.float32)
    soft = np.clip(field / rng.uniform(0.05, 0.4) + 0.5, 0, 1)
    texture = unit(fractal(rng, width, height, 2, 0.8, start=width / (rng.uniform(2, 7) * relief.scale)))
    relief.height += (soft * (rng.uniform(0.3, 1.6) * texture - rng.uniform(0, 2))).astype(np.float32)
    relief.material += (soft * rng.normal(-0.05, 0.1)).astype(np.float32)
    found, parts, stats, _ = cv2.connectedComponentsWithStats((field > 0).astype(np.uint8), connectivity=4)
    for number in range(1, found):
        if stats[number, cv2.CC_STAT_AREA] > 150:
            x, y, w, h = (int(value) for value in stats[number, :4])
            rows, columns = slice(y, y + h), slice(x, x + w)
            relief.canvas.claim(rows, columns, parts[rows, columns] == number, ATTACK, degree(rng, progress))
    return float((field > 0).sum())
