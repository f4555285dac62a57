"""Stored pixels in; out comes which rows nothing was written to: by a scan that was broken off, or by a writer not yet done.

A file that is made in its full length first holds one byte throughout, mostly 0, sometimes 255, until the pixels come, in
whatever order they do. Black or white pixels are common, whole rows of them are not: a detector has noise.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from edge.sem.pixels import Values

PARTS: Final = 4
"""A row is looked at in so many parts, so that a run is found that begins in the middle of one row and ends in the next."""
BLOCK_PX: Final = 1 << 20
"""So many pixels are looked at at once: a copy of the whole image would cost as much memory again."""


def unfilled_rows(plane: Values, tile_width: int = 0) -> tuple[int, int] | None:
    """First row and last row, both included, of the longest run of pixels that are all zero or all ones in their bits.

    plane: [H, W] as stored, without the data bar.  tile_width: of a tiled file, whose tiles are filled one by one.
    None when no such run is as long as a row (of a tile, where there are tiles).
    """
    width = plane.shape[1]
    step = tile_width if 0 < tile_width < width else width
    longest: tuple[int, int] | None = None
    for left in range(0, width, step):
        band = plane[:, left : left + step]
        if band.shape[1] < PARTS:
            continue
        for constant in _constant_parts(band):
            found = _longest_run(constant)
            if found is not None and (longest is None or found[1] - found[0] > longest[1] - longest[0]):
                longest = found
    return longest


def _constant_parts(band: Values) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """For each part of each row, in their order in the file, whether all its bits are 0, and whether all are 1."""
    height, width = band.shape
    part = width // PARTS
    zeros, ones = np.empty((height, PARTS), bool), np.empty((height, PARTS), bool)
    rows = max(1, BLOCK_PX // width)
    for top in range(0, height, rows):
        block = np.ascontiguousarray(band[top : top + rows, : part * PARTS])
        bits = block.view(f"u{block.dtype.itemsize}").reshape(len(block), PARTS, part)
        zeros[top : top + rows] = ~bits.any(axis=2)
        ones[top : top + rows] = bits.min(axis=2) == np.iinfo(bits.dtype).max
    return zeros.ravel(), ones.ravel()


def _longest_run(constant: NDArray[np.bool_]) -> tuple[int, int] | None:
    """First and last row of the longest run of at least `PARTS` parts."""
    edges = np.flatnonzero(np.diff(constant.astype(np.int8), prepend=0, append=0))
    starts, ends = edges[::2], edges[1::2]
    if not len(starts):
        return None
    longest = int((ends - starts).argmax())
    if ends[longest] - starts[longest] < PARTS:
        return None
    return int(starts[longest]) // PARTS, (int(ends[longest]) - 1) // PARTS
