"""A reviewed image and what stage 1 finds in it in; the regions and pixels with known answers out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.errors import ReviewError
from edge.inspection.features import FeatureMap
from edge.inspection.measure import chosen
from edge.inspection.pixel_features import filter_features, network_answer
from edge.inspection.region_features import region_features
from edge.records import Grey, Regions
from edge.teach.reviews import BACKGROUND, Box, CompleteBox, Missed, RegionVerdict, Review

SAME_BOX: Final = 0.6
"""IoU of boxes from which a region found now is the one that was reviewed."""
POINT_RADIUS_PX: Final = 3.0
UNKNOWN, GROUND, CORRODED = -1, 0, 1
MOST_PIXELS: Final = 500
"""Of each kind and image; more say little more and cost time."""


@dataclass(frozen=True, slots=True, eq=False)
class Examples:
    """What one image teaches.

    regions: float32 [N, F] features of the reviewed regions.  right: bool [N].  places: float64 [N, 2], their middles as
    parts of the image.  scores: float32 [N], the network's.
    pixels: float32 [P, F], filters, network's answer, feature map.  corroded: bool [P].  pixel_places: [P, 2].
    found: bool [P], whether the network's regions that count cover the pixel.  planes: what stands in `pixels` but for the
    feature map, for every second pixel of the whole image.
    """

    sha256: str
    regions: NDArray[np.float32]
    right: NDArray[np.bool_]
    places: NDArray[np.float64]
    scores: NDArray[np.float32]
    pixels: NDArray[np.float32]
    corroded: NDArray[np.bool_]
    pixel_places: NDArray[np.float64]
    found: NDArray[np.bool_]
    classes: tuple[str, ...]
    smallest_px: int
    planes: tuple[NDArray[np.float32], ...]
    features: FeatureMap
    image_shape: tuple[int, int]


def examples_of(
    reviews: Sequence[Review], grey: Grey, regions: Regions, features: FeatureMap, *, confidence: float
) -> Examples:
    """What reviews of one image teach. regions: all of the network's from the low floor on.

    confidence: from which on a region counts. Raises ReviewError for reviews that contradict each other or fit no region.
    """
    verdicts = _verdicts(reviews, regions)
    for one in reviews:
        require_inside(one, grey.shape)
    if any(one.complete for one in reviews):
        verdicts = {**_unmarked(reviews, regions, confidence), **verdicts}
    marked = np.array(sorted(verdicts), np.intp)
    rows = region_features(grey, chosen(regions, marked), features)
    truth, smallest = _label_map(reviews, regions, verdicts, grey.shape)
    used = any(one.brushed or one.missed for one in reviews)
    places_px, corroded = _sampled(truth if used else np.full(grey.shape, UNKNOWN, np.int8))
    planes: tuple[NDArray[np.float32], ...] = ()
    if len(places_px):
        filters = filter_features(grey)
        planes = (*filters, network_answer(regions, grey.shape, (int(filters.shape[1]), int(filters.shape[2]))))
    counts = network_answer(regions, grey.shape, (grey.shape[0], grey.shape[1])) >= confidence
    middles = regions.boxes_px[marked].astype(np.float64)
    size = np.array(grey.shape[::-1], np.float64)
    return Examples(
        sha256=reviews[0].image.sha256,
        regions=rows,
        right=np.array([verdicts[int(index)] for index in marked], np.bool_),
        places=(middles[:, :2] + middles[:, 2:] / 2) / size if len(marked) else np.zeros((0, 2)),
        scores=regions.scores[marked],
        pixels=_pixel_rows(planes, features, places_px, grey.shape),
        corroded=corroded,
        pixel_places=places_px[:, ::-1] / size if len(places_px) else np.zeros((0, 2)),
        found=counts[places_px[:, 0], places_px[:, 1]] if len(places_px) else np.zeros(0, np.bool_),
        classes=_classes(reviews),
        smallest_px=smallest,
        planes=tuple(np.ascontiguousarray(plane[::2, ::2]) for plane in planes),  # to be judged as a whole, not to learn from
        features=features,
        image_shape=(grey.shape[0], grey.shape[1]),
    )


def _classes(reviews: Sequence[Review]) -> tuple[str, ...]:
    """Names that missed regions and brushed pixels were given, sorted."""
    named = [one.class_name for review in reviews for one in review.missed]
    named += [one.class_name for review in reviews for one in review.brushed]
    return tuple(sorted({name for name in named if name and name != BACKGROUND}))


def _verdicts(reviews: Sequence[Review], regions: Regions) -> dict[int, bool]:
    """Whether each reviewed region is right, by its index among those found now."""
    said: dict[int, bool] = {}
    missing = total = 0
    for review in reviews:
        for one in review.regions:
            total += 1
            index = _same(one, regions)
            if index is None:
                missing += review.model is None or review.model.taught is None  # a taught outline may be none of ours
                continue
            right = one.verdict != "not_corrosion"
            if said.setdefault(index, right) != right:
                raise ReviewError(
                    f"{review.image.name}: the region at {list(one.box_px)} is marked right and not corrosion: say one of both"
                )
    if missing and missing > total / 2:
        raise ReviewError(
            f"{reviews[0].image.name}: {missing} of {total} reviewed regions are not found by this model and these settings: "
            "they were reviewed with another model, so name that one or review again"
        )
    return said


def _same(one: RegionVerdict, regions: Regions) -> int | None:
    if not len(regions):
        return None
    x, y, w, h = one.box_px
    boxes = regions.boxes_px.astype(np.float64)
    across = np.minimum(boxes[:, 0] + boxes[:, 2], x + w) - np.maximum(boxes[:, 0], x)
    down = np.minimum(boxes[:, 1] + boxes[:, 3], y + h) - np.maximum(boxes[:, 1], y)
    shared = np.maximum(across, 0) * np.maximum(down, 0)
    overlap = shared / np.maximum(boxes[:, 2] * boxes[:, 3] + w * h - shared, 1e-9)
    best = int(overlap.argmax())
    return best if overlap[best] >= SAME_BOX else None


def require_inside(review: Review, shape: tuple[int, ...]) -> None:
    """Raises ReviewError where a mark lies outside an image of `shape` (rows, columns, data bar included or not)."""
    height, width = shape
    points = [one.point_px for one in review.missed if one.point_px]
    points += [point for one in review.missed for point in one.outline_px or ()]
    points += [point for one in review.brushed for point in one.points_px]
    outside = [point for point in points if not (-1 <= point[0] <= width and -1 <= point[1] <= height)]
    if outside:
        raise ReviewError(
            f"{review.image.name}: the mark at {list(outside[0])} lies outside the {width}x{height} image: it is of another one"
        )


def _unmarked(reviews: Sequence[Review], regions: Regions, confidence: float) -> dict[int, bool]:
    """What was found and not marked in a part that was looked at as a whole: it is right."""
    found = {}
    for index, (x, y, w, h) in enumerate(regions.boxes_px.tolist()):
        inside = any(_complete_at(one, x + w / 2, y + h / 2) for one in reviews)
        if inside and regions.scores[index] >= confidence:
            found[index] = True
    return found


def _complete_at(review: Review, x: float, y: float) -> bool:
    if isinstance(review.complete, CompleteBox):
        left, top, width, height = review.complete.box_px
        return left <= x < left + width and top <= y < top + height
    return bool(review.complete)


def _label_map(
    reviews: Sequence[Review], regions: Regions, verdicts: dict[int, bool], shape: tuple[int, ...]
) -> tuple[NDArray[np.int8], int]:
    """int8 [H, W], what each pixel is, and the area in pixels of the smallest region that was marked right or drawn."""
    truth = np.full(shape, UNKNOWN, np.int8)
    for review in reviews:
        if isinstance(review.complete, CompleteBox):
            _fill_box(truth, review.complete.box_px, GROUND)
        elif review.complete:
            truth[:] = GROUND
    areas = []
    for index, right in verdicts.items():
        x, y, w, h = regions.boxes_px[index].tolist()
        truth[y : y + h, x : x + w][regions.masks[index]] = CORRODED if right else GROUND
        if right:
            areas.append(int(np.count_nonzero(regions.masks[index])))
    for review in reviews:
        for one in review.missed:
            _draw_missed(truth, one)
    ground, corroded = brushed_pixels(reviews, shape)
    truth[ground > corroded] = GROUND
    truth[corroded > ground] = CORRODED
    truth[(ground & corroded) > 0] = UNKNOWN
    return truth, min(areas, default=12)


def brushed_pixels(reviews: Sequence[Review], shape: tuple[int, ...]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """uint8 [H, W] twice, 1 where the reviews of one image brushed background, and where they brushed corrosion.

    Raises ReviewError where much is brushed as both.
    """
    ground, corroded = np.zeros(shape, np.uint8), np.zeros(shape, np.uint8)
    for review in reviews:
        for stroke in review.brushed:
            line = np.rint(np.asarray(stroke.points_px)).astype(np.int32).reshape(-1, 1, 2)
            canvas = ground if stroke.class_name == BACKGROUND else corroded
            cv2.polylines(canvas, [line], False, 1, max(1, round(2 * stroke.radius_px)))
            cv2.circle(canvas, (int(line[0, 0, 0]), int(line[0, 0, 1])), round(stroke.radius_px), 1, cv2.FILLED)
    if np.count_nonzero(ground & corroded) > 0.2 * min(np.count_nonzero(ground), np.count_nonzero(corroded)) > 0:
        raise ReviewError(
            f"{reviews[0].image.name}: the same pixels are brushed as background and as corroded: brush them once"
        )
    return ground, corroded


def _draw_missed(truth: NDArray[np.int8], one: Missed) -> None:
    if one.outline_px:
        outline = np.rint(np.asarray(one.outline_px)).astype(np.int32).reshape(-1, 1, 2)
        cv2.fillPoly(truth.view(np.uint8), [outline], CORRODED)
    elif one.box_px:
        x, y, w, h = one.box_px
        middle, half = (round(x + w / 2), round(y + h / 2)), (max(1, round(0.35 * w)), max(1, round(0.35 * h)))
        cv2.ellipse(truth.view(np.uint8), middle, half, 0, 0, 360, CORRODED, cv2.FILLED)
    elif one.point_px:
        cv2.circle(truth.view(np.uint8), (round(one.point_px[0]), round(one.point_px[1])), round(POINT_RADIUS_PX), CORRODED, -1)


def _fill_box(truth: NDArray[np.int8], box: Box, value: int) -> None:
    x, y, w, h = (round(side) for side in box)
    truth[max(y, 0) : max(y + h, 0), max(x, 0) : max(x + w, 0)] = value


def _sampled(truth: NDArray[np.int8]) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """Rows and columns [P, 2] of known pixels, evenly chosen, and which are corroded."""
    taken = []
    for kind in (GROUND, CORRODED):
        places = np.argwhere(truth == kind)
        take = np.linspace(0, len(places) - 1, min(len(places), MOST_PIXELS)).astype(np.intp)
        taken.append(places[take] if len(places) else places)
    every = np.concatenate(taken).astype(np.intp).reshape(-1, 2)
    return every, np.arange(len(every)) >= len(taken[0])


def _pixel_rows(
    planes: Sequence[NDArray[np.float32]], features: FeatureMap, places: NDArray[np.intp], shape: tuple[int, ...]
) -> NDArray[np.float32]:
    """float32 [P, F] of what `planes` [h, w] and the feature map say at rows and columns of the image."""
    if not len(places):
        return np.zeros((0, 0), np.float32)
    rows, columns = planes[0].shape
    v = np.minimum((places[:, 0] * rows) // shape[0], rows - 1)
    u = np.minimum((places[:, 1] * columns) // shape[1], columns - 1)
    seen = np.stack([plane[v, u] for plane in planes], axis=1)
    of_network = features.at(places[:, 1].astype(np.float64), places[:, 0].astype(np.float64))
    return np.hstack([seen, of_network]).astype(np.float32)
