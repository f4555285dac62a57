"""The TensorRT engine on a GPU that is played by plain memory: what is called, by whom, and what is left afterwards."""

from __future__ import annotations

import gc
import hashlib
import logging
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edge.backends.crop import Crop, CroppingNetwork, canvases, run_on_crops
from edge.backends.tensorrt import cuda, passport
from edge.backends.tensorrt import engine as tensorrt_engine
from edge.backends.tensorrt import graph as cuda_graph
from edge.backends.tensorrt.engine import MOST_SHAPES, TensorRtEngine, open_engine
from edge.errors import BackendError
from tests.conftest import pitted
from tests.fakes.gpu import Machine
from tests.fakes.pycuda import FATBIN

Grey = NDArray[np.uint8]


def installed(monkeypatch: pytest.MonkeyPatch, gpu: Machine) -> Machine:
    package = ModuleType("pycuda")
    package.driver = gpu.pycuda  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pycuda", package)
    monkeypatch.setitem(sys.modules, "pycuda.driver", gpu.pycuda)
    monkeypatch.setattr(tensorrt_engine, "load_driver", lambda: gpu.libcuda)
    monkeypatch.setattr(cuda, "load_driver", lambda: gpu.libcuda)
    return gpu


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    gpu = installed(monkeypatch, Machine())
    gc.disable()  # Whatever is freed in a test is freed by the code, not by the collector.
    yield gpu
    gc.enable()


@pytest.fixture
def kernels(tmp_path: Path) -> Path:
    path = tmp_path / cuda.kernels_name()
    path.write_bytes(FATBIN)
    return path


def opened(gpu: Machine, **changed: Any) -> TensorRtEngine:
    return TensorRtEngine(b"engine", gpu.tensorrt, **changed)


def images(count: int, height: int = 64, width: int = 64, seed: int = 0) -> Grey:
    return np.random.default_rng(seed).integers(0, 256, (count, 1, height, width), np.uint8)


def agrees(found: Any, shown: Grey) -> bool:
    means = shown.mean(axis=(1, 2, 3), dtype=np.float64)
    return found["mean"].shape == (len(shown), 2) and np.allclose(found["mean"][:, 0], means, rtol=1e-4)


def read_only(grey: Grey) -> Grey:
    grey.setflags(write=False)
    return grey


# What it computes


@pytest.mark.parametrize("count", range(1, 12))
def test_each_row_is_answered_whatever_the_batch(gpu: Machine, count: int) -> None:
    with opened(gpu) as engine:
        found = engine.run(images(count, 32, 64))
    assert agrees(found, images(count, 32, 64))
    assert found["small"].shape == (count, 1, 8, 16)
    assert found["mean"].dtype == np.float32


def test_plain_runs_and_graphs_give_the_same_numbers(gpu: Machine) -> None:
    with opened(gpu) as engine, opened(gpu, graphs=False) as plain:
        for seed in range(4):
            shown = images(3, seed=seed)
            with_graph, without = engine.run(shown), plain.run(shown)
            assert all(np.array_equal(with_graph[name], without[name]) for name in without)
    assert gpu.events.count("launch") == 3


def test_results_stay_when_the_next_image_runs(gpu: Machine) -> None:
    with opened(gpu) as engine:
        first = engine.run(images(2))
        kept = first["small"].copy()
        engine.run(images(2, seed=1))
        assert np.array_equal(first["small"], kept)
    assert np.array_equal(first["small"], kept)


def test_an_image_gives_the_same_numbers_whatever_ran_in_the_rows_beside_it(gpu: Machine) -> None:
    with opened(gpu) as engine:
        engine.run(images(4, seed=9))
        together, alone = engine.run(images(3))["mean"], engine.run(images(3)[1:2])["mean"]
    assert np.array_equal(together[1], alone[0])


# Shapes


def test_batches_are_rounded_up_to_a_power_of_two_and_split_at_the_largest(gpu: Machine) -> None:
    with opened(gpu) as engine:
        contexts = gpu.events.count("context")
        for count in (1, 2, 3, 4, 5, 7, 8, 11):
            engine.run(images(count))
        assert {key[0] for key in engine._ready} == {1, 2, 4}
        assert gpu.events.count("context") == contexts + 3


