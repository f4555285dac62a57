"""A seed in, a secondary-electron micrograph of corroded metal with the exact outline of every region out.

Real annotated micrographs are few (the paper has 117), so first models learn from drawn ones. The generator follows what
secondary electrons show: edges shine, hollows are dark, the side towards the detector is brighter, noise grows with
signal. Everything that is not corrosion but looks like something is drawn as well, and left out of the outlines:
scratches, dust, stains, inclusions, the edge of the sample. The ranges are wider than any one microscope's, so that
real images lie inside them (domain randomisation, Tobin et al. 2017).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.records import SEVERITIES, Grey, Mask, Regions, SeverityLabel

CLASSES = ("pit", "product")
PIT, PRODUCT = 0, 1
SMALLEST_REGION_PX2 = 20

Image = NDArray[np.float32]
Floats = NDArray[np.floating[Any]]

# Corroded part of the field of view (median; scatter is log-normal), and how much of it is corrosion product.
_AREA_FRACTION: dict[SeverityLabel, float] = {"low": 0.008, "moderate": 0.04, "severe": 0.15}
_AREA_SCATTER = 0.45
_PRODUCT_SHARE: dict[SeverityLabel, float] = {"low": 0.10, "moderate": 0.25, "severe": 0.40}
_EXPOSURES_H: dict[SeverityLabel, tuple[float, ...]] = {"low": (1.0,), "moderate": (168.0,), "severe": (336.0, 504.0)}
_ANNEALING_MIN = (60.0, 90.0, 120.0)
_MOST_REGIONS = 450


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """One drawn micrograph and the truth about it.

    grey: uint8 [H, W].  regions: the truth in the form of a prediction, scores all 1.  exposure_h follows from the severity.
    """

    grey: Grey
    regions: Regions
    severity: SeverityLabel
    annealing_min: float
    exposure_h: float
    seed: int

    @property
    def area_fraction(self) -> float:
        """Corroded part of the field of view, 0…1 (regions do not overlap)."""
        return float(sum(int(mask.sum()) for mask in self.regions.masks)) / self.grey.size

    @property
    def name(self) -> str:
        """A file name of the paper's kind, such as AN_60_7days_003."""
        exposure = "1h" if self.exposure_h < 24 else f"{self.exposure_h / 24:.0f}days"
        return f"AN_{self.annealing_min:.0f}_{exposure}_{self.seed % 100000:03d}"


def render(seed: int, size_px: tuple[int, int] = (640, 480), severity: SeverityLabel | None = None) -> Scene:
    """Draw one scene; the same arguments give the same pixels.

    size_px: width, height.  severity: drawn evenly when None.
    """
    rng = np.random.default_rng([seed, 0x5E3])
    chosen = SEVERITIES[int(rng.integers(3))]
    severity = severity or chosen
    annealing_min = float(rng.choice(_ANNEALING_MIN))
    canvas = _Canvas(rng, *size_px)
    _distractors_below(canvas)
    _corrode(canvas, severity)
    _distractors_above(canvas)
    return Scene(
        grey=_photograph(canvas),
        regions=canvas.regions(),
        severity=severity,
        annealing_min=annealing_min,
        exposure_h=float(rng.choice(_EXPOSURES_H[severity])),
        seed=seed,
    )


def yolo_labels(regions: Regions, width_px: int, height_px: int) -> str:
    """YOLO-seg text: a line `class x y x y …` per region, coordinates as parts of the image's size."""
    lines = []
    for (x, y, _, _), class_id, mask in zip(regions.boxes_px, regions.class_ids, regions.masks, strict=True):
        contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
        outline = max(contours, key=cv2.contourArea).reshape(-1, 2).astype(np.float64)
        if len(outline) < 3:
            continue
        # pixel centres, so that the polygon neither grows nor shifts
        points = (outline + (float(x), float(y)) + 0.5) / (width_px, height_px)
        lines.append(f"{int(class_id)} " + " ".join(f"{value:.5f}" for value in points.ravel()))
    return "\n".join(lines) + ("\n" if lines else "")


