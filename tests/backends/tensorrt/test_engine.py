"""The TensorRT engine on a GPU that is played by plain memory: what is called, by whom, and what is left afterwards."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge.backends.crop import Crop, CroppingNetwork, canvases, run_on_crops
from edge.backends.tensorrt import engine as tensorrt_engine
from edge.backends.tensorrt import passport
from edge.backends.tensorrt.engine import MOST_SHAPES, TensorRtEngine, open_engine
from edge.backends.tensorrt.ready import Wanted
from edge.errors import BackendError
from tests.backends.tensorrt.toy_engine import agrees, images, installed, opened, read_only
from tests.conftest import pitted
from tests.fakes.gpu import Machine

# What it computes


@pytest.mark.parametrize("count", range(1, 12))
def test_each_row_is_answered_whatever_the_batch(gpu: Machine, count: int) -> None:
    with opened(gpu) as engine:
        found = engine.run(images(count, 32, 64))
    assert agrees(found, images(count, 32, 64))
    assert found["small"].shape == (count, 1, 8, 16)
    assert found["mean"].dtype == np.float32


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


def test_a_call_that_cuda_refuses_while_it_is_recorded_costs_the_graph_alone(
    gpu: Machine, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    send = gpu.pycuda.memcpy_htod_async

    def refused(*arguments: Any) -> None:
        if gpu.capture is not None:
            raise gpu.pycuda.LogicError("cuMemcpyHtoDAsync failed: operation not permitted when stream is capturing")
        send(*arguments)

    monkeypatch.setattr(gpu.pycuda, "memcpy_htod_async", refused)
    with opened(gpu) as engine:
        for _ in range(4):
            assert agrees(engine.run(images(2)), images(2))
    assert caplog.text.count("without a CUDA graph") == 1
    assert "not permitted" in caplog.text
    assert gpu.is_empty


# Shapes


def test_batches_are_rounded_up_to_a_power_of_two_and_split_at_the_largest(gpu: Machine) -> None:
    with opened(gpu) as engine:
        contexts = gpu.events.count("context")
        for count in (1, 2, 3, 4, 5, 7, 8, 11):
            engine.run(images(count))
        assert {key[0] for key in engine._ready} == {1, 2, 4}
        assert gpu.events.count("context") == contexts + len(engine._ready)
        assert len(engine._ready) == 5  # of 5 rows and more two batches are under way at once, in a slot each


def test_the_largest_batch_need_not_be_a_power_of_two(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = installed(monkeypatch, Machine(most=(6, 1, 64, 64)))
    with opened(gpu) as engine:
        assert agrees(engine.run(images(6)), images(6))
        assert agrees(engine.run(images(5)), images(5))
        assert {key[0] for key in engine._ready} == {6}


def test_the_shape_that_was_used_longest_ago_gives_way(gpu: Machine) -> None:
    sides = [(height, width) for height in (32, 64) for width in range(32, 68, 4)]
    with opened(gpu) as engine:
        for height, width in sides:
            for _ in range(2):
                assert agrees(engine.run(images(1, height, width)), images(1, height, width))
            assert len(engine._ready) == len(gpu.contexts) <= MOST_SHAPES
            assert len(gpu.executables) == len(engine._ready)
        assert [key[1:3] for key in engine._ready] == sides[-MOST_SHAPES:]
        engine.run(images(1, *sides[-MOST_SHAPES]))
        engine.run(images(1, *sides[0]))
        assert (1, *sides[-MOST_SHAPES], Wanted(drawn=False), 0) in engine._ready
        assert (1, *sides[-MOST_SHAPES + 1], Wanted(drawn=False), 0) not in engine._ready


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


def test_many_crops_are_one_launch_where_the_engine_has_a_profile_for_them(gpu: Machine, kernels: Path) -> None:
    gpu.wide = (40, 1, 64, 64)
    grey = read_only(pitted(300, 200))
    crops = [Crop(5 * number, 50, 64, 64, 64, 64) for number in range(33)]
    with opened(gpu, kernels=kernels) as engine:
        assert engine.most == (40, 64, 64)
        for _ in range(3):
            assert agrees(engine.run_on_crops(grey, crops, 64, 64), canvases(grey, crops, 64, 64))
            assert agrees(engine.run_on_crops(grey, crops[:3], 64, 64), canvases(grey, crops[:3], 64, 64))
        assert {key[0] for key in engine._ready} == {4, 40}
        assert gpu.events.count("profile") == 2  # to learn the outputs' sizes, and for the shape of 40
    assert gpu.is_empty


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
        assert held["input"] == 2 * 4 * 64 * 64
        assert held["outputs"] == 2 * 4 * (4 * 2 + 4 * 16 * 16)
        assert gpu.bytes_held == held["scratch"] + held["pinned"] + held["image"]
        assert gpu.pinned == held["input"] + held["outputs"] + held["scene"] + held["image"]


# Drawing its own input


def test_it_draws_its_own_input(gpu: Machine) -> None:
    with opened(gpu) as engine:
        assert isinstance(engine, CroppingNetwork)


@pytest.mark.parametrize("with_kernels", [True, False], ids=["drawn by the GPU", "drawn by the CPU"])
def test_crops_give_what_running_the_drawn_canvases_gives(gpu: Machine, kernels: Path, with_kernels: bool) -> None:
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
        gpu.fail["event synchronize"] = gpu.fail["synchronize"] = gpu.pycuda.LogicError(
            "cuStreamSynchronize failed: an illegal memory access"
        )
        with pytest.raises(BackendError, match=r"illegal memory access.*Xid"):
            engine.run(images(1))
    assert gpu.is_empty


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


def test_models_that_all_have_an_engine_are_not_refused(here: Machine, model: Path) -> None:
    install(here, model)
    assert tensorrt_engine.refusal([model]) is None
    other = model.with_name("classifier.onnx")
    other.write_bytes(b"another onnx")
    assert "classifier.onnx has no TensorRT engine yet" in (tensorrt_engine.refusal([model, other]) or "")
    assert here.events == []


def test_the_device_is_the_gpu_that_is_here(here: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    assert tensorrt_engine.device() == "Test GPU"
    monkeypatch.setattr(passport, "this_gpu", lambda: None)
    assert tensorrt_engine.device() is None


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