def test_the_largest_batch_need_not_be_a_power_of_two(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = installed(monkeypatch, Machine(most=(6, 1, 64, 64)))
    with opened(gpu) as engine:
        assert agrees(engine.run(images(6)), images(6))
        assert agrees(engine.run(images(5)), images(5))
        assert {key[0] for key in engine._ready} == {6}


def test_the_shape_that_was_used_longest_ago_gives_way(gpu: Machine) -> None:
    sides = [(height, width) for height in (32, 64) for width in (32, 36, 40, 44, 48, 52)]
    with opened(gpu) as engine:
        for height, width in sides:
            for _ in range(2):
                assert agrees(engine.run(images(1, height, width)), images(1, height, width))
            assert len(engine._ready) == len(gpu.contexts) <= MOST_SHAPES
            assert len(gpu.executables) == len(engine._ready)
        assert [key[1:] for key in engine._ready] == sides[-MOST_SHAPES:]
        engine.run(images(1, *sides[-MOST_SHAPES]))
        engine.run(images(1, *sides[0]))
        assert (1, *sides[-MOST_SHAPES]) in engine._ready
        assert (1, *sides[-MOST_SHAPES + 1]) not in engine._ready


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((1, 3, 64, 64), np.uint8),
        np.zeros((1, 1, 96, 64), np.uint8),
        np.zeros((1, 1, 16, 64), np.uint8),
        np.zeros((0, 1, 64, 64), np.uint8),
        np.zeros((64, 64), np.uint8),
        np.zeros((1, 1, 64, 64), np.float32),
    ],
    ids=lambda image: f"{image.dtype}{list(image.shape)}",
)
def test_an_input_that_the_engine_does_not_take_is_refused_before_the_gpu_sees_it(gpu: Machine, image: Any) -> None:
    with opened(gpu) as engine:
        before = len(gpu.events)
        with pytest.raises(BackendError, match=r"takes"):
            engine.run(image)
        assert len(gpu.events) == before


# Graphs


def test_a_shape_runs_plainly_once_before_it_is_recorded(gpu: Machine) -> None:
    with opened(gpu) as engine:
        engine.run(images(1))
        assert "begin capture" not in gpu.events
        engine.run(images(1))
        engine.run(images(1))
    wanted = ["enqueue", "begin capture", "enqueue", "end capture", "instantiate", "destroy", "launch", "launch"]
    assert [event for event in gpu.events if event in {*wanted}][: len(wanted)] == wanted


@pytest.mark.parametrize("event", ["begin capture", "end capture", "instantiate", "enqueue while captured"])
def test_a_shape_that_cannot_be_recorded_runs_plainly_for_good_and_the_log_says_so(
    gpu: Machine, caplog: pytest.LogCaptureFixture, event: str
) -> None:
    gpu.fail[event] = 900 if event != "enqueue while captured" else False
    if event == "begin capture":
        refuse_to_begin(gpu)
    with opened(gpu) as engine, caplog.at_level(logging.WARNING):
        for seed in range(5):
            assert agrees(engine.run(images(2, seed=seed)), images(2, seed=seed))
    assert sum("without a CUDA graph" in record.message for record in caplog.records) == 1
    assert "launch" not in gpu.events
    assert not gpu.graphs
    assert gpu.is_empty


def refuse_to_begin(gpu: Machine) -> None:
    """A capture that does not begin does not have to be ended."""

    def begin(stream: Any, how: int) -> int:
        gpu.did("begin capture")
        return 900

    gpu.libcuda.cuStreamBeginCapture_v2 = begin


def test_a_graph_is_destroyed_once(gpu: Machine) -> None:
    gpu.executables[7] = []
    graph = cuda_graph.CudaGraph(gpu.libcuda, 1, cuda_graph.ctypes.c_void_p(7))
    graph.destroy()
    graph.destroy()
    assert gpu.events == ["destroy"]


# Memory


def test_a_thousand_runs_of_changing_shapes_take_no_more_memory_than_the_first(gpu: Machine, kernels: Path) -> None:
    grey = read_only(pitted(300, 200))
    with opened(gpu, kernels=kernels) as engine:
        engine.run_on_crops(grey, [Crop(0, 0, 300, 200, 64, 43)], 64, 64)
        held = gpu.bytes_held, gpu.pinned
        for index in range(1000):
            count, side = 1 + index % 6, (32, 64)[index % 2]
            if index % 3:
                assert agrees(engine.run(images(count, side, 64)), images(count, side, 64))
            else:
                engine.run_on_crops(grey, [Crop(0, 0, 64, side, 64, side)] * count, side, 64)
            assert (gpu.bytes_held, gpu.pinned) == held
    assert gpu.is_empty