class _Canvas:
    """The picture while it is drawn: brightness 0…1, which region each pixel belongs to, and the light of this scene."""

    def __init__(self, rng: np.random.Generator, width: int, height: int) -> None:
        self.rng = rng
        self.width, self.height = width, height
        self.labels = np.zeros((height, width), np.int32)
        self.class_ids: list[int] = []
        self.light = rng.uniform(0, 2 * np.pi)
        self.grinding = rng.uniform(0, np.pi)
        self.rim_gain = rng.uniform(0.1, 0.5)
        self.texture = _fractal(rng, width, height, octaves=6, roughness=rng.uniform(0.55, 0.85))
        self.fine = _fractal(rng, width, height, octaves=3, roughness=0.9, start=max(width, height) / 8)
        self.grey: Image = _surface(self)

    def window(self, cx: float, cy: float, half: int) -> tuple[slice, slice, slice, slice]:
        """Rows and columns of a square around a point in the picture, and the same rows and columns in the square."""
        x0, y0 = round(cx) - half, round(cy) - half
        side = 2 * half + 1
        rows = slice(max(0, y0), min(self.height, y0 + side))
        columns = slice(max(0, x0), min(self.width, x0 + side))
        return rows, columns, slice(rows.start - y0, rows.stop - y0), slice(columns.start - x0, columns.stop - x0)

    def noise(self, image: Image, height: int, width: int) -> Image:
        """A random piece of a texture, at least as large as asked for by reflection."""
        y = int(self.rng.integers(max(1, self.height - height)))
        x = int(self.rng.integers(max(1, self.width - width)))
        piece = image[y : y + height, x : x + width]
        missing = (height - piece.shape[0], width - piece.shape[1])
        if missing != (0, 0):
            piece = np.pad(piece, ((0, missing[0]), (0, missing[1])), mode="wrap" if min(piece.shape) < 2 else "symmetric")
        return piece

    def crowded(self, cx: float, cy: float, radius: float) -> bool:
        """Whether a disc would lie on an older region; pits that grow into each other are one pit, so few do."""
        reach = 0.75 * radius
        xs = np.clip(cx + reach * np.array((0, 1, -1, 0, 0)), 0, self.width - 1).astype(int)
        ys = np.clip(cy + reach * np.array((0, 0, 0, 1, -1)), 0, self.height - 1).astype(int)
        return bool(self.labels[ys, xs].any())

    def claim(self, rows: slice, columns: slice, mask: Mask, class_id: int) -> None:
        """Note a region; it takes the pixels it covers from older ones."""
        self.class_ids.append(class_id)
        self.labels[rows, columns][mask] = len(self.class_ids)

    def regions(self) -> Regions:
        """What can be seen of every region: its largest connected part, largest region first."""
        found: list[tuple[int, tuple[int, int, int, int], int, Mask]] = []
        bounds = _bounds(self.labels, len(self.class_ids))
        for index, (x0, y0, x1, y1) in enumerate(bounds, start=1):
            if x1 <= x0:
                continue
            visible = (self.labels[y0:y1, x0:x1] == index).astype(np.uint8)
            _, parts, stats, _ = cv2.connectedComponentsWithStats(visible, connectivity=4)
            if len(stats) < 2:
                continue
            largest = 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))
            x, y, width, height, area = (int(value) for value in stats[largest])
            if area < SMALLEST_REGION_PX2 or min(width, height) < 3:
                continue
            mask = parts[y : y + height, x : x + width] == largest
            found.append((area, (x0 + x, y0 + y, width, height), self.class_ids[index - 1], mask))
        found.sort(key=lambda region: -region[0])
        return Regions(
            boxes_px=np.array([box for _, box, _, _ in found], np.int32).reshape(-1, 4),
            scores=np.ones(len(found), np.float32),
            class_ids=np.array([class_id for _, _, class_id, _ in found], np.int32),
            masks=tuple(mask for _, _, _, mask in found),
            class_names=CLASSES,
        )


def _bounds(labels: NDArray[np.int32], count: int) -> NDArray[np.intp]:
    """x0, y0, x1, y1 (exclusive) of each label 1…count; empty where a label is hidden."""
    ys, xs = np.nonzero(labels)
    ids = labels[ys, xs]
    bounds = np.zeros((count + 1, 4), np.intp)
    bounds[:, :2] = max(labels.shape) + 1
    np.minimum.at(bounds[:, 0], ids, xs)
    np.minimum.at(bounds[:, 1], ids, ys)
    np.maximum.at(bounds[:, 2], ids, xs + 1)
    np.maximum.at(bounds[:, 3], ids, ys + 1)
    return bounds[1:]


# --- the metal -------------------------------------------------------------------------------------------------------


def _fractal(rng: np.random.Generator, width: int, height: int, octaves: int, roughness: float, start: float = 3.0) -> Image:
    """Value noise, zero mean, unit standard deviation; each octave has `roughness` times the last one's amplitude."""
    total = np.zeros((height, width), np.float32)
    cells, amplitude = start, 1.0
    for _ in range(octaves):
        shape = (max(2, round(cells * height / max(width, height))) + 1, max(2, round(cells * width / max(width, height))) + 1)
        coarse = rng.standard_normal(shape).astype(np.float32)
        total += amplitude * np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC), np.float32)
        cells *= 2
        amplitude *= roughness
    return np.asarray((total - total.mean()) / (total.std() + 1e-6), np.float32)


