"""kernels.cu run thread by thread on this processor, launched as the product launches it: barriers, ballots and shuffles.

What each thread computes alone is tested in test_kernels.py and test_found.py; here the threads have to share the work.
"""

from __future__ import annotations

import ctypes
import shutil
import struct
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edge.backends.crop import Crop
from edge.backends.tensorrt import cuda, found
from edge.backends.tensorrt.cuda import KERNELS, SCENE_BYTES, Shared
from edge.backends.tensorrt.flight import Output
from tests import ROOT
from tests.backends.tensorrt import found_reference as reference
from tests.backends.tensorrt.test_found import Find, finder, scene
from tests.backends.tensorrt.test_kernels import drawn_by_host
from tests.conftest import pitted

WRONG = {
    1: "threads of a warp or block wait at different places",
    2: "a warp waits for a thread that is gone",
    3: "nobody can go on",
}
FORWARDS, BACKWARDS = 0, 1


def shared(size: int, fill: int | None = None) -> Shared:
    """Memory that nobody has written to yet, so that anything may lie there, or one value."""
    host = np.random.default_rng(size).integers(0, 256, size, np.uint8) if fill is None else np.full(size, fill, np.uint8)
    return Shared(host, host.ctypes.data, None)


class Warps(cuda.Cuda):
    """`Cuda` whose launches run on the processor. schedule: in which order threads run between two barriers."""

    def __init__(self, library: ctypes.CDLL, schedule: int) -> None:
        self._library, self._schedule = library, schedule
        self._pictures: list[Any] = []

    def launch(self, kernel: str, grid: tuple[int, int, int], block: tuple[int, int, int], *values: float) -> None:
        raw = b"".join(
            struct.pack("<f4x" if kind == "f" else "<q", value) for kind, value in zip(KERNELS[kernel], values, strict=True)
        )
        sides = [(ctypes.c_uint * 3)(*three) for three in (grid, block)]
        wrong = self._library.launch(kernel.encode(), *sides, raw, self._schedule)
        assert not wrong, f"{kernel}: {WRONG.get(wrong, wrong)}"

    def fetch(self, shared: Shared, size: int | None = None) -> None:
        """It is there."""


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    return built(tmp_path_factory.mktemp("warps"), (ROOT / "edge/backends/tensorrt/kernels.cu").read_text(encoding="utf-8"))


def built(folder: Path, source: str) -> ctypes.CDLL:
    """The kernels of this source, to be run thread by thread."""
    compiler = shutil.which("g++") or shutil.which("c++")
    if compiler is None:
        pytest.skip("no C++ compiler: the kernels cannot be built for this processor")
    (folder / "kernels.cu").write_text(source, encoding="utf-8")
    include = [f"-I{folder}", f"-I{ROOT / 'edge' / 'backends' / 'tensorrt'}"]
    options = [
        "-std=c++17",
        "-O2",
        "-Wall",
        "-Wno-unknown-pragmas",
        "-ffp-contract=off",
        "-U_FORTIFY_SOURCE",
        "-fPIC",
        "-shared",
    ]
    command = [compiler, *options, *include, str(Path(__file__).with_name("warps.cpp")), "-o", str(folder / "warps.so")]
    subprocess.run(command, check=True, timeout=300)
    return ctypes.CDLL(str(folder / "warps.so"))


@pytest.fixture(scope="module")
def find(tmp_path_factory: pytest.TempPathFactory) -> Find:
    return finder(tmp_path_factory.mktemp("found"))


Given = dict[str, NDArray[Any]]


def found_by_warps(
    library: ctypes.CDLL, schedule: int, views: Sequence[tuple[Given, Crop]], iou: float = 0.7, fill: int | None = None
) -> Any:
    """What the product's launches make of several views: the room that they wrote to."""
    here, count = Warps(library, schedule), len(views)
    room = found.mask_room(lambda size: shared(size, fill), lambda size: keep(shared(size, fill)).address, count)
    outputs, shapes = [], {}
    for name, first in views[0][0].items():
        together = np.ascontiguousarray(np.stack([given[name] for given, _ in views]))
        there = shared(together.nbytes)
        there.host[:] = together.reshape(-1).view(np.uint8)
        outputs.append(Output(name, first.dtype, there))
        shapes[name] = together.shape
    found.describe_views(room, [crop for _, crop in views], count)
    found.enqueue(here, room, outputs, shapes, 0.25, iou)
    return room


_kept: list[Shared] = []


