"""On a real GPU: it sees what the CPU sees, says what float32 says, and holds no more after ten thousand runs than before."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path

import numpy as np
import psutil
import pytest
from numpy.typing import NDArray

from edge.backends.crop import Crop, canvases
from edge.backends.onnx_session import OnnxSession
from edge.backends.tensorrt.cuda import SCENE_BYTES, Cuda, Shared, cuda_here
from edge.backends.tensorrt.engine import TensorRtEngine, find_engine, open_engine
from edge.backends.tensorrt.passport import read_passport
from edge.config import Settings
from edge.errors import BackendError
from edge.inspection.parity import LEAST_MASK_IOU, compare
from edge.inspection.pipeline import Pipeline
from edge.samples import sample_micrographs
from tests.backends.tensorrt.test_kernels import drawn_by_host
from tests.conftest import pitted
from tests.gpu.conftest import RUNS, answer, opened

pytestmark = [pytest.mark.gpu, pytest.mark.timeout(7200), pytest.mark.filterwarnings("default")]
Grey = NDArray[np.uint8]


def free_bytes() -> int:
    """Of the GPU, asked in the context that is current."""
    import pycuda.driver

    return int(pycuda.driver.mem_get_info()[0])


def device_slack() -> int:
    """Bytes by which the device's free memory may change by itself: on a Jetson it is that of the whole machine."""
    import pycuda.driver

    shared = pycuda.driver.Device(0).get_attribute(pycuda.driver.device_attribute.INTEGRATED)
    return 256 << 20 if shared else 4 << 20


def random_crops(random: np.random.Generator, width: int, height: int, side: int, count: int) -> list[Crop]:
    crops = []
    for _ in range(count):
        x, y = int(random.integers(-200, width)), int(random.integers(-200, height))
        across, down = (int(random.integers(max(1, 1 - low), 900)) for low in (x, y))
        crops.append(Crop(x, y, across, down, int(random.integers(1, side + 1)), int(random.integers(1, side + 1))))
    return crops


def drawn_there(cuda: Cuda, scene: Shared, target: Shared, grey: Grey, crops: list[Crop], side: int) -> Grey:
    """Crops as the GPU draws them: [N, 1, side, side]."""
    cuda.describe(scene, cuda.show(grey), crops, len(crops))
    cuda.send(scene)
    cuda.draw(scene, len(crops), side, side, target.address)
    cuda.fetch(target, len(crops) * side * side)
    cuda.wait()
    return target.host[: len(crops) * side * side].reshape(len(crops), 1, side, side)


def test_the_kernels_draw_what_opencv_draws(kernels: Path) -> None:
    random = np.random.default_rng(0)
    worst = differing = drawn_px = 0
    with cuda_here() as cuda:
        cuda.load_kernels(kernels)
        scene, target = cuda.share(SCENE_BYTES), cuda.share(64 * 224 * 224)
        try:
            for index in range(100):
                width, height = (int(side) for side in random.integers(1, 1200, 2))
                grey = pitted(width, height, index, 0) if index % 2 else random.integers(0, 256, (height, width), np.uint8)
                side = int(random.integers(1, 225))
                crops = random_crops(random, width, height, side, 64)
                crops[0] = Crop(0, 0, width, height, side, side)
                found = drawn_there(cuda, scene, target, grey, crops, side)
                wanted = canvases(grey, crops, side, side)
                difference = np.abs(found.astype(int) - wanted)
                worst, drawn_px = max(worst, int(difference.max())), drawn_px + wanted.size
                differing += int(np.count_nonzero(difference))
        finally:
            cuda.release(scene)
            cuda.release(target)
    print(f"{differing} of {drawn_px} pixels differ, by at most {worst} grey level")
    assert worst <= 1
    assert differing <= 1e-3 * drawn_px


