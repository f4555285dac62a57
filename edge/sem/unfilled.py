"""Stored pixels in; out comes which rows nothing was written to: by a scan that was broken off, or by a writer not yet done.

A file that is made in its full length first holds one byte throughout, mostly 0, sometimes 255, until the pixels come, in
whatever order they do; a palette makes any grey of it. Equal pixels are common, whole rows of them are not: a detector has
noise.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from edge.sem.pixels import Values

PARTS: Final = 4
"""A row is looked at in so many parts, so that a run is found that begins in the middle of one row and ends in the next."""
BLOCK_PX: Final = 1 << 20
"""So many pixels are looked at at once: a copy of the whole image would cost as much memory again."""


BLOCK_BYTES: Final = 4096
"""What writers and file systems fill at once: a run of so many bytes is one also where a row is longer."""


def unfilled_rows(plane: Values, tile_width: int = 0, pixel_bytes: int = 1) -> tuple[int, int] | None:
    """First row and last row, both included, of the longest run of pixels that all have the same bits.

    plane: [H, W] as stored, without the data bar.  tile_width: of a tiled file, whose tiles are filled one by one.
    pixel_bytes: of one pixel in the file.
    None when no such run is as long as a row (of a tile, where there are tiles), or as `BLOCK_BYTES`.
    """
    width = plane.shape[1]
    step = tile_width if 0 < tile_width < width else width
    longest: tuple[int, int] | None = None
    for left in range(0, width, step):
        band = plane[:, left : left + step]
        if band.shape[1] < PARTS:
            continue
        part = min(band.shape[1], max(PARTS, BLOCK_BYTES // max(1, pixel_bytes))) // PARTS
        found = _longest_run(*_constant_parts(band, part), band.shape[1] // part)
        if found is not None and (longest is None or found[1] - found[0] > longest[1] - longest[0]):
            longest = found
    return longest


def _constant_parts(band: Values, part: int) -> tuple[NDArray[np.bool_], NDArray[Any]]:
    """For each part of each row, in their order in the file, whether all its pixels have the same bits, and its first's."""
    height, width = band.shape
    parts = width // part
    kind = np.dtype(f"u{band.dtype.itemsize}")
    constant, first = np.empty((height, parts), bool), np.empty((height, parts), kind)
    rows = max(1, BLOCK_PX // width)
    for top in range(0, height, rows):
        block = np.ascontiguousarray(band[top : top + rows, : part * parts])
        bits = block.view(kind).reshape(len(block), parts, part)
        constant[top : top + rows] = bits.min(axis=2) == bits.max(axis=2)
        first[top : top + rows] = bits[:, :, 0]
    return constant.ravel(), first.ravel()


def _longest_run(constant: NDArray[np.bool_], first: NDArray[Any], parts: int) -> tuple[int, int] | None:
    """First and last row of the longest run of at least `PARTS` parts that are constant and alike."""
    alike = constant[1:] & constant[:-1] & (first[1:] == first[:-1])
    edges = np.flatnonzero(np.diff(alike.astype(np.int8), prepend=0, append=0))
    starts, ends = edges[::2], edges[1::2]  # of joints between parts: a run of n parts has n - 1
    if not len(starts):
        return None
    longest = int((ends - starts).argmax())
    if ends[longest] - starts[longest] < PARTS - 1:
        return None
    return int(starts[longest]) // parts, int(ends[longest]) // parts
