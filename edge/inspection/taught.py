"""An adaptation and what the network found in an image in; regions with the scores that reviewers taught out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.errors import ModelError
from edge.inspection.features import FeatureMap
from edge.inspection.linear import REACH, Linear, probability
from edge.inspection.measure import chosen
from edge.inspection.pixel_features import filter_features, network_answer, own_threshold
from edge.inspection.region_features import region_features
from edge.inspection.taught_file import Taught, TaughtPixels, TaughtRegions
from edge.records import Grey, Mask, Regions

LOW_FLOOR = 0.05
"""Least score of the network's at which a region is looked at when taught, so that a weak one can rise."""
MOSTLY = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class PixelAnswer:
    """logits: float32 [h, w] of the working copy.  doubt: why they are not used, or None."""

    logits: NDArray[np.float32]
    doubt: str | None


def require_channels(taught: Taught, channels: int) -> None:
    """Raise ModelError where the network gives other features than the adaptation looks at."""
    for part in (taught.file.regions, taught.file.pixels):
        wanted = part.channels if isinstance(part, TaughtRegions) else len(part.features) if part else 0
        if wanted not in (0, channels):
            raise ModelError(f"the adaptation looks at {wanted} features, the segmenter gives {channels}: teach again")


def taught_regions(
    taught: Taught,
    grey: Grey,
    regions: Regions,
    features: FeatureMap,
    confidence: float,
    planes: NDArray[np.float32] | None = None,
) -> tuple[Regions, tuple[str, ...]]:
    """The regions that count by their taught scores, largest first, and a warning where pixels are not to be trusted.

    regions: all from `LOW_FLOOR` on, with the network's scores.  planes: `filter_features` of the image, where they are there.
    Raises ModelError where the features are others.
    """
    require_channels(taught, features.channels)
    doubts: tuple[str, ...] = ()
    scores = np.asarray(regions.scores, np.float32)
    if taught.file.regions is not None and len(regions):
        scores = verified(taught.file.regions, grey, regions, features)
    judged = replace(regions, scores=scores, network_scores=regions.scores)
    if taught.file.pixels is not None:
        answer = pixel_answer(taught.file.pixels, grey, regions, features, planes)
        if answer.doubt:
            doubts = (answer.doubt,)
        else:
            judged = joined(judged, answer.logits, taught.file.pixels, grey.shape, sure=taught.file.regions is not None)
    return counted(judged, confidence), doubts


def verified(part: TaughtRegions, grey: Grey, regions: Regions, features: FeatureMap) -> NDArray[np.float32]:
    """float32 [N]: how probably a reviewer would call each region right."""
    rows = region_features(grey, regions, features)
    width = len(part.verifier.weights)
    if rows.shape[1] - (0 if part.channels else features.channels) != width:
        raise ModelError(f"the adaptation looks at {width} numbers of a region, there are {rows.shape[1]}: teach again")
    return np.asarray(probability(part.verifier.logits(rows[:, :width])), np.float32)


def pixel_answer(
    part: TaughtPixels, grey: Grey, regions: Regions, features: FeatureMap, planes: NDArray[np.float32] | None = None
) -> PixelAnswer:
    """How each pixel of the working copy speaks for corrosion, and whether that can be believed here.

    planes: `filter_features` of the image, where somebody has them already.
    """
    planes = filter_features(grey) if planes is None else planes
    shape = (int(planes.shape[1]), int(planes.shape[2]))
    every = (*planes, network_answer(regions, grey.shape, shape))
    logits = pixel_logits(part.filters, part.features, every, features, grey.shape)
    return PixelAnswer(logits, pixel_doubt(logits, part.most_uncertain, part.area_range))


def pixel_logits(
    filters: Linear,
    of_features: Sequence[float],
    planes: Sequence[NDArray[np.float32]],
    features: FeatureMap,
    image_shape: tuple[int, ...],
) -> NDArray[np.float32]:
    """float32 [h, w] of the filters' planes [h, w] and the feature map; 0 is where the image's two groups part."""
    weights, mean = np.asarray(filters.weights, np.float32), np.asarray(filters.mean, np.float32)
    deviation = np.asarray(filters.deviation, np.float32)
    rows, columns = planes[0].shape
    logits = np.full((rows, columns), np.float32(filters.bias), np.float32)
    for index, plane in enumerate(planes):
        logits += np.clip((plane - mean[index]) / deviation[index], -REACH, REACH) * weights[index]
    if len(of_features):
        logits += features.spread(np.asarray(of_features, np.float64), image_shape, (rows, columns))
    smooth = np.asarray(cv2.GaussianBlur(logits, (0, 0), 1.0), np.float32)
    return np.asarray(smooth - own_threshold(smooth), np.float32)


def pixel_doubt(logits: NDArray[np.float32], most_uncertain: float, area_range: tuple[float, float]) -> str | None:
    """Why these answers are not to be used, as a warning; None where they are."""
    uncertain, area = uncertainty(logits), float((logits > 0).mean())
    if uncertain > most_uncertain:
        return (
            f"taught_unsure: {uncertain:.0%} of what the taught pixels say here is doubtful (limit {most_uncertain:.0%}), "
            "so the network's outlines stand: click on this image, too"
        )
    least, most = area_range
    if not least <= area <= most:
        return (
            f"taught_unsure: the taught pixels would call {area:.1%} of this image corroded, and the reviewed ones have "
            f"{least:.1%} to {most:.1%}, so the network's outlines stand: click on this image, too"
        )
    return None


