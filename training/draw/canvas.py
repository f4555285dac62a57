"""An appearance and a seed in, a picture that can be drawn on out: brightness, and which region each pixel belongs to.

Here also stand the random textures and outlines from which metal and corrosion are drawn.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.records import Mask, Regions
from training.draw.appearance import Appearance

CLASSES = ("pit", "product", "attack")
PIT, PRODUCT, ATTACK = range(3)
SMALLEST_REGION_PX2 = 20
NARROWEST_REGION_PX = 3
_LEAST_STEP = 0.03  # of the range from black to white: about 8 grey levels

Image = NDArray[np.float32]
Floats = NDArray[np.floating[Any]]
Labels = NDArray[np.int32]


class Canvas:
    """The picture while it is drawn.

    grey: float32 [H, W], about 0…1.  labels: int32 [H, W], 0 or the number of the region, beginning with 1.
    scale: how much larger than at 640 px everything is drawn.
    rough, smooth, fine: textures of unit deviation from which pieces are taken.
    grains: the number of each pixel's grain, where the metal shows any.
    """

    def __init__(self, rng: np.random.Generator, appearance: Appearance, width: int, height: int) -> None:
        self.rng, self.appearance = rng, appearance
        self.width, self.height = width, height
        self.scale = max(width, height) / 640
        self.grey: Image = np.full((height, width), appearance.grey, np.float32)
        self.labels: Labels = np.zeros((height, width), np.int32)
        self.grains: Labels | None = None
        self.class_ids: list[int] = []
        self.degrees: list[float] = []
        self.rough = fractal(rng, width, height, octaves=6, roughness=float(rng.uniform(0.55, 0.85)))
        self.smooth = fractal(rng, width, height, octaves=2, roughness=0.6, start=max(width, height) / 22)
        self.fine = fractal(rng, width, height, octaves=3, roughness=0.9, start=max(width, height) / 8)

    def window(self, cx: float, cy: float, half: int) -> tuple[slice, slice, slice, slice]:
        """Rows and columns of a square around a point in the picture, and the same rows and columns in the square."""
        x0, y0 = round(cx) - half, round(cy) - half
        side = 2 * half + 1
        rows = slice(min(self.height, max(0, y0)), max(0, min(self.height, y0 + side)))
        columns = slice(min(self.width, max(0, x0)), max(0, min(self.width, x0 + side)))
        return rows, columns, slice(rows.start - y0, rows.stop - y0), slice(columns.start - x0, columns.stop - x0)

    def point(self) -> tuple[float, float]:
        """x, y anywhere in the picture."""
        return float(self.rng.uniform(0, self.width)), float(self.rng.uniform(0, self.height))

    def piece(self, image: Image, side: int) -> Image:
        """A random square of a texture; reflected where the texture is smaller than that."""
        y = int(self.rng.integers(max(1, self.height - side)))
        x = int(self.rng.integers(max(1, self.width - side)))
        found = image[y : y + side, x : x + side]
        missing = (side - found.shape[0], side - found.shape[1])
        return found if missing == (0, 0) else np.pad(found, ((0, missing[0]), (0, missing[1])), mode="symmetric")

    def crowded(self, cx: float, cy: float, reach: float) -> bool:
        """Whether a region lies within `reach` of a point, looked at in nine places."""
        turn = np.arange(8) * np.pi / 4
        xs = np.clip(cx + reach * np.append(np.cos(turn), 0), 0, self.width - 1).astype(int)
        ys = np.clip(cy + reach * np.append(np.sin(turn), 0), 0, self.height - 1).astype(int)
        return bool(self.labels[ys, xs].any())

    def claim(self, rows: slice, columns: slice, mask: Mask, class_id: int, degree: float) -> None:
        """Note a region; it takes the pixels it covers from older ones."""
        self.class_ids.append(class_id)
        self.degrees.append(degree)
        self.labels[rows, columns][mask] = len(self.class_ids)

    def forget_invisible(self, bare: Image, corroded: Image) -> None:
        """Take back the regions that nobody could see, so that no network learns to guess where nothing is.

        bare, corroded: without and with corrosion, as the detector shows them (0…1) but for noise. A region stays when
        its root mean square change is a visible step of grey (`_LEAST_STEP`), and stands out from the metal's own texture
        and from the shot noise.
        """
        count = len(self.class_ids)
        if not count:
            return
        power = np.bincount(self.labels.ravel(), ((corroded - bare) ** 2).ravel(), count + 1)
        area = np.maximum(1, np.bincount(self.labels.ravel(), minlength=count + 1))
        change = np.sqrt(power / area)
        texture = float((bare - cv2.GaussianBlur(bare, (0, 0), 6 * self.scale)).std())
        noise = np.sqrt(0.5 / self.appearance.dose)
        seen = (change > _LEAST_STEP) & (change > 0.55 * texture) & (change * np.sqrt(area) > 6 * noise)
        self.labels[~seen[self.labels]] = 0

    def regions(self) -> tuple[Regions, NDArray[np.float32]]:
        """What can be seen of every region, its largest connected part, largest region first; and the degree of each."""
        found: list[tuple[int, tuple[int, int, int, int], int, Mask]] = []
        for number, (x0, y0, x1, y1) in enumerate(_bounds(self.labels, len(self.class_ids)), start=1):
            if x1 <= x0:
                continue
            visible = (self.labels[y0:y1, x0:x1] == number).astype(np.uint8)
            _, parts, stats, _ = cv2.connectedComponentsWithStats(visible, connectivity=4)
            largest = 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))
            x, y, width, height, area = (int(value) for value in stats[largest])
            if area < SMALLEST_REGION_PX2 or min(width, height) < NARROWEST_REGION_PX:
                continue
            found.append((area, (x0 + x, y0 + y, width, height), number - 1, parts[y : y + height, x : x + width] == largest))
        found.sort(key=lambda region: -region[0])
        regions = Regions(
            boxes_px=np.array([box for _, box, _, _ in found], np.int32).reshape(-1, 4),
            scores=np.ones(len(found), np.float32),
            class_ids=np.array([self.class_ids[index] for _, _, index, _ in found], np.int32),
            masks=tuple(mask for _, _, _, mask in found),
            class_names=CLASSES,
        )
        return regions, np.array([self.degrees[index] for _, _, index, _ in found], np.float32)


def _bounds(labels: Labels, count: int) -> NDArray[np.intp]:
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


# --- textures --------------------------------------------------------------------------------------------------------


def unit(image: Floats) -> Image:
    """Zero mean, unit standard deviation."""
    return np.asarray((image - image.mean()) / (image.std() + 1e-6), np.float32)


def fractal(rng: np.random.Generator, width: int, height: int, octaves: int, roughness: float, start: float = 3.0) -> Image:
    """Value noise of unit deviation; each octave has `roughness` times the last one's amplitude, `start` cells across."""
    total = np.zeros((height, width), np.float32)
    cells, amplitude = start, 1.0
    for _ in range(octaves):
        shape = (max(2, round(cells * height / max(width, height))) + 1, max(2, round(cells * width / max(width, height))) + 1)
        coarse = rng.standard_normal(shape).astype(np.float32)
        total += amplitude * np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC), np.float32)
        cells *= 2
        amplitude *= roughness
    return unit(total)


