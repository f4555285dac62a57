"""Detections with outlines as coarse as the network's prototypes in, outlines that follow the image's own edges out.

A guided filter (He, Sun and Tang 2013, doi:10.1109/TPAMI.2012.213) explains the masks by the grey values around each pixel.
Where it does, the outline moves to the edge that the image shows, by one prototype cell at most; elsewhere the mask stays.
Only strips of the image that an outline crosses are looked at, each small enough to stay in the processor's cache.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.inspection.merge import Detection
from edge.records import Grey, Mask

LEAST_CORRELATION: Final = 0.5
"""Between grey values and masks around a pixel, from which the image is believed there."""
CORE: Final = 0.6
"""Part of a region's depth from which inwards nothing changes, so that no small region disappears."""
MOST_CELL_PX: Final = 12
"""No outline moves further; a cell is larger only where a huge image is seen as a whole alone."""
STRIP_ROWS: Final = 64
_STEPS: Final = tuple(cv2.getStructuringElement(shape, (3, 3)) for shape in (cv2.MORPH_RECT, cv2.MORPH_CROSS))
"""In turns they grow a region to an octagon, which is nearly round."""

_Floats = NDArray[np.float32]
_Owners = NDArray[np.uint16]


def follow_edges(grey: Grey, detections: Sequence[Detection]) -> list[Detection]:
    """The detections with outlines at the edges of a uint8 [H, W] image; each keeps at least its core, none takes another's."""
    if not 0 < len(detections) <= np.iinfo(np.uint16).max:
        return list(detections)
    owner = np.zeros(grey.shape, np.uint16)
    for number, detection in enumerate(detections, 1):
        rows, columns = _window(detection, 0, grey.shape)
        owner[rows, columns][detection.mask] = number
    union: Mask = owner > 0
    if union.all():
        return list(detections)
    depth = np.asarray(cv2.distanceTransform(union.view(np.uint8), cv2.DIST_L2, 3), np.float32)
    smooth = np.asarray(cv2.GaussianBlur(grey, (0, 0), 0.7), np.uint8)
    maps: dict[int, _Moves] = {}
    followed = []
    for number, detection in enumerate(detections, 1):
        reach = max(1, round(min(detection.cell_px, MOST_CELL_PX)))
        if reach not in maps:
            maps[reach] = _moves(smooth, union.view(np.uint8), owner, depth, reach)
        followed.append(_moved(detection, number, maps[reach], depth))
    return followed


def largest_piece(mask: NDArray[np.uint8]) -> tuple[int, int, Mask] | None:
    """x, y and the tight mask of the largest 8-connected piece of a 0/1 mask; None when there is none.

    Most masks are one piece. Counting pieces is cheap, their statistics cost six times as much.
    """
    rows, columns = mask.shape
    # Labels of 16 bits are made faster; no more pieces than this fit into a mask.
    kind = cv2.CV_16U if (rows + 1) // 2 * ((columns + 1) // 2) < np.iinfo(np.uint16).max else cv2.CV_32S
    count, labels = cv2.connectedComponentsWithAlgorithm(mask, 8, kind, cv2.CCL_BBDT)
    if count < 2:
        return None
    if count > 2:
        label = 1 + int(np.bincount(labels.ravel())[1:].argmax())
        mask = np.asarray(labels == label).view(np.uint8)
    x, y, width, height = cv2.boundingRect(mask)
    return x, y, mask[y : y + height, x : x + width].astype(np.bool_)


@dataclass(frozen=True, slots=True, eq=False)
class _Moves:
    """What the image says of detections of one cell. lost: bool [H, W], where an outline moves inwards.

    gained: uint16 [H, W], the number of the detection that grows there, 0 where none does.  reach: pixels.
    """

    reach: int
    lost: Mask
    gained: _Owners


