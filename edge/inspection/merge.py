"""What single views found in, one detection a region out: of one view, of several, of the pieces that tiles cut.

A large image is seen as a whole and in overlapping tiles, so most regions are found more than once, some of them in parts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from edge.records import Mask

SAME_COARSE = 0.4
"""IoU from which a mask of the whole and one of a tile are one region; the whole draws a small one several pixels wide."""
SAME_MASK = 0.5
"""IoU from which two masks of one view are one region, however little their boxes overlap."""
MOSTLY = 0.5
"""Part of a mask inside others from which it is contained in them or explained by them; IoU, inside what two tiles both
see, from which two cut pieces belong to one region."""
JOINED = -1
"""The view of a detection that was joined from several."""

Box = tuple[int, int, int, int]
"""x0, y0, x1, y1 in pixels of the image."""


@dataclass(frozen=True, slots=True, eq=False)
class Detection:
    """One mask found in one view, in image coordinates.

    seen: the view's extent.  cut_at: which of its tile's borders (left, top, right, bottom) it meets inside the image.
    whole: False for a tile.  coarse: whether the whole was seen at half its scale.  cell_px: pixels of the image that a
    prototype's pixel covers, which is how far off the outline may be.
    """

    x_px: int
    y_px: int
    mask: Mask
    score: float
    class_id: int
    view: int
    seen: Box
    whole: bool
    cut_at: tuple[bool, bool, bool, bool]
    area_px: int
    coarse: bool = False
    cell_px: float = 4.0

    @property
    def rank(self) -> int:
        """0 for a tile, then the coarser the higher."""
        return self.whole + self.coarse

    @property
    def cut(self) -> bool:
        """Whether it may go on beyond its tile."""
        return any(self.cut_at)

    @property
    def box(self) -> Box:
        """The mask's bounds."""
        height, width = self.mask.shape
        return self.x_px, self.y_px, self.x_px + width, self.y_px + height


def suppress(ranked: Sequence[Detection]) -> list[Detection]:
    """Detections of one view, best first, without those that mask a region again."""
    gone: set[int] = set()
    for (first, second), shared in _overlaps(ranked, one_view=True).items():
        union = ranked[first].area_px + ranked[second].area_px - shared
        if not gone & {first, second} and shared > SAME_MASK * union:
            gone.add(second)
    return [detection for index, detection in enumerate(ranked) if index not in gone]


def merge(detections: Sequence[Detection], iou: float) -> list[Detection]:
    """One detection for each region that several views saw.

    Pieces that tile borders cut are joined, unless one tile has the region complete. Then, of two masks of one region
    the complete one stays, and of two complete ones the finer. A larger mask gives way when several complete finer ones
    explain it; otherwise what lies in a larger mask goes.
    """
    order = sorted(_join_cut(detections), key=lambda d: (d.cut, d.rank, -d.score))
    pairs = _overlaps(order)
    gone: set[int] = set()
    for (first, second), shared in pairs.items():
        if not gone & {first, second} and _is_same(order[first], order[second], shared, iou):
            gone.add(second)
    gone |= _explained_by_parts(order, pairs, gone)
    for (first, second), shared in pairs.items():
        one, other = order[first], order[second]
        if not gone & {first, second} and shared > MOSTLY * min(one.area_px, other.area_px):
            gone.add(first if one.area_px < other.area_px else second)
    return [detection for index, detection in enumerate(order) if index not in gone]


def _is_same(one: Detection, other: Detection, shared: int, iou: float) -> bool:
    """Whether a mask and one that ranks after it are the same region."""
    least = SAME_COARSE if other.rank and not one.cut else iou
    return shared > least * (one.area_px + other.area_px - shared)


def _explained_by_parts(order: Sequence[Detection], pairs: dict[tuple[int, int], int], gone: set[int]) -> set[int]:
    """Indices of detections that two or more complete ones of tiles, or of a finer look at the whole, cover for the most part.

    A part lies in what it explains, except that the whole is too coarse for that.
    """
    covered: dict[int, list[int]] = {}
    for (first, second), shared in pairs.items():
        small, large = sorted((first, second), key=lambda index: (order[index].rank, order[index].area_px))
        part, blob = order[small], order[large]
        if gone & {first, second} or part.cut or (part.whole and part.rank >= blob.rank):
            continue
        if blob.rank > part.rank or shared > MOSTLY * part.area_px:
            covered.setdefault(large, []).append(shared)
    return {large for large, parts in covered.items() if len(parts) > 1 and sum(parts) > MOSTLY * order[large].area_px}