def test_closing_frees_everything_once_in_the_thread_that_opened_it(gpu: Machine, kernels: Path) -> None:
    engine = opened(gpu, kernels=kernels)
    for _ in range(3):
        engine.run(images(4))
        engine.run_on_crops(pitted(100, 80), [Crop(0, 0, 100, 80, 64, 51)], 64, 64)
    assert not gpu.is_empty
    engine.close()
    assert gpu.is_empty
    engine.close()
    with pytest.raises(BackendError, match="closed"):
        engine.run(images(1))


def test_tensorrts_objects_go_before_the_context_does(gpu: Machine) -> None:
    with opened(gpu) as engine:
        engine.run(images(1))
        gpu.events.clear()
    order = [gpu.events.index(event) for event in ("context gone", "engine gone", "streams", "pop", "detach")]
    assert order == sorted(order)


@pytest.mark.parametrize("call", ["init", "retain", "stream", "mem_alloc", "pagelocked_empty", "deserialize", "context"])
def test_an_engine_that_cannot_be_opened_leaves_nothing_behind(gpu: Machine, call: str) -> None:
    for nth in range(4):
        seen = iter(range(100))
        failing_call_of(gpu, call, lambda seen=seen, nth=nth: next(seen) == nth)  # type: ignore[misc]
        message = ""
        try:
            opened(gpu).close()
        except BackendError as error:
            message = str(error)
        assert gpu.is_empty, f"after {call} number {nth}"
        assert nth or message.startswith(("the GPU cannot be opened", "the engine cannot be opened"))


def failing_call_of(gpu: Machine, call: str, when: Any) -> None:
    did = Machine.did.__get__(gpu)

    def watched(event: str) -> None:
        did(event)
        if event == call and when():
            raise gpu.pycuda.LogicError(f"{call} failed")

    gpu.did = watched  # type: ignore[method-assign]


def test_the_memory_that_is_held_is_told_by_its_use(gpu: Machine, kernels: Path) -> None:
    with opened(gpu, kernels=kernels) as engine:
        engine.run_on_crops(pitted(100, 80), [Crop(0, 0, 100, 80, 64, 51)], 64, 64)
        held = engine.memory
        crops = 24 * cuda.MOST_CROPS
        assert held["input"] == 4 * 64 * 64
        assert held["outputs"] == 4 * (4 * 2 + 4 * 16 * 16)
        assert gpu.bytes_held == held["scratch"] + held["input"] + held["outputs"] + held["image"] + crops
        assert gpu.pinned == held["pinned"] + crops


# Threads and networks side by side


def test_another_thread_may_neither_use_nor_close_it(gpu: Machine) -> None:
    refused = []

    def elsewhere(engine: TensorRtEngine) -> None:
        for act in (lambda: engine.run(images(1)), engine.close):
            try:
                act()
            except BackendError as error:
                refused.append(str(error))

    with opened(gpu) as engine:
        thread = threading.Thread(target=elsewhere, args=(engine,))
        thread.start()
        thread.join()
        assert len(refused) == 2
        assert all("belongs to the thread" in message for message in refused)
        assert agrees(engine.run(images(1)), images(1))
    assert gpu.is_empty


def test_two_networks_of_one_thread_share_context_stream_and_image(gpu: Machine, kernels: Path) -> None:
    grey = read_only(pitted(500, 400))
    with opened(gpu, kernels=kernels) as one:
        with opened(gpu, kernels=kernels) as other:
            before = gpu.uploaded
            one.run_on_crops(grey, [Crop(0, 0, 500, 400, 64, 51)], 64, 64)
            other.run_on_crops(grey, [Crop(9, 9, 32, 32, 32, 32)] * 3, 32, 32)
            assert gpu.uploaded - before == grey.nbytes + 4 * 24
            assert gpu.retained == gpu.streams == gpu.modules == 1
        assert agrees(one.run(images(2)), images(2))
    assert gpu.is_empty


def test_networks_may_be_closed_in_any_order(gpu: Machine) -> None:
    first, second = opened(gpu), opened(gpu)
    first.close()
    assert agrees(second.run(images(2)), images(2))
    second.close()
    assert gpu.is_empty


# Looking at an image


def test_it_is_an_eye(gpu: Machine) -> None:
    with opened(gpu) as engine:
        assert isinstance(engine, CroppingNetwork)


@pytest.mark.parametrize("with_kernels", [True, False], ids=["drawn by the GPU", "drawn by the CPU"])
def test_looking_gives_what_running_the_drawn_canvases_gives(gpu: Machine, kernels: Path, with_kernels: bool) -> None:
    grey = pitted(300, 200)
    crops = [
        Crop(0, 0, 300, 200, 64, 43),
        *(Crop(x, 50, 64, 64, 64, 64) for x in range(0, 230, 40)),
        Crop(-9, -9, 40, 40, 32, 32),
    ]
    with opened(gpu, kernels=kernels if with_kernels else None) as engine:
        seen = run_on_crops(engine, grey, crops, 64, 64)
        run = engine.run(canvases(grey, crops, 64, 64))
    assert all(np.array_equal(seen[name], run[name]) for name in run)
    assert sum(gpu.drawn) == (len(crops) if with_kernels else 0)