def brushed(rng: np.random.Generator, width: int, height: int, angle: float, length: float, breadth_px: float) -> Image:
    """Grooves along `angle` (radians), of unit deviation; few are strong and many are weak, as in ground metal."""
    diagonal = int(np.hypot(width, height)) + 4
    rows = max(8, int(diagonal / max(1.0, breadth_px)))
    strokes = rng.standard_normal((rows, max(4, int(diagonal / length)))).astype(np.float32)
    strokes *= rng.lognormal(0, 0.6, (rows, 1)).astype(np.float32)
    grooves: Image = np.asarray(cv2.resize(strokes, (diagonal, diagonal), interpolation=cv2.INTER_LINEAR), np.float32)
    if breadth_px < 1:
        grooves = np.asarray(cv2.GaussianBlur(grooves, (1, 3), sigmaX=0, sigmaY=breadth_px), np.float32)
    return unit(_turned(grooves, width, height, angle))


def _turned(square: Floats, width: int, height: int, angle: float) -> Image:
    side = square.shape[0]
    turn = np.asarray(cv2.getRotationMatrix2D((side / 2, side / 2), -np.degrees(angle), 1.0), np.float64)
    turn[:, 2] += (width / 2 - side / 2, height / 2 - side / 2)
    turned = cv2.warpAffine(square, turn, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    return np.asarray(turned, np.float32)


def cells(rng: np.random.Generator, width: int, height: int, count: int) -> tuple[Labels, Image]:
    """Voronoi cells: the number of each pixel's cell, and its distance in pixels to the next cell."""
    seeds = np.ones((height, width), np.uint8)
    seeds[rng.integers(0, height, count), rng.integers(0, width, count)] = 0
    _, numbers = cv2.distanceTransformWithLabels(seeds, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    edge = cv2.morphologyEx(numbers.astype(np.float32), cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)) > 0
    distance = cv2.distanceTransform((~edge).astype(np.uint8), cv2.DIST_L2, 3)
    return numbers.astype(np.int32), np.asarray(distance, np.float32)


# --- outlines --------------------------------------------------------------------------------------------------------


def blob(rng: np.random.Generator, half: int, radius: float, wobble: float, aspect: float) -> Mask:
    """A closed irregular shape of about `radius` in the middle of a square of side 2·half + 1."""
    angle = np.linspace(0, 2 * np.pi, max(16, int(4 * radius)), endpoint=False)
    reach = np.ones_like(angle)
    for order in range(2, 14):
        reach += 1.4 * wobble / order**1.4 * rng.normal() * np.cos(order * angle + rng.uniform(0, 2 * np.pi))
    return _polygon(rng, half, angle, radius * np.clip(reach, 0.35, 1.6), aspect)


def lobes(rng: np.random.Generator, half: int, radius: float, count: int) -> Mask:
    """Discs that grew together, of the area of one disc of about `radius`; cusps remain where they meet."""
    mask = np.zeros((2 * half + 1, 2 * half + 1), np.uint8)
    size = radius * 1.25 / np.sqrt(count)
    x = y = 0.0
    for _ in range(count):
        own = size * rng.uniform(0.6, 1.3)
        cv2.circle(mask, (round((half + x) * 16), round((half + y) * 16)), round(own * 16), 1, -1, shift=4)
        turn = rng.uniform(0, 2 * np.pi)
        x, y = (float(np.clip(at + 1.1 * own * part, -radius, radius)) for at, part in ((x, np.cos(turn)), (y, np.sin(turn))))
    _, parts = cv2.connectedComponents(mask, connectivity=4)
    return np.asarray(parts == parts[half, half], np.bool_)


def facets(rng: np.random.Generator, half: int, radius: float, corners: int, aspect: float) -> Mask:
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


def depth_of(mask: Mask) -> Image:
    """Signed distance in pixels to the outline: positive inside, negative outside."""
    inside = cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, 5)
    outside = cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, 5)
    return (np.where(mask, inside - 0.5, 0.5 - outside)).astype(np.float32)


def bearing_of(half: int) -> Image:
    """Angle of each pixel of a square as seen from its middle."""
    axis = np.arange(-half, half + 1, dtype=np.float32)
    return np.arctan2(axis[:, None], axis[None, :])


def step(x: Floats) -> Floats:
    """0 below 0, 1 above 1, smooth between."""
    x = np.clip(x, 0, 1)
    return x * x * (3 - 2 * x)
