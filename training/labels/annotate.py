"""Micrographs in, instance masks of what differs from their ground out, found without a person, each set with a quality score.

Nothing is learnt here, so the masks can serve as first labels where nobody has drawn any (the automated half of the
paper's dual annotation strategy). What is found is "stands out from its surroundings and is compact": whether that is
corrosion, a person or a trained model has to say. The score tells which images deserve a look first.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, cast, get_args

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.errors import ConfigError
from edge.records import Grey, Mask

Polarity = Literal["auto", "dark", "bright", "both"]
POLARITIES: Final[tuple[str, ...]] = get_args(Polarity)
Labels = NDArray[np.int32]
Relief = NDArray[np.float32]

THRESHOLD: Final = 2.4
"""How far from the ground a region's grey must be, in standard deviations of the ground."""
PEAK: Final = 2.0
"""A region must somewhere be so many thresholds from the ground."""
OUTLINE_AT: Final = 0.35
"""Part of a region's contrast (85th percentile) at which its outline lies: blur would say one half, sloping walls less."""

STRONG: Final = 1.6
STRONG_PART: Final = 0.45
"""Of the least area: so many pixels of a region must be strong, which means `STRONG` thresholds from the ground."""
NET_PX: Final = 90
NET_COVER: Final = 0.22
"""A candidate that is longer than `NET_PX` and covers less of its bounds is a net of lines, with regions as its knots."""
NET_STEP: Final = 1.4
NET_STEEPEST: Final = 8.0

QUIET: Final = 28
"""Percentile of blocks whose roughness is surely the ground's."""
MOST_OF_IMAGE: Final = 0.2
"""A region that covers more of the image is the ground, or beside the sample."""
MOST_HOLE: Final = 0.12
"""Of the image: what a larger ring encloses is ground."""
MOST_BORDER: Final = 0.35
"""A region that runs along more of one image border is what lies beside the sample."""
LONGEST_ASPECT: Final = 4.5
LEAST_SOLIDITY: Final = 0.45
ARM_CONTRAST: Final = 0.2
"""A line goes on beyond its piece with at least this part of the piece's contrast."""
WIDEST_LINE_PX: Final = 14.0
NECK: Final = 0.7
"""Two cores are two regions where the neck between them is narrower than this part of the smaller one."""

RARE: Final = 0.02

_SMALL_DISC: Final = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (3, 3))
_DISC: Final = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5))


@dataclass(frozen=True, slots=True)
class Rules:
    """What counts as a region.

    min_diameter_px: of a disc of the same area.  polarity: `dark` keeps regions whose inside is no brighter than the
    ground (dark pits, and shallow ones that are only a bright ring), `bright` those whose inside is brighter, `both` all;
    `auto` is `both`, less the regions of one kind where their area times contrast is below `RARE` of the other kind's.
    threshold: in standard deviations of the ground.
    """

    min_diameter_px: float = 6.0
    polarity: Polarity = "auto"
    threshold: float = THRESHOLD

    def __post_init__(self) -> None:
        if not self.min_diameter_px >= 3:
            raise ConfigError(f"min_diameter_px is {self.min_diameter_px:g}: it must be at least 3, smaller ones are noise")
        if self.polarity not in POLARITIES:
            raise ConfigError(f"polarity is {self.polarity!r}: allowed are {', '.join(POLARITIES)}")
        if not self.threshold > 0:
            raise ConfigError(f"threshold is {self.threshold:g}: it must be positive")


@dataclass(frozen=True, slots=True)
class Trust:
    """How far an annotation can be trusted, and why.

    score: 0…1, geometric mean of four parts.  contrast_to_noise: median over regions of grey contrast over the ground's
    noise.  edge_width_px: median over regions of contrast over grey gradient at the outline.  stability: pixel IoU
    of the results at thresholds 10 % lower and 10 % higher.  rejected_share: of all candidates' area, the part that the
    shape rules refused.  reasons: what lowered the score, in words; empty when nothing did.  The first two are None where
    nothing was found: then the score is 0.5, because a clean surface looks the same as one whose regions are too faint.
    """

    score: float
    contrast_to_noise: float | None
    edge_width_px: float | None
    stability: float
    rejected_share: float
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Annotation:
    """labels: int32 [H, W], 0 ground, 1…N regions, larger ones first.  rejected: how many candidates each rule refused."""

    labels: Labels
    trust: Trust
    rejected: dict[str, int]

    @property
    def count(self) -> int:
        """Number of regions."""
        return int(self.labels.max(initial=0))

    @property
    def area_fraction(self) -> float:
        """Part of the image that is in regions, 0…1."""
        return float(np.count_nonzero(self.labels)) / self.labels.size


