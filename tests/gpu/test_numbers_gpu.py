"""On a real GPU, the numbers that the product promises there: how fast beside its engines and its rival, how alike to
float32 on many images, and that ten thousand images leave nothing behind."""

from __future__ import annotations

import importlib.util
import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import psutil
import pytest

from edge.backends.tensorrt.engine import TensorRtEngine
from edge.backends.tensorrt.graph import CudaGraph
from edge.commands.bench import command
from edge.config import Settings
from edge.inspection.parity import LEAST_MASK_IOU, compare
from edge.inspection.pipeline import Pipeline
from edge.records import Micrograph
from edge.samples import sample_micrographs
from tests.conftest import SOURCE, micrograph, pitted
from tests.gpu.checkpoints import write_checkpoints
from tests.gpu.conftest import IMAGES, REHEARSAL, RUNS, answer, measured, opened
from tests.gpu.test_engine_gpu import device_slack, free_bytes

pytestmark = [pytest.mark.gpu, pytest.mark.timeout(7200), pytest.mark.filterwarnings("default")]

MOST_OVER_ENGINES = 1.3
LEAST_OVER_RIVAL = 4.0
LEAST_REGIONS, MOST_REGIONS = 20, 60


class Clocked(TensorRtEngine):
    """An engine that knows how long the GPU worked on its network alone: each shape is run once more, between CUDA's events.

    As a graph of its own, where it can be recorded: the GPU must not wait for the host that launches layer after layer.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._launched: list[Any] = []
        self._alone: dict[int, CudaGraph] = {}

    def _launch(self, slot: Any, ready: Any) -> None:
        super()._launch(slot, ready)
        self._launched.append(ready)

    def take_ms(self) -> float:
        """Of all launches since the last call; everything has been waited for."""
        import pycuda.driver

        launched, self._launched = self._launched, []
        begun, done = pycuda.driver.Event(), pycuda.driver.Event()
        took = 0.0
        for ready in launched:
            run = self._alone_on_the_gpu(ready)
            begun.record(self._cuda._queue)
            run()
            done.record(self._cuda._queue)
            done.synchronize()
            took += done.time_since(begun)
        return took

    def _alone_on_the_gpu(self, ready: Any) -> Callable[[], object]:
        def enqueue() -> bool:
            return bool(ready.context.execute_async_v3(self._cuda.stream))

        if ready.graph is None:
            return enqueue
        if id(ready) not in self._alone:
            self._alone[id(ready)] = CudaGraph.record(self._graphs, self._cuda.stream, enqueue)
        return self._alone[id(ready)].launch

    def close(self) -> None:
        self._launched = []
        while self._alone:
            self._alone.popitem()[1].destroy()
        super().close()


def on_the_gpu(kernels: Path, kind: type[TensorRtEngine] = TensorRtEngine, into: list[Any] | None = None) -> Any:
    """How a pipeline opens its networks."""

    def open_network(_backend: str, model: Path, _precision: str) -> TensorRtEngine:
        engine: TensorRtEngine = opened(model, kernels, kind=kind)
        if into is not None:
            into.append(engine)
        return engine

    return open_network


def crowded(pipeline: Pipeline) -> list[Micrograph]:
    """The shipped micrographs of 1024×768 with 20 to 60 regions; a drawn one where a model finds none such."""
    large = [one for one in sample_micrographs() if one.grey.shape == (768, 1024)]
    chosen = [one for one in large if LEAST_REGIONS <= len(pipeline.inspect(one, SOURCE).regions) <= MOST_REGIONS]
    return chosen or [micrograph(pitted(1024, 768, pits=40))]


def varied(count: int) -> Iterator[Micrograph]:
    """Parts of the shipped micrographs, turned, mirrored, brighter and darker: no two alike."""
    random = np.random.default_rng(0)
    samples = sample_micrographs()
    for index in range(count):
        grey = samples[index % len(samples)].grey
        height, width = (int(side * random.uniform(0.6, 1.0)) for side in grey.shape)
        top, left = (int(random.integers(0, side - part + 1)) for side, part in zip(grey.shape, (height, width), strict=True))
        part = np.rot90(grey[top : top + height, left : left + width], int(random.integers(4)))
        part = part[:, ::-1] if random.random() < 0.5 else part
        brighter = cv2.convertScaleAbs(
            np.ascontiguousarray(part), alpha=random.uniform(0.85, 1.15), beta=random.uniform(-12, 12)
        )
        yield micrograph(np.asarray(brighter, np.uint8))


def test_the_pipeline_takes_little_more_than_its_engines_work(settings: Settings, kernels: Path) -> None:
    engines: list[Any] = []
    took, worked = [], []
    with Pipeline(settings, precision="float16", open_network=on_the_gpu(kernels, Clocked, engines)) as pipeline:
        images = crowded(pipeline)
        warm, rounds = min(5, RUNS), max(2, min(RUNS, 300) // len(images))
        for index in range(warm + rounds):
            for image in images:
                for engine in engines:
                    engine.take_ms()
                started = time.perf_counter()
                pipeline.inspect(image, SOURCE)
                if index >= warm:  # by then every shape runs as a graph
                    took.append((time.perf_counter() - started) * 1e3)
                    worked.append(sum(engine.take_ms() for engine in engines))
    ratio = float(np.median(took) / np.median(worked))
    measured(chain_ms=float(np.median(took)), networks_ms=float(np.median(worked)), chain_over_networks=ratio)
    answer(
        f"decoded image to measures over the engines' GPU time, p50 of {len(took)} at 1024×768",
        f"{ratio:.2f} ({np.median(took):.2f} ms over {np.median(worked):.2f} ms)",
        f"at most {MOST_OVER_ENGINES}",
        ratio <= MOST_OVER_ENGINES,
    )


def test_many_images_agree_with_float32(settings: Settings, kernels: Path) -> None:
    on_cpu = settings.model_copy(update={"models": settings.models.model_copy(update={"backend": "onnxruntime"})})
    with (
        Pipeline(on_cpu) as reference,
        Pipeline(settings, precision="float16", open_network=on_the_gpu(kernels)) as candidate,
    ):
        found = compare(reference, candidate, varied(IMAGES))
    print(found)
    answer(
        f"mean mask IoU with float32 on {found.images} images",
        f"{found.mean_mask_iou:.4f}, worst {found.worst_mask_iou:.4f}",
        f"at least {LEAST_MASK_IOU}",
        found.mean_mask_iou >= LEAST_MASK_IOU,
    )
    answer(
        f"severities and domains that changed on {found.images} images",
        f"{found.flips} and {found.domain_flips}, probabilities by at most {found.largest_probability_difference:.4f}",
        "none",
        not found.flips + found.domain_flips,
    )


def test_ten_thousand_images_leave_nothing_behind(settings: Settings, kernels: Path) -> None:
    sizes = [(1024, 768), (640, 480), (1280, 960), (512, 512), (768, 1024), (1536, 1024), (320, 240), (1024, 700)]
    drawn = [pitted(width, height, seed, pits=30) for seed, (width, height) in enumerate(sizes)]
    process = psutil.Process()
    with Pipeline(settings, precision="float16", open_network=on_the_gpu(kernels)) as pipeline:

        def inspect(count: int) -> None:
            for index in range(count):
                pipeline.inspect(micrograph(drawn[index % len(drawn)].copy()), SOURCE)

        inspect(max(RUNS // 10, 2))  # every size several times
        device, host = free_bytes(), process.memory_info().rss
        inspect(RUNS)
        device_grown, host_grown = device - free_bytes(), process.memory_info().rss - host
        slack = device_slack()
    answer(f"memory of the device after {RUNS} images", f"{device_grown >> 10} KiB more", "none", device_grown <= slack)
    answer(f"memory of the host after {RUNS} images", f"{host_grown >> 10} KiB more", "none", host_grown <= 64 << 20)


def test_ultralytics_own_predict_is_left_behind(settings: Settings, kernels: Path, tmp_path: Path) -> None:
    for library in ("torch", "ultralytics", "timm"):
        if importlib.util.find_spec(library) is None:
            pytest.skip(f"there is no {library}: pip install '.[training]', then again")
    import torch

    if not (torch.cuda.is_available() or REHEARSAL):
        pytest.fail("torch does not see the GPU: install a torch with CUDA (on a Jetson NVIDIA's own wheel)")
    on_gpu = settings.model_copy(update={"models": settings.models.model_copy(update={"backend": "tensorrt"})})
    with Pipeline(on_gpu, precision="float16", open_network=on_the_gpu(kernels)) as pipeline:
        images = crowded(pipeline)
    paths = []
    for number, image in enumerate(images):
        paths.append(tmp_path / f"{number}.tif")
        assert cv2.imwrite(str(paths[-1]), image.grey)
    segmenter, classifier = write_checkpoints(Path(settings.models.segmenter), Path(settings.models.classifier), tmp_path)
    options = command.Options(
        paths=tuple(paths),
        duration_s=float(os.environ.get("EDGE_GPU_RIVAL_S", "30")),
        json=tmp_path / "bench.json",
        rival="ultralytics",
        checkpoint=segmenter,
        classifier_checkpoint=classifier,
    )
    assert command.run(options, on_gpu) == 0
    rival = json.loads((tmp_path / "bench.json").read_text(encoding="utf-8"))["rival"]
    ratio, (low, high) = rival["throughput_ratio"], rival["throughput_ratio_95"]
    answer(
        "throughput over ultralytics' predict in FP16 with timm's classifier, file to severity",
        f"{ratio:.2f} ({low:.2f} to {high:.2f}), {rival['same_work']['region_agreement']:.0%} of the regions the same",
        f"at least {LEAST_OVER_RIVAL}",
        ratio >= LEAST_OVER_RIVAL,
    )
