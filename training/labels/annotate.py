"""Micrographs in, instance masks of what differs from their ground out, found without a person, each set with a quality score.

Nothing is learnt here, so the masks can serve as first labels where nobody has drawn any (the automated half of the
paper's dual annotation strategy). What is found is "stands out from its surroundings and is compact": whether that is
corrosion, a person or a trained model has to say. The score shows which images to check first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, cast

import cv2
import numpy as np

from edge.records import Grey, Mask
from training.labels.candidates import Refused, find_candidates
from training.labels.ground import Relief, estimate_ground
from training.labels.image_labels import LabelImage
from training.labels.rules import FoundRegion, Rules, find_refusing_rule, is_faint, keep_polarity, least_area_px, polarity_of
from training.labels.shapes import close_rings, fill_holes, fill_to_border, outline, split, trim
from training.labels.trust import Trust, judge_trust, overlap

MOST_HOLE: Final = 0.12
"""Of the image: what a larger ring encloses is ground."""
DEFAULT_RULES: Final = Rules()


@dataclass(frozen=True, slots=True, eq=False)
class Annotation:
    """labels: int32 [H, W], 0 ground, 1…N regions, larger ones first.  rejected: how many candidates each rule refused."""

    labels: LabelImage
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


def annotate(grey: Grey, rules: Rules = DEFAULT_RULES) -> Annotation:
    """Find regions in one image, uint8 [H, W] without a data bar; the same image gives the same result."""
    relief, noise = estimate_ground(grey)
    labels, rejected = _find(relief, noise, rules)
    # Stability is asked of a half-size copy: it is a ratio, and two more searches at full size would take most of the time.
    size = (max(1, grey.shape[1] // 2), max(1, grey.shape[0] // 2))
    small = cast(Relief, cv2.resize(relief, size, interpolation=cv2.INTER_AREA))
    small_noise = cast(Relief, cv2.resize(noise, size, interpolation=cv2.INTER_AREA))
    covered = [
        _find(small, small_noise, Rules(max(3.0, rules.min_diameter_px / 2), rules.polarity, rules.threshold * factor))[0] > 0
        for factor in (0.9, 1.1)
    ]
    stability = overlap(*covered)
    counts = {rule: count for rule, (count, _area) in sorted(rejected.items())}
    refused_px = sum(area for _count, area in rejected.values())
    return Annotation(labels, judge_trust(labels, relief, noise, stability, refused_px), counts)


def _find(relief: Relief, noise: Relief, rules: Rules) -> tuple[LabelImage, dict[str, tuple[int, int]]]:
    """Regions, largest first, and what was refused."""
    height, width = relief.shape
    refused = Refused()
    found: list[FoundRegion] = []
    for candidate in find_candidates(relief, noise, rules, refused):
        rows, columns = candidate.own.shape
        x0, y0 = max(0, candidate.x - 3), max(0, candidate.y - 3)
        x1, y1 = min(width, candidate.x + columns + 3), min(height, candidate.y + rows + 3)
        part = relief[y0:y1, x0:x1]
        own = np.zeros(part.shape, np.bool_)
        own[candidate.y - y0 : candidate.y - y0 + rows, candidate.x - x0 : candidate.x - x0 + columns] = candidate.own
        visible = outline(own, part, candidate.threshold * noise[y0:y1, x0:x1])
        whole = fill_to_border(fill_holes(visible, MOST_HOLE * relief.size), (x0 == 0, y0 == 0, x1 == width, y1 == height))
        for x, y, mask in split(trim(close_rings(whole))):
            x, y = x + x0, y + y0
            rule = find_refusing_rule(mask, x, y, relief, rules)
            if not rule and is_faint(mask, x, y, relief, noise, rules):
                rule = "faint"
            if rule:
                refused.add(rule, int(mask.sum()))
            else:
                found.append(FoundRegion(x, y, mask, *polarity_of(mask, relief[y : y + mask.shape[0], x : x + mask.shape[1]])))
    found = sorted(keep_polarity(found, rules.polarity), key=lambda region: (-int(region.mask.sum()), region.y, region.x))
    return _painted(found, relief.shape, rules), refused


def _painted(found: Sequence[FoundRegion], shape: tuple[int, ...], rules: Rules) -> LabelImage:
    """Numbers without gaps; a later, smaller region does not take pixels from a larger one."""
    labels = np.zeros(shape, np.int32)
    number = 0
    for region in found:
        rows, columns = region.mask.shape
        place = labels[region.y : region.y + rows, region.x : region.x + columns]
        free = _largest_part(region.mask & (place == 0))
        if free.sum() >= max(0.5 * region.mask.sum(), least_area_px(rules)):
            number += 1
            place[free] = number
    return labels


def _largest_part(mask: Mask) -> Mask:
    count, numbers, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=4)
    return numbers == 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax()) if count > 2 else mask