def test_the_kernels_draw_what_their_own_lines_draw_on_the_processor(kernels: Path, tmp_path: Path) -> None:
    drawn_here = drawn_by_host(tmp_path)
    random = np.random.default_rng(1)
    differing = drawn_px = 0
    with cuda_here() as cuda:
        cuda.load_kernels(kernels)
        scene, target = cuda.share(SCENE_BYTES), cuda.share(64 * 160 * 160)
        try:
            for _ in range(50):
                width, height, side = (int(value) for value in random.integers((1, 1, 1), (900, 900, 161)))
                grey = random.integers(0, 256, (height, width), np.uint8)
                crops = random_crops(random, width, height, side, 64)
                wanted = drawn_here(grey, crops, side, side)
                differing += int(np.count_nonzero(drawn_there(cuda, scene, target, grey, crops, side) != wanted))
                drawn_px += wanted.size
        finally:
            cuda.release(scene)
            cuda.release(target)
    answer(
        "pixels that the GPU draws otherwise than the same lines on the processor",
        f"{differing} of {drawn_px}",
        "none",
        differing == 0,
    )


def test_the_engines_passed_the_gate_when_they_were_built(models: Path) -> None:
    passports = [read_passport(find_engine(models / f"{name}.onnx")[0].path) for name in ("segmenter", "classifier")]
    segmenter, classifier = (one.parity for one in passports)
    assert segmenter is not None
    assert segmenter.mean_mask_iou is not None
    assert segmenter.mean_mask_iou >= LEAST_MASK_IOU
    assert classifier is not None
    assert classifier.flips == classifier.domain_flips == 0
    doubts = [doubt for one in passports for doubt in one.doubts]
    answer("what TensorRT's inspector leaves open", "; ".join(doubts) or "nothing", "nothing", not doubts)


def test_engines_that_fit_are_not_built_again(models: Path, settings: Settings) -> None:
    from export.engine_build import BuildOptions
    from export.to_tensorrt import make_engine

    assert not make_engine(models / "segmenter.onnx", "segment", settings, BuildOptions(), print).built


def test_stage_2_says_what_float32_says(models: Path, classifier: TensorRtEngine) -> None:
    fields = np.stack([pitted(224, 224, seed) for seed in range(20)])[:, None]
    with OnnxSession(models / "classifier.onnx") as reference:
        wanted = reference.run(fields)["logits"]
    assert np.abs(classifier.run(fields)["logits"] - wanted).max() < 0.1


def test_stage_1_says_what_float32_says_of_its_sure_candidates(models: Path, segmenter: TensorRtEngine) -> None:
    image = pitted(640, 480)[None, None]
    with OnnxSession(models / "segmenter.onnx") as reference:
        wanted = reference.run(image)
    found = segmenter.run(image)
    assert found["boxes"].shape == wanted["boxes"].shape
    assert np.issubdtype(found["classes"].dtype, np.integer)
    sure = wanted["scores"][0] > 0.3
    distances = np.abs(wanted["boxes"][0][sure][:, None] - found["boxes"][0][None]).max(axis=2).min(axis=1)
    assert np.all(distances < 2)
    assert np.abs(found["prototypes"] - wanted["prototypes"]).max() < 0.1 * np.abs(wanted["prototypes"]).max()


def test_looking_at_the_image_gives_what_the_drawn_canvases_give(segmenter: TensorRtEngine) -> None:
    for micrograph in sample_micrographs()[:RUNS]:
        grey = micrograph.grey
        height, width = grey.shape
        scale = min(1.0, 640 / max(height, width))
        crops = [Crop(0, 0, width, height, max(1, round(width * scale)), max(1, round(height * scale)))]
        crops += [Crop(x, 0, 320, 320, 320, 320) for x in (0, 100, 200)]
        seen, run = segmenter.run_on_crops(grey, crops, 640, 640), segmenter.run(canvases(grey, crops, 640, 640))
        # A grey level here and there changes the last digits.
        assert np.allclose(seen["scores"], run["scores"], atol=0.02)


def test_whole_inspections_agree_with_float32(settings: Settings, kernels: Path) -> None:
    def on_the_gpu(_backend: str, model: Path, _precision: str) -> TensorRtEngine:
        return opened(model, kernels)

    with Pipeline(settings) as reference, Pipeline(settings, precision="float16", open_network=on_the_gpu) as candidate:
        found = compare(reference, candidate, sample_micrographs()[:RUNS])
        assert candidate.models.backend == "tensorrt"
    print(found)
    assert found.passed