def keep(one: Shared) -> Shared:
    """Until the process ends; an address alone keeps nothing."""
    _kept.append(one)
    del _kept[:-12]
    return one


def view_of(random: np.random.Generator, count: int) -> tuple[Given, Crop, Any]:
    scores, boxes, coefficients, prototypes, view = scene(random, count)
    given = {"scores": scores, "boxes": boxes, "coefficients": coefficients, "prototypes": prototypes}
    given["classes"] = np.zeros(count, np.int64)
    crop = Crop(0, 0, view.width, view.height, round(view.width * view.scale_x), round(view.height * view.scale_y))
    return given, crop, view


def require_same(room: Any, number: int, wanted: Any) -> None:
    outcome = room.found.host.view(found.FOUND)[number]
    for name in ("candidates", "kept", "words", "cells", "broken"):
        assert outcome[name] == wanted.found[name], name
    if wanted.found["broken"]:
        return
    start = number * found.MOST_CANDIDATES
    kept = room.kept.host.view(found.KEPT)[start : start + outcome["kept"]]
    for name in ("candidate", "place", "under", "word", "cell"):
        assert np.array_equal(kept[name], wanted.kept[name]), name
    if not wanted.full:
        bits = room.bits.host.view(np.uint32)[number * found.MOST_WORDS :][: outcome["words"]]
        assert np.array_equal(bits, wanted.bits)


def looked_for(find: Find, given: Given, view: Any, iou: float = 0.7) -> Any:
    names = ("scores", "boxes", "coefficients", "prototypes")
    return find(*(given[name] for name in names), view, iou=iou, most_words=found.MOST_WORDS)


@pytest.mark.parametrize("schedule", [FORWARDS, BACKWARDS, 7])
@pytest.mark.parametrize("count", [1, 31, 32, 33, 64, 200])
def test_warps_find_what_one_thread_finds(library: ctypes.CDLL, find: Find, count: int, schedule: int) -> None:
    given, crop, view = view_of(np.random.default_rng(count), count)
    require_same(found_by_warps(library, schedule, [(given, crop)]), 0, looked_for(find, given, view))


def test_as_many_candidates_as_there_may_be(library: ctypes.CDLL, find: Find) -> None:
    given, crop, view = view_of(np.random.default_rng(5), found.MOST_CANDIDATES)
    given["scores"] = np.full(found.MOST_CANDIDATES, 0.5, np.float32)  # all tie
    for iou in (0.0, 0.7, 1.0):  # next to nothing is kept, some, all
        room = found_by_warps(library, 11, [(given, crop)], iou)
        wanted = looked_for(find, given, view, iou)
        require_same(room, 0, wanted)
        assert wanted.kept["candidate"].tolist() == reference.kept(given["scores"], given["boxes"], 0.25, iou)


def test_views_of_one_batch_do_not_meet(library: ctypes.CDLL, find: Find) -> None:
    random = np.random.default_rng(8)
    given, crop, view = view_of(random, 70)
    views = []
    for number in range(4):
        order = random.permutation(70)
        one = {name: array if name == "prototypes" else array[order] for name, array in given.items()}
        one["scores"] = one["scores"] * np.float32(0.25 * number)  # of the first nothing is found
        views.append((one, crop))
    room = found_by_warps(library, 3, views)
    for number, (one, _) in enumerate(views):
        require_same(room, number, looked_for(find, one, view))


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("where", ["scores", "boxes", "coefficients"])
def test_what_is_not_a_number_is_told_by_whichever_thread_meets_it(
    library: ctypes.CDLL, find: Find, where: str, value: float
) -> None:
    given, crop, view = view_of(np.random.default_rng(2), 100)
    given["scores"][77], given["boxes"][77] = 0.9, (5, 5, 60, 60)
    given[where][(77,) if where == "scores" else (77, 1)] = value
    require_same(found_by_warps(library, BACKWARDS, [(given, crop)]), 0, looked_for(find, given, view))


def test_boxes_without_a_pixel_take_no_room(library: ctypes.CDLL, find: Find) -> None:
    given, crop, view = view_of(np.random.default_rng(3), 96)
    given["boxes"][::2] = (50.1, 50.1, 50.2, 50.2)
    given["boxes"][1::2, 0] += 5000  # beyond the image
    given["boxes"][1::2, 2] += 5000
    given["scores"][:] = np.linspace(0.3, 0.9, 96, dtype=np.float32)
    require_same(found_by_warps(library, 4, [(given, crop)], 1.0), 0, looked_for(find, given, view, 1.0))