def uncertainty(logits: NDArray[np.float32]) -> float:
    """How much of the foreground is doubtful: sum of min(p, 1-p) over the sum of the larger side's smaller class."""
    share = probability(logits[::2, ::2].astype(np.float64))
    doubt = float(np.minimum(share, 1 - share).sum())
    smaller = max(min(float((share > 0.5).sum()), float((share <= 0.5).sum())), 1.0)
    return min(1.0, doubt / (smaller + doubt))


def joined(
    regions: Regions, logits: NDArray[np.float32], part: TaughtPixels, image_shape: tuple[int, ...], *, sure: bool = False
) -> Regions:
    """The network's regions with the outlines that the pixels give them, and what the pixels alone see.

    A connected piece of foreground is one region. Where the network has several in it, each takes what is nearest to it.
    A region of the network most of which is background keeps its outline, and its score falls to what the pixels say.
    sure: scores are a verifier's and stand; else what pixels say may raise them.
    """
    height, width = image_shape
    logits = np.asarray(cv2.resize(logits, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)
    foreground = logits > 0
    boxes, masks, classes, scores, heard = [], [], [], [], []
    seeds = np.zeros((height, width), np.int32)
    network = regions.scores if regions.network_scores is None else regions.network_scores
    for index, mask in reversed(list(enumerate(regions.masks))):  # the smaller ones come last, and lie on top
        x, y, w, h = regions.boxes_px[index].tolist()
        inside = foreground[y : y + h, x : x + w] & mask
        if np.count_nonzero(inside) >= MOSTLY * np.count_nonzero(mask):
            seeds[y : y + h, x : x + w][inside & (seeds[y : y + h, x : x + w] == 0)] = index + 1
        else:
            said = float(probability(logits[y : y + h, x : x + w][mask].astype(np.float64)).mean())
            boxes.append([x, y, w, h])
            masks.append(mask)
            classes.append(int(regions.class_ids[index]))
            scores.append(min(float(regions.scores[index]), said))
            heard.append(float(network[index]))
    for x, y, piece, seed in _pieces(foreground, seeds, part.least_area_px):
        h, w = piece.shape
        said = float(probability(logits[y : y + h, x : x + w][piece].astype(np.float64)).mean())
        boxes.append([x, y, w, h])
        masks.append(piece)
        classes.append(int(regions.class_ids[seed - 1]) if seed else part.class_id)
        taught = float(regions.scores[seed - 1]) if seed else said
        scores.append(taught if sure else max(taught, said))
        heard.append(float(network[seed - 1]) if seed else 0.0)
    return replace(
        regions,
        boxes_px=np.array(boxes, np.int32).reshape(-1, 4),
        scores=np.array(scores, np.float32),
        network_scores=np.array(heard, np.float32),
        class_ids=np.array(classes, np.int32),
        masks=tuple(masks),
    )


def _pieces(foreground: Mask, seeds: NDArray[np.int32], least_px: int) -> list[tuple[int, int, Mask, int]]:
    """x, y, tight mask and the seed (0: none) of each region that the foreground makes."""
    found = []
    count, labels, stats, _ = cv2.connectedComponentsWithStats(foreground.astype(np.uint8), connectivity=8)
    for label in range(1, count):
        x, y, w, h, area = (int(value) for value in stats[label])
        if area < least_px:
            continue
        own = labels[y : y + h, x : x + w] == label
        inner = np.where(own, seeds[y : y + h, x : x + w], 0)
        present = np.unique(inner[inner > 0])
        if len(present) < 2:
            found.append((x, y, own, int(present[0]) if len(present) else 0))
            continue
        _, nearest = cv2.distanceTransformWithLabels(
            (inner == 0).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
        )
        of_label = np.zeros(int(nearest.max()) + 1, np.int32)
        of_label[nearest[inner > 0]] = inner[inner > 0]
        owner = np.where(own, of_label[nearest], 0)
        for seed in present.tolist():
            part_count, parts, part_stats, _ = cv2.connectedComponentsWithStats(
                (owner == seed).astype(np.uint8), connectivity=8
            )
            for piece in range(1, part_count):
                px, py, pw, ph, part_area = (int(value) for value in part_stats[piece])
                if part_area >= least_px:
                    found.append((x + px, y + py, parts[py : py + ph, px : px + pw] == piece, int(seed)))
    return found


def counted(regions: Regions, confidence: float) -> Regions:
    """Those whose score is at least `confidence`, largest first."""
    areas = np.array([np.count_nonzero(mask) for mask in regions.masks], np.int64)
    kept = np.flatnonzero(regions.scores >= confidence)
    order = kept[np.lexsort((regions.boxes_px[kept, 0], regions.boxes_px[kept, 1], -areas[kept]))]
    return chosen(regions, order)
