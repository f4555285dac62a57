"""On a real GPU: suppression and masks, bit for bit what the same lines make on the processor. Needs no TensorRT."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge.backends.crop import Crop
from edge.backends.tensorrt import cuda, found
from edge.backends.tensorrt.flight import Output
from edge.backends.tensorrt.passport import Gpu
from tests.backends.tensorrt.test_found import finder, scene
from tests.gpu.conftest import RUNS, answer, gpu_ms, lacking, measured

pytestmark = [pytest.mark.gpu, pytest.mark.timeout(3600), pytest.mark.filterwarnings("default")]


@pytest.fixture(scope="module")
def fatbin(gpu: Gpu, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from export import fatbin

    nvcc = fatbin.find_nvcc()
    return fatbin.build(tmp_path_factory.mktemp("kernels"), nvcc) if nvcc else lacking(fatbin.MISSING)


def test_what_is_kept_and_its_masks_are_those_of_the_same_lines_on_the_processor(fatbin: Path, tmp_path: Path) -> None:
    find, random = finder(tmp_path), np.random.default_rng(7)
    other_kept = other_words = words = full = 0
    for number in range(min(RUNS, 200)):
        count = 1024 if number % 20 == 1 else int(random.integers(1, 400 if RUNS > 10 else 40))
        scores, boxes, coefficients, prototypes, view = scene(random, count)
        wanted = find(scores, boxes, coefficients, prototypes, view, most_words=found.MOST_WORDS)
        given = {"scores": scores, "boxes": boxes, "coefficients": coefficients, "prototypes": prototypes}
        columns, rows = round(view.width * view.scale_x), round(view.height * view.scale_y)
        masks = found_there(fatbin, given, Crop(0, 0, view.width, view.height, columns, rows))
        if masks is None or wanted.full:
            full += 1
            assert wanted.full or wanted.found["cells"] > found.MOST_CELLS
            continue
        other_kept += not np.array_equal(masks.places, wanted.kept["place"])
        other_kept += not np.array_equal(masks.scores, scores[wanted.kept["candidate"]])
        words += len(wanted.bits)
        other_words += int(np.count_nonzero(masks.bits != wanted.bits)) if len(masks.bits) == len(wanted.bits) else words
    question = "scenes with other candidates, and words of masks with other bits, than the same lines on the processor"
    answer(
        question, f"{other_kept} and {other_words} of {words} ({full} scenes too full)", "none", not other_kept + other_words
    )


@pytest.mark.parametrize("count", [100, 300])
def test_how_long_suppression_and_masks_take(fatbin: Path, count: int) -> None:
    scores, boxes, coefficients, prototypes, view = scene(np.random.default_rng(1), count)
    given = {"scores": scores, "boxes": boxes, "coefficients": coefficients, "prototypes": prototypes}
    crop = Crop(0, 0, view.width, view.height, round(view.width * view.scale_x), round(view.height * view.scale_y))
    found_there(fatbin, given, crop, clocked=True)


def found_there(fatbin: Path, given: dict[str, Any], crop: Crop, *, clocked: bool = False) -> Any:
    """What the GPU's launches make of one view's outputs."""
    given = {**given, "classes": np.zeros(len(given["scores"]), np.int64)}
    with cuda.cuda_here() as here, ExitStack() as made:
        here.load_kernels(fatbin)

        def share(size: int) -> cuda.Shared:
            shared = here.share(size)
            made.callback(here.release, shared)
            return shared

        def allocate(size: int) -> int:
            memory = here.allocate(size)
            made.callback(here.free, memory)
            return int(memory)

        room = found.mask_room(share, allocate, 1)
        outputs, shapes = [], {}
        for name, array in given.items():
            there = share(array.nbytes)
            there.host[:] = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
            here.send(there)
            outputs.append(Output(name, array.dtype, there))
            shapes[name] = (1, *array.shape)
        assert found.fits(outputs, shapes)
        found.describe_views(room, [crop], 1)
        here.send(room.views_there, found.VIEW.itemsize)
        found.enqueue(here, room, outputs, shapes, 0.25, 0.7)
        here.wait()
        if clocked:
            name = f"suppress_and_mask_{len(given['scores'])}_candidates_ms"
            measured(**{name: gpu_ms(here, lambda: found.enqueue(here, room, outputs, shapes, 0.25, 0.7))})
        (masks,) = found.read(room, outputs, len(given["scores"]), 1) or (None,)
        return masks