def test_more_than_there_is_room_for_is_told(library: ctypes.CDLL, find: Find, monkeypatch: pytest.MonkeyPatch) -> None:
    given, crop, view = view_of(np.random.default_rng(1), 64)
    monkeypatch.setattr(found, "MOST_WORDS", 16)
    room = found_by_warps(library, 4, [(given, crop)])
    outcome = room.found.host.view(found.FOUND)[0]
    assert outcome["words"] == find(*(given[n] for n in ("scores", "boxes", "coefficients", "prototypes")), view).found["words"]


def test_a_thousand_large_boxes_of_a_large_image_are_more_than_there_is_room_for(library: ctypes.CDLL) -> None:
    count, side = found.MOST_CANDIDATES, 30_000  # 28 million words each: 2^34 together
    given = {
        "scores": np.full(count, 0.5, np.float32),
        "boxes": np.tile(np.array([0, 0, 320, 320], np.float32), (count, 1)),
        "coefficients": np.zeros((count, 32), np.float32),
        "prototypes": np.zeros((32, 80, 80), np.float32),
        "classes": np.zeros(count, np.int64),
    }
    room = found_by_warps(library, 4, [(given, Crop(0, 0, side, side, 320, 320))], 1.0)
    outcome = room.found.host.view(found.FOUND)[0]
    assert outcome["kept"] == count
    assert outcome["words"] > found.MOST_WORDS
    assert outcome["cells"] == count * 80 * 80


@pytest.mark.parametrize("schedule", [FORWARDS, BACKWARDS, 5])
def test_blocks_draw_what_one_thread_draws(library: ctypes.CDLL, tmp_path: Path, schedule: int) -> None:
    drawn_here, random = drawn_by_host(tmp_path), np.random.default_rng(0)
    for _ in range(6):
        width, height, columns, rows = (int(side) for side in random.integers((20, 20, 1, 1), (300, 300, 130, 90)))
        grey = pitted(width, height, 3, 0)
        crops = [
            Crop(int(x), int(y), int(w), int(h), int(c), int(r))
            for x, y, w, h, c, r in random.integers(
                (-20, -20, 30, 30, 1, 1), (width - 5, height - 5, 300, 300, columns + 1, rows + 1), (5, 6)
            )
        ]
        here, there = Warps(library, schedule), shared(SCENE_BYTES)
        there.host[:8].view(np.uint64)[0] = grey.ctypes.data
        there.host[8:16].view(np.int32)[:] = width, height
        table = [(a.x_px, a.y_px, a.width_px, a.height_px, a.columns, a.rows) for a in crops]
        there.host[16 : 16 + 24 * len(crops)].view(np.int32).reshape(-1, 6)[:] = table
        target = shared(len(crops) * rows * columns)
        here.draw(there, len(crops), rows, columns, target.address)
        assert np.array_equal(target.host.reshape(len(crops), 1, rows, columns), drawn_here(grey, crops, rows, columns))


BREAKS = {
    "a barrier": ("    __syncthreads();\n    const int column", "    const int column"),
    "a warp's barrier": ("    __syncwarp();\n    int words = 0", "    int words = 0"),
    "a warp as one": ("if (row >= candidates) return;  // a whole warp", "if (row >= candidates || threadIdx.x == 9) return;"),
    "one place": ("    const bool set = ", "    if (threadIdx.x == 3) __syncwarp();\n        const bool set = "),
}


@pytest.mark.parametrize("lost", BREAKS)
def test_a_kernel_that_lacks_one_is_found_out(find: Find, tmp_path: Path, lost: str) -> None:
    source = (ROOT / "edge/backends/tensorrt/kernels.cu").read_text(encoding="utf-8")
    assert source.count(BREAKS[lost][0]) == 1
    broken = built(tmp_path, source.replace(*BREAKS[lost]))
    given, crop, view = view_of(np.random.default_rng(3), 30)

    def run() -> None:
        if lost == "a barrier":
            test_blocks_draw_what_one_thread_draws(broken, tmp_path, BACKWARDS)
            return
        # Nothing is suppressed, and no more is kept than a warp holds, so the last entry is read right after it was written.
        # Zeros, lest what lies there leads elsewhere.
        for schedule in (FORWARDS, BACKWARDS, 3):
            room = found_by_warps(broken, schedule, [(given, crop)], 1.0, fill=0)
            require_same(room, 0, looked_for(find, given, view, 1.0))

    with pytest.raises(AssertionError):
        run()
