"""The CUDA kernels' arithmetic, compiled for this processor, against OpenCV: the GPU sees what the CPU sees."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge.backends.crop import PADDING_GREY, Crop, canvases
from tests import ROOT
from tests.conftest import pitted

Draw = Callable[[NDArray[np.uint8], Sequence[Crop], int, int], NDArray[np.uint8]]
Grey = NDArray[np.uint8]

TOLERANCE = 1
"""Grey levels: OpenCV's vector code may add up in another order than its plain code, which the kernels follow."""


@pytest.fixture(scope="module")
def draw(tmp_path_factory: pytest.TempPathFactory) -> Draw:
    return drawn_by_host(tmp_path_factory.mktemp("kernels"))


def host_library(folder: Path) -> ctypes.CDLL:
    """The kernels' own lines as a library of the host."""
    compiler = shutil.which("g++") or shutil.which("c++") or shutil.which("clang++")
    if compiler is None:
        pytest.skip("no C++ compiler: the kernels' arithmetic cannot be built for this processor")
    library = folder / "kernels.so"
    warnings = ("-Wall", "-Wextra", "-Werror")
    source = str(Path(__file__).with_name("kernels_host.cpp"))
    include = f"-I{ROOT / 'edge' / 'backends' / 'tensorrt'}"
    command = [compiler, "-std=c++14", "-O2", *warnings, "-ffp-contract=off", "-fPIC", "-shared", include, source]
    subprocess.run([*command, "-o", str(library)], check=True, timeout=120)
    return ctypes.CDLL(str(library))


def drawn_by_host(folder: Path) -> Draw:
    """Their drawing as a function of the host."""
    function = host_library(folder).draw_crops
    function.restype = None

    def run(grey: Grey, crops: Sequence[Crop], rows: int, columns: int) -> Grey:
        grey = np.ascontiguousarray(grey)
        table = np.array(
            [(one.x_px, one.y_px, one.width_px, one.height_px, one.columns, one.rows) for one in crops], np.int32
        ).reshape(-1, 6)
        drawn = np.empty((len(crops), 1, rows, columns), np.uint8)
        height, width = grey.shape
        pointers = [ctypes.c_void_p(array.ctypes.data) for array in (grey, table, drawn)]
        function(pointers[0], width, height, pointers[1], len(crops), pointers[2], columns, rows)
        return drawn

    return run


def difference(one: Grey, other: Grey) -> int:
    return int(np.abs(one.astype(int) - other.astype(int)).max(initial=0))


def noise(height: int, width: int, seed: int) -> Grey:
    return np.random.default_rng(seed).integers(0, 256, (height, width), np.uint8)


sides = st.one_of(st.integers(1, 12), st.integers(1, 100))


@st.composite
def scenes(draw_: st.DrawFn) -> tuple[Grey, list[Crop], int, int]:
    height, width = draw_(sides), draw_(sides)
    grey = noise(height, width, draw_(st.integers(0, 2**32 - 1)))
    rows, columns = draw_(sides), draw_(sides)
    crops = []
    for _ in range(draw_(st.integers(1, 4))):
        # OpenCV's border has to start from a pixel of the image.
        x, y = draw_(st.integers(-40, width - 1)), draw_(st.integers(-40, height - 1))
        across, down = draw_(st.integers(max(1, 1 - x), 150)), draw_(st.integers(max(1, 1 - y), 150))
        crops.append(Crop(x, y, across, down, draw_(st.integers(1, columns)), draw_(st.integers(1, rows))))
    return grey, crops, rows, columns


@settings(max_examples=500, deadline=None)
@given(scenes())
def test_any_crop_is_drawn_as_opencv_draws_it(draw: Draw, scene: tuple[Grey, list[Crop], int, int]) -> None:
    assert difference(draw(*scene), canvases(*scene)) <= TOLERANCE


def test_thousands_of_random_sizes_are_drawn_as_opencv_draws_them(draw: Draw) -> None:
    random = np.random.default_rng(0)
    differing = drawn_px = 0
    for _ in range(5000):
        height, width, rows, columns = (int(side) for side in random.integers(1, random.choice([12, 120], 4)))
        if random.random() < 0.25:  # whole numbers, which are summed without weights
            height, width = rows * int(random.integers(1, 5)), columns * int(random.integers(1, 5))
        grey = random.integers(0, 256, (height, width), np.uint8)
        crop = [Crop(0, 0, width, height, columns, rows)]
        found, wanted = draw(grey, crop, rows, columns), canvases(grey, crop, rows, columns)
        assert difference(found, wanted) <= TOLERANCE
        differing, drawn_px = differing + int(np.count_nonzero(found != wanted)), drawn_px + wanted.size
    assert differing <= 1e-3 * drawn_px


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ((64, 64), (64, 64)),
        ((128, 192), (64, 64)),
        ((128, 128), (64, 64)),
        ((96, 144), (32, 16)),
        ((65, 97), (64, 96)),
        ((97, 97), (32, 32)),
        ((31, 31), (224, 224)),
        ((20, 300), (64, 64)),
        ((300, 20), (64, 64)),
        ((1, 1), (7, 5)),
        ((1, 200), (3, 64)),
        ((2048, 3), (640, 2)),
    ],
    ids=str,
)
def test_each_way_of_resizing_is_exact(draw: Draw, source: tuple[int, int], target: tuple[int, int]) -> None:
    (height, width), (rows, columns) = source, target
    grey = noise(height, width, 7)
    crops = [Crop(0, 0, width, height, columns, rows)]
    found, wanted = draw(grey, crops, rows, columns), canvases(grey, crops, rows, columns)
    assert difference(found, wanted) <= TOLERANCE
    assert np.mean(found != wanted) <= 0.01