def test_an_image_that_nobody_can_change_crosses_the_bus_once(gpu: Machine, kernels: Path) -> None:
    grey = read_only(pitted(300, 200))
    with opened(gpu, kernels=kernels) as engine:
        before = gpu.uploaded
        for _ in range(3):
            engine.run_on_crops(grey, [Crop(0, 0, 64, 64, 64, 64)] * 6, 64, 64)
        assert gpu.uploaded - before == grey.nbytes + 3 * 6 * 24


def test_an_image_that_can_change_is_sent_each_time(gpu: Machine, kernels: Path) -> None:
    grey, crop = np.zeros((64, 64), np.uint8), [Crop(0, 0, 64, 64, 64, 64)]
    with opened(gpu, kernels=kernels) as engine:
        before = gpu.uploaded
        engine.run_on_crops(grey, crop * 9, 64, 64)
        assert gpu.uploaded - before == grey.nbytes + 9 * 24
        grey[...] = 80
        assert engine.run_on_crops(grey, crop, 64, 64)["mean"][0, 0] == 80


def test_an_image_that_is_gone_is_never_taken_for_a_new_one_in_its_place(gpu: Machine, kernels: Path) -> None:
    crop = [Crop(0, 0, 64, 64, 64, 64)]
    with opened(gpu, kernels=kernels) as engine:
        for value in range(20):
            assert engine.run_on_crops(read_only(np.full((64, 64), value, np.uint8)), crop, 64, 64)["mean"][0, 0] == value


def test_a_part_of_a_larger_array_is_seen_as_it_lies(gpu: Machine, kernels: Path) -> None:
    grey = pitted(300, 200)[10:110, 20:220]
    crops = [Crop(0, 0, 200, 100, 64, 32)]
    with opened(gpu, kernels=kernels) as engine:
        seen = engine.run_on_crops(grey, crops, 64, 64)
    assert agrees(seen, canvases(grey, crops, 64, 64))


def test_room_for_images_grows_to_the_largest_and_stays(gpu: Machine, kernels: Path) -> None:
    crop = [Crop(0, 0, 64, 64, 64, 64)]
    with opened(gpu, kernels=kernels) as engine:
        sizes = []
        for side in (100, 2100, 100, 2000, 2500, 64):
            engine.run_on_crops(np.zeros((side, side), np.uint8), crop, 64, 64)
            sizes.append(engine.memory["image"] >> 20)
        assert sizes == [4, 8, 8, 8, 8, 8]


# Failures


def test_too_little_memory_is_said_with_a_cure(gpu: Machine) -> None:
    gpu.fail["mem_alloc"] = gpu.pycuda.MemoryError("cuMemAlloc failed: out of memory")
    with pytest.raises(BackendError, match=r"too little free memory.*smaller batches"):
        opened(gpu)
    assert gpu.is_empty


def test_what_tensorrt_recorded_is_in_the_error(gpu: Machine, caplog: pytest.LogCaptureFixture) -> None:
    gpu.fail["deserialize"] = "state"
    with pytest.raises(BackendError, match=r"from elsewhere\): build it again"):
        opened(gpu)
    assert "TensorRT: the engine is from elsewhere" in caplog.text
    gpu.fail["deserialize"] = "no memory"
    with pytest.raises(BackendError, match="end other programs"):
        opened(gpu)
    assert gpu.is_empty


def test_an_engine_that_does_not_run_says_so(gpu: Machine) -> None:
    with opened(gpu) as engine:
        gpu.fail["enqueue"] = False
        with pytest.raises(BackendError, match="cannot run the engine"):
            engine.run(images(1))


def test_an_error_of_cuda_while_running_is_a_backend_error_and_closing_still_frees(gpu: Machine) -> None:
    with opened(gpu) as engine:
        engine.run(images(1))
        gpu.fail["synchronize"] = gpu.pycuda.LogicError("cuStreamSynchronize failed: an illegal memory access")
        with pytest.raises(BackendError, match=r"illegal memory access.*Xid"):
            engine.run(images(1))
    assert gpu.is_empty


