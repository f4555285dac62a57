"""Drawn scenes in, what a classical threshold and an all-knowing oracle reach on them out: how hard a set is.

Beside every score of a network stand these two, so that an easy set cannot flatter it.

Otsu: blurred, threshold by Otsu on the distance to a local median (so that dark and bright regions both count), closed,
filled, opened, connected components. Scored as the edge's regions are: one to one, IoU of masks at least 0.5.
Oracle: knows the true corroded fraction of every image, and learns from all images but those of one group (coupon) at a
time which fraction is which severity: two limits, chosen to make the fewest mistakes on the others.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.records import SEVERITIES, Grey, Mask, Regions
from training.draw.canvas import SMALLEST_REGION_PX2
from training.draw.synthetic import TRANSFER_SEED, Scene, paper_scenes, render
from training.learn.calibration import wilson_interval
from training.score.region_scores import match


@dataclass(frozen=True, slots=True)
class Baseline:
    """What the simplest and the best possible judge reach on a set of scenes.

    pixel_iou: of all pixels of all images together.  severity_*: of the oracle; images: how many it was judged on.
    """

    images: int
    regions: int
    region_precision: float
    region_recall: float
    pixel_iou: float
    severity_accuracy: float
    severity_interval: tuple[float, float]

    @property
    def region_f1(self) -> float:
        """Harmonic mean of precision and recall."""
        both = self.region_precision + self.region_recall
        return 2 * self.region_precision * self.region_recall / both if both else 0.0

    def __str__(self) -> str:
        low, high = self.severity_interval
        return (
            f"{self.images} images, {self.regions} regions\n"
            f"Otsu and components: region F1 {self.region_f1:.3f} (precision {self.region_precision:.3f}, "
            f"recall {self.region_recall:.3f}, IoU of masks >= 0.5), pixel IoU {self.pixel_iou:.3f}\n"
            f"oracle of the true area: severity accuracy {self.severity_accuracy:.3f} (95 % interval {low:.3f} to {high:.3f})"
        )


def otsu_regions(grey: Grey) -> Regions:
    """What a threshold finds. grey: uint8 [H, W]."""
    height, width = grey.shape
    smooth = cv2.GaussianBlur(grey, (0, 0), 2)
    small = cv2.resize(smooth, (max(8, width // 4), max(8, height // 4)), interpolation=cv2.INTER_AREA)
    window = min(255, max(3, min(small.shape) // 4 * 2 + 1))
    background = cv2.resize(cv2.medianBlur(small, window), (width, height), interpolation=cv2.INTER_LINEAR)
    distance = cv2.absdiff(smooth, background)
    otsu, _ = cv2.threshold(distance, 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    # on an empty image Otsu halves the noise: three robust standard deviations are the least
    above = (distance > max(otsu, 3 * 1.4826 * float(np.median(distance)))).astype(np.uint8)
    found = cv2.morphologyEx(above, cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8))
    outlines, _ = cv2.findContours(found, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(found, outlines, -1, 1, cv2.FILLED)
    opened = cv2.morphologyEx(found, cv2.MORPH_OPEN, np.ones((5, 5), np.uint8))
    _, parts, stats, _ = cv2.connectedComponentsWithStats(opened, connectivity=4)
    kept = [n for n in range(1, len(stats)) if stats[n, cv2.CC_STAT_AREA] >= SMALLEST_REGION_PX2]
    boxes = np.array([stats[n, :4] for n in kept], np.int32).reshape(-1, 4)
    masks = tuple(
        np.asarray(parts[y : y + h, x : x + w] == n, np.bool_) for n, (x, y, w, h) in zip(kept, boxes.tolist(), strict=True)
    )
    ones = np.ones(len(kept), np.float32)
    return Regions(boxes, ones, np.zeros(len(kept), np.int32), masks, ("corrosion",))


def measure(scenes: Iterable[Scene]) -> Baseline:
    """Judge all scenes both ways. Raises ValueError when there are no scenes."""
    fractions: list[float] = []
    severities: list[int] = []
    groups: list[str] = []
    true, right, predicted, both, either = 0, 0, 0, 0, 0
    for scene in scenes:
        found = otsu_regions(scene.grey)
        true += len(scene.regions)
        predicted += len(found)
        right += int(match(scene.regions, found).sum())
        truth, guess = covered(scene.regions, scene.grey.shape), covered(found, scene.grey.shape)
        both += int((truth & guess).sum())
        either += int((truth | guess).sum())
        fractions.append(scene.area_fraction)
        severities.append(SEVERITIES.index(scene.severity))
        groups.append(scene.coupon)
    if not fractions:
        raise ValueError("no scenes to measure")
    hits = oracle_hits(np.array(fractions), np.array(severities), np.array(groups))
    return Baseline(
        images=len(fractions),
        regions=true,
        region_precision=right / predicted if predicted else 0.0,
        region_recall=right / true if true else 0.0,
        pixel_iou=both / either if either else 1.0,
        severity_accuracy=float(hits.mean()),
        severity_interval=wilson_interval(int(hits.sum()), len(hits)),
    )


def covered(regions: Regions, shape: tuple[int, ...]) -> Mask:
    """The union of all regions as one mask of an image's shape."""
    union = np.zeros(shape, np.bool_)
    for (x, y, width, height), mask in zip(regions.boxes_px, regions.masks, strict=True):
        union[y : y + height, x : x + width] |= mask
    return union


