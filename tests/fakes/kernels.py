"""The kernels of kernels.cu on the memory of a played GPU, with OpenCV and NumPy; each does its own part alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edge.backends.crop import Crop, canvases
from edge.backends.tensorrt.found import FOUND, KEPT, MOST_CANDIDATES, VIEW
from tests.backends.tensorrt import found_reference as reference

if TYPE_CHECKING:
    from tests.fakes.gpu import Machine

Three = tuple[int, int, int]


def floats(gpu: Machine, address: int, *shape: int) -> NDArray[np.float32]:
    return gpu.at(address)[: 4 * int(np.prod(shape))].view(np.float32).reshape(shape)


def numbers(gpu: Machine, address: int, *shape: int) -> NDArray[np.int32]:
    return gpu.at(address)[: 4 * int(np.prod(shape))].view(np.int32).reshape(shape)


def entries(gpu: Machine, address: int, type_: Any, *shape: int) -> Any:
    return gpu.at(address)[: type_.itemsize * int(np.prod(shape))].view(type_).reshape(shape)


def draw_crops(gpu: Machine, grid: Three, block: Three, scene: int, crops: int, target: int, columns: int, rows: int) -> None:
    assert grid[0] * block[0] >= columns > (grid[0] - 1) * block[0]
    assert grid[1] * block[1] >= rows > (grid[1] - 1) * block[1]
    image = int(gpu.at(scene)[:8].view(np.uint64)[0])
    width, height = (int(side) for side in gpu.at(scene)[8:16].view(np.int32))
    table = numbers(gpu, crops, grid[2], 6)
    grey = gpu.at(image)[: width * height].reshape(height, width)
    drawn = canvases(grey, [Crop(*(int(value) for value in row)) for row in table], rows, columns)
    gpu.at(target)[: drawn.size] = drawn.reshape(-1)
    gpu.drawn.append(grid[2])


def rank_candidates(
    gpu: Machine, grid: Three, block: Three, scores: int, boxes: int, count: int, confidence: float, order: int, found: int
) -> None:
    assert (grid[0], block) == (1, (MOST_CANDIDATES, 1, 1))
    assert count <= MOST_CANDIDATES
    for view, (row, sides) in enumerate(
        zip(floats(gpu, scores, grid[1], count), floats(gpu, boxes, grid[1], count, 4), strict=True)
    ):
        candidates = np.flatnonzero(row > np.float32(confidence))
        broken = not (np.isfinite(row).all() and np.isfinite(sides[candidates]).all())
        ranked = candidates[np.argsort(-row[candidates], kind="stable")]
        numbers(gpu, order, grid[1], MOST_CANDIDATES)[view, : len(ranked)] = ranked
        entries(gpu, found, FOUND, grid[1])[view] = (0 if broken else len(ranked), 0, 0, 0, broken, (0, 0, 0))


def mark_overlaps(
    gpu: Machine, grid: Three, block: Three, boxes: int, count: int, iou: float, order: int, found: int, near: int
) -> None:
    assert (grid[:2], block) == ((32, MOST_CANDIDATES // 8), (32, 8, 1))
    bits = gpu.at(near)[: grid[2] * MOST_CANDIDATES * 128].reshape(grid[2], MOST_CANDIDATES, 128)
    for view in range(grid[2]):
        candidates = int(entries(gpu, found, FOUND, grid[2])[view]["candidates"])
        ranked = numbers(gpu, order, grid[2], MOST_CANDIDATES)[view, :candidates]
        sides = floats(gpu, boxes, grid[2], count, 4)[view][ranked]
        for row in range(candidates):
            marked = np.zeros(MOST_CANDIDATES, np.bool_)
            for other in range(row + 1, candidates):
                both, scores = sides[[row, other]], np.array([0.9, 0.8], np.float32)
                marked[other] = len(reference.kept(scores, both, 0.1, iou)) == 1
            bits[view, row] = np.packbits(marked, bitorder="little")


def keep_boxes(
    gpu: Machine,
    grid: Three,
    block: Three,
    boxes: int,
    count: int,
    views: int,
    rows: int,
    columns: int,
    order: int,
    near: int,
    found: int,
    kept: int,
) -> None:
    assert (grid[0], block) == (1, (32, 1, 1))
    for view, seen in enumerate(entries(gpu, views, VIEW, grid[1])):
        outcome = entries(gpu, found, FOUND, grid[1])[view : view + 1]
        ranked = numbers(gpu, order, grid[1], MOST_CANDIDATES)[view, : int(outcome["candidates"][0])]
        marks = gpu.at(near)[: grid[1] * MOST_CANDIDATES * 128].reshape(grid[1], MOST_CANDIDATES, 128)[view]
        suppressed, number, words, cells = np.zeros(MOST_CANDIDATES, np.bool_), 0, 0, 0
        for row, candidate in enumerate(ranked):
            if suppressed[row]:
                continue
            suppressed |= np.unpackbits(marks[row], bitorder="little").astype(np.bool_)
            box = floats(gpu, boxes, grid[1], count, 4)[view][candidate]
            place, under = reference.placed(box, reference.View(*(side.item() for side in seen)), rows, columns)
            entries(gpu, kept, KEPT, grid[1], MOST_CANDIDATES)[view, number] = (candidate, place, under, words, cells, 0)
            number += 1
            wanted = -(-max(place[2] - place[0], 0) // 32) * max(place[3] - place[1], 0)
            words += wanted
            cells += max(under[2] - under[0], 0) * max(under[3] - under[1], 0) if wanted else 0
        outcome["kept"], outcome["words"], outcome["cells"] = number, words, cells


def make_logits(
    gpu: Machine,
    grid: Three,
    block: Three,
    coefficients: int,
    count: int,
    prototypes: int,
    rows: int,
    columns: int,
    kept: int,
    found: int,
    logits: int,
    most_words: int,
    most_cells: int,
) -> None:
    assert block == (256, 1, 1)
    for view, one in with_room(gpu, grid[1], kept, found, most_words, most_cells):
        factors = floats(gpu, coefficients, grid[1], count, 32)[view][one["candidate"]]
        channels = floats(gpu, prototypes, grid[1], 32, rows, columns)[view]
        values = reference.logits(factors, channels, one["under"].tolist()).reshape(-1)
        floats(gpu, logits, grid[1], most_cells)[view, one["cell"] : one["cell"] + values.size] = values
        if not np.isfinite(values).all():
            entries(gpu, found, FOUND, grid[1])["broken"][view] = 1


def make_masks(
    gpu: Machine,
    grid: Three,
    block: Three,
    views: int,
    kept: int,
    found: int,
    logits: int,
    bits: int,
    most_words: int,
    most_cells: int,
) -> None:
    assert block == (32, 8, 1)
    for view, one in with_room(gpu, grid[1], kept, found, most_words, most_cells):
        seen = reference.View(*(side.item() for side in entries(gpu, views, VIEW, grid[1])[view]))
        place, under = one["place"].tolist(), one["under"].tolist()
        shape = under[3] - under[1], under[2] - under[0]
        cells = floats(gpu, logits, grid[1], most_cells)[view, one["cell"] :][: shape[0] * shape[1]].reshape(shape)
        mask = reference.enlarged(cells, place, under, seen) > 0
        words = np.zeros((len(mask), -(-mask.shape[1] // 32) * 32), np.bool_)
        words[:, : mask.shape[1]] = mask
        packed = np.packbits(words, axis=1, bitorder="little").view(np.int32).reshape(-1)
        numbers(gpu, bits, grid[1], most_words)[view, one["word"] : one["word"] + packed.size] = packed


def with_room(gpu: Machine, views: int, kept: int, found: int, most_words: int, most_cells: int) -> list[tuple[int, Any]]:
    """The kept entries that have pixels, of the views whose masks fit."""
    chosen = []
    for view in range(views):
        outcome = entries(gpu, found, FOUND, views)[view]
        if outcome["words"] <= most_words and outcome["cells"] <= most_cells:
            rows = entries(gpu, kept, KEPT, views, MOST_CANDIDATES)[view, : outcome["kept"]]
            chosen += [(view, one) for one in rows if np.all(one["place"][2:] > one["place"][:2])]
    return chosen


PLAYED: dict[str, tuple[str, Any]] = {
    "draw_crops": ("PPPii", draw_crops),
    "rank_candidates": ("PPifPP", rank_candidates),
    "mark_overlaps": ("PifPPP", mark_overlaps),
    "keep_boxes": ("PiPiiPPPP", keep_boxes),
    "make_logits": ("PiPiiPPPii", make_logits),
    "make_masks": ("PPPPPii", make_masks),
}
"""By name: the types of what a kernel is given, read from its declaration by a second pair of eyes, and who plays it."""
