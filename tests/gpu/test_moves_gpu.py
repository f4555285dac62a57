"""On a real GPU: what copies and kernels take, that a graph of them does what they do, and that host and GPU work at once."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge.backends.crop import Crop, canvases
from edge.backends.tensorrt.cuda import SCENE_BYTES, cuda_here
from edge.backends.tensorrt.engine import TensorRtEngine
from edge.backends.tensorrt.graph import CudaGraph, load_driver
from tests.conftest import pitted
from tests.gpu.conftest import RUNS, answer, gpu_ms, measured

pytestmark = [pytest.mark.gpu, pytest.mark.timeout(3600), pytest.mark.filterwarnings("default")]

WHOLE = [Crop(0, 0, 1024, 768, 640, 480)]
LEAST_OVERLAP = 0.8


def wall_ms(work: Any, repeats: int = min(RUNS, 200)) -> float:
    """Median of the time until `work` returns."""
    took = []
    for _ in range(repeats + 3):
        started = time.perf_counter()
        work()
        took.append((time.perf_counter() - started) * 1e3)
    return float(np.median(took[3:]))


def test_what_copies_take(kernels: Path) -> None:
    import pycuda.driver

    with cuda_here() as cuda:
        image, prototypes = cuda.share(1024 * 768), cuda.share(4 * 32 * 120 * 160)
        try:
            measured(
                image_to_gpu_ms=gpu_ms(cuda, lambda: cuda.send(image)),
                prototypes_to_host_ms=gpu_ms(cuda, lambda: cuda.fetch(prototypes)),
                nothing_on_the_stream_ms=wall_ms(cuda.wait),
            )
            if image.memory is not None:
                pageable = np.zeros(1024 * 768, np.uint8)
                measured(
                    pageable_image_to_gpu_wall_ms=wall_ms(lambda: pycuda.driver.memcpy_htod(image.address, pageable)),
                    pinned_image_to_gpu_wall_ms=wall_ms(lambda: (cuda.send(image), cuda.wait())),
                )
        finally:
            cuda.release(image)
            cuda.release(prototypes)


def test_a_graph_of_copies_and_kernels_does_what_they_do(kernels: Path) -> None:
    greys = [pitted(1024, 768, seed) for seed in range(3)]
    crops = [Crop(20 * index, 5, 300, 300, 224, 224) for index in range(33)]
    with cuda_here() as cuda:
        cuda.load_kernels(kernels)
        scene, target = cuda.share(SCENE_BYTES), cuda.share(33 * 224 * 224)

        def enqueue() -> bool:
            cuda.send(scene)
            cuda.draw(scene, 33, 224, 224, target.address)
            cuda.fetch(target)
            return True

        graph = None
        try:
            cuda.describe(scene, cuda.show(greys[0]), crops, 33)
            enqueue()
            cuda.wait()
            graph = CudaGraph.record(load_driver(), cuda.stream, enqueue)
            for grey in greys:
                cuda.describe(scene, cuda.show(grey), crops, 33)
                enqueue()
                cuda.wait()
                plain = target.host.copy()
                target.host[:] = 0
                graph.launch()
                cuda.wait()
                assert np.array_equal(target.host, plain)
                wanted = canvases(grey, crops, 224, 224)
                assert np.abs(plain.reshape(wanted.shape).astype(int) - wanted).max() <= 1
            measured(
                draw_33_crops_ms=gpu_ms(cuda, lambda: cuda.draw(scene, 33, 224, 224, target.address)),
                plain_launch_wall_ms=wall_ms(lambda: (enqueue(), cuda.wait())),
                graph_launch_wall_ms=wall_ms(lambda: (graph.launch(), cuda.wait())),
            )
        finally:
            cuda.wait()
            if graph is not None:
                graph.destroy()
            cuda.release(scene)
            cuda.release(target)


def test_the_host_works_while_the_gpu_does(segmenter: TensorRtEngine) -> None:
    grey = pitted(1024, 768)
    grey.setflags(write=False)

    def launched() -> Any:
        return segmenter.submit_on_crops(grey, WHOLE, 480, 640)

    for _ in range(4):  # each slot, plainly and as a graph
        for run in [launched(), launched()]:
            run.collect()
    apart = wall_ms(lambda: launched().collect())
    submitting = []
    for _ in range(min(RUNS, 200)):
        started = time.perf_counter()
        run = launched()
        submitting.append((time.perf_counter() - started) * 1e3)
        run.collect()

    def both() -> None:
        run = launched()
        until = time.perf_counter() + apart / 1e3
        while time.perf_counter() < until:
            pass
        run.collect()

    together = wall_ms(both)
    measured(run_alone_ms=apart, launch_ms=float(np.median(submitting)), run_beside_host_work_of_that_length_ms=together)
    overlap = (2 * apart - together) / apart
    answer(
        "part of a run that host work of its length hides",
        f"{overlap:.2f}",
        f"at least {LEAST_OVERLAP}",
        overlap >= LEAST_OVERLAP,
    )


def test_two_runs_under_way_give_what_each_gives_alone(segmenter: TensorRtEngine) -> None:
    greys = [pitted(1024, 768, seed) for seed in range(8)]
    for grey in greys:
        grey.setflags(write=False)
    alone = [segmenter.run_on_crops(grey, WHOLE, 480, 640) for grey in greys]
    for _ in range(3):
        runs: list[Any] = []
        found = []
        for grey in greys:
            runs.append(segmenter.submit_on_crops(grey, WHOLE, 480, 640))
            if len(runs) > 1:
                found.append(runs.pop(0).collect())
        found += [run.collect() for run in runs]
        for one, wanted in zip(found, alone, strict=True):
            assert all(np.array_equal(one[name], wanted[name]) for name in wanted)