def test_where_the_gpu_cannot_run_the_kernels_the_cpu_draws_and_the_log_says_so(
    gpu: Machine, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    broken = tmp_path / "kernels.fatbin"
    broken.write_bytes(b"of another GPU")
    grey = pitted(64, 64)
    with opened(gpu, kernels=broken) as engine:
        assert agrees(engine.run_on_crops(grey, [Crop(0, 0, 64, 64, 64, 64)], 64, 64), grey[None, None])
    assert "no kernel image" in caplog.text
    assert gpu.drawn == []
    assert gpu.is_empty


def test_a_machine_without_pycuda_is_told_what_to_install(gpu: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pycuda", None)
    with pytest.raises(BackendError, match="pip install"):
        opened(gpu)


# Opening by model


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "segmenter.onnx"
    path.write_bytes(b"onnx")
    return path


def make_passport(gpu: Machine, model: Path) -> passport.Passport:
    return passport.Passport.model_validate(
        {
            "schema": "edge.engine/1",
            "recipe": passport.RECIPE,
            "made_at": "2026-01-01T00:00:00Z",
            "made_by": "a test",
            "model": model.name,
            "onnx_sha256": hashlib.sha256(model.read_bytes()).hexdigest(),
            "engine_sha256": hashlib.sha256(b"engine").hexdigest(),
            "engine_bytes": 6,
            "library": {"name": "tensorrt", "version": gpu.tensorrt.__version__},
            "gpu": {"name": "Test GPU", "compute_capability": "8.7"},
            "profile": {"least": (1, 1, 32, 32), "best": (1, 1, 64, 64), "most": gpu.most},
            "layers": {"float16": 1},
            "parity": {"images": 1},
        }
    )


@pytest.fixture
def here(gpu: Machine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Machine:
    monkeypatch.setattr(passport, "this_gpu", lambda: passport.Gpu(name="Test GPU", compute_capability="8.7"))
    monkeypatch.setitem(sys.modules, "tensorrt", gpu.tensorrt)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return gpu


def install(gpu: Machine, model: Path) -> Path:
    stamp = make_passport(gpu, model)
    engine = model.parent / passport.engine_name(model, stamp.onnx_sha256)
    passport.install_engine(engine, b"engine", stamp)
    return engine


def test_an_engine_is_opened_by_its_model(here: Machine, model: Path, kernels: Path) -> None:
    install(here, model)
    with open_engine(model) as engine:
        assert (engine.name, engine.precision) == ("tensorrt", "float16")
        assert engine.most == (4, 64, 64)
        assert agrees(engine.run_on_crops(pitted(64, 64), [Crop(0, 0, 64, 64, 64, 64)], 64, 64), pitted(64, 64)[None, None])
        assert here.drawn == [1]
    assert here.is_empty


def test_an_engine_whose_passport_does_not_fit_is_never_given_to_tensorrt(here: Machine, model: Path) -> None:
    engine = install(here, model)
    engine.write_bytes(b"another")
    with pytest.raises(BackendError, match="hashes differ"):
        open_engine(model)
    here.tensorrt.__version__ = "10.16.1"
    with pytest.raises(BackendError, match="another TensorRT"):
        open_engine(model)
    assert here.events == []


def test_a_model_without_an_engine_says_how_to_build_one(here: Machine, model: Path) -> None:
    with pytest.raises(BackendError, match="edge-export tensorrt"):
        open_engine(model)


def test_a_machine_without_a_gpu_says_so(here: Machine, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passport, "this_gpu", lambda: None)
    with pytest.raises(BackendError, match="no NVIDIA GPU"):
        open_engine(model)


def test_another_precision_is_refused(here: Machine, model: Path) -> None:
    with pytest.raises(BackendError, match="float32"):
        open_engine(model, "float32")


def test_tensorrt_for_rtx_serves_where_tensorrt_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = installed(monkeypatch, Machine(library="tensorrt_rtx"))
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    monkeypatch.setitem(sys.modules, "tensorrt_rtx", gpu.tensorrt)
    library = tensorrt_engine.load_library()
    assert library.__name__ == "tensorrt_rtx"
    with TensorRtEngine(b"engine", library) as engine:
        assert agrees(engine.run(images(3)), images(3))


def test_a_machine_without_tensorrt_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in tensorrt_engine.LIBRARIES:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(BackendError, match="JetPack"):
        tensorrt_engine.load_library()


def test_kernels_that_anyone_may_write_are_not_loaded(kernels: Path) -> None:
    assert cuda.find_kernels([kernels.parent / "none", kernels.parent]) == kernels
    kernels.chmod(0o666)
    assert cuda.find_kernels([kernels.parent]) is None