def _brushed(rng: np.random.Generator, width: int, height: int, angle: float, length: float) -> Image:
    """Grooves along `angle` (radians), zero mean, unit standard deviation."""
    diagonal = int(np.hypot(width, height)) + 4
    rows = rng.standard_normal((diagonal, max(4, int(diagonal / length)))).astype(np.float32)
    grooves = cv2.resize(rows, (diagonal, diagonal), interpolation=cv2.INTER_LINEAR)
    grooves = cv2.GaussianBlur(grooves, (0, 0), sigmaX=0.5, sigmaY=rng.uniform(0.3, 1.8))
    turn = np.asarray(cv2.getRotationMatrix2D((diagonal / 2, diagonal / 2), -np.degrees(angle), 1.0), np.float64)
    turn[:, 2] += (width / 2 - diagonal / 2, height / 2 - diagonal / 2)
    turned = cv2.warpAffine(grooves, turn, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    return np.asarray((turned - turned.mean()) / (turned.std() + 1e-6), np.float32)


def _cells(rng: np.random.Generator, width: int, height: int, count: int) -> tuple[NDArray[np.int32], Image]:
    """Voronoi cells: the number of each pixel's cell, and its distance in pixels to the next cell."""
    seeds = np.ones((height, width), np.uint8)
    seeds[rng.integers(0, height, count), rng.integers(0, width, count)] = 0
    _, cells = cv2.distanceTransformWithLabels(seeds, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    edge = cv2.morphologyEx(cells.astype(np.float32), cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)) > 0
    distance = cv2.distanceTransform((~edge).astype(np.uint8), cv2.DIST_L2, 3)
    return cells.astype(np.int32), distance.astype(np.float32)


def _surface(canvas: _Canvas) -> Image:
    """Bare metal: ground, polished, etched to show grains, or oxidised; with uneven brightness across the field."""
    rng, width, height = canvas.rng, canvas.width, canvas.height
    grey = np.full((height, width), rng.uniform(0.3, 0.68), np.float32)
    kind = rng.choice(("ground", "polished", "grains", "dull"), p=(0.42, 0.2, 0.2, 0.18))
    if kind == "ground":
        for _ in range(int(rng.integers(1, 4))):
            angle = canvas.grinding + rng.normal(0, 0.06)
            grey += rng.uniform(0.015, 0.07) * _brushed(rng, width, height, angle, rng.uniform(60, 500))
        if rng.random() < 0.25:
            grey += rng.uniform(0.01, 0.04) * _brushed(rng, width, height, rng.uniform(0, np.pi), rng.uniform(60, 300))
    elif kind == "grains":
        cells, distance = _cells(rng, width, height, int(rng.integers(8, 160)))
        grey += (rng.normal(0, rng.uniform(0.01, 0.09), int(cells.max()) + 1).astype(np.float32))[cells]
        if rng.random() < 0.6:
            grey += rng.choice((-1, 1)) * rng.uniform(0.04, 0.2) * np.exp(-((distance / rng.uniform(0.6, 1.8)) ** 2))
    elif kind == "dull":
        grey += rng.uniform(0.02, 0.08) * canvas.texture
    if kind != "ground" and rng.random() < 0.4:
        grey += rng.uniform(0.005, 0.03) * _brushed(rng, width, height, canvas.grinding, rng.uniform(100, 500))
    grey += rng.uniform(0.0, 0.03) * canvas.fine
    grey += rng.uniform(0.0, 0.07) * _fractal(rng, width, height, octaves=2, roughness=0.5, start=2)
    return grey


# --- corrosion -------------------------------------------------------------------------------------------------------


def _corrode(canvas: _Canvas, severity: SeverityLabel) -> None:
    """Place pits and products until the scene's share of the field is corroded."""
    rng = canvas.rng
    field = canvas.width * canvas.height
    target = field * min(0.45, _AREA_FRACTION[severity] * float(rng.lognormal(0, _AREA_SCATTER)))
    share = float(np.clip(_PRODUCT_SHARE[severity] * rng.lognormal(0, 0.7), 0, 0.9)) if rng.random() < 0.75 else 0.0
    growth = {"low": 0.75, "moderate": 1.0, "severe": 1.35}[severity]
    pit_px = float(np.clip(growth * rng.lognormal(np.log(26), 0.6), 9, 130)) * max(canvas.width, canvas.height) / 640
    product_px = float(np.clip(growth * rng.lognormal(np.log(34), 0.5), 10, 150)) * max(canvas.width, canvas.height) / 640
    styles = rng.dirichlet(np.full(len(_PIT_STYLES), 0.45))
    habits = rng.dirichlet(np.full(len(_PRODUCT_HABITS), 0.5))
    spread = rng.uniform(0.2, 0.6)
    places = _Places(canvas)
    for class_id, budget, typical_px in ((PRODUCT, share * target, product_px), (PIT, (1 - share) * target, pit_px)):
        left = budget
        attempts = 0
        while left > 0 and len(canvas.class_ids) < _MOST_REGIONS and attempts < 3 * _MOST_REGIONS:
            attempts += 1
            largest = min(canvas.width, canvas.height) / 3
            diameter = float(np.clip(typical_px * rng.lognormal(0, spread), 6, largest))
            if np.pi / 4 * diameter**2 > 2.5 * max(left, 80):  # one region must not overshoot the severity's share
                diameter = max(6.0, float(np.sqrt(2.5 * max(left, 80) * 4 / np.pi)))
            cx, cy = places.draw()
            if rng.random() < 0.96 and canvas.crowded(cx, cy, 0.5 * diameter):
                continue
            if class_id == PIT:
                area = _draw_pit(canvas, cx, cy, diameter / 2, str(rng.choice(_PIT_STYLES, p=styles)))
            else:
                area = _draw_product(canvas, cx, cy, diameter / 2, str(rng.choice(_PRODUCT_HABITS, p=habits)))
            left -= area


class _Places:
    """Where regions begin: anywhere, in clusters, or along a few lines (scratches, rolling direction)."""

    def __init__(self, canvas: _Canvas) -> None:
        self.canvas = canvas
        rng = canvas.rng
        self.kind = rng.choice(("anywhere", "clusters", "lines"), p=(0.55, 0.3, 0.15))
        count = int(rng.integers(1, 6))
        self.centres = rng.uniform(0, 1, (count, 2)) * (canvas.width, canvas.height)
        self.radius = rng.uniform(0.05, 0.25) * max(canvas.width, canvas.height)

    def draw(self) -> tuple[float, float]:
        """x, y inside the field of view."""
        canvas, rng = self.canvas, self.canvas.rng
        x, y = rng.uniform(0, canvas.width), rng.uniform(0, canvas.height)
        if self.kind != "anywhere" and rng.random() < 0.75:
            centre = self.centres[int(rng.integers(len(self.centres)))]
            if self.kind == "clusters":
                x, y = centre + rng.normal(0, self.radius, 2)
            else:
                along, across = rng.uniform(-1, 1) * max(canvas.width, canvas.height), rng.normal(0, 0.08 * self.radius)
                x = centre[0] + along * np.cos(canvas.grinding) - across * np.sin(canvas.grinding)
                y = centre[1] + along * np.sin(canvas.grinding) + across * np.cos(canvas.grinding)
        inside = 0 <= x < canvas.width and 0 <= y < canvas.height
        return (float(x), float(y)) if inside else (rng.uniform(0, canvas.width), rng.uniform(0, canvas.height))


def _blob(rng: np.random.Generator, half: int, radius: float, wobble: float, aspect: float) -> Mask:
    """A closed irregular shape of about `radius` in the middle of a square of side 2·half + 1."""
    angle = np.linspace(0, 2 * np.pi, max(16, int(4 * radius)), endpoint=False)
    reach = np.ones_like(angle)
    for order in range(2, 14):
        reach += wobble / order * rng.normal() * np.cos(order * angle + rng.uniform(0, 2 * np.pi))
    reach = radius * np.clip(reach, 0.35, 1.6)
    return _polygon(rng, half, angle, reach, aspect)


def _facets(rng: np.random.Generator, half: int, radius: float, corners: int, aspect: float) -> Mask:
    """A shape with straight sides, as of crystals and of pits that follow the lattice."""
    angle = np.sort((np.arange(corners) + rng.uniform(-0.3, 0.3, corners)) * 2 * np.pi / corners)
    return _polygon(rng, half, angle, radius * rng.uniform(0.75, 1.2, corners), aspect)


def _polygon(rng: np.random.Generator, half: int, angle: Floats, reach: Floats, aspect: float) -> Mask:
    turn = rng.uniform(0, 2 * np.pi)
    x, y = reach * np.cos(angle) * np.sqrt(aspect), reach * np.sin(angle) / np.sqrt(aspect)
    points = np.stack((half + x * np.cos(turn) - y * np.sin(turn), half + x * np.sin(turn) + y * np.cos(turn)), axis=1)
    mask = np.zeros((2 * half + 1, 2 * half + 1), np.uint8)
    cv2.fillPoly(mask, [np.round(points * 16).astype(np.int32)], 1, shift=4)
    return mask.astype(bool)


def _depth(mask: Mask) -> Image:
    """Signed distance in pixels to the outline: positive inside, negative outside."""
    inside = cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, 5)
    outside = cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, 5)
    return (np.where(mask, inside - 0.5, 0.5 - outside)).astype(np.float32)