def oracle_hits(fractions: NDArray[np.float64], severities: NDArray[np.intp], groups: NDArray[np.str_]) -> NDArray[np.bool_]:
    """Whether the severity of each image follows from its true fraction, by limits learnt without its group.

    fractions: float64 [N], 0…1.  severities: int [N], into `SEVERITIES`.  groups: str [N].
    """
    hits = np.zeros(len(fractions), np.bool_)
    for group in np.unique(groups):
        out = groups == group
        limits = [_limit(fractions[~out], severities[~out] >= rank) for rank in range(1, len(SEVERITIES))]
        hits[out] = np.searchsorted(np.sort(limits), fractions[out], side="right") == severities[out]
    return hits


def _limit(fractions: NDArray[np.float64], above: NDArray[np.bool_]) -> float:
    """The limit that puts the fewest on the wrong side, in the middle between two fractions."""
    order = np.argsort(fractions)
    ordered, wanted = fractions[order], above[order]
    # k of them below the limit: wrong are those wanted above among the k, and those not wanted above among the rest
    wrong = np.concatenate(([0], np.cumsum(wanted))) + np.concatenate((np.cumsum(~wanted[::-1])[::-1], [0]))
    edges = np.concatenate(([0.0], (ordered[1:] + ordered[:-1]) / 2, [1.0])) if len(ordered) else np.array([0.5])
    return float(edges[int(np.argmin(wrong))])


def main(argv: Sequence[str] | None = None) -> int:
    """Print both judges' scores for a preset."""
    parser = argparse.ArgumentParser(
        prog="python -m training.score.baselines",
        description="How hard a drawn set is: Otsu's threshold and an oracle on it.",
        epilog="example: python -m training.score.baselines --preset paper",
    )
    parser.add_argument("--preset", choices=("paper", "transfer"), default="paper", help="(%(default)s)")
    parser.add_argument("--images", type=int, default=120, metavar="N", help="of the transfer preset (%(default)s)")
    parser.add_argument("--seed", type=int, default=TRANSFER_SEED, metavar="S", help="of the transfer preset (%(default)s)")
    arguments = parser.parse_args(argv)
    if arguments.preset == "paper":
        scenes: Iterable[Scene] = paper_scenes()
    else:
        seeds = range(arguments.seed, arguments.seed + max(1, arguments.images))
        scenes = (render(seed, severity=SEVERITIES[index % len(SEVERITIES)]) for index, seed in enumerate(seeds))
    print(measure(scenes))
    return 0


if __name__ == "__main__":
    sys.exit(main())
