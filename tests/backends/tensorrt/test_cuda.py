"""One thread's played GPU: who may use it, what networks share, what crosses the bus, and which kernels are loaded."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from edge.backends.crop import Crop, canvases
from edge.backends.tensorrt import cuda
from edge.backends.tensorrt.engine import TensorRtEngine
from edge.errors import BackendError
from tests.backends.tensorrt.toy_engine import agrees, images, opened, read_only
from tests.conftest import pitted
from tests.fakes.gpu import Machine

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
            assert gpu.uploaded - before == grey.nbytes + 2 * cuda.SCENE_BYTES
            assert gpu.retained == gpu.streams == gpu.modules == 1
        assert agrees(one.run(images(2)), images(2))
    assert gpu.is_empty


def test_networks_may_be_closed_in_any_order(gpu: Machine) -> None:
    first, second = opened(gpu), opened(gpu)
    first.close()
    assert agrees(second.run(images(2)), images(2))
    second.close()
    assert gpu.is_empty


# Images on the device


def test_an_image_that_nobody_can_change_crosses_the_bus_once(gpu: Machine, kernels: Path) -> None:
    grey = read_only(pitted(300, 200))
    with opened(gpu, kernels=kernels) as engine:
        before = gpu.uploaded
        for _ in range(3):
            engine.run_on_crops(grey, [Crop(0, 0, 64, 64, 64, 64)] * 6, 64, 64)
        assert gpu.uploaded - before == grey.nbytes + 3 * 2 * cuda.SCENE_BYTES


def test_an_image_that_can_change_is_sent_each_time(gpu: Machine, kernels: Path) -> None:
    grey, crop = np.zeros((64, 64), np.uint8), [Crop(0, 0, 64, 64, 64, 64)]
    with opened(gpu, kernels=kernels) as engine:
        before = gpu.uploaded
        engine.run_on_crops(grey, crop * 9, 64, 64)
        assert gpu.uploaded - before == grey.nbytes + 3 * cuda.SCENE_BYTES
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
        assert sizes == [4, 12, 12, 12, 16, 16]  # two images, each in steps of 4 MiB


# PyCUDA and kernels


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


def test_kernels_that_anyone_may_write_are_not_loaded(kernels: Path) -> None:
    assert cuda.find_kernels([kernels.parent / "none", kernels.parent]) == kernels
    kernels.chmod(0o666)
    assert cuda.find_kernels([kernels.parent]) is None