def test_graphs_give_exactly_what_plain_runs_give(models: Path, kernels: Path) -> None:
    with opened(models / "segmenter.onnx", kernels) as graphs:
        for count, height, width in ((1, 480, 640), (3, 640, 640), (4, 320, 320), (9, 96, 64)):
            images = np.stack([pitted(width, height, seed, 0) for seed in range(count)])[:, None]
            found = [graphs.run(images) for _ in range(4)]
            with opened(models / "segmenter.onnx", kernels, graphs=False) as plain:
                wanted = plain.run(images)
            for one in found:
                assert all(np.array_equal(one[name], wanted[name]) for name in wanted)


def test_every_shape_that_is_kept_can_run_as_a_graph(classifier: TensorRtEngine) -> None:
    images = np.stack([pitted(224, 224, seed) for seed in range(8)])[:, None]
    for _ in range(3):
        for count in (1, 2, 4, 8):
            classifier.run(images[:count])
    assert {key[0] for key in classifier._ready} >= {1, 2, 4, 8}
    recorded = sum(ready.graph is not None for ready in classifier._ready.values())
    count = len(classifier._ready)
    answer("shapes of the classifier that run as a CUDA graph", f"{recorded} of {count}", "all", recorded == count)


def test_ten_thousand_runs_take_no_memory(segmenter: TensorRtEngine, classifier: TensorRtEngine) -> None:
    grey = pitted(1500, 1100)
    grey.setflags(write=False)
    sizes = [(480, 640), (448, 640), (640, 640), (320, 320), (96, 64), (64, 96), (640, 480), (128, 128), (160, 160), (32, 32)]

    def once(index: int) -> None:
        rows, columns = sizes[index // 500 % len(sizes)]  # more shapes than are kept, so that some are made again
        segmenter.run_on_crops(grey, [Crop(0, 0, 1500, 1100, columns, rows)] * (1 + index % 4), rows, columns)
        classifier.run_on_crops(grey, [Crop(index % 900, 5, 300, 300, 224, 224)] * (1 + index % 9), 224, 224)

    for index in range(0, 10 * 500, max(1, 10 * 500 // max(RUNS // 100, 10))):  # each shape, and as a graph
        once(index)
    device, host = free_bytes(), psutil.Process().memory_info().rss
    for index in range(RUNS):
        once(index)
    device_grown, host_grown = device - free_bytes(), psutil.Process().memory_info().rss - host
    print(f"after {RUNS} runs: device {device_grown} bytes, host {host_grown} bytes more")
    assert device_grown <= device_slack()
    assert host_grown <= 32 << 20


def test_opening_and_closing_gives_the_memory_back(models: Path, kernels: Path) -> None:
    image = pitted(640, 480)[None, None]
    left = []
    with cuda_here():
        for _ in range(min(10, RUNS)):
            with opened(models / "segmenter.onnx", kernels) as engine:
                for _ in range(3):
                    engine.run(image)
            left.append(free_bytes())
        slack = device_slack()
    assert left[1] - left[-1] <= slack


def test_an_engine_lives_in_a_thread_of_its_own(models: Path) -> None:
    outcome: list[object] = []

    def work() -> None:
        try:
            with open_engine(models / "classifier.onnx") as engine:
                outcome.append(engine.run(pitted(224, 224)[None, None])["logits"])
        except BackendError as error:
            outcome.append(error)

    for _ in range(3):  # a context left behind would end the process with the thread
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    assert all(isinstance(one, np.ndarray) for one in outcome), outcome
    assert len(outcome) == 3


def test_an_engine_that_was_changed_is_refused(models: Path, tmp_path: Path) -> None:
    engine, _ = find_engine(models / "classifier.onnx")
    for path in models.glob("classifier*"):
        shutil.copy(path, tmp_path)
    copy = tmp_path / engine.path.name
    copy.write_bytes(engine.data[:-1] + bytes([engine.data[-1] ^ 1]))
    with pytest.raises(BackendError, match="hashes differ"):
        open_engine(tmp_path / "classifier.onnx")