def _moves(smooth: Grey, union: Grey, owner: _Owners, depth: _Floats, reach: int) -> _Moves:
    """union: 0/1 [H, W].  owner: number of the detection.  depth: distance to the outside, in pixels."""
    moves = _Moves(reach, np.zeros(union.shape, np.bool_), np.zeros(union.shape, np.uint16))
    margin = 2 * reach
    for top in range(0, len(union), STRIP_ROWS):
        rows = slice(top, min(top + STRIP_ROWS, len(union)))
        around = slice(max(top - margin, 0), min(rows.stop + margin, len(union)))
        crossed = np.flatnonzero(union[around].any(axis=0))
        if not len(crossed):
            continue
        columns = slice(max(int(crossed[0]) - margin, 0), int(crossed[-1]) + 1 + margin)
        own, here = slice(top - around.start, rows.stop - around.start), (rows, columns)
        wrong = _wrong(smooth[around, columns], union[around, columns], reach, own)
        inside = union[here].view(np.bool_)
        moves.lost[here] = wrong & inside & (depth[here] <= reach)
        wrong &= ~inside
        if wrong.any():
            np.multiply(_grown(owner[around, columns], reach)[own], wrong, out=moves.gained[here])
    return moves


def _wrong(grey: Grey, masks: Grey, radius: int, rows: slice) -> Mask:
    """Where the grey values around a pixel say the contrary of the masks: bool, of these rows of uint8 grey and 0/1 masks.

    Each array is made once and worked on in place.
    """
    side = (2 * radius + 1, 2 * radius + 1)

    def mean(values: Grey, of: Any = cv2.boxFilter) -> _Floats:
        return np.asarray(of(values, cv2.CV_32F, side, borderType=cv2.BORDER_REFLECT)[rows], np.float32)

    grey_mean, mask_mean = mean(grey), mean(masks)
    spare = grey_mean * mask_mean
    together = mean(np.asarray(cv2.multiply(grey, masks), np.uint8))
    together -= spare
    spread = mean(grey, cv2.sqrBoxFilter)
    spread -= np.multiply(grey_mean, grey_mean, out=spare)
    spread += 1
    np.multiply(mask_mean, mask_mean, out=spare)
    np.subtract(mask_mean, spare, out=spare)
    spare *= spread
    spare *= np.float32(LEAST_CORRELATION**2)
    told: Mask = together * together >= spare
    # The filter's answer, together / spread * (grey - grey_mean) + mask_mean > 0.5, without the division.
    np.subtract(grey[rows], grey_mean, out=spare)
    spare *= together
    np.subtract(np.float32(0.5), mask_mean, out=mask_mean)
    mask_mean *= spread
    wrong: Mask = spare > mask_mean
    wrong ^= masks[rows].view(np.bool_)
    wrong &= told
    return wrong


def _grown(owner: _Owners, reach: int) -> _Owners:
    """The owners with `reach` pixels more around each; where two meet, each keeps what it reaches first."""
    grown: _Owners = owner.copy()
    for step in range(reach):
        wider = np.asarray(cv2.dilate(grown, _STEPS[step % 2]), np.uint16)
        grown += np.multiply(wider, grown == 0, out=wider)
    return grown


def _moved(detection: Detection, number: int, moves: _Moves, depth: _Floats) -> Detection:
    """The detection as the image has it, in one piece."""
    shape = depth.shape
    around, own = _window(detection, moves.reach + 1, shape), _window(detection, 0, shape)
    mask = moves.gained[around] == number
    goes = moves.lost[own] & detection.mask
    if goes.any():
        deep = depth[own]
        goes &= deep <= CORE * cv2.minMaxLoc(deep, detection.mask.view(np.uint8))[1]
    top, left = own[0].start - around[0].start, own[1].start - around[1].start
    mask[top : top + detection.mask.shape[0], left : left + detection.mask.shape[1]] |= detection.mask & ~goes
    piece = largest_piece(mask.view(np.uint8))
    if piece is None:
        return detection
    x, y, tight = piece
    area_px = int(np.count_nonzero(tight))
    return replace(detection, x_px=around[1].start + x, y_px=around[0].start + y, mask=tight, area_px=area_px)


def _window(detection: Detection, margin_px: int, shape: tuple[int, ...]) -> tuple[slice, slice]:
    """Rows and columns of the image around a detection."""
    left, top, right, bottom = detection.box
    return (
        slice(max(top - margin_px, 0), min(bottom + margin_px, shape[0])),
        slice(max(left - margin_px, 0), min(right + margin_px, shape[1])),
    )