def _bearing(half: int) -> Image:
    """Angle of each pixel of a square as seen from its middle."""
    axis = np.arange(-half, half + 1, dtype=np.float32)
    return np.arctan2(axis[:, None], axis[None, :])


def _step(x: Floats) -> Floats:
    """0 below 0, 1 above 1, smooth between."""
    x = np.clip(x, 0, 1)
    return x * x * (3 - 2 * x)


_PIT_STYLES = ("ringed", "ring", "crescent", "spot", "deep", "faceted", "lacy")


def _draw_pit(canvas: _Canvas, cx: float, cy: float, radius: float, style: str) -> int:
    """Draw a pit and claim its mouth; returns the area in pixels."""
    rng = canvas.rng
    half = int(np.ceil(radius * 1.9)) + 6
    rows, columns, own_rows, own_columns = canvas.window(cx, cy, half)
    if style == "faceted":
        mask = _facets(rng, half, radius, int(rng.integers(3, 8)), rng.uniform(1.0, 1.5))
    else:
        mask = _blob(rng, half, radius, rng.uniform(0.02, 0.35), rng.uniform(1.0, 1.8))
    depth, bearing = _depth(mask), _bearing(half)
    side = 2 * half + 1
    depth_drawn = depth + rng.uniform(0, 0.06) * radius * canvas.noise(canvas.fine, side, side)
    texture = canvas.noise(canvas.texture, side, side)

    floor = {
        "ringed": rng.uniform(0.05, 0.55),
        "ring": rng.uniform(0.85, 1.08),
        "crescent": rng.uniform(0.6, 1.05),
        "spot": rng.uniform(0.05, 0.5),
        "deep": rng.uniform(0.03, 0.35),
        "faceted": rng.uniform(0.1, 0.8),
        "lacy": rng.uniform(0.1, 0.5),
    }[style]
    wall = max(0.8, radius * rng.uniform(0.1, 0.9)) if style not in ("spot", "lacy") else rng.uniform(0.8, 2.5)
    sunk = _step(depth_drawn / wall)
    facing = np.cos(bearing - canvas.light)
    under = canvas.grey[rows, columns]
    pit = sunk * (floor - 1)
    if style in ("deep", "faceted", "ringed") and radius > 9:
        pit = pit + sunk * rng.uniform(0.0, 0.16) * texture
    if style == "lacy" and radius > 8:
        # remains of the passive film over the pit's mouth
        pit = np.where(canvas.noise(canvas.fine, side, side) > rng.uniform(0.3, 1.2), pit * 0.2, pit)
    # the far wall looks at the detector, the near one away from it
    slope = np.clip(depth, 0, wall) / wall * (1 - np.clip(depth, 0, wall) / wall) * 4
    pit = pit - rng.uniform(0.0, 0.35) * facing * slope * (depth > 0)

    asymmetry = {"crescent": rng.uniform(1.2, 3.0), "ring": rng.uniform(0, 0.6)}.get(style, rng.uniform(0, 1.0))
    gain = (
        canvas.rim_gain * rng.uniform(0.5, 1.5) * {"spot": 0.0, "ring": 1.1, "crescent": 1.2}.get(style, rng.uniform(0.2, 1.2))
    )
    breadth = rng.uniform(0.7, 1.6) + radius * rng.uniform(0.0, 0.12)
    # rims are broken and uneven: they follow the grooves and the grains that they cut
    lobes = np.exp(rng.uniform(0.0, 0.7) * canvas.noise(canvas.fine, side, side)) * (
        1 + 0.4 * np.cos(bearing * rng.integers(1, 5) + rng.uniform(0, 6.3)) * rng.random()
    )
    rim = gain * np.exp(-(((depth_drawn - 0.4 * breadth) / breadth) ** 2)) * np.clip(1 - asymmetry * facing, 0, 2.2) * lobes
    if rng.random() < 0.2:  # a dark halo around the mouth, where the beam left carbon or the film is thicker
        rim = rim - rng.uniform(0.03, 0.15) * np.exp(-np.clip(-depth, 0, None) / (0.3 * radius + 1)) * (depth < 0)

    part = (own_rows, own_columns)
    canvas.grey[rows, columns] = under * (1 + pit[part]) + rim[part]
    seen = mask[part]
    canvas.claim(rows, columns, seen, PIT)
    return int(seen.sum())