def _overlaps(detections: Sequence[Detection], one_view: bool = False) -> dict[tuple[int, int], int]:
    """Shared pixels of every two detections whose masks meet, by (lower index, higher index), in order.

    Two detections of different views count, or all where there is `one_view` alone.
    """
    shared: dict[tuple[int, int], int] = {}
    for first, second in _boxes_that_meet(detections):
        apart = one_view or detections[first].view != detections[second].view
        if apart and (count := _shared_px(detections[first], detections[second])):
            shared[first, second] = count
    return shared


def _boxes_that_meet(detections: Sequence[Detection]) -> list[tuple[int, int]]:
    """Lower and higher index of every two, in order.

    From left to right: a box can only meet those that begin before it ends, which are few of the thousands in a large image.
    """
    boxes = np.array([detection.box for detection in detections]).reshape(-1, 4)
    order = np.argsort(boxes[:, 0], kind="stable")
    left, top, right, bottom = boxes[order].T
    ends = np.searchsorted(left, right)
    pairs = []
    for place, end in enumerate(ends):
        rest = slice(place + 1, end)
        meets = (top[rest] < bottom[place]) & (bottom[rest] > top[place])
        index = int(order[place])
        pairs += [(min(index, other), max(index, other)) for other in order[rest][meets].tolist()]
    return sorted(pairs)


def _shared_px(one: Detection, other: Detection) -> int:
    a, b = one.box, other.box
    common = max(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), min(a[3], b[3])
    return int(np.count_nonzero(_part(one, common) & _part(other, common)))


def _part(detection: Detection, box: Box) -> Mask:
    """The detection's mask where it lies in `box`."""
    left, top, right, bottom = box
    x, y = detection.x_px, detection.y_px
    return detection.mask[max(top - y, 0) : max(bottom - y, 0), max(left - x, 0) : max(right - x, 0)]


def _join_cut(detections: Sequence[Detection]) -> list[Detection]:
    """The detections, with the cut pieces of one region joined into one, and without pieces of what one tile has complete."""
    tiles = [detection for detection in detections if not detection.whole]
    pairs = _overlaps(tiles)
    gone = set()
    for (first, second), shared in pairs.items():
        for piece, complete in ((first, second), (second, first)):
            if tiles[piece].cut and not tiles[complete].cut and shared > MOSTLY * tiles[piece].area_px:
                gone.add(piece)
    partners: dict[int, list[int]] = {index: [] for index in range(len(tiles)) if index not in gone}
    for (first, second), shared in pairs.items():
        if not gone & {first, second} and _is_one_cut_region(tiles[first], tiles[second], shared):
            partners[first].append(second)
            partners[second].append(first)
    joined = [detection for detection in detections if detection.whole]
    while partners:
        linked: dict[int, list[int]] = {}
        reached = [next(iter(partners))]
        while reached:
            index = reached.pop()
            if index in partners:
                linked[index] = partners.pop(index)
                reached += linked[index]
        joined.append(_united([(tiles[index], [tiles[other] for other in others]) for index, others in linked.items()]))
    return joined


def _is_one_cut_region(one: Detection, other: Detection, shared: int) -> bool:
    """Whether two cut pieces agree where both tiles look."""
    if not one.cut or not other.cut:
        return False
    both = np.count_nonzero(_part(one, other.seen)) + np.count_nonzero(_part(other, one.seen))
    return shared > MOSTLY * (int(both) - shared)


def _united(pieces: Sequence[tuple[Detection, Sequence[Detection]]]) -> Detection:
    """One detection of pieces, each given with those that continue it; of the largest's class.

    It is complete when every border that cuts a piece is crossed by another one.
    """
    if len(pieces) == 1:
        return pieces[0][0]
    x0, y0 = (min(piece.box[side] for piece, _ in pieces) for side in (0, 1))
    x1, y1 = (max(piece.box[side] for piece, _ in pieces) for side in (2, 3))
    mask = np.zeros((y1 - y0, x1 - x0), np.bool_)
    open_at = [False] * 4
    for piece, others in pieces:
        left, top, right, bottom = piece.box
        mask[top - y0 : bottom - y0, left - x0 : right - x0] |= piece.mask
        for side, outwards in enumerate((-1, -1, 1, 1)):
            crossed = any(outwards * (other.seen[side] - piece.seen[side]) > 0 for other in others)
            open_at[side] |= piece.cut_at[side] and not crossed
    return replace(
        max((piece for piece, _ in pieces), key=lambda piece: piece.area_px),
        x_px=x0,
        y_px=y0,
        mask=mask,
        score=max(piece.score for piece, _ in pieces),
        view=JOINED,
        cut_at=(open_at[0], open_at[1], open_at[2], open_at[3]),
        area_px=int(np.count_nonzero(mask)),
    )