def annotate(grey: Grey, rules: Rules = Rules()) -> Annotation:
    """Find regions in one image, uint8 [H, W] without a data bar; the same image gives the same result."""
    relief, noise = _ground(grey)
    labels, rejected = _find(relief, noise, rules)
    # Stability is asked of a half-size copy: it is a ratio, and two more searches at full size would take most of the time.
    size = (max(1, grey.shape[1] // 2), max(1, grey.shape[0] // 2))
    small = cast(Relief, cv2.resize(relief, size, interpolation=cv2.INTER_AREA))
    small_noise = cast(Relief, cv2.resize(noise, size, interpolation=cv2.INTER_AREA))
    covered = [
        _find(small, small_noise, Rules(max(3.0, rules.min_diameter_px / 2), rules.polarity, rules.threshold * factor))[0] > 0
        for factor in (0.9, 1.1)
    ]
    stability = _overlap(*covered)
    counts = {rule: count for rule, (count, _area) in sorted(rejected.items())}
    refused_px = sum(area for _count, area in rejected.values())
    return Annotation(labels, _trust(labels, relief, noise, stability, refused_px), counts)


# --- the ground ------------------------------------------------------------------------------------------------------


def _ground(grey: Grey) -> tuple[Relief, Relief]:
    """Grey above the ground (below it: negative), and the ground's standard deviation; both float32 [H, W], in grey values."""
    smooth = cast(Relief, cv2.GaussianBlur(grey.astype(np.float32), (0, 0), 1.0))
    relief = _without_grooves(smooth - _shading(smooth))
    return relief, _noise(relief)


def _shading(smooth: Relief) -> Relief:
    """Brightness of the bare ground: a wide median, then ever narrower means of what does not stand out from the last one.

    Narrow enough at the end to follow grains of different grey; inside large regions, where no ground is seen, the
    wider estimate stays.
    """
    height, width = smooth.shape
    scale = min(1.0, 192 / max(height, width))
    size = (max(8, round(width * scale)), max(8, round(height * scale)))
    small = cast(Relief, cv2.resize(smooth, size, interpolation=cv2.INTER_AREA))
    plane = _plane(small)
    window = min(_odd(0.4 * min(size)), 255)
    level = np.clip(np.round(small - plane + 128), 0, 255).astype(np.uint8)
    wide = cv2.medianBlur(level, window).astype(np.float32) - 128
    ground = cast(Relief, plane + cv2.GaussianBlur(wide, (0, 0), 0.06 * max(size)))
    for part in (0.09, 0.05, 0.03):
        above = small - ground
        weight = (np.abs(above) < 2.5 * _spread(above)).astype(np.float32)
        # of what is left above the last estimate, so that a slope is not bent where the image ends
        near = cv2.GaussianBlur(weight * above, (0, 0), part * max(size))
        ground = cast(Relief, ground + near / (cv2.GaussianBlur(weight, (0, 0), part * max(size)) + 0.1))
    return cast(Relief, cv2.resize(ground, (width, height), interpolation=cv2.INTER_CUBIC))


def _plane(image: Relief) -> Relief:
    """The plane through the ground: least squares, then again without what lies far from it."""
    height, width = image.shape
    rows, columns = np.mgrid[:height, :width]
    system = np.column_stack([columns.ravel() / width, rows.ravel() / height, np.ones(image.size)])
    kept = np.ones(image.size, np.bool_)
    plane = np.zeros(image.size)
    for _ in range(3):
        slopes = np.linalg.lstsq(system[kept], image.ravel()[kept], rcond=None)[0]
        plane = system @ slopes
        away = np.abs(image.ravel() - plane)
        kept = away <= 3.0 * float(np.median(away)) + 0.5
    fitted: Relief = plane.reshape(image.shape).astype(np.float32)
    return fitted


def _without_grooves(relief: Relief) -> Relief:
    """The relief without grinding and brushing marks, where one direction prevails: each pixel less the mean along it."""
    across = cv2.Sobel(relief, cv2.CV_32F, 1, 0)
    down = cv2.Sobel(relief, cv2.CV_32F, 0, 1)
    steep = np.hypot(across, down)
    # Steep edges belong to regions and single scratches: they count no more than the ordinary ones.
    tame = np.minimum(1.0, (2.5 * _median(steep) + 1e-3) / np.maximum(steep, 1e-3))
    across, down = across * tame, down * tame
    real, imaginary = float((across * across - down * down).mean()), float((2 * across * down).mean())
    if np.hypot(real, imaginary) < 0.12 * float((across * across + down * down).mean()) + 1e-6:
        return relief
    kernel = _line(0.16 * max(relief.shape), 0.5 * np.arctan2(imaginary, real) + np.pi / 2)
    weight = (np.abs(relief) < 2.0 * _spread(relief)).astype(np.float32)
    share = cv2.filter2D(weight, -1, kernel, borderType=cv2.BORDER_REFLECT)
    mean = cv2.filter2D(weight * relief, -1, kernel, borderType=cv2.BORDER_REFLECT)
    grooves = np.where(share > 0.15, mean / np.maximum(share, 0.02), 0)
    left: Relief = relief - grooves.astype(np.float32)
    return left


def _line(length_px: float, angle: float) -> Relief:
    """A kernel that averages along `angle` (radians, x to the right, y down)."""
    half = max(2, round(length_px / 2))
    ends = half + np.outer((-half, half), (np.cos(angle), np.sin(angle)))
    drawn = np.zeros((2 * half + 1, 2 * half + 1), np.uint8)
    cv2.polylines(drawn, [np.round(ends * 16).astype(np.int32)], False, 255, 1, cv2.LINE_AA, 4)
    kernel: Relief = (drawn / drawn.sum()).astype(np.float32)
    return kernel


def _noise(relief: Relief) -> Relief:
    """Local standard deviation of the ground, regions left out; at least 0.6 grey values."""
    height, width = relief.shape
    size = (max(4, width // 8), max(4, height // 8))
    blocks = cv2.resize(np.minimum(np.abs(relief), 60.0), size, interpolation=cv2.INTER_AREA)
    # Where corrosion is dense most blocks lie in regions: the quiet quarter says what the ground can be.
    blocks = np.minimum(blocks, 1.5 * np.percentile(blocks, QUIET))
    window = min(_odd(0.45 * min(size)), 61)
    local = cv2.medianBlur(np.clip(blocks * 4, 0, 255).astype(np.uint8), window).astype(np.float32) / 4
    local = cv2.resize(cv2.GaussianBlur(local, (0, 0), 4), (width, height))
    return cast(
        Relief, np.maximum(1.3 * local, 0.6).astype(np.float32)
    )  # mean absolute to standard deviation, of a normal distribution


# --- candidates ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class _Candidate:
    """A connected part that stands out by more than `threshold`. own: bool [h, w], at x, y of the image."""

    x: int
    y: int
    own: Mask
    area_px: int
    threshold: float


@dataclass(frozen=True, slots=True, eq=False)
class _Region:
    """mask: bool [h, w], at x, y of the image.  bright: its inside is brighter than the ground.  weight: area × contrast."""

    x: int
    y: int
    mask: Mask
    bright: bool
    weight: float


class _Refused(dict[str, tuple[int, int]]):
    """Count and area in pixels of refused candidates, by rule."""

    def add(self, rule: str, area_px: int) -> None:
        count, area = self.get(rule, (0, 0))
        self[rule] = (count + 1, area + area_px)


def _find(relief: Relief, noise: Relief, rules: Rules) -> tuple[Labels, dict[str, tuple[int, int]]]:
    """Regions, largest first, and what was refused."""
    height, width = relief.shape
    refused = _Refused()
    found: list[_Region] = []
    for candidate in _candidates(relief, noise, rules, refused):
        rows, columns = candidate.own.shape
        x0, y0 = max(0, candidate.x - 3), max(0, candidate.y - 3)
        x1, y1 = min(width, candidate.x + columns + 3), min(height, candidate.y + rows + 3)
        part = relief[y0:y1, x0:x1]
        own = np.zeros(part.shape, np.bool_)
        own[candidate.y - y0 : candidate.y - y0 + rows, candidate.x - x0 : candidate.x - x0 + columns] = candidate.own
        outline = _outline(own, part, candidate.threshold * noise[y0:y1, x0:x1])
        whole = _filled_to_border(_filled(outline, MOST_HOLE * relief.size), (x0 == 0, y0 == 0, x1 == width, y1 == height))
        for x, y, mask in _split(_trimmed(_rings_closed(whole))):
            x, y = x + x0, y + y0
            rule = _refusal(mask, x, y, relief, rules)
            if not rule and _is_faint(mask, x, y, relief, noise, rules):
                rule = "faint"
            if rule:
                refused.add(rule, int(mask.sum()))
            else:
                found.append(_Region(x, y, mask, *_polarity(mask, relief[y : y + mask.shape[0], x : x + mask.shape[1]])))
    found = sorted(_of_polarity(found, rules.polarity), key=lambda region: (-int(region.mask.sum()), region.y, region.x))
    return _painted(found, relief.shape, rules), refused


def _painted(found: Sequence[_Region], shape: tuple[int, ...], rules: Rules) -> Labels:
    """Numbers without gaps; a later, smaller region does not take pixels from a larger one."""
    labels = np.zeros(shape, np.int32)
    number = 0
    for region in found:
        rows, columns = region.mask.shape
        place = labels[region.y : region.y + rows, region.x : region.x + columns]
        free = _largest_part(region.mask & (place == 0))
        if free.sum() >= max(0.5 * region.mask.sum(), _least_area(rules)):
            number += 1
            place[free] = number
    return labels


def _largest_part(mask: Mask) -> Mask:
    count, numbers, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=4)
    return numbers == 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax()) if count > 2 else mask


def _candidates(relief: Relief, noise: Relief, rules: Rules, refused: _Refused) -> Iterator[_Candidate]:
    """Connected parts above the threshold; a wide net (grain boundaries, crossed scratches) gives way to its stronger knots."""
    height: Relief = (np.abs(relief) / noise).astype(np.float32, copy=False)
    loose = cv2.morphologyEx((height > rules.threshold).astype(np.uint8), cv2.MORPH_CLOSE, _SMALL_DISC)
    waiting = _parts(loose, height, 0, 0, rules.threshold, rules, refused)
    while waiting:
        candidate = waiting.pop()
        rows, columns = candidate.own.shape
        is_net = max(rows, columns) > NET_PX and candidate.area_px < NET_COVER * rows * columns and not _is_ring(candidate.own)
        if not is_net or candidate.threshold > NET_STEEPEST * rules.threshold:
            yield candidate
            continue
        inside = height[candidate.y : candidate.y + rows, candidate.x : candidate.x + columns] * candidate.own
        higher = NET_STEP * candidate.threshold
        waiting += _parts((inside > higher).astype(np.uint8), inside, candidate.x, candidate.y, higher, rules, refused)


def _parts(
    binary: NDArray[Any], height: Relief, x0: int, y0: int, threshold: float, rules: Rules, refused: _Refused
) -> list[_Candidate]:
    """Connected parts that are large and high enough to become a region."""
    count, numbers, stats, _ = cv2.connectedComponentsWithStats(binary, connectivity=8)
    peaks = np.zeros(count, np.float32)
    inside = numbers > 0
    np.maximum.at(peaks, cast(NDArray[np.int32], numbers[inside]), height[inside])
    least = 0.4 * _least_area(rules)
    found = []
    for number in np.flatnonzero(stats[:, cv2.CC_STAT_AREA] >= least).tolist():
        x, y, columns, rows, area = (int(value) for value in stats[number])
        if number == 0:
            continue
        if peaks[number] < PEAK * rules.threshold:
            refused.add("faint", 0)  # mostly noise, by design many: its area says nothing about the picture
            continue
        found.append(_Candidate(x0 + x, y0 + y, numbers[y : y + rows, x : x + columns] == number, area, threshold))
    return found


def _is_ring(own: Mask) -> bool:
    """Whether a thin part encloses something compact, with little besides (closing outlines leaves small holes)."""
    inside = _filled(own, own.size)
    holes, _ = cv2.connectedComponents((inside & ~own).astype(np.uint8), connectivity=4)
    return holes <= 3 and int(inside.sum()) > 0.75 * _hull_area(_hull(inside))


def _outline(own: Mask, relief: Relief, least: Relief) -> Mask:
    """Where the candidate's grey is beyond a part of its contrast, dark and bright sides each by their own."""
    inside = relief[own]
    mask = np.zeros(own.shape, np.bool_)
    for sign in (-1, 1):
        values = sign * inside
        values = values[values > 0]
        if len(values) >= 4:
            mask |= own & (sign * relief > np.maximum(least, OUTLINE_AT * float(np.percentile(values, 85))))
    # A dark inside and its bright rim meet at a line of the ground's grey: closing it makes them one region.
    return _morphed(mask, cv2.MORPH_CLOSE, _DISC)


def _filled(mask: Mask, most_px: float) -> Mask:
    """The mask with holes of at most `most_px` pixels filled."""
    outside = cv2.copyMakeBorder((~mask).astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=1)
    _, numbers, stats, _ = cv2.connectedComponentsWithStats(outside, connectivity=4)
    hole = stats[:, cv2.CC_STAT_AREA] <= most_px
    hole[[0, numbers[0, 0]]] = False
    return cast(Mask, mask | hole[numbers][1:-1, 1:-1])


def _filled_to_border(mask: Mask, touches: tuple[bool, bool, bool, bool]) -> Mask:
    """The mask with what it encloses together with one or two neighbouring image borders (left, top, right, bottom)."""
    full = mask
    for sides in ((0,), (1,), (2,), (3,), (0, 1), (1, 2), (2, 3), (3, 0)):
        if all(touches[side] for side in sides):
            left, top, right, bottom = (int(side in sides) for side in range(4))
            walled = _filled(np.pad(mask, ((top, bottom), (left, right)), constant_values=True), mask.size)
            new = walled[top : walled.shape[0] - bottom, left : walled.shape[1] - right] & ~mask
            if new.sum() < 4 * mask.sum() + 50:
                full = full | new
    return full


def _rings_closed(mask: Mask) -> Mask:
    """The mask with open rings closed: crescents, the lit half of a pit's rim, stand for the whole mouth."""
    count, numbers, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    full = mask.astype(np.uint8)
    for number in range(1, count):
        x, y, width, height, area = (int(value) for value in stats[number])
        if area < 12 or max(width, height) < 6:
            continue
        part = numbers[y : y + height, x : x + width] == number
        hull = _hull(part)
        if area > 0.7 * _hull_area(hull):
            continue
        rows, columns = (axis[:: 1 + area // 500] for axis in np.nonzero(part))
        cx, cy, radius = _circle(columns, rows)
        away = np.hypot(columns - cx, rows - cy)
        bearing = np.arctan2(rows - cy, columns - cx)
        seen = len(np.unique(np.floor((bearing + np.pi) / (2 * np.pi) * 24).astype(int))) / 24
        if away.std() < 0.22 * radius and seen > 0.42 and radius < 0.75 * max(width, height):
            cv2.fillConvexPoly(full, cast(Any, hull + np.array([x, y], np.int32)), 1)
            if seen < 0.75:
                cv2.circle(full, (round(cx + x), round(cy + y)), round(radius), 1, -1)
    return full.astype(np.bool_)


def _circle(columns: NDArray[np.intp], rows: NDArray[np.intp]) -> tuple[float, float, float]:
    """Centre and radius of the least-squares circle through points (Kåsa's linear form)."""
    system = np.column_stack([columns, rows, np.ones(len(rows))])
    a, b, c = np.linalg.lstsq(system, -(columns.astype(float) ** 2 + rows.astype(float) ** 2), rcond=None)[0]
    return -a / 2, -b / 2, float(np.sqrt(max((a * a + b * b) / 4 - c, 1e-3)))


def _hull(mask: Mask) -> NDArray[np.int32]:
    outlines, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    return cast(NDArray[np.int32], cv2.convexHull(np.concatenate(outlines)))


def _hull_area(hull: NDArray[np.int32]) -> float:
    """In whole pixels: the polygon through their centres leaves out half of those on it."""
    return cv2.contourArea(hull) + len(hull) / 2


def _trimmed(mask: Mask) -> Mask:
    """The mask without threads: scratches that it lies on, streaks of charge behind it."""
    deepest = float(cv2.distanceTransform(np.pad(mask, 1).astype(np.uint8), cv2.DIST_L2, 3).max())
    size = min(max(5, _odd(0.6 * deepest)), 41)
    return _morphed(mask, cv2.MORPH_OPEN, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size)))


def _morphed(mask: Mask, operation: int, element: NDArray[Any]) -> Mask:
    """Opening or closing that continues the mask beyond the borders of its array, and so of the image."""
    edge = element.shape[0]
    padded = cv2.copyMakeBorder(mask.astype(np.uint8), edge, edge, edge, edge, cv2.BORDER_REPLICATE)
    return cv2.morphologyEx(padded, operation, element)[edge:-edge, edge:-edge].astype(np.bool_)


def _split(mask: Mask) -> Iterator[tuple[int, int, Mask]]:
    """x, y and tight mask of each region: connected parts, cut at narrow necks by a watershed of the distance to the edge."""
    count, numbers, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=4)
    for number in range(1, count):
        x, y, width, height, area = (int(value) for value in stats[number])
        part = numbers[y : y + height, x : x + width] == number
        inside = np.pad(part, 1).astype(np.uint8)
        depth = cast(Relief, cv2.distanceTransform(inside, cv2.DIST_L2, 5))
        deepest = float(depth.max())
        cores = [] if deepest < 3 or area < 0.85 * np.pi * deepest**2 or min(width, height) < 10 else _cores(depth)
        if len(cores) < 2:
            yield x, y, part
            continue
        markers = (inside == 0).astype(np.int32)
        for marker, points in enumerate(cores, start=2):
            for column, row in points:
                cv2.circle(cast(Any, markers), (column, row), max(1, int(0.9 * depth[row, column])), marker, -1)
        markers[inside == 0] = 1
        # OpenCV floods by differences of grey; over a flat image all markers grow at one speed and meet at the necks.
        cv2.watershed(np.zeros((*inside.shape, 3), np.uint8), markers)
        for marker in range(2, 2 + len(cores)):
            one = (markers == marker).astype(np.uint8)
            # the watershed's own lines go to a region that they border
            one = ((one > 0) | ((markers == -1) & (cv2.dilate(one, _SMALL_DISC) > 0) & (inside > 0)))[1:-1, 1:-1]
            rows, columns = np.flatnonzero(one.any(axis=1)), np.flatnonzero(one.any(axis=0))
            if len(rows):
                tight = one[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
                yield x + int(columns[0]), y + int(rows[0]), tight


def _cores(depth: Relief) -> list[list[tuple[int, int]]]:
    """Deepest points (x, y) of each region; points with no narrow neck between them are of one region."""
    deepest = float(depth.max())
    smooth = cv2.GaussianBlur(depth, (0, 0), 1.0)
    side = _odd(max(5.0, 0.8 * deepest))
    tops = (smooth >= cv2.dilate(smooth, np.ones((side, side), np.uint8)) - 1e-4) & (depth >= max(2.5, 0.3 * deepest))
    count, numbers, _, centres = cv2.connectedComponentsWithStats(tops.astype(np.uint8), connectivity=8)
    if not 3 <= count <= 60:
        return []
    points = []
    for number in range(1, count):
        rows, columns = np.nonzero(numbers == number)
        nearest = int(np.argmin((columns - centres[number, 0]) ** 2 + (rows - centres[number, 1]) ** 2))
        points.append((int(columns[nearest]), int(rows[nearest])))
    groups = list(range(len(points)))
    for one in range(len(points)):
        for other in range(one):
            between = _along(depth, points[one], points[other])
            if between.min() > NECK * min(between[0], between[-1]):
                old, new = groups[one], groups[other]
                groups = [new if group == old else group for group in groups]
    return [[point for point, group in zip(points, groups, strict=True) if group == kept] for kept in sorted(set(groups))]


def _along(values: Relief, start: tuple[int, int], end: tuple[int, int]) -> Relief:
    """Values on the straight line between two points (x, y)."""
    steps = max(abs(end[0] - start[0]), abs(end[1] - start[1])) + 1
    columns = np.linspace(start[0], end[0], steps).round().astype(int)
    rows = np.linspace(start[1], end[1], steps).round().astype(int)
    line: Relief = values[rows, columns]
    return line


# --- rules -----------------------------------------------------------------------------------------------------------


def _refusal(mask: Mask, x: int, y: int, relief: Relief, rules: Rules) -> str | None:
    """Name of the rule that refuses a region, None when none does."""
    area = int(mask.sum())
    if area < _least_area(rules):
        return "small"
    if area > MOST_OF_IMAGE * relief.size:
        return "large"
    (rows, columns), (height, width) = mask.shape, relief.shape
    along = (
        mask[:, 0].sum() / height * (x == 0),
        mask[:, -1].sum() / height * (x + columns == width),
        mask[0].sum() / width * (y == 0),
        mask[-1].sum() / width * (y + rows == height),
    )
    if max(along) > MOST_BORDER:
        return "sample edge"
    hull = _hull(mask)
    sides = [side + 1 for side in cv2.minAreaRect(hull)[1]]
    if max(sides) > LONGEST_ASPECT * min(sides) or max(sides) ** 2 > 6 * area:
        return "line"
    if area < LEAST_SOLIDITY * _hull_area(hull):
        return "ragged"
    return "line" if _goes_on(mask, x, y, relief) else None


def _is_faint(mask: Mask, x: int, y: int, relief: Relief, noise: Relief, rules: Rules) -> bool:
    """Whether a region has so few strong pixels (a thin rim's are enough) that chance explains them."""
    place = (slice(y, y + mask.shape[0]), slice(x, x + mask.shape[1]))
    strong = mask & (np.abs(relief[place]) > STRONG * rules.threshold * noise[place])
    return int(strong.sum()) < STRONG_PART * _least_area(rules)


def _goes_on(mask: Mask, x: int, y: int, relief: Relief) -> bool:
    """Whether a narrow region is a piece of a line: its grey goes on beyond it, to two sides."""
    deepest = float(cv2.distanceTransform(np.pad(mask, 1).astype(np.uint8), cv2.DIST_L2, 3).max())
    if 2 * deepest > WIDEST_LINE_PX:
        return False
    values = relief[y : y + mask.shape[0], x : x + mask.shape[1]][mask]
    sign = 1.0 if values.sum() > 0 else -1.0
    contrast = float(np.median(np.maximum(sign * values, 0)))
    rows, columns = np.nonzero(mask)
    cx, cy = columns.mean(), rows.mean()
    directions = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    sector = np.round(np.arctan2(rows - cy, columns - cx) % (2 * np.pi) / (2 * np.pi) * 24).astype(int) % 24
    reach = np.full(24, deepest)
    np.maximum.at(reach, sector, np.hypot(columns - cx, rows - cy))
    away = reach[:, None] + np.arange(2, 2 + max(10, int(3 * deepest)))
    px, py = x + cx + away * np.cos(directions)[:, None], y + cy + away * np.sin(directions)[:, None]
    seen = (px >= 0) & (px <= relief.shape[1] - 1) & (py >= 0) & (py <= relief.shape[0] - 1)
    px, py = np.clip(px.round(), 0, relief.shape[1] - 1).astype(int), np.clip(py.round(), 0, relief.shape[0] - 1).astype(int)
    # the lower quartile along an arm: a neighbour behind a gap is no continuation
    arms = (np.percentile(sign * relief[py, px], 25, axis=1) > ARM_CONTRAST * contrast) & (seen.mean(axis=1) > 0.6)
    angles = directions[arms]
    apart = np.abs((angles[:, None] - angles[None, :] + np.pi) % (2 * np.pi) - np.pi)
    return bool(apart.max(initial=0.0) > np.pi / 2)


def _polarity(mask: Mask, relief: Relief) -> tuple[bool, float]:
    """Whether a region's inside is brighter than the ground, and its weight: area times contrast."""
    depth = cv2.distanceTransform(np.pad(mask, 1).astype(np.uint8), cv2.DIST_L2, 3)[1:-1, 1:-1]
    inner = float(np.median(relief[depth >= 0.5 * depth.max()]))
    contrast = float(np.percentile(np.abs(relief[mask]), 85))
    return inner > 0.25 * contrast, contrast * float(mask.sum())


def _of_polarity(found: Sequence[_Region], polarity: Polarity) -> list[_Region]:
    """The regions of the polarity asked for."""
    if polarity in ("dark", "bright"):
        return [region for region in found if region.bright == (polarity == "bright")]
    bright = sum(region.weight for region in found if region.bright)
    dark = sum(region.weight for region in found if not region.bright)
    is_rare = {True: bright < RARE * dark, False: dark < RARE * bright}
    return [region for region in found if polarity == "both" or not is_rare[region.bright]]


def _least_area(rules: Rules) -> float:
    return np.pi / 4 * rules.min_diameter_px**2


# --- how far to trust it ---------------------------------------------------------------------------------------------


def _trust(labels: Labels, relief: Relief, noise: Relief, stability: float, refused_px: int) -> Trust:
    """Score and reasons of one image's regions."""
    kept_px = int(np.count_nonzero(labels))
    rejected_share = refused_px / max(refused_px + kept_px, 1)
    if not kept_px:
        return Trust(0.5, None, None, stability, rejected_share, ("nothing found: a clean surface, or regions too faint",))
    contrasts, widths = _contrast_and_edges(labels, relief, noise)
    terms = (
        (_ramp(contrasts, 4.0, 14.0), f"low contrast: {contrasts:.1f} times the noise of the ground"),
        (_ramp(widths, 14.0, 5.0), f"blurred edges: about {widths:.0f} px wide"),
        (_ramp(stability, 0.4, 0.95), f"unstable: pixel IoU {stability:.2f} between thresholds 10 % lower and higher"),
        (_ramp(rejected_share, 0.8, 0.1), f"many refused: {rejected_share:.0%} of the area that stands out has another shape"),
    )
    score = float(np.prod([0.05 + 0.95 * term for term, _ in terms]) ** (1 / len(terms)))
    return Trust(score, contrasts, widths, stability, rejected_share, tuple(why for term, why in terms if term < 0.5))


def _contrast_and_edges(labels: Labels, relief: Relief, noise: Relief) -> tuple[float, float]:
    """Medians over regions: contrast over noise, and contrast over the gradient at the outline, in pixels."""
    gradient = np.hypot(cv2.Sobel(relief, cv2.CV_32F, 1, 0, scale=0.125), cv2.Sobel(relief, cv2.CV_32F, 0, 1, scale=0.125))
    shown = labels.astype(np.float32)
    rim = (cv2.dilate(shown, _SMALL_DISC) != cv2.erode(shown, _SMALL_DISC)) & (labels > 0)
    contrasts, widths = [], []
    for part, number in boxes(labels):
        own = labels[part] == number
        values = np.abs(relief[part])[own]
        contrast = float(np.percentile(values, 85))
        contrasts.append(contrast / float(noise[part][own].mean()))
        edge = gradient[part][own & rim[part]]
        widths.append(contrast / max(float(np.median(edge)) if len(edge) else 0.0, 1e-3))
    return float(np.median(contrasts)), float(np.median(widths))


def boxes(labels: Labels) -> Iterator[tuple[tuple[slice, slice], int]]:
    """Rows and columns of each label's bounds, with its number."""
    rows, columns = np.nonzero(labels)
    numbers = labels[rows, columns]
    count = int(labels.max(initial=0))
    low = np.full((count + 1, 2), max(labels.shape), np.intp)
    high = np.zeros((count + 1, 2), np.intp)
    for axis, values in enumerate((rows, columns)):
        np.minimum.at(low[:, axis], numbers, values)
        np.maximum.at(high[:, axis], numbers, values + 1)
    for number in range(1, count + 1):
        (top, left), (bottom, right) = low[number], high[number]
        if bottom > top:
            yield (slice(int(top), int(bottom)), slice(int(left), int(right))), number


def _ramp(value: float, worst: float, best: float) -> float:
    return float(np.clip((value - worst) / (best - worst), 0, 1))


def _overlap(one: Mask, other: Mask) -> float:
    """Pixel IoU; 1 of two empty masks."""
    either = int(np.count_nonzero(one | other))
    return int(np.count_nonzero(one & other)) / either if either else 1.0


def _spread(values: Relief) -> float:
    return 1.4826 * _median(np.abs(values)) + 0.4


def _median(values: Relief) -> float:
    """Of every third pixel of every third row: a thousandth off, and ten times faster."""
    return float(np.median(values[::3, ::3]))


def _odd(size: float) -> int:
    return int(size) // 2 * 2 + 1