_PRODUCT_HABITS = ("nodules", "flake", "crust", "rosette", "patch")


def _draw_product(canvas: _Canvas, cx: float, cy: float, radius: float, habit: str) -> int:
    """Draw a deposit of corrosion product and claim it; returns the area in pixels."""
    rng = canvas.rng
    half = int(np.ceil(radius * 2.2)) + 8
    rows, columns, own_rows, own_columns = canvas.window(cx, cy, half)
    side = 2 * half + 1
    rough = canvas.noise(canvas.texture, side, side)
    fine = canvas.noise(canvas.fine, side, side)
    bright = rng.uniform(0.08, 0.4)
    if habit == "nodules":
        mask, relief = _nodules(rng, half, radius)
        body = bright * 0.6 + relief * rng.uniform(0.1, 0.3) + rng.uniform(0.01, 0.05) * fine
    elif habit == "flake":
        mask = _facets(rng, half, radius, int(rng.integers(4, 9)), rng.uniform(1.0, 2.2))
        body = bright * 0.7 + rng.uniform(0.0, 0.06) * rough + rng.uniform(0.05, 0.25) * np.exp(-((_depth(mask) - 1) ** 2) / 2)
    elif habit == "crust":
        mask = _blob(rng, half, radius, rng.uniform(0.2, 0.5), rng.uniform(1.0, 1.6))
        cells, gap = _cells(rng, side, side, max(4, int((side / max(6, radius * rng.uniform(0.25, 0.6))) ** 2)))
        tone = rng.normal(0, 0.04, int(cells.max()) + 1).astype(np.float32)[cells]
        body = bright * 0.6 + tone - rng.uniform(0.25, 0.6) * np.exp(-((gap / rng.uniform(0.7, 1.6)) ** 2)) + 0.03 * fine
    elif habit == "rosette":
        mask = _blob(rng, half, radius, 0.45, 1.1)
        spokes = np.cos(_bearing(half) * rng.integers(9, 30) + 3 * rough)
        body = bright * 0.6 + rng.uniform(0.03, 0.13) * spokes + rng.uniform(0.03, 0.1) * fine
    else:  # a thin oxide patch: rougher than the metal, a little brighter or darker
        mask = _blob(rng, half, radius, rng.uniform(0.25, 0.5), rng.uniform(1.0, 1.8))
        body = rng.choice((-0.6, 0.7)) * bright * 0.6 + rng.uniform(0.05, 0.14) * rough + rng.uniform(0.02, 0.07) * fine
    depth = _depth(mask)
    facing = np.cos(_bearing(half) - canvas.light)
    edge = (
        rng.uniform(0.0, 0.8)
        * canvas.rim_gain
        * np.exp(-(((depth - 1) / rng.uniform(0.8, 2)) ** 2))
        * np.clip(1 - facing, 0, 2)
    )
    shadow = (
        0.0
        if habit == "patch"
        else rng.uniform(0.0, 0.35) * np.exp(-((depth + 1.5) ** 2) / rng.uniform(3, 20)) * np.clip(facing, 0, 1) * (depth < 0)
    )
    cover = _step(depth / rng.uniform(0.8, 2.0) + 0.5)
    part = (own_rows, own_columns)
    under = canvas.grey[rows, columns]
    canvas.grey[rows, columns] = under + (cover * (body + edge) - shadow)[part]
    seen = mask[part]
    canvas.claim(rows, columns, seen, PRODUCT)
    return int(seen.sum())


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