@pytest.mark.parametrize("size", [(480, 640), (768, 1024), (777, 1000), (1886, 2048), (637, 3072)], ids=str)
def test_a_letterboxed_image_is_averaged_and_padded_right_and_below(draw: Draw, size: tuple[int, int]) -> None:
    height, width = size
    grey = pitted(width, height)
    scale = min(1.0, 640 / max(size))
    columns, rows = round(width * scale), round(height * scale)
    wanted = np.full((-(-rows // 32) * 32, -(-columns // 32) * 32), 114, np.uint8)
    wanted[:rows, :columns] = cv2.resize(grey, (columns, rows), interpolation=cv2.INTER_AREA)
    crop = [Crop(0, 0, width, height, columns, rows)]
    assert np.array_equal(canvases(grey, crop, *wanted.shape)[0, 0], wanted)
    assert difference(draw(grey, crop, *wanted.shape)[0, 0], wanted) <= TOLERANCE


def test_a_native_tile_is_the_images_own_pixels_and_padding(draw: Draw) -> None:
    grey = pitted(300, 200)
    (tile,) = draw(grey, [Crop(150, 100, 150, 100, 150, 100)], 128, 160)[:, 0]
    assert np.array_equal(tile[:100, :150], grey[100:, 150:])
    assert np.all(tile[100:] == PADDING_GREY)
    assert np.all(tile[:, 150:] == PADDING_GREY)


@pytest.mark.parametrize("size", [(480, 640), (100, 500), (1886, 2048), (90, 60)], ids=str)
def test_an_image_is_squashed_to_a_square_as_opencv_does_it(draw: Draw, size: tuple[int, int]) -> None:
    grey = pitted(size[1], size[0], pits=2)
    way = cv2.INTER_AREA if max(size) > 224 else cv2.INTER_LINEAR
    wanted = cv2.resize(grey, (224, 224), interpolation=way)
    crop = [Crop(0, 0, size[1], size[0], 224, 224)]
    assert np.array_equal(canvases(grey, crop, 224, 224)[0, 0], wanted)
    assert difference(draw(grey, crop, 224, 224)[0, 0], wanted) <= TOLERANCE


@pytest.mark.parametrize(("left", "top", "side"), [(-125, -100, 400), (-10, 20, 60), (180, 140, 100), (30, -40, 70)])
def test_a_crop_beyond_the_image_repeats_its_edge(draw: Draw, left: int, top: int, side: int) -> None:
    grey = pitted(200, 150)
    missing = max(-top, 0), max(top + side - 150, 0), max(-left, 0), max(left + side - 200, 0)
    bordered = cv2.copyMakeBorder(grey, *missing, cv2.BORDER_REPLICATE)
    part = bordered[max(top, 0) :, max(left, 0) :][:side, :side]
    wanted = cv2.resize(part, (224, 224), interpolation=cv2.INTER_AREA if side > 224 else cv2.INTER_LINEAR)
    crop = [Crop(left, top, side, side, 224, 224)]
    assert np.array_equal(canvases(grey, crop, 224, 224)[0, 0], wanted)
    assert difference(draw(grey, crop, 224, 224)[0, 0], wanted) <= TOLERANCE


def test_crops_of_one_batch_do_not_disturb_each_other(draw: Draw) -> None:
    grey = noise(90, 120, 3)
    crops = [Crop(0, 0, 120, 90, 64, 48), Crop(30, 20, 64, 64, 64, 64), Crop(-10, -10, 40, 40, 20, 60)]
    together = draw(grey, crops, 64, 64)
    for index, crop in enumerate(crops):
        assert np.array_equal(together[index], draw(grey, [crop], 64, 64)[0])


def test_opencv_itself_stays_within_the_tolerance_of_its_exact_interpolation(draw: Draw) -> None:
    grey = noise(50, 70, 5)
    exact = cv2.resize(grey, (160, 120), interpolation=cv2.INTER_LINEAR_EXACT)
    assert difference(draw(grey, [Crop(0, 0, 70, 50, 160, 120)], 120, 160)[0, 0], exact) <= TOLERANCE