# --- what is not corrosion -------------------------------------------------------------------------------------------


def _distractors_below(canvas: _Canvas) -> None:
    """Scratches, stains, drying rings and inclusions: on the metal, under the corrosion."""
    rng, width, height = canvas.rng, canvas.width, canvas.height
    for _ in range(int(rng.poisson(rng.choice((0, 3, 14))))):
        _draw_scratch(canvas)
    for _ in range(int(rng.poisson(rng.choice((0.0, 1.5))))):
        half = int(rng.uniform(0.05, 0.3) * max(width, height)) + 4
        cx, cy = rng.uniform(0, width), rng.uniform(0, height)
        rows, columns, own_rows, own_columns = canvas.window(cx, cy, half)
        depth = _depth(_blob(rng, half, half * 0.5, 0.4, rng.uniform(1, 2)))
        soft = half * rng.uniform(0.15, 0.5)
        stain = rng.choice((-1, 1), p=(0.65, 0.35)) * rng.uniform(0.03, 0.16) * _step(depth / soft + 0.5)
        if rng.random() < 0.3:  # a drying ring: only the border of the drop is left
            stain = rng.choice((-1, 1)) * rng.uniform(0.02, 0.1) * np.exp(-((depth / rng.uniform(1.5, 5)) ** 2))
        canvas.grey[rows, columns] += stain[own_rows, own_columns]
    if rng.random() < 0.35:
        tone, size = rng.uniform(-0.22, -0.06), rng.uniform(1.0, 3.0)
        for _ in range(int(rng.integers(3, 40))):
            length = size * rng.uniform(1.5, 6)
            centre = (int(rng.uniform(0, width)), int(rng.uniform(0, height)))
            _stroke(canvas, centre, length, size, canvas.grinding, tone)
    canvas.grey = np.clip(canvas.grey, 0.02, 1.2)


def _stroke(canvas: _Canvas, centre: tuple[int, int], length: float, breadth: float, angle: float, tone: float) -> None:
    """A small soft dash, as of a stretched inclusion."""
    half = int(length + 3 * breadth) + 2
    rows, columns, own_rows, own_columns = canvas.window(*centre, half)
    axis = np.arange(-half, half + 1, dtype=np.float32)
    along = axis[None, :] * np.cos(angle) + axis[:, None] * np.sin(angle)
    across = -axis[None, :] * np.sin(angle) + axis[:, None] * np.cos(angle)
    dash = _step((1 - np.hypot(along / length, across / breadth)) * breadth + 0.5)
    canvas.grey[rows, columns] += (tone * dash)[own_rows, own_columns]


def _draw_scratch(canvas: _Canvas) -> None:
    """One long line, straight or bent, dark with a bright lip or the other way round."""
    rng, width, height = canvas.rng, canvas.width, canvas.height
    angle = canvas.grinding + rng.normal(0, 0.1) if rng.random() < 0.6 else rng.uniform(0, np.pi)
    reach = rng.uniform(0.08, 1.3) * max(width, height)
    along = np.linspace(-reach / 2, reach / 2, 24)
    bend = rng.normal(0, 0.04) * along * along / reach
    x = rng.uniform(0, width) + along * np.cos(angle) - bend * np.sin(angle)
    y = rng.uniform(0, height) + along * np.sin(angle) + bend * np.cos(angle)
    points = np.stack((x, y), axis=1)
    tone, breadth = rng.choice((-1, 1)) * rng.uniform(0.05, 0.3), int(rng.integers(1, 4))
    lip = np.array([-np.sin(angle), np.cos(angle)]) * (0.7 * breadth + 0.6)
    for shift, value in ((0.0, tone), (1.0, -tone * rng.uniform(0.2, 0.9))):
        line = np.zeros((height, width), np.uint8)
        path = [np.round((points + shift * lip) * 16).astype(np.int32)]
        cv2.polylines(line, path, False, 255, breadth, cv2.LINE_AA, shift=4)
        canvas.grey += value * (line.astype(np.float32) / 255)


def _distractors_above(canvas: _Canvas) -> None:
    """Dust on top of everything, and the edge of the sample with nothing behind it."""
    rng, width, height = canvas.rng, canvas.width, canvas.height
    for _ in range(int(rng.poisson(rng.choice((0, 1, 6), p=(0.4, 0.4, 0.2))))):
        radius = rng.uniform(1.5, 5.0)
        half = int(radius * 2) + 6
        cx, cy = rng.uniform(0, width), rng.uniform(0, height)
        if canvas.labels[int(cy), int(cx)]:
            continue
        rows, columns, own_rows, own_columns = canvas.window(cx, cy, half)
        depth = _depth(_blob(rng, half, radius, 0.25, rng.uniform(1, 2.5)))
        halo = rng.uniform(0.0, 0.12) * np.exp(-np.clip(-depth, 0, None) / 3)
        canvas.grey[rows, columns] += (rng.uniform(0.25, 0.6) * _step(depth / 1.5 + 0.5) - halo * (depth < 0))[
            own_rows, own_columns
        ]
    if rng.random() < 0.07:
        _cut_edge(canvas)
    _grow_fibres(canvas)


def _grow_fibres(canvas: _Canvas) -> None:
    """Lint: a thin bright curl."""
    rng = canvas.rng
    if rng.random() > 0.06:
        return
    t = np.linspace(0, 1, 60)
    size = rng.uniform(0.1, 0.5) * canvas.width
    x = rng.uniform(0, canvas.width) + size * (t + 0.3 * np.sin(rng.uniform(3, 9) * t))
    y = rng.uniform(0, canvas.height) + size * rng.uniform(-0.6, 0.6) * np.sin(rng.uniform(2, 7) * t)
    line = np.zeros((canvas.height, canvas.width), np.uint8)
    path = [np.round(np.stack((x, y), axis=1) * 16).astype(np.int32)]
    cv2.polylines(line, path, False, 255, int(rng.integers(2, 5)), cv2.LINE_AA, shift=4)
    canvas.grey += rng.uniform(0.2, 0.5) * (line.astype(np.float32) / 255)


def _cut_edge(canvas: _Canvas) -> None:
    """Black, or out of focus, beyond a ragged line; regions end there too."""
    rng, width, height = canvas.rng, canvas.width, canvas.height
    depth_px = rng.uniform(0.05, 0.25) * height
    ragged = depth_px + 0.02 * height * np.interp(np.arange(width), np.linspace(0, width, 24), rng.normal(0, 1, 24))
    distance = (np.arange(height, dtype=np.float32)[:, None] - ragged[None, :]).astype(np.float32)
    turned = int(rng.integers(4))
    if turned in (1, 3):
        distance = np.asarray(cv2.resize(np.ascontiguousarray(distance.T), (width, height)), np.float32)
    if turned in (2, 3):
        distance = np.ascontiguousarray(distance[::-1, ::-1])
    beyond = distance < 0
    canvas.grey = np.where(beyond, rng.uniform(0.02, 0.25), canvas.grey + 0.4 * np.exp(-np.clip(distance, 0, None) / 2.0))
    canvas.grey = canvas.grey.astype(np.float32)
    canvas.labels[beyond] = 0


# --- the microscope --------------------------------------------------------------------------------------------------


def _photograph(canvas: _Canvas) -> Grey:
    """What the detector makes of the scene: focus, charging, gain, noise, 8 bits."""
    rng, width, height = canvas.rng, canvas.width, canvas.height
    focus_px = float(rng.uniform(0.35, 1.0) if rng.random() < 0.8 else rng.uniform(1.0, 1.9))
    grey: Image = np.asarray(cv2.GaussianBlur(canvas.grey, (0, 0), focus_px), np.float32)
    if rng.random() < 0.2:  # charging: bright places smear along the scan
        bright = np.clip(grey - 0.8, 0, None)
        kernel = np.exp(-np.arange(61) / rng.uniform(6, 25)).astype(np.float32)[None, :]
        grey = grey - rng.uniform(0.05, 0.3) * cv2.filter2D(bright, -1, kernel[:, ::-1], anchor=(60, 0))
    if rng.random() < 0.25:  # unstable lines
        grey = grey + (rng.normal(0, rng.uniform(0.003, 0.03), (height, 1))).astype(np.float32)
    if rng.random() < 0.5:  # one side of the field is nearer to the detector
        ramp = (
            np.cos(canvas.light) * np.linspace(-1, 1, width)[None, :]
            + np.sin(canvas.light) * np.linspace(-1, 1, height)[:, None]
        )
        grey = grey * (1 + rng.uniform(0.0, 0.2) * ramp.astype(np.float32))
    middle = float(np.median(grey))
    grey = (grey - middle) * rng.uniform(0.7, 1.7) + float(np.clip(middle + rng.normal(0, 0.1), 0.2, 0.8))
    dose = rng.uniform(120, 2500)
    grain = rng.standard_normal((height, width)).astype(np.float32)
    if rng.random() < 0.3:  # a slow amplifier joins neighbours along the line
        grain = cv2.GaussianBlur(grain, (3, 1), 0.7) * 1.3
    grey = grey + grain * np.sqrt(np.clip(grey, 0.02, None) / dose)
    return np.asarray(np.clip(np.round(grey * 255), 0, 255), np.uint8)


# --- a data set on disk ----------------------------------------------------------------------------------------------


def write_data_set(folder: Path, images: int, seed: int, size_px: tuple[int, int] = (640, 480)) -> None:
    """Write `images` scenes with seeds seed, seed + 1, …: images/*.png, labels/*.txt (YOLO-seg), samples.csv, classes.txt.

    Severities take turns, so that the classes are even. Existing files of the same names are replaced.
    """
    for name in ("images", "labels"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    rows = ["image,annealing_min,exposure_h,severity,group"]
    for index in range(images):
        scene = render(seed + index, size_px, SEVERITIES[index % len(SEVERITIES)])
        stem = f"{scene.name}_s{scene.seed}"
        (folder / "images" / f"{stem}.png").write_bytes(cv2.imencode(".png", scene.grey)[1].tobytes())
        (folder / "labels" / f"{stem}.txt").write_text(yolo_labels(scene.regions, *size_px), encoding="ascii")
        rows.append(f"{stem}.png,{scene.annealing_min:.0f},{scene.exposure_h:.0f},{scene.severity},{scene.seed}")
    (folder / "samples.csv").write_text("\n".join(rows) + "\n", encoding="ascii")
    (folder / "classes.txt").write_text("\n".join(CLASSES) + "\n", encoding="ascii")
